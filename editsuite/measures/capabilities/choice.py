"""What a run asks about capabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from editsuite.errors import OptionError, listing
from editsuite.measures.capabilities.benchmark import BENCHMARKS, Benchmark, benchmark_of
from editsuite.measures.capabilities.hub import Hub
from editsuite.measures.capabilities.items import Wanted
from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
from editsuite.measures.capabilities.sources import LocalFiles, Source

#: In place of a folder: the model hub.
HUB = "hub"


@dataclass(frozen=True)
class Choice:
    """Probes, or benchmarks from local files.

    Attributes:
        data: folder of the benchmarks' files, or ``hub``; None for the probes.
        items: how many of each benchmark; probes are always asked whole.
        benchmarks: keys of benchmarks that are asked in another way than the paper's.
        temperature: at which text is drawn; what scores given options has none.
        repeats: how many times each item is drawn.
        seed: of the choice of items.
    """

    data: Path | None = None
    items: Wanted = 100
    benchmarks: tuple[str, ...] = ()
    temperature: float = 0.0
    repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """See that the words mean something.

        Raises:
            OptionError: an unknown benchmark, two of one capability, or settings that nothing
                uses.
        """
        named = [benchmark_of(key).capability for key in self.benchmarks]
        if len(set(named)) < len(named):
            raise OptionError(
                f"--edit-benchmarks names {listing(self.benchmarks)}: two of one capability; give "
                "one for each"
            )
        if self.benchmarks and self.data is None:
            raise OptionError(
                "--edit-benchmarks needs the benchmarks' files; name their folder by --edit-data"
            )
        if self.temperature < 0 or self.repeats < 1:
            raise OptionError(
                f"--edit-temperature is {self.temperature} and --edit-repeats {self.repeats}; give "
                "a temperature from 0 and repeats from 1"
            )
        if self.repeats > 1 and self.temperature == 0:
            raise OptionError(
                f"--edit-repeats is {self.repeats}, but at temperature 0 every repeat says the "
                "same; give --edit-temperature as well"
            )

    def source(self) -> Source | None:
        """Where the benchmarks' documents come from; None: probes are asked."""
        if self.data is None:
            return None
        return Hub() if str(self.data) == HUB else LocalFiles(self.data)

    def benchmark(self, capability: str) -> Benchmark:
        """The benchmark of a capability: the one named, else the paper's."""
        named = [benchmark_of(key) for key in self.benchmarks]
        everything = (*named, *(one for one in BENCHMARKS.values() if one.paper))
        return next(one for one in everything if one.capability == capability)


def parse_items(text: str, option: str = "--edit-items") -> Wanted:
    """Read ``100`` or ``all``.

    Args:
        text: the value.
        option: whose value it is.

    Raises:
        OptionError: it is neither.
    """
    if text == "all":
        return "all"
    if text.isascii() and text.isdigit() and int(text[:9]) > 0:
        return int(text)
    raise OptionError(f"{option} is {text!r}; give a number of items from 1, or all")


def parse_benchmarks(text: str) -> tuple[str, ...]:
    """Read ``mmlu.loglikelihood,bbh.generation``."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def parse_drawing(temperature: str, repeats: str) -> tuple[float, int]:
    """Read a temperature and a number of repeats.

    Raises:
        OptionError: one is no number.
    """
    try:
        return float(temperature), int(repeats)
    except ValueError as error:
        raise OptionError(
            f"--edit-temperature is {temperature!r} and --edit-repeats {repeats!r}; give numbers "
            "such as 0.5 and 4"
        ) from error


def capabilities_in(names: Sequence[str]) -> tuple[str, ...]:
    """The capabilities among names of measures, in their order."""
    bare = {name.removeprefix(PREFIX) for name in names}
    return tuple(name for name in CAPABILITIES if name in bare)
