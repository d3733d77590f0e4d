"""The suite's part of one pytest session."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from editsuite.errors import OptionError
from editsuite.plugin import options
from editsuite.plugin.baseline_file import expected_of, jsonable, read_file
from editsuite.plugin.baseline_places import BaselinePlaces
from editsuite.plugin.cases import (
    EditCase,
    cases,
    group_of,
    measures_of,
    wanted_methods,
)
from editsuite.plugin.checks import check_settings
from editsuite.plugin.collected import Collected, rows
from editsuite.plugin.preset import expansion, policy
from editsuite.plugin.workers import Share, apply_share, cpus

if TYPE_CHECKING:
    from editsuite.measures import Observation
    from editsuite.presets import Expansion, PresetRun
    from editsuite.runs import Run, RunSettings

#: Facts of a batch that the report shows.
SHOWN = 3


@dataclass
class EditSession:
    """Options, cases and the open run; one for each process.

    Attributes:
        config: pytest's configuration.
        share: this process's CPU threads and GPU.
        folder: where workers tell of their progress; shared by the run's processes.
        space: the look store's space of this run.
        collected: what the checks observed (on the controller).
        checks: names of the checks that there are, selected or not.
    """

    config: pytest.Config
    share: Share
    folder: Path
    space: str
    collected: Collected
    checks: set[str] = field(default_factory=set)

    @classmethod
    def start(cls, config: pytest.Config, share: Share) -> EditSession:
        """Take part in the controller's run, or begin one."""
        told = getattr(config, "workerinput", {}).get("editsuite")
        if told is None:
            folder = Path(tempfile.mkdtemp(prefix="editsuite-run-"))
            space = folder.name if config.getoption("edit_remeasure") else ""
            told = {"folder": str(folder), "space": space}
        return cls(config, share, Path(told["folder"]), told["space"], Collected())

    @property
    def told(self) -> dict[str, str]:
        """What a worker must know of this run."""
        return {"folder": str(self.folder), "space": self.space}

    @cached_property
    def expansion(self) -> Expansion | None:
        """The preset that was asked for, on the model of this run."""
        return expansion(self.config, options.read_settings(self.config, self.space))

    @property
    def preset(self) -> PresetRun | None:
        """The preset's one run."""
        return self.expansion.one() if self.expansion else None

    @cached_property
    def settings(self) -> RunSettings:
        """The options, read and checked."""
        if self.preset is not None:
            return self.preset.settings
        return options.read_settings(self.config, self.space)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods to check."""
        chosen = options.value(self.config, "methods")
        return wanted_methods(
            self.config.getoption("markexpr", "") or "",
            ",".join(self.preset.methods) if self.preset else chosen,
            options.value(self.config, "backend"),
        )

    @cached_property
    def cases(self) -> list[EditCase]:
        """The states to check."""
        return cases(self.settings, check_settings(self.settings), self.methods)

    @cached_property
    def run(self) -> Run:
        """The run; opening it loads nothing yet."""
        from editsuite.plugin.progress import ProgressWriter
        from editsuite.runs import Run

        apply_share(self.share)
        return Run(self.settings, ProgressWriter(self.folder, self.worker), cpus())

    @property
    def worker(self) -> str:
        """This process's name among xdist's workers."""
        return str(getattr(self.config, "workerinput", {}).get("workerid", "main"))

    @cached_property
    def baselines(self) -> BaselinePlaces:
        """Where the run's baselines lie."""
        return BaselinePlaces(
            self.config.rootpath / options.value(self.config, "baselines"),
            policy(self.config, self.expansion),
            self.settings,
            self.run,
        )

    def observe(self, case: EditCase, names: Sequence[str], prefix: str) -> list[Observation]:
        """Observe a state by some measures; the observations whose names begin with ``prefix``.

        Raises:
            OptionError: no observation has that prefix.
        """
        everything = self.run.observe(case.case, case.edits, names)
        found = [o for o in everything if o.name.startswith(prefix)]
        if not found:
            raise OptionError(
                f"{self.settings.facts} gives nothing to observe of {prefix!r}: its facts lack "
                "rephrases or locality prompts"
            )
        return found

    def findings(self, case: EditCase) -> list[Observation]:
        """Hold the claims of the paper's Table 1 against a state; none where it has no row.

        Table 1 speaks of the layers that a method edits by default.
        """
        from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
        from editsuite.verdicts.findings import judge, table_1

        file = self.baselines.folder / "paper" / "table-1.csv"
        claims = table_1(file, case.case.name, case.edits)
        default = self.run.card.layers.get(case.case.method, ())
        if not claims or case.case.layers[:1] != default[:1]:
            return []
        names = [f"{PREFIX}{name}" for name in CAPABILITIES]
        return list(judge(claims, self.run.observe(case.case, case.edits, names)))

    def carry(self, item: pytest.Item, case: EditCase, observations: Sequence[Observation]) -> str:
        """What a test's report takes to the controller, as JSON."""
        run, stack = self.run, self.run.stack
        expected = None
        if self.baselines.wanted(case, measures_of(item)):
            file = self.baselines.file(case, measures_of(item))
            group = read_file(file).get(group_of(item.nodeid))
            expected = expected_of(group, file) if group else {}
        plan = run.chain(case.case).plan
        edits = [
            {
                **record,
                "prompt": "; ".join(r.prompt for r in plan.batch(record["index"])[:SHOWN]),
                "target": "; ".join(r.target_new for r in plan.batch(record["index"])[:SHOWN]),
            }
            for record in run.records(case.case, case.edits)
        ]
        return json.dumps(
            {
                "rows": rows(case, observations, expected, item.nodeid),
                "chain": {
                    "case": str(case.case),
                    "method": case.case.name,
                    "layer": list(case.case.layers),
                    "plan": plan.digest,
                    "edits": edits,
                },
                "memory": {self.worker: dataclasses.asdict(run.memory())},
                "run": {
                    "model": run.card.name,
                    "model_digest": stack.loaded.digest,
                    "dtype": self.settings.dtype,
                    "device": str(stack.device),
                    "threads": self.share.threads,
                    "facts": self.settings.facts,
                    "facts_rejected": len(run.facts.rejected),
                    "seed": self.settings.seed,
                    "texts": self.settings.texts.source,
                    "judge": self.settings.judge or run.card.name,
                },
            }
        )

    def plan_digest(self, case: EditCase) -> str:
        """Digest of the chain's plan."""
        digest: str = self.run.chain(case.case).plan.digest
        return digest

    def snapshot(self, case: EditCase, observations: Sequence[Observation]) -> dict[str, Any]:
        """What is held against the baseline; what is absent has no entry there."""
        return {
            "plan": self.plan_digest(case),
            "observations": {
                o.name: {"value": jsonable(o.value), "n": o.n, "unit": o.unit}
                for o in observations
                if not o.absent
            },
        }
