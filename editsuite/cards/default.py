"""The model that is meant where none is named."""

from __future__ import annotations

from typing import Final

DEFAULT_MODEL: Final = "smollm2-135m-instruct"
