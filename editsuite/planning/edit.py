"""What one edit takes: operations, passes over weights, bytes of the journal, memory.

With ``w`` the entries of a layer's matrices, ``L`` the edited one of ``N`` layers, ``V h`` the
vocabulary's matrix: a token's way through a layer is ``2 w`` operations, its logits ``2 V h``, and
the gradient of the inputs as much again (Kaplan et al. 2020, section 2.1). What runs when stands in
the modules named below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from editsuite.editors.hyperparameters import SearchHyperparameters
from editsuite.planning.machine import Work
from editsuite.planning.shape import Shape
from editsuite.planning.tokens import FactTokens, SearchRows, search_rows

#: Share of the allowed steps that a search takes on the default model (docs/methods): ROME's seldom
#: ends early, MEMIT's and AlphaEdit's after 17.8 of 25.
STEPS_TAKEN: Mapping[str, float] = {"memit": 0.71, "alphaedit": 0.71}
#: The same of GRACE where ``early_stop`` is set: 22.8 of 100 (docs/methods/grace.md).
GRACE_TAKEN = 0.23
#: Share of an edit's time that its products take at the speed that is reckoned with: a third is
#: small operations (docs/engine.md).
PRODUCTS = 0.65
#: Seconds of an edit beside its passes: the lookup, digests of the matrices, the journal's file.
EDIT_BESIDE = 0.2
#: Bytes of an entry beside its tensors: the record, and for each further matrix its digests.
RECORD, RECORD_EACH = 1000, 250


@dataclass(frozen=True)
class Editing:
    """One edit, as far as its costs depend on it.

    Attributes:
        method: its name.
        layers: edited layers.
        batch: facts of one edit.
        given: hyperparameters, the card's and those over them.
        facts: mean tokens of a fact.
        itemsize: bytes of a weight.
    """

    method: str
    layers: tuple[int, ...]
    batch: int
    given: Mapping[str, object]
    facts: FactTokens
    itemsize: int

    def number(self, name: str, default: float) -> float:
        """A hyperparameter."""
        return float(str(self.given.get(name, default)))


def edit_work(edit: Editing, shape: Shape) -> list[Work]:
    """The work of one edit.

    Args:
        edit: what is edited.
        shape: the model's sizes.
    """
    works = _ways(edit, shape)
    return [replace(work, flops=work.flops / PRODUCTS) for work in works]


def _ways(edit: Editing, shape: Shape) -> list[Work]:
    ways: Mapping[str, Callable[[Editing, Shape], list[Work]]] = {
        "memit": _spread,
        "alphaedit": _spread,
        "grace": _codebook,
        "mend": _network,
        "ft_l": _tuning,
    }
    return ways.get(edit.method, _search)(edit, shape)


def _search(edit: Editing, shape: Shape) -> list[Work]:
    """A value searched at the last edited layer (``editsuite.editors.value``).

    Once: the layers up to the edited one on all tokens, those above on the tokens before the
    subject's last. Then evaluations of the layers above on the other tokens, all but the last with
    the gradient.
    """
    defaults = SearchHyperparameters()
    contexts = int(edit.number("n_contexts", defaults.n_contexts))
    rows = search_rows(edit.facts, contexts)
    steps = edit.number("v_num_grad_steps", defaults.v_num_grad_steps)
    passes = 2 * steps * STEPS_TAKEN.get(edit.method, 1.0) - 1
    return [
        _once(rows, max(edit.layers), shape, edit.itemsize),
        _above(rows.tokens - rows.earlier, rows.read, passes, max(edit.layers), shape, edit),
    ]


def _once(rows: SearchRows, layer: int, shape: Shape, itemsize: int) -> Work:
    below, above = layer + 1, shape.layers - layer - 1
    flops = 2.0 * shape.layer * (below * rows.tokens + above * rows.earlier)
    return Work(flops, 1, shape.layer * shape.layers * itemsize, shape.layers)


def _above(
    tokens: float, read: float, passes: float, layer: int, shape: Shape, edit: Editing
) -> Work:
    """Passes through the layers above one, and the vocabulary's matrix."""
    above = shape.layers - layer - 1
    flops = passes * 2.0 * (shape.layer * above * tokens + shape.head * read)
    return Work(flops, passes, (shape.layer * above + shape.head) * edit.itemsize, above)


def _spread(edit: Editing, shape: Shape) -> list[Work]:
    """A search for each fact, and the keys of all facts before each layer is written
    (``editsuite.editors.spread``), and the solutions in float64."""
    works = [
        Work(work.flops * edit.batch, work.passes * edit.batch, work.bytes, work.layers)
        for work in _search(edit, shape)
    ]
    contexts = int(edit.number("n_contexts", SearchHyperparameters().n_contexts))
    rows = search_rows(edit.facts, contexts)
    reached, times = max(edit.layers) + 1, len(edit.layers) + 1
    tokens = (rows.tokens - edit.facts.essence) * edit.batch
    flops = times * 2.0 * shape.layer * reached * tokens
    works.append(Work(flops, times, shape.layer * reached * edit.itemsize, reached))
    solving = len(edit.layers) * 4.0 * shape.ffn**2 * edit.batch
    works.append(Work(solving, len(edit.layers), 8.0 * shape.ffn**2, 1))
    return works


def _codebook(edit: Editing, shape: Shape) -> list[Work]:
    """Steps on one prompt, forward and backward above the layer (``editsuite.editors.grace``)."""
    taken = GRACE_TAKEN if edit.given.get("early_stop") else 1.0
    passes = 2 * edit.number("n_iter", 50) * taken
    tokens = edit.facts.prompt + edit.facts.target - 1
    rows = SearchRows(tokens, tokens, edit.facts.target)
    return [
        _once(rows, max(edit.layers), shape, edit.itemsize),
        _above(tokens, rows.read, passes, max(edit.layers), shape, edit),
    ]


def _network(edit: Editing, shape: Shape) -> list[Work]:
    """One pass, its gradient in the edited layers, and the network (``editsuite.editors.mend``)."""
    tokens = (edit.facts.prompt + edit.facts.target - 1) * edit.batch
    rows = SearchRows(tokens, tokens, edit.facts.target * edit.batch)
    lowest = min(edit.layers) - 1
    return [
        _once(rows, max(edit.layers), shape, edit.itemsize),
        _above(tokens, rows.read, 3, lowest, shape, edit),
    ]


def _tuning(edit: Editing, shape: Shape) -> list[Work]:
    """Steps forward and backward from the layer on (``editsuite.editors.ft_l``)."""
    tokens = (edit.facts.prompt + edit.facts.target - 1) * edit.batch
    rows = SearchRows(tokens, tokens, edit.facts.target * edit.batch)
    passes, layer = 2 * edit.number("num_steps", 25), max(edit.layers)
    return [
        _once(rows, layer, shape, edit.itemsize),
        _above(tokens, rows.read, passes, layer, shape, edit),
    ]


def journal_bytes(edit: Editing, shape: Shape) -> float:
    """Bytes of an edit's file: float32 factors, or the change of a whole matrix.

    MEND has a part for every token that has a gradient; they are as many as tokens.
    """
    both, layers = shape.hidden + shape.ffn, len(edit.layers)
    parts = (edit.facts.prompt + edit.facts.target - 1) * edit.batch
    matrices = 3 * layers if edit.method == "mend" else layers
    numbers: Mapping[str, float] = {
        "memit": layers * both * edit.batch,
        "alphaedit": layers * (both + shape.ffn) * edit.batch,
        "mend": matrices * both * parts,
        "ft_l": shape.hidden * shape.ffn,
    }
    tensors = 4.0 * numbers.get(edit.method, both)
    return tensors + RECORD + RECORD_EACH * (matrices - 1)


def edit_memory(edit: Editing, shape: Shape) -> float:
    """Bytes of a search: what the layers above keep for the gradient, and the logits.

    A layer keeps of every token some eight vectors of its width and three of its feed-forward
    block's; logits, their softmax and its gradient are three matrices. All in float32.
    """
    contexts = int(edit.number("n_contexts", SearchHyperparameters().n_contexts))
    rows = search_rows(edit.facts, contexts)
    above = shape.layers - max(edit.layers) - 1
    kept = rows.tokens * above * (8 * shape.hidden + 3 * shape.ffn)
    return 4.0 * (kept + 3 * rows.read * shape.vocab)
