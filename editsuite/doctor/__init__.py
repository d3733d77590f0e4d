"""The doctor: what is there, what is missing, and the command that mends it."""

from __future__ import annotations

from editsuite.doctor.report import as_json, examine, healthy, render
from editsuite.doctor.row import Row, Status

__all__ = ["Row", "Status", "as_json", "examine", "healthy", "render"]
