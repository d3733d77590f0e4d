"""The three flows of information in one attention matrix (paper equations 6 to 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.errors import MeasureError

#: From text to label words, from label words to the target position, and all other.
FLOWS = ("s_wp", "s_pq", "s_ww")


@dataclass(frozen=True)
class Flows:
    """Which entries ``(i, j)`` of a saliency matrix belong to which flow.

    ``C_wp = {(p_k, j): j < p_k}``, ``C_pq = {(q, p_k)}``, ``C_ww`` every other ``(i, j)`` with
    ``j < i``. What a token takes from itself belongs to none.

    Attributes:
        members: ``[3, tokens, tokens]`` float64, 1 at a flow's entries.
    """

    members: Tensor

    @classmethod
    def of(cls, tokens: int, places: Sequence[int]) -> Flows:
        """The flows of a prompt.

        Args:
            tokens: of the prompt; its last is the target position ``q``.
            places: ``p_1 ... p_C``, the label words' positions.

        Raises:
            MeasureError: a place is no place before the target position, stands there twice, or
                leaves a flow without entries.
        """
        if len(set(places)) < len(places) or not all(0 <= p < tokens - 1 for p in places):
            raise MeasureError(
                f"label words at {list(places)} in a prompt of {tokens} tokens; give each its own "
                "position before the last token"
            )
        members = torch.zeros(3, tokens, tokens, dtype=torch.bool)
        for place in places:
            members[0, place, :place] = True
            members[1, -1, place] = True
        members[2] = torch.ones(tokens, tokens, dtype=torch.bool).tril(-1)
        members[2] &= ~(members[0] | members[1])
        if not bool(members.any(dim=(1, 2)).all()):
            raise MeasureError(
                f"label words at {list(places)} in a prompt of {tokens} tokens leave a flow "
                "without entries; give a longer prompt"
            )
        return cls(members.double())

    def means(self, saliency: Tensor) -> tuple[float, float, float]:
        """``S_wp``, ``S_pq`` and ``S_ww``: means over the entries of each flow.

        Args:
            saliency: ``I_l``, ``[tokens, tokens]`` float64 on the CPU.
        """
        sums = torch.einsum("fij,ij->f", self.members, saliency)
        wp, pq, ww = (sums / self.members.sum(dim=(1, 2))).tolist()
        return wp, pq, ww
