"""Chains and looks of some runs, each counted once."""

from __future__ import annotations

import json
from collections.abc import Mapping

from editsuite.cards import ModelCard
from editsuite.chains import hyperparameters_of
from editsuite.editors import method
from editsuite.errors import OptionError
from editsuite.measures import measures
from editsuite.measures.capabilities.names import PREFIX
from editsuite.planning.edit import EDIT_BESIDE, Editing, edit_memory, edit_work, journal_bytes
from editsuite.planning.look import Asked, asked_of, asking, beside, look_work, planned_measures
from editsuite.planning.machine import Machine
from editsuite.planning.prepare import covariance_layers, preparation, sizes
from editsuite.planning.records import ChainPlan, LookPlan, RunPlan
from editsuite.planning.shape import Shape
from editsuite.planning.tokens import FactTokens
from editsuite.presets import PresetRun
from editsuite.runs.case import Case
from editsuite.runs.settings import RunSettings

#: Bytes that kept states of lower layers may take on disk (``editsuite.engine.resume``).
RESUME_DISK = 4 * 2**30
ITEMSIZE: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}


class Counter:
    """Chains and looks, each once."""

    def __init__(
        self, card: ModelCard, shape: Shape, machine: Machine, facts: FactTokens, dtype: str
    ) -> None:
        self._card, self._shape, self._machine = card, shape, machine
        self._facts, self._itemsize = facts, ITEMSIZE[dtype]
        self._counts: dict[tuple[Case, int, str], set[int]] = {}
        self._looks: dict[str, dict[object, tuple[Asked, int]]] = {}
        self._runs: dict[tuple[Case, int, str], RunSettings] = {}

    def add(self, run: PresetRun, case: Case) -> None:
        """One chain of a run, and its looks."""
        settings = run.settings
        given = settings.hyperparameters_of(case.method)
        chain = (case, settings.seed, json.dumps(given, sort_keys=True, default=str))
        counts = [n for n in settings.counts if n % case.batch == 0]
        self._counts.setdefault(chain, set()).update(counts)
        self._runs[chain] = settings
        for name in run.measures:
            for count in counts:
                self._add_looks(name, chain, settings, count)

    def _add_looks(
        self, name: str, chain: tuple[Case, int, str], settings: RunSettings, count: int
    ) -> None:
        case = chain[0]
        looks = self._looks.setdefault(name, {})
        drawn = ""
        if name.startswith(PREFIX):
            drawn = asking(name, settings.capabilities)
        entries = float(self._shape.hidden * self._shape.ffn * len(case.layers))
        for state, facts in looks_of(name, count, case.batch):
            # All chains share the unedited model, but for its resumed layers.
            owner = chain if state else None
            asked = asked_of(
                name, settings.capabilities, self._facts, facts, entries, settings.texts
            )
            looks[(owner, state, facts, drawn)] = (asked, min(case.layers))

    def plan(self) -> RunPlan:
        """The sums."""
        chains = tuple(self._chain(key, counts) for key, counts in self._counts.items())
        looks = tuple(self._measure(name, looks) for name, looks in self._looks.items())
        edits = [self._editing(key) for key in self._counts]
        covered = covariance_layers(edits)
        seconds = preparation(self._machine, self._shape, self._card, covered, self._itemsize)
        disk, memory = sizes(
            self._card,
            self._shape,
            covered,
            journal=sum(chain.journal for chain in chains),
            kept=sum(self._kept(looks) for looks in self._looks.values()),
            edit=max((edit_memory(edit, self._shape) for edit in edits), default=0.0),
            layers=max((len(edit.layers) for edit in edits), default=0),
            itemsize=self._itemsize,
        )
        return RunPlan(self._card, self._machine, chains, looks, seconds, disk, memory)

    def _editing(self, key: tuple[Case, int, str]) -> Editing:
        case, _, given = key
        known = method(case.method)
        everything = {**hyperparameters_of(self._card, known, json.loads(given))}
        if case.method == "rome_noc":
            everything["mom2_adjustment"] = False
        return Editing(
            case.method, case.layers, case.batch, everything, self._facts, self._itemsize
        )

    def _chain(self, key: tuple[Case, int, str], counts: set[int]) -> ChainPlan:
        case, seed, given = key
        edit, most = self._editing(key), max(counts, default=0)
        times = most // case.batch
        each = sum(map(self._machine.seconds, edit_work(edit, self._shape))) + EDIT_BESIDE
        size = journal_bytes(edit, self._shape)
        return ChainPlan(
            case,
            seed,
            json.loads(given),
            most,
            tuple(sorted(counts)),
            times * each,
            times * size,
        )

    def _measure(self, name: str, looks: Mapping[object, tuple[Asked, int]]) -> LookPlan:
        cpu, depth = self._machine.memory is None, self._shape.layers
        seconds, seen = 0.0, set()
        for asked, layer in looks.values():
            # The first look of an edited layer runs what lies below it, and keeps what comes out.
            resumed = layer in seen and self._fits(looks) and not name.startswith("recall")
            seen.add(layer)
            above = depth - layer if resumed else depth
            works = look_work(asked, self._shape, self._itemsize, cpu=cpu, above=above)
            seconds += sum(map(self._machine.seconds, works)) + beside(asked)
        every = [asked for asked, _ in looks.values()]
        return LookPlan(
            name,
            len(looks),
            sum(asked.items for asked in every),
            sum(asked.tokens for asked in every),
            sum(asked.written for asked in every),
            seconds,
        )

    def _kept(self, looks: Mapping[object, tuple[Asked, int]]) -> float:
        """Bytes of what enters the edited layers, of one state, float32."""
        most = {layer: asked.tokens for asked, layer in looks.values() if asked.items}
        return sum(4.0 * tokens * self._shape.hidden for tokens in most.values())

    def _fits(self, looks: Mapping[object, tuple[Asked, int]]) -> bool:
        return self._kept(looks) <= RESUME_DISK


def looks_of(name: str, count: int, batch: int) -> list[tuple[int, int]]:
    """State and number of facts of each look that a measure needs after ``count`` edits.

    Raises:
        OptionError: nothing is known of the measure's looks.
    """
    if name in (known := measures()):
        looks = known[name].looks(count, batch)
        return [(look.state, look.last - look.first + 1 if look.last else 0) for look in looks]
    if name.startswith(PREFIX) or name in planned_measures():
        return [(0, 0), (count, 0)]
    raise OptionError(f"what a look of {name!r} takes is not known; plan the other measures")
