"""The codebook against an independent model in NumPy, and what must hold after any inserts."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editsuite.editors.codebook import MARGIN, Codebook

Label = tuple[int, ...]


@dataclass
class Model:
    """The same rules written as loops over lists, in float64."""

    eps: float
    keys: list[np.ndarray] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def far(self, one: np.ndarray, other: np.ndarray) -> float:
        return float(np.sqrt(((one - other) ** 2).sum()))

    def nearest(self, query: np.ndarray) -> tuple[int, float]:
        return min(((i, self.far(k, query)) for i, k in enumerate(self.keys)), key=lambda p: p[1])

    def lookup(self, query: np.ndarray) -> int | None:
        if not self.keys:
            return None
        index, far = self.nearest(query)
        return index if far < self.radii[index] else None

    def meets(self, at: int, radius: float, label: Label) -> bool:
        return any(
            other != label and radius + self.radii[i] > self.far(self.keys[i], self.keys[at])
            for i, other in enumerate(self.labels)
            if i != at
        )

    def settle(self, at: int) -> None:
        """Halve the way to every key of another label that entry ``at`` meets, nearest first."""
        ways = sorted((self.far(key, self.keys[at]), i) for i, key in enumerate(self.keys))
        for far, i in ways:
            if i == at or self.labels[i] == self.labels[at]:
                continue
            if self.radii[at] + self.radii[i] > far:
                self.radii[at] = min(self.radii[at], far / 2)
                self.radii[i] = min(self.radii[i], far / 2)

    def add(self, key: np.ndarray, value: float, label: Label, radius: float) -> None:
        self.keys.append(key)
        self.values.append(value)
        self.labels.append(label)
        self.radii.append(radius)
        self.settle(len(self.keys) - 1)

    def insert(self, key: np.ndarray, value: float, label: Label) -> str:
        if not self.keys:
            self.add(key, value, label, self.eps)
            return "new"
        index, far = self.nearest(key)
        if far > self.radii[index] + self.eps:
            self.add(key, value, label, self.eps)
            return "new"
        if self.labels[index] != label:
            if far > 0:
                self.add(key, value, label, far / 2)
                return "split"
            self.labels[index], self.values[index] = label, value
            self.settle(index)
            return "renew"
        if far >= self.radii[index]:
            reach = far + MARGIN * self.eps
            if self.meets(index, reach, label):
                self.add(key, value, label, self.eps)
                return "new"
            self.radii[index], self.values[index] = reach, value
            return "expand"
        self.values[index] = value
        return "keep"


@dataclass(frozen=True)
class Entry:
    key: tuple[float, ...]
    label: Label


#: Few places and few labels, so that keys meet, coincide and stand equally far apart.
GRID = st.tuples(*[st.integers(-4, 4).map(lambda n: n / 2)] * 2)
FREE = st.tuples(*[st.floats(-3, 3, width=32)] * 2)
LABELS = st.sampled_from([(1,), (2,), (1, 2)])
ENTRIES = st.lists(st.builds(Entry, GRID | FREE, LABELS), min_size=1, max_size=20)
EPS = st.sampled_from([0.1, 0.5, 1.0, 3.0])


def tensor(key: tuple[float, ...]) -> Tensor:
    return torch.tensor(key, dtype=torch.float32)


def book_of(entries: list[Entry], eps: float) -> Codebook:
    book = Codebook.empty(2, 1)
    for number, entry in enumerate(entries):
        book = book.insert(tensor(entry.key), torch.tensor([float(number)]), entry.label, eps)
    return book


def assert_apart(book: Codebook) -> None:
    """No two balls of different labels overlap."""
    for i, j in combinations(range(len(book)), 2):
        if book.labels[i] != book.labels[j]:
            far = float(book.distances(book.keys[i])[j])
            assert float(book.radii[i] + book.radii[j]) <= far


@settings(max_examples=100)
@given(ENTRIES, EPS, st.lists(GRID | FREE, max_size=5))
def test_keys_radii_labels_and_decisions_are_those_of_the_model(
    entries: list[Entry], eps: float, queries: list[tuple[float, ...]]
) -> None:
    book, model = Codebook.empty(2, 1), Model(eps)
    for number, entry in enumerate(entries):
        key, value = tensor(entry.key), torch.tensor([float(number)])
        placement = book.place(key, entry.label, eps)
        decision = model.insert(key.double().numpy(), float(number), entry.label)
        assert placement.decision == decision
        book = book.put(placement, key, value, entry.label)
        assert np.array_equal(book.keys.double().numpy(), np.array(model.keys))
        np.testing.assert_allclose(book.radii.numpy(), model.radii, rtol=1e-12)
        assert list(book.labels) == model.labels
        assert book.values[:, 0].tolist() == model.values
    for query in queries:
        assert book.lookup(tensor(query)) == model.lookup(tensor(query).double().numpy())


def test_twenty_edits_of_wide_keys_are_those_of_the_model() -> None:
    random = np.random.default_rng(5)
    centres = random.standard_normal((6, 64))
    book, model, made = Codebook.empty(64, 3), Model(1.0), []
    for number in range(20):
        near = centres[number % 6] + random.choice([0.02, 0.1, 0.25]) * random.standard_normal(64)
        key = near.astype(np.float32)
        label = (number % 6, int(random.integers(2)))
        placement = book.place(torch.from_numpy(key), label, 1.0)
        made.append(model.insert(key.astype(np.float64), float(number), label))
        assert placement.decision == made[-1]
        book = book.put(placement, torch.from_numpy(key), torch.full((3,), float(number)), label)
    assert len(set(made)) >= 3, "the sequence shows too few of the decisions"
    np.testing.assert_allclose(book.radii.numpy(), model.radii, rtol=1e-12)
    assert list(book.labels) == model.labels


@settings(max_examples=100)
@given(ENTRIES, EPS)
def test_balls_of_different_labels_never_overlap(entries: list[Entry], eps: float) -> None:
    book = Codebook.empty(2, 1)
    for entry in entries:
        book = book.insert(tensor(entry.key), torch.zeros(1), entry.label, eps)
        assert_apart(book)
        assert bool((book.radii > 0).all())


@settings(max_examples=50)
@given(ENTRIES, EPS)
def test_the_latest_key_is_answered_by_its_own_value(entries: list[Entry], eps: float) -> None:
    book = book_of(entries, eps)
    found = book.lookup(tensor(entries[-1].key))
    assert found is not None
    assert book.values[found, 0] == len(entries) - 1
    assert book.labels[found] == entries[-1].label


@settings(max_examples=50)
@given(ENTRIES, EPS)
def test_every_stored_key_answers_to_itself(entries: list[Entry], eps: float) -> None:
    book = book_of(entries, eps)
    assert [book.lookup(key) for key in book.keys] == list(range(len(book)))


@settings(max_examples=40)
@given(st.lists(FREE, min_size=2, max_size=8, unique=True), st.randoms())
def test_keys_that_do_not_interact_answer_alike_in_any_order(
    keys: list[tuple[float, ...]], random: object
) -> None:
    places = torch.tensor(keys)
    between = torch.pdist(places.double())
    eps = float(between.min()) / 3
    if eps == 0:
        return
    entries = [Entry(key, (i,)) for i, key in enumerate(keys)]
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = book_of(entries, eps), book_of(shuffled, eps)

    def said(book: Codebook, query: Tensor) -> Label | None:
        found = book.lookup(query)
        return None if found is None else book.labels[found]

    for query in [*places, *(places[:-1] + places[1:]) / 2, places[0] + 0.7 * eps]:
        assert said(one, query) == said(other, query)


def test_the_border_is_outside() -> None:
    """Equation (1) has a strict sign."""
    book = book_of([Entry((0.0, 0.0), (1,))], 0.5)
    assert book.lookup(torch.tensor([0.5, 0.0])) is None
    assert book.lookup(torch.tensor([np.nextafter(np.float32(0.5), np.float32(0)), 0.0])) == 0


def test_an_empty_codebook_answers_nobody() -> None:
    assert Codebook.empty(2, 1).lookup(torch.zeros(2)) is None


def test_a_new_key_must_lie_beyond_radius_and_epsilon() -> None:
    first = Entry((0.0, 0.0), (1,))
    assert book_of([first, Entry((2.0, 0.0), (2,))], 1.0).radii.tolist() == [1.0, 1.0]
    book = book_of([first], 1.0)
    assert book.place(torch.tensor([2.0, 0.0]), (2,), 1.0).decision == "split"
    assert book.place(torch.tensor([2.001, 0.0]), (2,), 1.0).decision == "new"


def test_another_label_gets_half_the_way() -> None:
    book = book_of([Entry((0.0, 0.0), (1,)), Entry((0.5, 0.0), (2,))], 1.0)
    assert book.radii.tolist() == [0.25, 0.25]
    assert [book.lookup(torch.tensor([x, 0.0])) for x in (0.2, 0.3)] == [0, 1]


def test_a_split_lets_no_radius_grow() -> None:
    """The reference gives the neighbour half the distance even where that is more than it had."""
    entries = [Entry((0.0, 0.0), (1,)), Entry((0.2, 0.0), (2,)), Entry((-1.0, 0.0), (3,))]
    book = book_of(entries, 1.0)
    assert book.radii.tolist() == pytest.approx([0.1, 0.1, 0.5])


def test_a_wide_ball_behind_the_nearest_key_is_split_with_too() -> None:
    """Only the nearest key is looked at by the reference; the second may reach farther."""
    wide = [Entry((0.0, 0.0), (1,)), Entry((1.9, 0.0), (1,)), Entry((3.7, 0.0), (1,))]
    book = book_of(wide[:2], 1.0)
    assert float(book.radii[0]) == pytest.approx(1.9, abs=0.01)
    book = book.insert(torch.tensor([-1.0, 3.0]), torch.zeros(1), (2,), 1.0)
    assert_apart(book)
    book = book_of([*wide[:2], Entry((2.2, 2.2), (2,)), Entry((0.9, 1.9), (3,))], 1.0)
    assert_apart(book)


def test_the_same_label_expands_to_cover_and_inside_nothing_changes() -> None:
    book = book_of([Entry((0.0, 0.0), (1,)), Entry((1.5, 0.0), (1,))], 1.0)
    assert len(book) == 1
    assert float(book.radii[0]) == pytest.approx(1.5 + MARGIN)
    assert book.lookup(torch.tensor([1.5, 0.0])) == 0
    placement = book.place(torch.tensor([1.2, 0.0]), (1,), 1.0)
    assert (placement.decision, placement.index, placement.radii) == ("keep", 0, {})


def test_where_growing_would_meet_another_label_a_key_is_put_in() -> None:
    entries = [Entry((0.0, 0.0), (1,)), Entry((-2.5, 0.0), (2,)), Entry((1.9, 0.0), (1,))]
    book = book_of(entries, 1.0)
    assert len(book) == 3
    assert_apart(book)
    assert book.lookup(torch.tensor([1.9, 0.0])) == 2


def test_the_same_key_with_another_label_is_renewed() -> None:
    """The reference leaves both keys with no radius there, and neither answers."""
    book = book_of([Entry((1.0, 1.0), (1,)), Entry((1.0, 1.0), (2,))], 1.0)
    assert (len(book), book.labels, book.radii.tolist()) == (1, ((2,),), [1.0])
    assert book.lookup(torch.tensor([1.0, 1.0])) == 0


def test_labels_are_compared_token_by_token() -> None:
    """(2, 2) and (1, 3) have one mean, by which the reference tells labels apart."""
    book = book_of([Entry((0.0, 0.0), (2, 2)), Entry((0.5, 0.0), (1, 3))], 1.0)
    assert book.labels == ((2, 2), (1, 3))
    assert book.radii.tolist() == [0.25, 0.25]


def test_labels_stay_with_their_keys() -> None:
    """The reference puts keys at the end of their list and labels at the front of theirs."""
    entries = [Entry((float(4 * i), 0.0), (i,)) for i in range(5)]
    book = book_of(entries, 1.0)
    for entry in entries:
        found = book.lookup(tensor(entry.key))
        assert found is not None
        assert book.labels[found] == entry.label
        assert book.place(tensor(entry.key), entry.label, 1.0).decision == "keep"


@given(st.integers(1, 40), st.integers(1, 6))
@settings(max_examples=25)
def test_distances_are_exact_near_zero_and_the_same_whoever_else_asks(n: int, copies: int) -> None:
    random = torch.Generator().manual_seed(n)
    keys = 50 * torch.randn(n, 96, generator=random)
    book = Codebook(keys, torch.zeros(n, 1), torch.ones(n, dtype=torch.float64), ((1,),) * n)
    for i, key in enumerate(keys):
        once = book.distances(key)
        assert once[i] == 0
        batch = key.expand(copies, -1).contiguous()
        assert all(torch.equal(book.distances(row), once) for row in batch)
        assert torch.equal(book.distances(key.bfloat16().float()), book.distances(key.bfloat16()))


def test_the_old_codebook_stays_as_it_was() -> None:
    before = book_of([Entry((0.0, 0.0), (1,))], 1.0)
    kept = before.radii.clone(), before.values.clone()
    before.insert(torch.tensor([0.5, 0.0]), torch.ones(1), (2,), 1.0)
    before.insert(torch.tensor([0.5, 0.0]), torch.ones(1), (1,), 1.0)
    assert torch.equal(before.radii, kept[0])
    assert torch.equal(before.values, kept[1])
    assert len(before) == 1
