"""The measures of a run, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from editsuite.errors import OptionError, listing
from editsuite.measures import Answers, Measure, Perplexity, Saliency, measures
from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
from editsuite.measures.questions import Questions, questions_of
from editsuite.measures.saliency.source import SALIENCY, shots_of
from editsuite.measures.texts import Texts, load_texts
from editsuite.runs.settings import RunSettings


class Measures:
    """Measures by name; what they ask is read once, when it is first needed.

    Args:
        settings: of the run; they say what is asked about capabilities, and which texts are read.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._made: dict[str, Measure] = dict(measures())
        if settings.texts.named:
            del self._made["perplexity"]
        if settings.capabilities.data is not None:  # they ask the benchmarks' files then
            del self._made["answers"], self._made[SALIENCY]

    def __getitem__(self, name: str) -> Measure:
        if name not in self._made:
            make = self._makers.get(name)
            capability = name.removeprefix(PREFIX)
            self._made[name] = make() if make else self._capability(capability)
        return self._made[name]

    @cached_property
    def texts(self) -> Texts:
        """What perplexity is measured on."""
        return load_texts(self._settings.texts)

    @cached_property
    def questions(self) -> Questions:
        """What is answered in free text."""
        return questions_of(self._settings.capabilities)

    @property
    def _makers(self) -> Mapping[str, Callable[[], Measure]]:
        return {
            "perplexity": lambda: Perplexity(self.texts),
            "answers": lambda: Answers(self.questions),
            SALIENCY: lambda: Saliency(shots_of(self._settings.capabilities)),
        }

    def _capability(self, name: str) -> Measure:
        from editsuite.measures.capabilities.batteries import battery_of
        from editsuite.measures.capabilities.capability import Capability

        return Capability(battery_of(name, self._settings.capabilities))


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
