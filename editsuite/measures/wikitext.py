"""Paragraphs of WikiText (Merity et al. 2016), from files or from the model hub.

WikiText-2 and WikiText-103 have the same sets for validation and test, and differ in the one for
training only; from those two sets all paragraphs here are taken.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from editsuite.errors import MeasureError

#: The hub's copy of WikiText-103 in the raw form, at one commit, and its files of the two sets.
REPOSITORY = "Salesforce/wikitext"
REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
PARTS = {
    "validation": "wikitext-103-raw-v1/validation-00000-of-00001.parquet",
    "test": "wikitext-103-raw-v1/test-00000-of-00001.parquet",
}
#: What the files of one set are called, in the copies that are about.
_NAMES = {
    split: (f"{split}.txt", f"wiki.{split}.tokens", f"wiki.{split}.raw")
    for split in ("valid", "test")
}


def read(path: Path, words: int) -> list[str]:
    """Long paragraphs of a file, or of a folder's sets for validation and test.

    Both forms are read: that with ``<unk>`` for rare words, and the raw one.

    Args:
        path: a file of any name, or a folder with ``valid.txt`` and ``test.txt``
            (or ``wiki.valid.tokens``, ``wiki.valid.raw``, ...); one of both sets will do.
        words: least length of a paragraph.

    Raises:
        MeasureError: there are no such files, one cannot be read, or no paragraph is long enough.
    """
    files = [path] if path.is_file() else [f for names in _NAMES.values() for f in _of(path, names)]
    if not files:
        known = ", ".join(name for names in _NAMES.values() for name in names)
        raise MeasureError(
            f"{path} holds none of WikiText's files; give --edit-texts a file, or a folder with "
            f"any of: {known}"
        )
    found: list[str] = []
    for file in files:
        try:
            found += paragraphs(file.read_text(encoding="utf-8").splitlines(), words)
        except (OSError, UnicodeDecodeError) as error:
            raise MeasureError(
                f"{file} cannot be read as WikiText ({error}); copy it again"
            ) from error
    return _some(found, ", ".join(map(str, files)), words)


def fetch(words: int) -> list[str]:
    """The same from the hub's WikiText-103, through the package ``datasets``.

    Args:
        words: least length of a paragraph.

    Raises:
        MeasureError: the package is absent or the hub cannot be reached.
    """
    place = f"{REPOSITORY} at {REVISION[:8]}"
    try:
        load = importlib.import_module("datasets").load_dataset
        # Naming the files leaves the set for training, half a gigabyte, where it is.
        held = load(REPOSITORY, data_files=PARTS, revision=REVISION)
        lines = [str(row["text"]) for split in PARTS for row in held[split]]
    except ImportError as error:
        raise MeasureError(
            "--edit-texts wikitext comes from the hub through the package datasets, which is not "
            "installed; run `pip install datasets`, or give files: wikitext:PATH"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise MeasureError(
            f"--edit-texts wikitext ({place}) cannot be had from the hub "
            f"({type(error).__name__}); go online without HF_HUB_OFFLINE, or give files: "
            "wikitext:PATH"
        ) from error
    return _some(paragraphs(lines, words), place, words)


def paragraphs(lines: Iterable[str], words: int) -> list[str]:
    """The lines that are long paragraphs; headings and blank lines are none.

    The text stays as WikiText has it, with blanks around signs and ``@-@`` for a hyphen.

    Args:
        lines: of a file, one paragraph or heading a line.
        words: least number of words. A tokenizer that joins no two words makes at least as many
            tokens of it.
    """
    bare = (line.strip() for line in lines)
    return [
        line
        for line in bare
        if len(line.split()) >= words and not (line.startswith("= ") and line.endswith(" ="))
    ]


def _of(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The file of one set, if it is there; a folder may hold it in both forms."""
    return [folder / name for name in names if (folder / name).is_file()][:1]


def _some(found: list[str], place: str, words: int) -> list[str]:
    if not found:
        raise MeasureError(
            f"{place}: no line has {words} words, so there is no paragraph to read; give "
            "WikiText's own files, one paragraph a line"
        )
    return found
