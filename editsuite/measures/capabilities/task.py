"""Tasks of lm-eval over documents of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from editsuite.errors import MeasureError
from editsuite.measures.capabilities.quiet import quiet

try:
    import lm_eval
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml
except ImportError as error:
    raise MeasureError(
        f"capabilities need the extra `capabilities`, which cannot be imported ({error}); "
        "run `pip install 'editsuite[capabilities]'`"
    ) from error

#: Folder of lm-eval's own task files.
THEIRS = Path(lm_eval.__file__).parent / "tasks"
Documents = Mapping[str, Sequence[Mapping[str, Any]]]


def read_task_file(path: Path) -> dict[str, Any]:
    """The settings of a task file, its functions and its `include` resolved."""
    settings: dict[str, Any] = load_yaml(path, resolve_func=True)
    return settings


def task_over(settings: Mapping[str, Any], documents: Documents) -> ConfigurableTask:
    """A task with its own prompts and metrics, over given documents.

    Args:
        settings: of a task file; where its documents come from is left out of account.
        documents: by split, the documents.
    """
    sets = {
        name: Dataset.from_list([dict(doc) for doc in some]) for name, some in documents.items()
    }
    kept = {
        name: value
        for name, value in settings.items()
        if name not in ("dataset_path", "dataset_name", "dataset_kwargs", "custom_dataset")
    }
    with quiet():
        return ConfigurableTask(config={**kept, "custom_dataset": lambda **_: sets})
