"""What stands between EasyEdit's code and the rest of the process.

Its modules draw from the global random states, print, log, write files where they stand, set
environment variables, tell a model by parts of its path, and change weights in place.
"""

from __future__ import annotations

import logging
import os
import random
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch

from editsuite.cards import LoadedModel
from editsuite.editors.easyedit.guard import flags, named, right_padded, tuples, weights


@contextmanager
def shielded(
    loaded: LoadedModel, parameters: Sequence[str], *, seed: int, name: str
) -> Iterator[StringIO]:
    """Within, foreign code may run on the model; after, all is as it was.

    Args:
        loaded: the model.
        parameters: names of the weights that may be changed within; they are put back.
        seed: of Python's, NumPy's and torch's random states within.
        name: how the model is called within, whatever its folder is.

    Yields:
        What is printed within.

    Raises:
        EditError: a weight that was not named has changed.
    """
    said = StringIO()
    with ExitStack() as stack:
        stack.enter_context(_random_states(seed))
        stack.enter_context(_environment())
        stack.enter_context(_elsewhere())
        stack.enter_context(_silence())
        stack.enter_context(redirect_stdout(said))
        stack.enter_context(redirect_stderr(said))
        stack.enter_context(named(loaded, name))
        stack.enter_context(right_padded(loaded.tokenizer))
        stack.enter_context(flags(loaded.model))
        stack.enter_context(tuples([loaded.layer(index) for index in range(loaded.n_layers)]))
        stack.enter_context(weights(loaded.model, parameters))
        stack.enter_context(torch.enable_grad())
        yield said


@contextmanager
def _random_states(seed: int) -> Iterator[None]:
    ours, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(numpys)


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _elsewhere() -> Iterator[None]:
    """In an empty folder that is removed again."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="editsuite-easyedit-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextmanager
def _silence() -> Iterator[None]:
    """No logging, no warnings, and the root logger's handlers afterwards those of before."""
    root, disabled = logging.getLogger(), logging.root.manager.disable
    handlers, level = list(root.handlers), root.level
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)
