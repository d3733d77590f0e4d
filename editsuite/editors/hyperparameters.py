"""Reading a method's hyperparameters from cards and settings, with errors that help."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from editsuite.errors import OptionError, listing

T = TypeVar("T")


def bounded(default: T, *, least: float = -math.inf, above: float = -math.inf) -> T:
    """A dataclass field with a default and a smallest value, or one that it must lie above."""
    field: T = dataclasses.field(default=default, metadata={"least": least, "above": above})
    return field


@dataclasses.dataclass(frozen=True)
class SearchHyperparameters:
    """What ROME, MEMIT and AlphaEdit set of their search and statistics, named as in the reference.

    Defaults for Llama-like models; ``v_0`` is the vector that a change is added to.

    Attributes:
        v_num_grad_steps: evaluations of the loss; one less update (as in the reference).
        v_lr: Adam's learning rate.
        v_weight_decay: weight of ``|delta| / |v_0|^2``.
        clamp_norm_factor: largest ``|delta|`` in units of ``|v_0|``.
        kl_factor: weight of the essence term.
        early_stop: loss under which the search ends (0.05 in the reference's code).
        n_contexts: context prefixes, the empty one included (the reference draws 21 for
            ROME and 6 for MEMIT).
        mom2_corpus: the text ``C`` is computed from; see ``editsuite.editors.covariance``.
        mom2_n_tokens: tokens of that text at most.
        resume: use the fast forward pass; the slow twin gives the same update.
    """

    v_num_grad_steps: int = bounded(25, least=1)
    v_lr: float = bounded(0.5, least=0)
    v_weight_decay: float = bounded(1e-3, least=0)
    clamp_norm_factor: float = bounded(4.0, least=0)
    kl_factor: float = bounded(0.0625, least=0)
    early_stop: float = 5e-2
    n_contexts: int = bounded(6, least=1)
    mom2_corpus: str = "self"
    mom2_n_tokens: int = bounded(100_000, least=2)
    resume: bool = True


def read_hyperparameters(kind: type[T], given: Mapping[str, object], *, method: str) -> T:
    """Build a hyperparameter dataclass from its defaults and the given overrides.

    Raises:
        OptionError: an unknown name (the known ones are listed), a value of the wrong type, or a
            number that is not finite or too small.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = set(given) - set(fields)
    if unknown:
        raise OptionError(
            f"{method} has no hyperparameter {listing(unknown)}; it knows {listing(fields)}"
        )
    values = {name: _checked(hints[name], value, method, name) for name, value in given.items()}
    for name, value in values.items():
        _check_size(value, fields[name].metadata, method, name)
    return kind(**values)


def _checked(hint: Any, value: object, method: str, name: str) -> object:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is typing.Literal:
        allowed = typing.get_args(hint)
        if value in allowed:
            return value
        raise OptionError(f"{method}: {name} is {value!r}; it can be {listing(allowed)}")
    if bool not in options and isinstance(value, bool):
        raise OptionError(f"{method}: {name} is {value!r}; a number is needed")
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, options):
        return value
    wanted = " or ".join(option.__name__ for option in options)
    raise OptionError(f"{method}: {name} is {value!r}; a value of type {wanted} is needed")


def _check_size(value: object, bounds: Mapping[str, float], method: str, name: str) -> None:
    if not isinstance(value, int | float):
        return
    least, above = (bounds.get(kind, -math.inf) for kind in ("least", "above"))
    if math.isfinite(value) and value >= least and (value > above or above == -math.inf):
        return
    mend = "a finite number is needed"
    if least > -math.inf:
        mend = f"the least is {least:g}"
    elif above > -math.inf:
        mend = f"it must be above {above:g}"
    raise OptionError(f"{method}: {name} is {value!r}; {mend}")
