"""Times that were measured, and what the plan reckons for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from editsuite.cards import resolve_card
from editsuite.chains import hyperparameters_of
from editsuite.editors import method
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
from editsuite.planning.edit import EDIT_BESIDE, Editing, edit_work
from editsuite.planning.look import asked_of, beside, look_work
from editsuite.planning.machine import read_machine
from editsuite.planning.plan import plan_runs
from editsuite.planning.shape import shape_of
from editsuite.planning.tokens import fact_tokens
from editsuite.presets import PresetRun
from editsuite.runs.settings import RunSettings

FILE = Path(__file__).parent / "data" / "measured.yaml"
MODEL = "smollm2-135m-instruct"
#: The largest factor between a measured time and the plan's, either way.
FACTOR = 2.0


@dataclass(frozen=True)
class Compared:
    """A measured time beside the plan's.

    Attributes:
        name: of what.
        threads: CPU threads.
        measured: seconds.
        planned: seconds.
        page: where the measured time stands.
        command: that measured it.
    """

    name: str
    threads: int
    measured: float
    planned: float
    page: str
    command: str

    @property
    def factor(self) -> float:
        """Planned over measured."""
        return self.planned / self.measured


def compared() -> Iterator[Compared]:
    """All measured times, each beside the plan's."""
    told: Mapping[str, list[dict[str, Any]]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    for kind, reckon, name in (
        ("edits", _edit, _edit_name),
        ("looks", _look, lambda one: str(one["measure"])),
        ("runs", _run, lambda one: str(one["name"])),
    ):
        for one in told[kind]:
            yield Compared(
                name(one),
                one["threads"],
                float(one["seconds"]),
                reckon(one),
                one["page"],
                one["command"],
            )


def _edit_name(one: Mapping[str, Any]) -> str:
    layers = "-".join(map(str, one["layers"]))
    return f"an edit by {one['method']}, layer {layers}, {one['contexts']} contexts"


def _edit(one: Mapping[str, Any]) -> float:
    card = resolve_card(MODEL)
    given = hyperparameters_of(card, method(one["method"]), {"n_contexts": one["contexts"]})
    layers = tuple(one["layers"])
    edit = Editing(one["method"], layers, 1, given, fact_tokens("builtin"), 4)
    machine = read_machine("cpu", threads=one["threads"])
    return sum(map(machine.seconds, edit_work(edit, shape_of(card)))) + EDIT_BESIDE


def _look(one: Mapping[str, Any]) -> float:
    shape = shape_of(resolve_card(MODEL))
    asked = asked_of(one["measure"], Choice(), fact_tokens("builtin"), 0, 0.0)
    machine = read_machine("cpu", threads=one["threads"])
    works = look_work(asked, shape, 4, cpu=True, above=shape.layers)
    return sum(map(machine.seconds, works)) + beside(asked)


def _run(one: Mapping[str, Any]) -> float:
    names = one["measures"]
    if names == ["capabilities"]:
        names = [PREFIX + name for name in CAPABILITIES]
    settings = RunSettings(
        model=MODEL,
        facts="builtin",
        counts=tuple(one["counts"]),
        layers=tuple(one["layers"]) if one["layers"] else None,
        seed=0,
        device="cpu",
        dtype="float32",
        cache=Path(),
    )
    run = PresetRun(settings, tuple(one["methods"]), tuple(names))
    plan = plan_runs([run], read_machine("cpu", threads=one["threads"]))
    editing = sum(chain.seconds for chain in plan.chains) if one["chains_there"] else 0.0
    return plan.seconds - editing
