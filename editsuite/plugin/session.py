"""The suite's part of one pytest session."""

from __future__ import annotations

import dataclasses
import hashlib
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
from editsuite.plugin.cases import (
    EASYEDIT,
    EditCase,
    cases,
    group_of,
    method_marks,
    wanted_methods,
)
from editsuite.plugin.checks import check_settings
from editsuite.plugin.collected import Collected, rows
from editsuite.plugin.workers import Share, apply_share, cpus

if TYPE_CHECKING:
    from editsuite.measures import Observation
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
    def settings(self) -> RunSettings:
        """The options, read and checked."""
        return options.read_settings(self.config, self.space)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods to check."""
        return wanted_methods(
            self.config.getoption("markexpr", "") or "",
            options.value(self.config, "methods"),
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

    def baseline_file(self, case: EditCase) -> Path:
        """The file that holds a chain's baselines."""
        folder = self.config.rootpath / options.value(self.config, "baselines")
        own = case.case.stem
        name = own if self.standard(case) else f"{own}.{self._variant(case)}"
        return folder / self.run.card.name / case.case.method / f"{name}.json"

    def standard(self, case: EditCase) -> bool:
        """Whether this is the plan that baselines are committed for: built-in facts, seed 0, the
        card's own hyperparameters."""
        s = self.settings
        usual = (s.facts, s.seed, s.dtype) == ("builtin", 0, "float32")
        return usual and not s.hyperparameters_of(case.case.method)

    def _variant(self, case: EditCase) -> str:
        s = self.settings
        words = [f"{self.run.facts.name}-{self.run.facts.digest[:8]}", f"s{s.seed}", s.dtype]
        if given := s.hyperparameters_of(case.case.method):
            text = json.dumps(given, sort_keys=True, default=str)
            words.append(f"set-{hashlib.sha256(text.encode()).hexdigest()[:8]}")
        return ".".join("".join(c if c.isalnum() or c in "-_" else "-" for c in w) for w in words)

    def wants_baselines(self, case: EditCase) -> bool:
        """Whether a number without a baseline fails the check."""
        policy = options.value(self.config, "missing-baseline")
        if policy == "auto":
            # What EasyEdit does depends on the copy that a machine has: none is committed.
            own = EASYEDIT not in method_marks(case.case.method)
            return (self.standard(case) and own) or self.baseline_file(case).exists()
        return policy == "fail"

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

    def carry(self, item: pytest.Item, case: EditCase, observations: Sequence[Observation]) -> str:
        """What a test's report takes to the controller, as JSON."""
        run, stack = self.run, self.run.stack
        expected = None
        if self.wants_baselines(case):
            group = read_file(self.baseline_file(case)).get(group_of(item.nodeid))
            expected = expected_of(group, self.baseline_file(case)) if group else {}
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
                },
            }
        )

    def plan_digest(self, case: EditCase) -> str:
        """Digest of the chain's plan."""
        digest: str = self.run.chain(case.case).plan.digest
        return digest

    def snapshot(self, case: EditCase, observations: Sequence[Observation]) -> dict[str, Any]:
        """What is held against the baseline."""
        return {
            "plan": self.plan_digest(case),
            "observations": {
                o.name: {"value": jsonable(o.value), "n": o.n, "unit": o.unit} for o in observations
            },
        }
