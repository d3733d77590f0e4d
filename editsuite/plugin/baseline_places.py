"""Where baselines lie, and whether a number must have one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.names import PREFIX
from editsuite.measures.saliency.source import SALIENCY
from editsuite.plugin.cases import EASYEDIT, EditCase, method_marks
from editsuite.runs.settings import judge_card

if TYPE_CHECKING:
    from editsuite.runs import Run, RunSettings


@dataclass(frozen=True)
class BaselinePlaces:
    """Files of baselines: one for a chain, others where a run is not the usual one.

    Attributes:
        folder: of all baselines.
        policy: what becomes of a number without one; ``--edit-missing-baseline``.
        settings: of the run.
        run: the run.
    """

    folder: Path
    policy: str
    settings: RunSettings
    run: Run

    def file(self, case: EditCase, measures: Sequence[str] = ()) -> Path:
        """The file that holds the baselines of a check.

        Args:
            case: the state.
            measures: that the check looks at; some depend on what is asked or read.
        """
        words = ([] if self._usual_plan(case) else self._plan(case)) + self._asked(measures)
        name = ".".join([case.case.stem, *map(_plain, words)])
        return self.folder / self.run.card.name / case.case.method / f"{name}.json"

    def wanted(self, case: EditCase, measures: Sequence[str] = ()) -> bool:
        """Whether a number without a baseline fails the check."""
        if self.policy == "auto":
            # What EasyEdit does depends on the copy that a machine has: none is committed.
            own = EASYEDIT not in method_marks(case.case.method)
            usual = self._usual_plan(case) and not self._asked(measures)
            return (usual and own) or self.file(case, measures).exists()
        return self.policy == "fail"

    def _usual_plan(self, case: EditCase) -> bool:
        """Whether this is the plan that baselines are committed for: built-in facts, seed 0, the
        card's own hyperparameters."""
        s = self.settings
        return s.usual and not s.hyperparameters_of(case.case.method)

    def _plan(self, case: EditCase) -> list[str]:
        s = self.settings
        words = [f"{self.run.facts.name}-{self.run.facts.digest[:8]}", f"s{s.seed}", s.dtype]
        if given := s.hyperparameters_of(case.case.method):
            words.append(f"set-{digest_of(given)}")
        return words

    def _asked(self, measures: Sequence[str]) -> list[str]:
        """What is asked and read, where it is not what is built in."""
        return self._capable(measures) + self._read(measures)

    def _read(self, measures: Sequence[str]) -> list[str]:
        s, words = self.settings, []
        if "perplexity" in measures and s.texts.named:
            texts = self.run.measures.texts
            words.append(f"texts-{texts.digest[:8]}-n{len(texts.passages)}")
        if "answers" in measures and s.capabilities.data is not None:
            asked = self.run.measures.questions
            words.append(f"questions-{asked.identity[:8]}-n{len(asked.ids)}")
        card = judge_card(s) if "answers" in measures else None
        if card is not None and card != self.run.card:
            words.append(f"judge-{card.name}")
        return words

    def _capable(self, measures: Sequence[str]) -> list[str]:
        capable = [name.removeprefix(PREFIX) for name in measures if name.startswith(PREFIX)]
        choice = self.settings.capabilities
        if SALIENCY in measures and choice.data is not None:
            return ["sst2", f"items{choice.items}"]
        if not capable or choice == Choice():
            return []
        if choice.data is None:
            words = ["probe"]
        else:
            words = sorted({choice.benchmark(name).key for name in capable})
            words.append(f"items{choice.items}")
        return [*words, f"t{choice.temperature:g}x{choice.repeats}"]


def digest_of(given: object) -> str:
    """What a file's name tells of hyperparameters."""
    text = json.dumps(given, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _plain(word: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in word)
