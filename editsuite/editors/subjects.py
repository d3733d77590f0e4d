"""What many facts' subjects give: keys averaged over contexts at one layer, outputs of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupRow, caught, run_through
from editsuite.engine import DecoderStack, batches, pad


@dataclass(frozen=True)
class Subjects:
    """What the model gives at the subjects' last tokens.

    Attributes:
        keys: ``[facts, d_ff]`` float32, inputs of a layer's down projection. The prompt alone
            weighs one half and its prefixed forms together the other, as in the reference.
        outputs: ``[facts, hidden]`` float32, states leaving a layer, for the prompt alone.
    """

    keys: Tensor
    outputs: Tensor


@torch.no_grad()
def read_subjects(
    stack: DecoderStack, facts: Sequence[Sequence[LookupRow]], *, keys_at: int, outputs_of: int
) -> Subjects:
    """Read the keys of one layer and the outputs of another, for any number of facts.

    Nothing beyond a subject's last token is run, and no pass holds more tokens than the stack's
    budget, so the memory is that of one pass and of one key for each row.

    Args:
        stack: the model, in any state.
        facts: the rows of each fact, equally many, that of the prompt alone first.
        keys_at: the layer whose keys are read.
        outputs_of: the layer whose output is read; not below ``keys_at``.
    """
    rows = [row for fact in facts for row in fact]
    module = stack.layers[keys_at].get_submodule(stack.loaded.family.down_proj)
    order: list[int] = []
    keys, outputs = list[Tensor](), list[Tensor]()
    for batch in batches([row.lookup + 1 for row in rows], stack.token_budget):
        padded = pad([rows[i].ids[: rows[i].lookup + 1] for i in batch], stack.device, left=False)
        with caught(module, inputs=True) as kept:
            hidden = run_through(stack, padded, outputs_of)
        ends = torch.arange(len(batch)), [rows[i].lookup for i in batch]
        order += batch
        keys.append(kept[0][ends].float())
        outputs.append(hidden[ends].float())
    back = torch.tensor(order).argsort().to(stack.device)
    key, output = (
        torch.cat(parts)[back].view(len(facts), len(facts[0]), -1) for parts in (keys, outputs)
    )
    prefixed = key[:, 1:].mean(dim=1) if key.shape[1] > 1 else key[:, 0]
    return Subjects((key[:, 0] + prefixed) / 2, output[:, 0])
