"""Errors a user can act on.

Every message names the thing that is wrong, the place it stands in, and the mend. The base
class is what the command line and the pytest plugin catch: they print the message without a
traceback, because the traceback of a wrong path teaches nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterable


class EditsuiteError(Exception):
    """Base of all errors that a user of the suite can mend."""


class CardError(EditsuiteError):
    """A model card is unknown, malformed, or does not fit the model it names."""


class ModelLoadError(EditsuiteError):
    """A model cannot be found, opened, or held in memory."""


class FactError(EditsuiteError):
    """A fact, or a file of facts, cannot be used for editing."""


class EngineError(EditsuiteError):
    """The forward pass cannot be run here."""


class EditError(EditsuiteError):
    """An editor could not compute an update for a request."""


class ChainError(EditsuiteError):
    """A chain, its journal or its plan is damaged, foreign, or impossible."""


class MeasureError(EditsuiteError):
    """A measure was asked for something it cannot give."""


class CapabilityError(EditsuiteError):
    """A capability's benchmark cannot be asked: no data, bad data, or something it needs is absent.

    Args:
        what: the benchmark or its file.
        place: where was looked, or where the fault stands.
        reason: what is wrong there.
        mend: what to do about it.
    """

    def __init__(self, what: str, place: object, reason: str, mend: str) -> None:
        super().__init__(f"{what}: {place}: {reason}; {mend}")
        self.what, self.place, self.reason, self.mend = what, str(place), reason, mend

    def __reduce__(self) -> tuple[type[CapabilityError], tuple[str, str, str, str]]:
        return type(self), (self.what, self.place, self.reason, self.mend)


class SandboxError(EditsuiteError):
    """Code cannot be run in isolation here, or a program cannot be judged; nothing was run."""


class AbsentError(CapabilityError):
    """A benchmark is not there at all, so that it can be left out by name."""


class BaselineError(EditsuiteError):
    """A baseline file cannot be read, or a number cannot be kept as a baseline."""


class OptionError(EditsuiteError):
    """A command-line option or a setting has an unknown or impossible value."""


def listing(names: Iterable[object]) -> str:
    """Write the known values out for an error message, in a stable order."""
    return ", ".join(sorted(str(name) for name in names)) or "(none)"
