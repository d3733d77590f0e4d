"""A capability as a measure: what of it is left in a state (paper sections 5 and 6, Table 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from editsuite.measures.capabilities.asking import Asker, ask_together
from editsuite.measures.capabilities.battery import Battery
from editsuite.measures.observation import Observation, share
from editsuite.measures.paired import mean_change, retention
from editsuite.measures.protocol import Look, View


@dataclass(frozen=True)
class Capability:
    """Score, and what is left of the unedited model's, item by item.

    Args:
        battery: what is asked.
    """

    battery: Battery
    _askers: list[Asker] = field(default_factory=list, compare=False, repr=False)

    @property
    def name(self) -> str:
        """``capability.knowledge``."""
        return f"capability.{self.battery.capability}"

    @property
    def identity(self) -> str:
        """Digest of items, tasks and scoring."""
        return self.battery.identity

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The unedited model and the state."""
        return [Look(0), Look(edits)]

    def look(self, view: View) -> Any:
        """Of every item its score, the right answer's log-likelihood, and what was said."""
        from editsuite.engine.harness import EngineLM

        if not self._askers:  # prompts are the same for every state
            heat, times = self.battery.temperature, self.battery.repeats
            self._askers.extend(
                Asker(sheet.task, sheet.docs, temperature=heat, repeats=times)
                for sheet in self.battery.sheets
            )
        lm = EngineLM(view.stack)
        names = ("ids", "weights", "scores", "gold", "replies")
        seen: dict[str, list[Any]] = {name: [] for name in names}
        every = sum(len(sheet.docs) for sheet in self.battery.sheets)
        found = ask_together(self._askers, lm)
        for sheet, answers in zip(self.battery.sheets, found, strict=True):
            seen["ids"] += sheet.ids
            # Each subject and language counts alike, however many of its items are asked.
            weight = every / (len(self.battery.sheets) * len(sheet.docs))
            seen["weights"] += [weight] * len(sheet.docs)
            seen["scores"] += [answer.scores[sheet.metric] for answer in answers]
            seen["gold"] += [answer.gold for answer in answers]
            seen["replies"] += [answer.reply for answer in answers]
        return seen

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Score, retention, mean change of the right answers' likelihood, lost and won items; of
        first tokens how many are an answer."""
        before, after = (seen[look] for look in self.looks(edits))
        old, new, old_gold, new_gold = (
            [weight * value for weight, value in zip(before["weights"], state[name], strict=True)]
            for name in ("scores", "gold")
            for state in (before, after)
        )
        lost = [max(0.0, a - b) for a, b in zip(old, new, strict=True)]
        won = [max(0.0, b - a) for a, b in zip(old, new, strict=True)]
        # Of nothing nothing is left: no number says so.
        ids = before.get("ids", ())
        left = [retention(f"{self.name}.retention", old, new, ids)] if any(old) else []
        return (
            share(f"{self.name}.score", new),
            *left,
            mean_change(f"{self.name}.gold", old_gold, new_gold, "nats", ids),
            share(f"{self.name}.lost", lost),
            share(f"{self.name}.won", won),
            *self._valid(after),
        )

    def _valid(self, seen: Mapping[str, Any]) -> Sequence[Observation]:
        """Share of first tokens that are an answer at all, right or wrong (paper D.3)."""
        if not (answers := self.battery.answers):
            return []
        valid = [float(reply.strip() in answers) for reply in seen["replies"]]
        return [share(f"{self.name}.valid", valid)]
