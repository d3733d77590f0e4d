"""From the words a user gives (`builtin`, `zsre:PATH`, ...) to a set of facts."""

from __future__ import annotations

from pathlib import Path

from editsuite.errors import FactError, listing
from editsuite.facts.builtin import builtin_facts
from editsuite.facts.counterfact import FLAT, NESTED
from editsuite.facts.factset import FactSet
from editsuite.facts.form import OWN, Form, detect
from editsuite.facts.hub import hub_records
from editsuite.facts.policy import OnBad, collect
from editsuite.facts.records import read_records
from editsuite.facts.zsre import KNOWEDIT, MEND

# The order matters: a record that fits an early form may fit a later, looser one as well.
_FORMS: tuple[Form, ...] = (NESTED, MEND, KNOWEDIT, FLAT, OWN)
_DATASETS = ("zsre", "counterfact")
_SUFFIXES = (".json", ".jsonl")
_KNOWN = (
    "builtin",
    *_DATASETS,
    *(f"{name}:PATH" for name in _DATASETS),
    *(f"PATH{suffix}" for suffix in _SUFFIXES),
)


def load_facts(spec: str, *, on_bad: OnBad | None = None) -> FactSet:
    """Load the facts that a specification names.

    Args:
        spec: `builtin`; `zsre` or `counterfact` (from the model hub); `zsre:PATH` or
            `counterfact:PATH`; or the path of a .json or .jsonl file in any known form. The form
            is told by the keys of the records, never by the name of the file.
        on_bad: `refuse` stops at the first bad record, `report` leaves bad records out and lists
            them in `rejected`. Without it datasets of others are reported on, and facts in the
            suite's own form (the built-in set among them) refused.

    Raises:
        FactError: the specification is unknown, or what it names cannot be used.
    """
    name, colon, path = spec.strip().partition(":")
    if name == "builtin" and not colon:
        return builtin_facts(on_bad or "refuse")
    if name in _DATASETS:
        if not path.strip():
            if colon:
                raise FactError(f"facts {spec!r}: no path after the colon; give {name}:PATH")
            return _from_hub(name, on_bad)
        return _from_file(Path(path.strip()), on_bad, dataset=name)
    bare = Path(spec.strip())
    if bare.suffix.lower() in _SUFFIXES:
        return _from_file(bare, on_bad)
    raise FactError(f"facts {spec!r} are unknown; give one of: {listing(_KNOWN)}")


def _from_file(path: Path, on_bad: OnBad | None, dataset: str | None = None) -> FactSet:
    path = path.expanduser()
    records = read_records(path)
    form = detect(records, _FORMS, str(path))
    if dataset is not None and form.dataset not in (dataset, OWN.dataset):
        raise FactError(
            f"{path}: is in the form {form.name}, not {dataset}; give {form.dataset}:{path}"
        )
    name = dataset or form.dataset
    return collect(name, str(path), records, form.build, on_bad or form.on_bad)


def _from_hub(dataset: str, on_bad: OnBad | None) -> FactSet:
    records, source = hub_records(dataset)
    form = detect(records, _FORMS, source)
    return collect(dataset, source, records, form.build, on_bad or form.on_bad)
