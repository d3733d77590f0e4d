"""Token sequences as a tree of shared prefixes, and the tree as passes under a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from editsuite.engine.adapter import plain

#: Shortest common prefix that is worth a node of its own.
LEAST_SHARED = 8


@dataclass(frozen=True)
class Node:
    """Tokens that one or more sequences have in common, behind those of the node above.

    Attributes:
        tokens: the node's own tokens.
        first: position of the first of them.
        items: indices of the sequences that end here.
        children: nodes that continue this one.
    """

    tokens: tuple[int, ...]
    first: int
    items: tuple[int, ...]
    children: tuple[Node, ...]

    @property
    def end(self) -> int:
        """Position behind the last own token."""
        return self.first + len(self.tokens)

    def total(self) -> int:
        """Tokens of the node and of all below."""
        return len(self.tokens) + sum(child.total() for child in self.children)


def below(node: Node) -> list[int]:
    """The items that end in a node or under it."""
    return [*node.items, *(item for child in node.children for item in below(child))]


def prefix_tree(
    sequences: Sequence[Sequence[int]], *, least: int | None = LEAST_SHARED
) -> tuple[Node, ...]:
    """Group sequences by common prefix.

    Args:
        sequences: token ids, none empty, in any order; query tokens as ``ask_at`` writes them.
        least: shortest common stretch that gets a node; None shares nothing but equal sequences'
            order of appearance: every sequence is a root.

    Returns:
        The roots, ordered by their tokens. Equal sequences end in one node. Queries part
        sequences and leave their order alone, so that passes are laid out as without them.
    """
    whole = [tuple(sequence) for sequence in sequences]
    if least is None:
        return tuple(Node(tokens, 0, (i,), ()) for i, tokens in enumerate(whole))
    order = sorted(range(len(whole)), key=lambda i: (plain(whole[i]), whole[i], i))
    shared = [common_length(whole[a], whole[b]) for a, b in pairwise(order)]

    def grow(low: int, high: int, depth: int) -> tuple[Node, ...]:
        """Nodes for ``order[low:high]``, which share their first ``depth`` tokens."""
        nodes, start = [], low
        for end in range(low + 1, high + 1):
            # A sequence that ends early shares fewer than ``least`` tokens with its own copies.
            apart = end == high or (
                shared[end - 1] < depth + least and whole[order[end - 1]] != whole[order[end]]
            )
            if apart:
                nodes.append(join(start, end, depth))
                start = end
        return tuple(nodes)

    def join(low: int, high: int, depth: int) -> Node:
        common = min(shared[low : high - 1], default=len(whole[order[low]]))
        ended = low
        while ended < high and len(whole[order[ended]]) == common:
            ended += 1
        return Node(
            whole[order[low]][depth:common],
            depth,
            tuple(order[low:ended]),
            grow(ended, high, common) if ended < high else (),
        )

    return grow(0, len(order), 0)


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Number of leading tokens that two sequences have in common."""
    number = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        number += 1
    return number


@dataclass(frozen=True)
class Pass:
    """Nodes that run together in one forward pass.

    Attributes:
        nodes: in an order in which every node stands behind the one it continues.
        above: for each, the index in ``nodes`` of the one it continues; -1 where that is the
            trunk.
        depth: number of trunk nodes that stand ready below this pass.
        trunk: whether this pass is a trunk itself, to be kept for the passes behind it.
    """

    nodes: tuple[Node, ...]
    above: tuple[int, ...]
    depth: int
    trunk: bool


def passes(roots: Sequence[Node], budget: int) -> Iterator[Pass]:
    """The tree as passes, depth first.

    A subtree that fits the budget runs in one pass with its neighbours. Of a larger one the top
    node runs alone, as the trunk that the passes below it stand on. A node longer than the
    budget is not cut.
    """
    return _passes(roots, budget, 0)


def _passes(nodes: Sequence[Node], budget: int, depth: int) -> Iterator[Pass]:
    held: list[Node] = []
    size = 0
    for node in nodes:
        total = node.total()
        if held and size + total > budget:
            yield _together(held, depth)
            held, size = [], 0
        if node.children and total > budget:
            yield Pass((node,), (-1,), depth, trunk=True)
            yield from _passes(node.children, budget, depth + 1)
        else:
            held.append(node)
            size += total
    if held:
        yield _together(held, depth)


def _together(roots: Sequence[Node], depth: int) -> Pass:
    nodes: list[Node] = []
    above: list[int] = []

    def add(node: Node, parent: int) -> None:
        index = len(nodes)
        nodes.append(node)
        above.append(parent)
        for child in node.children:
            add(child, index)

    for root in roots:
        add(root, -1)
    return Pass(tuple(nodes), tuple(above), depth, trunk=False)
