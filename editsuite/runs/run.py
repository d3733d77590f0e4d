"""A run: one model in memory, its chains, and what is observed of their states."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from filelock import Timeout

from editsuite.cards import ModelCard, load_model, resolve_card
from editsuite.chains import Chain, Progress, open_chain, requests_digest
from editsuite.engine import DecoderStack, ResumeCache, Ways
from editsuite.errors import OptionError
from editsuite.facts import EditRequest, FactSet, load_facts
from editsuite.measures import Look, Measure, Observation, View
from editsuite.runs.ahead import work_ahead
from editsuite.runs.case import Case, Wanted
from editsuite.runs.measuring import Measures
from editsuite.runs.memory import MemoryUse, memory_use
from editsuite.runs.opening import editing_of
from editsuite.runs.settings import RunSettings
from editsuite.runs.store import LookStore, engine_code, look_code
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
        self._resumes: dict[int, ResumeCache] = {}
        self.measures = Measures(settings.capabilities)
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
        settings = self.settings
        loaded = load_model(
            self.card, device=settings.device, dtype=settings.dtype, cache=settings.cache
        )
        own = settings.own_ways
        ways = Ways(written_out=own, fast_linear=own)
        return DecoderStack(loaded, settings.token_budget, ways=ways)

    def check(self, edits: int) -> None:
        """See that the facts suffice, before the model is loaded.

        Raises:
            OptionError: more edits than facts.
        """
        if edits > len(self.order):
            raise OptionError(
                f"{edits} edits were asked for, {self.settings.facts} holds {len(self.order)} "
                "usable facts; lower --edit-counts or give more facts (--edit-facts)"
            )

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
        """The store's key of a look; the state must be known."""
        place = (case, measure.name, look)
        if place not in self._keys:
            self._keys[place] = self._key(case, measure, look)
        return self._keys[place]

    def _key(self, case: Case, measure: Measure, look: Look) -> str:
        chain = self.chain(case)
        index = chain.plan.index_of(look.state)
        # All chains share the unedited model, unless the measure looks at their own matrices.
        state = "unedited" if index == 0 else chain.digest(index)
        asked = requests_digest(self.order[look.first - 1 : look.last]) if look.last else ""
        parts = (self.settings.dtype, state, asked, measure.name, measure.identity)
        code = look_code(type(measure).__module__)
        return self._store.key(code, self.stack.loaded.digest, *parts)

    def known(self, case: Case, measure: Measure, look: Look) -> bool:
        """Whether a look was already taken; the state must be known."""
        return self._store.get(self.key(case, measure, look)) is not None

    def take(self, case: Case, measure: Measure, look: Look) -> Any:
        """Look at a state that is there, unless it was done by now.

        Raises:
            Timeout: another process is looking.
        """
        key = self.key(case, measure, look)
        with self._store.lock(key).acquire(timeout=0):
            if (seen := self._store.get(key)) is not None:
                return seen
            chain = self.chain(case)
            self.free(chain)
            chain.go(chain.plan.index_of(look.state))
            asked = self.order[look.first - 1 : look.last] if look.last else ()
            # Facts are asked of the states that learned them; the items of all other looks come
            # back in every state, so that keeping theirs pays.
            kept = None if look.last else self._resume_at(min(case.layers))
            with self._threads.busy(), self.stack.resumed(kept):
                seen = measure.look(View(self.stack, asked, chain.weights()))
            return self._store.put(key, seen)

    def _resume_at(self, layer: int) -> ResumeCache:
        if layer not in self._resumes:
            loaded = self.stack.loaded
            identity = (loaded.digest, str(loaded.dtype), loaded.device.type, engine_code())
            folder = self.settings.cache / "resume"
            self._resumes[layer] = ResumeCache(layer, identity, folder=folder)
        return self._resumes[layer]

    def _seen(self, case: Case, measure: Measure, look: Look) -> Any:
        self.ensure(case, look.state)
        while (seen := self._store.get(self.key(case, measure, look))) is None:
            try:
                return self.take(case, measure, look)
            except Timeout:
                if not work_ahead(self):
                    time.sleep(POLL)
        return seen

    def memory(self) -> MemoryUse:
        """What this process holds; the model must have been loaded."""
        weights = (w for chain in self._chains.values() for w in chain.weights().values())
        originals = [w.original for w in weights if w.original is not w.current]
        resumed = sum(cache.held for cache in self._resumes.values())
        return memory_use(self.stack.loaded.model.parameters(), originals, resumed)

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
