"""Layers at the same relative depth."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.cards import cache_root, relative_layer, resolve_card
from editsuite.cards.card import default_layers, relative_layers

_DEPTHS = st.integers(2, 200)


@st.composite
def _layer_and_depth(draw: st.DrawFn) -> tuple[int, int]:
    depth = draw(_DEPTHS)
    return draw(st.integers(0, depth - 1)), depth


@given(where=_layer_and_depth())
def test_same_depth_is_the_identity(where: tuple[int, int]) -> None:
    layer, depth = where
    assert relative_layer(layer, depth, depth) == layer


@given(depth=_DEPTHS, n_layers=st.integers(1, 200))
def test_first_goes_to_first_and_last_to_last(depth: int, n_layers: int) -> None:
    assert relative_layer(0, depth, n_layers) == 0
    assert relative_layer(depth - 1, depth, n_layers) == n_layers - 1


@given(where=_layer_and_depth(), n_layers=st.integers(1, 200))
def test_it_is_the_nearest_layer_halves_upwards(where: tuple[int, int], n_layers: int) -> None:
    layer, depth = where
    exact = Fraction(layer * (n_layers - 1), depth - 1)
    assert relative_layer(layer, depth, n_layers) == floor(exact + Fraction(1, 2))


@given(where=_layer_and_depth(), n_layers=st.integers(1, 200))
def test_it_never_falls_with_the_layer(where: tuple[int, int], n_layers: int) -> None:
    layer, depth = where
    here = relative_layer(layer, depth, n_layers)
    assert relative_layer(layer + 1, depth, n_layers) >= here


@given(where=_layer_and_depth(), n_layers=_DEPTHS)
def test_a_deeper_model_and_back_is_the_identity(where: tuple[int, int], n_layers: int) -> None:
    layer, depth = where
    deeper = depth + n_layers
    assert relative_layer(relative_layer(layer, depth, deeper), deeper, depth) == layer


@given(layer=st.integers(-100, 300), depth=st.integers(1, 100), n_layers=st.integers(1, 100))
def test_it_always_stays_in_the_model(layer: int, depth: int, n_layers: int) -> None:
    assert 0 <= relative_layer(layer, depth, n_layers) < n_layers


@given(first=st.integers(0, 60), length=st.integers(1, 8), n_layers=st.integers(1, 200))
def test_a_run_stays_a_run(first: int, length: int, n_layers: int) -> None:
    run = relative_layers(range(first, first + length), 80, n_layers)
    assert run == tuple(range(run[0], run[-1] + 1))
    assert run[-1] < n_layers


@pytest.mark.parametrize(("depth", "n_layers"), [(0, 4), (4, 0), (-1, 4)])
def test_a_depth_must_be_positive(depth: int, n_layers: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        relative_layer(1, depth, n_layers)


def test_the_examples_of_the_docstring() -> None:
    assert [relative_layer(5, 32, n) for n in (30, 40, 48, 12)] == [5, 6, 8, 2]
    assert resolve_card("smollm2-135m-instruct").relative_layer(5) == 5
    assert resolve_card("smollm2-135m-instruct").relative_layer(31) == 29


@given(n_layers=st.integers(1, 200))
def test_every_depth_has_default_layers_within(n_layers: int) -> None:
    for layers in default_layers(n_layers).values():
        assert layers
        assert all(0 <= layer < n_layers for layer in layers)


def test_cache_root_prefers_the_option_then_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITSUITE_CACHE", str(tmp_path / "variable"))
    assert cache_root(tmp_path / "option") == tmp_path / "option"
    assert cache_root() == tmp_path / "variable"
    monkeypatch.setenv("EDITSUITE_CACHE", " ")
    assert cache_root().name == "editsuite"
    assert cache_root().is_absolute()


def test_reading_cards_loads_neither_torch_nor_transformers() -> None:
    """The plugin reads cards while it still chooses GPUs; torch must not have started."""
    program = (
        "import sys, editsuite.cards as cards\n"
        "[cards.resolve_card(name) for name in cards.known_cards()]\n"
        "cards.cache_root()\n"
        "heavy = {'torch', 'transformers', 'numpy', 'safetensors'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
