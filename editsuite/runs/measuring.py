"""The measures of a run, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable

from editsuite.errors import OptionError, listing
from editsuite.measures import Measure, measures
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
from editsuite.measures.saliency.source import SALIENCY, shots_of


class Measures:
    """Measures by name; the items of a capability are read once.

    Args:
        choice: what is asked about capabilities.
    """

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._made: dict[str, Measure] = dict(measures())
        if choice.data is not None:  # then its sentences are SST-2's
            del self._made[SALIENCY]

    def __getitem__(self, name: str) -> Measure:
        if name not in self._made:
            self._made[name] = self._open(name)
        return self._made[name]

    def _open(self, name: str) -> Measure:
        if name == SALIENCY:
            from editsuite.measures import Saliency

            return Saliency(shots_of(self._choice))
        return self._capability(name.removeprefix(PREFIX))

    def _capability(self, name: str) -> Measure:
        from editsuite.measures.capabilities.batteries import battery_of
        from editsuite.measures.capabilities.capability import Capability

        return Capability(battery_of(name, self._choice))


def known_measures() -> frozenset[str]:
    """Names of all measures that a run can have."""
    return frozenset((*measures(), *(PREFIX + name for name in CAPABILITIES)))


def check_measures(names: Iterable[str]) -> None:
    """See that there are measures of these names.

    Raises:
        OptionError: there are none of some.
    """
    if unknown := set(names) - known_measures():
        raise OptionError(
            f"{listing(unknown)}: no such measure in this version of editsuite; it has "
            f"{listing(known_measures())}"
        )
