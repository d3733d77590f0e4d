"""The tree of prefixes loses no token, and its passes keep order and budget."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.engine.tree import Node, below, common_length, passes, prefix_tree

#: Few tokens and short pieces put together: so that long prefixes are often shared.
PIECES = st.lists(
    st.sampled_from([(1, 1, 1), (1, 2), (3,), (2, 2, 2, 2), (1, 1, 2)]), min_size=1, max_size=6
)
SEQUENCES = st.lists(PIECES.map(lambda parts: sum(parts, ())), max_size=12)


def spelled(roots: tuple[Node, ...]) -> dict[int, tuple[int, ...]]:
    """Each item's sequence, read off its path."""
    found: dict[int, tuple[int, ...]] = {}

    def visit(node: Node, above: tuple[int, ...]) -> None:
        assert node.first == len(above)
        assert node.tokens
        for item in node.items:
            assert item not in found
            found[item] = above + node.tokens
        for child in node.children:
            visit(child, above + node.tokens)

    for root in roots:
        visit(root, ())
    return found


@settings(max_examples=300, deadline=None)
@given(SEQUENCES, st.integers(1, 6))
def test_every_sequence_is_spelled_by_its_path(
    sequences: list[tuple[int, ...]], least: int
) -> None:
    roots = prefix_tree(sequences, least=least)
    assert spelled(roots) == dict(enumerate(sequences))
    assert sorted(i for root in roots for i in below(root)) == list(range(len(sequences)))


@settings(max_examples=300, deadline=None)
@given(SEQUENCES, st.integers(1, 6))
def test_neighbours_share_less_than_what_is_worth_sharing(
    sequences: list[tuple[int, ...]], least: int
) -> None:
    def check(nodes: tuple[Node, ...]) -> None:
        for node in nodes:
            check(node.children)
            for other in nodes:
                if other is not node:
                    assert common_length(node.tokens, other.tokens) < least

    check(prefix_tree(sequences, least=least))


@given(SEQUENCES)
def test_without_sharing_every_sequence_stands_alone(sequences: list[tuple[int, ...]]) -> None:
    roots = prefix_tree(sequences, least=None)
    assert [(root.tokens, root.items) for root in roots] == [
        (sequence, (i,)) for i, sequence in enumerate(sequences)
    ]


def test_equal_sequences_are_one_node() -> None:
    (root,) = prefix_tree([(1, 2), (1, 2), (1, 2)], least=8)
    assert root == Node((1, 2), 0, (0, 1, 2), ())


@settings(max_examples=300, deadline=None)
@given(SEQUENCES, st.integers(1, 5), st.integers(1, 40))
def test_passes_run_every_node_once_behind_what_it_continues(
    sequences: list[tuple[int, ...]], least: int, budget: int
) -> None:
    roots = prefix_tree(sequences, least=least)
    trunks: list[Node] = []
    seen: list[Node] = []
    for step in passes(roots, budget):
        assert step.depth <= len(trunks)
        del trunks[step.depth :]
        tokens = sum(len(node.tokens) for node in step.nodes)
        assert tokens <= budget or len(step.nodes) == 1
        for index, (node, above) in enumerate(zip(step.nodes, step.above, strict=True)):
            assert above < index
            parent = step.nodes[above] if above >= 0 else (trunks[-1] if trunks else None)
            assert node.first == (parent.end if parent else 0)
            assert parent is None or node in parent.children
        if step.trunk:
            assert len(step.nodes) == 1
            trunks.append(step.nodes[0])
        seen += step.nodes
    assert len(seen) == len({id(node) for node in seen})
    assert sum(len(node.tokens) for node in seen) == sum(root.total() for root in roots)
