"""Teacher-forced log-likelihoods: what the model says of given continuations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.engine.adapter import ask_at
from editsuite.engine.memory import shrinking
from editsuite.engine.stack import DecoderStack
from editsuite.engine.tree import LEAST_SHARED, Node, passes, prefix_tree
from editsuite.engine.walk import Walk

#: Rows of logits held at once; 50 MB in float32 on a vocabulary of 49,152.
ROWS = 256


@dataclass(frozen=True)
class Continuation:
    """A context and what is to follow it, as token ids.

    An adapter is asked at the context's last token. A text scored from its first token on is no
    exception: what is given of it, and so asks, is that one token.

    Raises:
        ValueError: the context is empty, so that nothing predicts the first target token.
    """

    context: tuple[int, ...]
    target: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.context:
            raise ValueError("a continuation needs a context of at least one token")

    @property
    def inputs(self) -> tuple[int, ...]:
        """The tokens that the model reads: all but the target's last."""
        return self.context + self.target[:-1]

    @property
    def asked(self) -> tuple[int, ...]:
        """The inputs with a query (``ask_at``) at the context's last token."""
        return ask_at(self.inputs, len(self.context) - 1)

    @property
    def reads(self) -> range:
        """Positions whose logits predict the target."""
        first = len(self.context) - 1
        return range(first, first + len(self.target))


@dataclass(frozen=True)
class Scored:
    """What the model said of one continuation.

    Attributes:
        log_probs: natural log-probability of each target token, given all tokens before it.
        predicted: the token the model ranks first at each target position.
    """

    log_probs: tuple[float, ...]
    predicted: tuple[int, ...]


@torch.no_grad()
def score(
    stack: DecoderStack,
    continuations: Sequence[Continuation],
    *,
    token_budget: int | None = None,
) -> list[Scored]:
    """Score continuations; common prefixes are run once, logits made only where they are read.

    Args:
        stack: the model in its present state.
        continuations: what to score, in any order.
        token_budget: tokens of one forward pass; the stack's where None. Where memory runs out
            the rest is done with half as many.

    Returns:
        One result for each continuation, in the order given.

    Raises:
        EngineError: memory runs out even for one continuation at a time.
    """
    results: dict[int, Scored] = {i: Scored((), ()) for i in range(len(continuations))}
    left = {i: item for i, item in enumerate(continuations) if item.target}
    for budget in shrinking(token_budget or stack.token_budget):
        with budget:
            for i, scored in _scored(stack, list(left.items()), budget.tokens):
                results[i] = scored
                del left[i]
    return [results[i] for i in range(len(continuations))]


def _scored(
    stack: DecoderStack, items: Sequence[tuple[int, Continuation]], budget: int
) -> Iterator[tuple[int, Scored]]:
    """Results as soon as their last position was read."""
    least = LEAST_SHARED if stack.ways.share_prefixes else None
    # Without an adapter nobody queries, and what differs in queries alone is one sequence.
    adapted = stack.adapter is not None
    tree = prefix_tree([i.asked if adapted else i.inputs for _, i in items], least=least)
    members = _members(tree, [item for _, item in items])
    walk = Walk(stack)
    said: list[list[tuple[float, int]]] = [[] for _ in items]
    for step in passes(tree, budget):
        hidden = walk.run(step)
        asked = _Asked()
        start = 0
        for node in step.nodes:
            for member, at, token in members[id(node)]:
                asked.add(start + at, member, token)
            start += len(node.tokens)
        for member, log_prob, best in asked.answers(stack, hidden):
            said[member].append((log_prob, best))
            if len(said[member]) == len(items[member][1].target):
                log_probs, predicted = zip(*said[member], strict=True)
                yield items[member][0], Scored(log_probs, predicted)


def _members(
    tree: Sequence[Node], items: Sequence[Continuation]
) -> dict[int, list[tuple[int, int, int]]]:
    """For each node, what is read in it: item, column in the node, token asked for."""
    found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)

    def visit(node: Node, path: tuple[Node, ...]) -> None:
        path = (*path, node)
        for member in node.items:
            item = items[member]
            for step in path:
                first, last = max(step.first, item.reads.start), min(step.end, item.reads.stop)
                for position in range(first, last):
                    token = item.target[position - item.reads.start]
                    found[id(step)].append((member, position - step.first, token))
        for child in node.children:
            visit(child, path)

    for root in tree:
        visit(root, ())
    return found


class _Asked:
    """The logits that are read in one pass: each row made once, whoever asks for it."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._members: list[tuple[int, int]] = []  # who asks, of which row
        self._tokens: list[int] = []

    def add(self, column: int, member: int, token: int) -> None:
        """Ask what a column of the pass says of a token."""
        self._members.append((member, self._rows.setdefault(column, len(self._rows))))
        self._tokens.append(token)

    def answers(self, stack: DecoderStack, hidden: Tensor) -> Iterator[tuple[int, float, int]]:
        """Who asked, the log-probability, and the token ranked first; in the order asked."""
        if not self._members:
            return
        device = hidden.device
        columns = torch.tensor(list(self._rows), device=device)
        row_of = torch.tensor([row for _, row in self._members], device=device)
        tokens = torch.tensor(self._tokens, device=device)
        log_probs = torch.empty(len(tokens), device=device)
        best = torch.empty(len(columns), dtype=torch.long, device=device)
        wide = None if stack.ways.narrow_logits else stack.logits(hidden)
        for start in range(0, len(columns), ROWS):
            part = columns[start : start + ROWS]
            logits = stack.logits(hidden[part]) if wide is None else wide[part]
            here = (row_of >= start) & (row_of < start + ROWS)
            rows = row_of[here] - start
            norm = torch.logsumexp(logits, dim=-1)
            log_probs[here] = logits[rows, tokens[here]] - norm[rows]
            best[start : start + ROWS] = logits.argmax(dim=-1)
        ranked = best[row_of].tolist()
        for (member, _), log_prob, first in zip(
            self._members, log_probs.tolist(), ranked, strict=True
        ):
            yield member, log_prob, first
