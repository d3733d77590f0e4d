"""The measure: how information flows while the model learns a task from its prompt.

Paper section 7.3 and appendix E.2 (equations 5 to 8, Figure 8, Table 14) on one-shot sentiment, as
Wang et al. 2023; and appendix D.3's first-token effect on the same prompts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from editsuite.engine import DecoderStack
from editsuite.errors import MeasureError
from editsuite.measures.observation import Observation
from editsuite.measures.protocol import Look, View
from editsuite.measures.saliency.attention import trace
from editsuite.measures.saliency.flows import FLOWS, Flows
from editsuite.measures.saliency.loss import LabelLoss
from editsuite.measures.saliency.places import Prompt, tokenized
from editsuite.measures.saliency.seen import conclude
from editsuite.measures.saliency.shots import Shot, builtin_shots


@dataclass(frozen=True)
class Saliency:
    """Saliency of attention on one-shot prompts, answers, and first tokens.

    Args:
        shots: the prompts.
        by_layer: see ``trace``; both ways give the same numbers.
    """

    shots: tuple[Shot, ...] = field(default_factory=builtin_shots)
    by_layer: bool | None = None
    name: str = "saliency"

    @property
    def identity(self) -> str:
        """Digest of the prompts."""
        texts = [
            [s.id, s.text, s.label, [(w.start, w.stop, y) for w, y in s.words]] for s in self.shots
        ]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The unedited model and the state."""
        return [Look(0), Look(edits)]

    def look(self, view: View) -> Any:
        """Of every prompt the flows in each layer, the likelier label, and the first token.

        Raises:
            MeasureError: the tokenizer splits a label word oddly, a prompt is longer than the
                model reads, or the model gives no attention matrix.
        """
        stack = view.stack
        prompts = [tokenized(stack.loaded.tokenizer, shot) for shot in self.shots]
        _check_length(stack, prompts)
        answers = [_ask(stack, prompt, self.by_layer) for prompt in prompts]
        seen = {name: [answer[name] for answer in answers] for name in answers[0]}
        return {"ids": [p.id for p in prompts], "right": [p.right for p in prompts], **seen}

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Answers, shares by depth and by layer, and how like the unedited model's they are."""
        before, after = (seen[look] for look in self.looks(edits))
        return tuple(conclude(before, after))


def _ask(stack: DecoderStack, prompt: Prompt, by_layer: bool | None) -> dict[str, Any]:
    """One prompt's answer and flows.

    Returns:
        ``flows`` ``[3][layers]`` of the loss over its scale, ``scales`` that scale, ``losses`` in
        nats, ``chosen`` the likelier label, ``first`` the label that the likeliest token of all
        is, or -1, and ``said`` that token's text.
    """
    loss = LabelLoss(prompt.labels, prompt.right)
    flows = Flows.of(len(prompt.ids), prompt.places)
    found = trace(stack, prompt.ids, loss.direction, flows.means, by_layer=by_layer)
    first = int(found.logits.argmax())
    chosen = int(found.logits[list(prompt.labels)].argmax())
    return {
        "flows": [[layer[i] for layer in found.layers] for i in range(len(FLOWS))],
        "scales": loss.scale(found.logits),
        "losses": loss.value(found.logits),
        "chosen": chosen,
        "first": prompt.labels.index(first) if first in prompt.labels else -1,
        "said": str(stack.loaded.tokenizer.decode([first])),
    }


def _check_length(stack: DecoderStack, prompts: Sequence[Prompt]) -> None:
    name, limit = stack.loaded.card.name, stack.loaded.card.context_length
    for prompt in prompts:
        if len(prompt.ids) > limit:
            raise MeasureError(
                f"one-shot prompt {prompt.id} has {len(prompt.ids)} tokens, {name} reads {limit}; "
                "take a model that reads more, or shorter sentences"
            )
