"""A run: one model in memory, its chains, and what is observed of their states."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain as chained
from typing import Any, cast

from filelock import Timeout

from editsuite.cards import ModelCard, load_model, resolve_card
from editsuite.chains import Chain, Progress, open_chain, requests_digest
from editsuite.engine import DecoderStack, Ways
from editsuite.facts import EditRequest, FactSet, load_facts
from editsuite.measures import Judged, Look, Measure, Observation, View
from editsuite.runs.ahead import work_ahead
from editsuite.runs.case import Case, Wanted
from editsuite.runs.judge import Judge
from editsuite.runs.measuring import Measures
from editsuite.runs.memory import MemoryUse, memory_use
from editsuite.runs.opening import editing_of
from editsuite.runs.resumes import Resumes
from editsuite.runs.settings import RunSettings
from editsuite.runs.store import LookStore, look_code
from editsuite.runs.threads import Threads

POLL = 0.2


class Run:
    """Opens the model once and observes the states that are asked for.

    Several processes may run on one cache: edits and looks are made once among them, and who
    has to wait does something else from the agenda.

    Args:
        settings: what to do.
        progress: called after every edit made here.
        cpus: CPUs of the machine; an edit takes them all while no other process computes. None:
            every edit keeps to this process's threads.
    """

    def __init__(
        self,
        settings: RunSettings,
        progress: Callable[[Case, Progress], None] | None = None,
        cpus: int | None = None,
    ) -> None:
        self.settings = settings
        self.agenda: Sequence[Wanted] = ()
        self._progress = progress
        self._threads = Threads(settings.cache / "busy", cpus)
        self._store = LookStore(settings.cache, settings.space)
        self._chains: dict[Case, Chain] = {}
        self._active: Chain | None = None
        self._resumes = Resumes(settings.cache / "resume")
        self.measures = Measures(settings)
        self.judge = Judge(settings, lambda: self.stack, self._open)
        self._keys: dict[tuple[Case, str, Look], str] = {}

    @cached_property
    def card(self) -> ModelCard:
        """The model's card; reading it does not load the model."""
        return resolve_card(self.settings.model)

    @cached_property
    def facts(self) -> FactSet:
        """The facts, in the order of their source."""
        return load_facts(self.settings.facts)

    @cached_property
    def order(self) -> tuple[EditRequest, ...]:
        """The facts in the order of editing."""
        return self.facts.order(self.settings.seed)

    @cached_property
    def stack(self) -> DecoderStack:
        """The model, loaded when first used."""
        return self._open(self.card)

    def _open(self, card: ModelCard) -> DecoderStack:
        s = self.settings
        loaded = load_model(card, device=s.device, dtype=s.dtype, cache=s.cache)
        ways = Ways(written_out=s.own_ways, fast_linear=s.own_ways)
        return DecoderStack(loaded, s.token_budget, ways=ways)

    def chain(self, case: Case) -> Chain:
        """The chain of a case, with the model free for it."""
        if case not in self._chains:
            self.free(None)
            self._chains[case] = open_chain(
                self.stack,
                editing_of(case, self.settings, self.facts.name, self.order),
                self.settings.cache,
                chains=self.settings.chains,
                around=lambda: self._threads.editing(self.stack),
            )
        return self._chains[case]

    def free(self, chain: Chain | None) -> None:
        """Give the model to one chain: another chain's edits come off first."""
        if self._active is not None and self._active is not chain:
            self._active.go(0)
        self._active = chain

    def observe(self, case: Case, edits: int, names: Sequence[str]) -> list[Observation]:
        """Observe a case after ``edits`` edits by the named measures."""
        found: list[Observation] = []
        for name in names:
            measure = self.measures[name]
            looks = measure.looks(edits, case.batch)
            seen = {look: self._seen(case, measure, look) for look in looks}
            found.extend(measure.observe(edits, seen, case.batch))
        return found

    def ensure(self, case: Case, edits: int) -> None:
        """Have a chain's first ``edits`` edits, made here or elsewhere."""
        chain = self.chain(case)
        index = chain.plan.index_of(edits)
        if chain.sound() >= index:
            return
        self.free(chain)

        def meanwhile() -> bool:
            did = work_ahead(self, besides=case)
            self.free(chain)
            return did

        chain.ensure(index, progress=partial(self.tell, case), meanwhile=meanwhile)

    def key(self, case: Case, measure: Measure, look: Look) -> str:
        """The store's key of a look; the state must be known, and what a judge is to read."""
        place = (case, measure.name, look)
        if place not in self._keys:
            self._keys[place] = self._key(case, measure, look)
        return self._keys[place]

    def _key(self, case: Case, measure: Measure, look: Look) -> str:
        if look.judged:
            read = self._store.get(self.key(case, measure, look.written))
            return self._store.key(*self.judge.parts(read), measure.name, measure.identity)
        chain = self.chain(case)
        index = chain.plan.index_of(look.state)
        # All chains share the unedited model, unless the measure looks at their own matrices.
        state = "unedited" if index == 0 else chain.digest(index)
        asked = requests_digest(self.order[look.first - 1 : look.last]) if look.last else ""
        parts = (self.settings.dtype, state, asked, measure.name, measure.identity)
        return self._store.key(
            look_code(type(measure).__module__), self.stack.loaded.digest, *parts
        )

    def known(self, case: Case, measure: Measure, look: Look) -> bool:
        """Whether a look was already taken; the state must be known."""
        if look.judged and not self.known(case, measure, look.written):
            return False
        return self._store.get(self.key(case, measure, look)) is not None

    def take(self, case: Case, measure: Measure, look: Look) -> Any:
        """Look at a state that is there, unless it was done by now.

        Raises:
            Timeout: another process is looking.
        """
        written = self.take(case, measure, look.written) if look.judged else None
        key = self.key(case, measure, look)
        with self._store.lock(key).acquire(timeout=0):
            if (seen := self._store.get(key)) is not None:
                return seen
            if look.judged:
                return self._store.put(key, self._judge(cast("Judged", measure), written))
            chain = self.chain(case)
            self.free(chain)
            chain.go(chain.plan.index_of(look.state))
            asked = self.order[look.first - 1 : look.last] if look.last else ()
            # Facts are asked of the states that learned them; the items of all other looks come
            # back in every state, so that keeping theirs pays.
            layer, loaded = min(case.layers), self.stack.loaded
            kept = None if look.last else self._resumes.at(layer, loaded)
            with self._threads.busy(), self.stack.resumed(kept):
                seen = measure.look(View(self.stack, asked, chain.weights()))
            return self._store.put(key, seen)

    def _judge(self, measure: Judged, written: Any) -> Any:
        if self.judge.is_own:
            self.free(None)
        with self._threads.busy():
            return measure.judge(self.judge.stack, written)

    def _seen(self, case: Case, measure: Measure, look: Look) -> Any:
        self.ensure(case, look.state)
        if look.judged:
            self._seen(case, measure, look.written)
        while (seen := self._store.get(self.key(case, measure, look))) is None:
            try:
                return self.take(case, measure, look)
            except Timeout:
                if not work_ahead(self):
                    time.sleep(POLL)
        return seen

    def memory(self) -> MemoryUse:
        """What this process holds; the model must have been loaded."""
        weights = [w for chain in self._chains.values() for w in chain.weights().values()]
        held = chained(self.stack.loaded.model.parameters(), self.judge.weights())
        return memory_use(held, weights, self._resumes.held)

    def tell(self, case: Case, progress: Progress) -> None:
        """Tell whoever watches of an edit."""
        if self._progress is not None:
            self._progress(case, progress)

    def records(self, case: Case, edits: int) -> list[Mapping[str, Any]]:
        """What the method said of a chain's edits."""
        chain = self.chain(case)
        return [
            {"index": i, **chain.record(i)}
            for i in range(1, min(chain.sound(), chain.plan.index_of(edits)) + 1)
        ]
