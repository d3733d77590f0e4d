"""Hyperparameters: what is unknown, of the wrong type or impossible is refused by name."""

from __future__ import annotations

import math

import pytest

from editsuite.cards import known_cards, resolve_card, tiny_model
from editsuite.editors import methods
from editsuite.editors.alphaedit import AlphaEditHyperparameters
from editsuite.editors.ft_l import FtLHyperparameters
from editsuite.editors.grace import GraceHyperparameters
from editsuite.editors.hyperparameters import read_hyperparameters
from editsuite.editors.memit import MemitHyperparameters
from editsuite.editors.mend import MendHyperparameters
from editsuite.editors.rome import RomeHyperparameters
from editsuite.errors import OptionError


def read(**given: object) -> RomeHyperparameters:
    return read_hyperparameters(RomeHyperparameters, given, method="rome")


def test_nothing_given_is_the_defaults() -> None:
    assert read() == RomeHyperparameters()


def test_a_whole_number_serves_where_a_float_is_asked() -> None:
    held = read(v_lr=1, v_num_grad_steps=3)
    assert (held.v_lr, type(held.v_lr)) == (1.0, float)
    assert (held.v_num_grad_steps, type(held.v_num_grad_steps)) == (3, int)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(OptionError, match="rome has no hyperparameter v_lrr") as caught:
        read(v_lrr=0.5)
    for known in ("v_lr", "n_contexts", "denominator_key"):
        assert known in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v_lr", "0.5"),
        ("v_lr", True),
        ("v_lr", None),
        ("v_num_grad_steps", 2.5),
        ("v_num_grad_steps", True),
        ("v_num_grad_steps", [25]),
        ("mom2_adjustment", 1),
        ("mom2_adjustment", "false"),
        ("mom2_corpus", 3),
        ("denominator_key", "mean"),
        ("denominator_key", ["bare"]),
        ("v_num_grad_steps", 0),
        ("v_num_grad_steps", -1),
        ("n_contexts", 0),
        ("v_lr", -0.1),
        ("v_lr", math.nan),
        ("kl_factor", math.inf),
        ("early_stop", math.nan),
        ("clamp_norm_factor", -4.0),
        ("mom2_n_tokens", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"rome: {name} is ") as caught:
        read(**{name: value})
    assert repr(value) in str(caught.value)


def test_a_wrong_word_lists_the_known_words() -> None:
    with pytest.raises(OptionError, match="it can be averaged, bare"):
        read(denominator_key="mean")


#: By card key, what reads a card's settings.
KINDS: dict[str, type[object]] = {
    "rome": RomeHyperparameters,
    "memit": MemitHyperparameters,
    "mend": MendHyperparameters,
    "grace": GraceHyperparameters,
    "alphaedit": AlphaEditHyperparameters,
    "ft_l": FtLHyperparameters,
}


def test_every_card_gives_settings_that_every_method_reads() -> None:
    assert {known.card_key for known in methods().values()} == set(KINDS)
    cards = [resolve_card(name) for name in known_cards()] + [tiny_model("gpt2").card]
    for card in cards:
        assert set(card.hyperparameters) <= set(KINDS)
        for key, kind in KINDS.items():
            read_hyperparameters(kind, card.hyperparameters.get(key, {}), method=key)
