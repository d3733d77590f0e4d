"""MMLU: exam questions of 57 subjects with four options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.errors import AbsentError
from editsuite.measures.capabilities.rows import Row, csv_rows

NAME, LETTERS = "mmlu", ("A", "B", "C", "D")
_COLUMNS = ("question", *LETTERS, "answer")


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``mmlu/{dev,test}/SUBJECT_{dev,test}.csv``, by subject, in the hub's form.

    Raises:
        AbsentError: there is no file, or a subject has test questions only.
        CapabilityError: a file is damaged.
    """
    own = folder / "mmlu"
    ending = "_test.csv"
    subjects = [path.name.removesuffix(ending) for path in sorted((own / "test").glob("*.csv"))]
    if not subjects:
        mend = f"put the files dev/SUBJECT_dev.csv and test/SUBJECT{ending} there"
        raise AbsentError(NAME, own, "holds no subject", mend)
    return {
        subject: {
            split: _documents(own / split / f"{subject}_{split}.csv", subject)
            for split in ("dev", "test")
        }
        for subject in subjects
    }


def _documents(path: Path, subject: str) -> list[dict[str, Any]]:
    return [
        {
            "subject": subject,
            "question": row.text("question"),
            # An option may be an empty cell of the file only by damage.
            "choices": [row.text(letter) for letter in LETTERS],
            "answer": LETTERS.index(row.one_of("answer", LETTERS)),
        }
        for row in csv_rows(NAME, path, _COLUMNS)
    ]


def numbered(row: Row) -> dict[str, Any]:
    """A document of the hub's record, whose answer is a number.

    Raises:
        CapabilityError: a field is missing, or there are not four options.
    """
    choices, answer = row.texts("choices"), row.number("answer")
    if len(choices) != len(LETTERS) or answer not in range(len(LETTERS)):
        raise row.wrong(f"has {len(choices)} options and the answer {answer}, not 4 and 0 to 3")
    names = row.text("subject"), row.text("question")
    return {"subject": names[0], "question": names[1], "choices": choices, "answer": answer}
