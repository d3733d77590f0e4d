"""Where the real datasets lie; a test that needs an absent one skips."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def dataset_file(*parts: str) -> Path:
    """Path of a file under `EDITSUITE_DATA`, or under `../shared/data` of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("EDITSUITE_DATA", beside)).joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path} is absent (set EDITSUITE_DATA to the folder of the datasets)")
    return path
