"""A made-up EasyEdit that misbehaves in every way that the real one was seen to."""

from __future__ import annotations

import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

#: What ``execute_rome`` does before it returns a change of ones; ``{body}`` differs by test.
MAIN = """
import logging
import os
import random
import sys
from dataclasses import dataclass

import numpy as np
import torch

from ...util import nethook

CONTEXT_TEMPLATES_CACHE = None
CALLS = []


@dataclass
class ROMEHyperParams:
    layers: list
    v_lr: float
    mom2_adjustment: bool
    rewrite_module_tmp: str
    device: int
    model_name: str


def execute_rome(model, tok, request, hparams):
    name = hparams.rewrite_module_tmp.format(hparams.layers[0]) + ".weight"
    weight = dict(model.named_parameters())[name]
{body}
    return {{name: (torch.ones(weight.shape[1]), torch.ones(weight.shape[0]))}}
"""


def make_tree(folder: Path, body: str = "    pass") -> Path:
    """A checkout whose packages must not be imported; returns its folder."""
    root = folder / "easyeditor"
    for part in ("", "util", "models", "models/rome"):
        (root / part).mkdir(parents=True, exist_ok=True)
        (root / part / "__init__.py").write_text(
            "raise ImportError('an __init__ was run')\n", encoding="utf-8"
        )
    for name in ("nethook", "hparams"):
        (root / "util" / f"{name}.py").write_text("", encoding="utf-8")
    indented = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    main = MAIN.format(body=indented)
    (root / "models" / "rome" / "rome_main.py").write_text(main, encoding="utf-8")
    return folder


def need_easyeditor() -> None:
    """Skip where the release from the registry, or what its modules import, is absent."""
    for name, mend in (
        ("easyeditor", "make setup, or pip install --no-deps easyeditor==0.0.1.dev0"),
        ("datasets", "pip install datasets"),
        ("matplotlib", "pip install matplotlib"),
    ):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed: {mend}")
