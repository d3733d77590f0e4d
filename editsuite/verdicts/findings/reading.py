"""The common form of evidence: readings, from the paper's tables or from observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from editsuite.errors import BaselineError
from editsuite.verdicts.tables import Setting


@dataclass(frozen=True)
class Reading:
    """One number that was read, and where.

    Attributes:
        quantity: what it is a number of; the names are in ``quantities``.
        settings: what was done: ``model``, ``method``, ``edits``, ``layer`` (``5``, or ``4-5-6``),
            ``depth`` (the layer's place, 0 the first and 1 the last), ``batch``, ``temperature``,
            ``threshold`` (GRACE), ``sample`` (of facts), ``usual`` (1: all of these are the
            method's own). What does not apply or is not known is left out.
        value: the number; shares, not percent.
        low: lower end of its interval.
        high: upper end.
        n: items it is taken over; None where that is not known.
        source: the table or file.
    """

    quantity: str
    settings: Mapping[str, Setting]
    value: float
    low: float
    high: float
    n: int | None
    source: str

    def __post_init__(self) -> None:
        """Refuse what is no number within its interval.

        Raises:
            BaselineError: it is not (NaN included).
        """
        if not self.low <= self.value <= self.high:
            raise BaselineError(
                f"{self.source}: {self.quantity} is {self.value}, which does not lie within its "
                f"interval {self.low} to {self.high}; take the file from the repository again"
            )

    @property
    def key(self) -> tuple[str, frozenset[tuple[str, Setting]]]:
        """What was read under which settings."""
        return self.quantity, frozenset(self.settings.items())


@dataclass(frozen=True)
class Readings:
    """Readings, at most one of a quantity under the same settings.

    Attributes:
        held: the readings, in their order.
    """

    held: tuple[Reading, ...] = field(default=())

    @classmethod
    def of_all(cls, several: Iterable[Reading]) -> Readings:
        """Collect; of two readings of one thing the first is kept."""
        found: dict[object, Reading] = {}
        for one in several:
            found.setdefault(one.key, one)
        return cls(tuple(found.values()))

    def __bool__(self) -> bool:
        return bool(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[Reading]:
        return iter(self.held)

    def __add__(self, other: Readings) -> Readings:
        return Readings.of_all((*self.held, *other.held))

    def of(self, *quantities: str, **settings: Setting) -> Readings:
        """Those of the quantities (any, where none is named) under all of the settings."""
        wanted = settings.items()
        return Readings(
            tuple(
                one
                for one in self.held
                if (not quantities or one.quantity in quantities) and wanted <= one.settings.items()
            )
        )

    def within(self, setting: str, low: float, high: float) -> Readings:
        """Those whose setting is a number from ``low`` up to and without ``high``."""
        return Readings(
            tuple(
                one
                for one in self.held
                if isinstance(at := one.settings.get(setting), int | float) and low <= at < high
            )
        )

    def values(self, setting: str) -> tuple[Setting, ...]:
        """The different values of a setting, in order; readings without it do not count."""
        found = {one.settings[setting] for one in self.held if setting in one.settings}
        return tuple(sorted(found, key=_place))

    def by(self, setting: str) -> dict[Setting, Readings]:
        """Readings by the values of a setting, in order; readings without it are left out."""
        return {value: self.of(**{setting: value}) for value in self.values(setting)}

    def common(self, setting: str, among: str) -> tuple[Setting, ...]:
        """Values of a setting at which there are readings for every value of another."""
        groups = [set(part.values(setting)) for part in self.by(among).values()]
        shared = set.intersection(*groups) if groups else set()
        return tuple(value for value in self.values(setting) if value in shared)

    @property
    def sole(self) -> Reading | None:
        """The reading, where there is just one; of several none speaks for all."""
        return self.held[0] if len(self.held) == 1 else None


def _place(value: Setting) -> tuple[int, tuple[float, ...], str]:
    """Numbers by size, layers ``5`` and ``4-5-6`` by number, other words behind them."""
    if not isinstance(value, str):
        return 0, (value,), ""
    parts = value.split("-")
    if all(part.isdecimal() for part in parts):
        return 1, tuple(map(float, parts)), ""
    return 2, (), value
