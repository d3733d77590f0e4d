"""Small files in the layouts of the benchmarks' own, written for the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WORDS = ("red", "blue", "green", "white", "black")


def axb(folder: Path, number: int = 4) -> None:
    """Pairs of sentences, each second one entailed."""
    records = [
        {
            "idx": str(n),
            "label": ("entailment", "not_entailment")[n % 2],
            "sentence1": f"The box holds {n} {WORDS[n % 5]} balls.",
            "sentence2": f"The box holds {n} balls.",
            "logic": "",
        }
        for n in range(number)
    ]
    lines(folder / "superglue_axb" / "AX-b.jsonl", records)


def c3(folder: Path) -> None:
    """Two passages, with three questions of four and two options."""
    first = {"question": "他买了什么?", "choice": ["书", "笔", "米", "茶"], "answer": "茶"}
    second = {"question": "他去哪儿?", "choice": ["家", "店"], "answer": "店"}
    passages = [
        [["男:我去店里买茶。", "女:好。"], [first, second], "1-2"],
        [["女:今天很冷。"], [{**second, "answer": "家"}], "3-4"],
    ]
    write(folder / "c3" / "c3-d-dev.json", json.dumps(passages, ensure_ascii=False, indent=1))


def commonsense_qa(folder: Path, number: int = 4) -> None:
    """Questions with five options, eight to show and some to ask."""
    for file, first, last in (("train", 0, 9), ("dev", 9, 9 + number)):
        records = [
            {
                "answerKey": "ABCDE"[n % 5],
                "id": f"q{n}",
                "question": {
                    "question_concept": "colour",
                    "stem": f" Which of these is number {n}?",
                    "choices": [
                        {"label": letter, "text": f"{word} {n}"}
                        for letter, word in zip("ABCDE", WORDS, strict=True)
                    ],
                },
            }
            for n in range(first, last)
        ]
        lines(folder / "commonsenseqa" / f"{file}_rand_split.jsonl", records)


def tydiqa(folder: Path) -> None:
    """Three questions in English, one in Korean."""
    items = {
        "english": [("The tower is 40 meters high.", "How high?", ["40 meters", "40"])] * 3,
        "korean": [("탑은 40미터이다.", "높이는?", ["40미터"])],
    }
    for language, some in items.items():
        paragraphs = [
            {
                "context": context,
                "qas": [
                    {
                        "question": question,
                        "id": f"{language}-{n}-0",
                        "answers": [{"text": text, "answer_start": 0} for text in answers],
                    }
                ],
            }
            for n, (context, question, answers) in enumerate(some)
        ]
        record = {"data": [{"title": "Tower", "paragraphs": paragraphs}]}
        path = folder / "tydiqa_goldp" / f"{language}_tydiqa_dev.json"
        write(path, json.dumps(record, ensure_ascii=False))


def mmlu(folder: Path) -> None:
    """Two subjects of three questions, one with a comma and a line break in a cell."""
    for subject in ("anatomy", "world_religions"):
        for split, number in (("dev", 5), ("test", 3)):
            rows = [
                f'"What is {n}, in {subject},\nsaid {split}?",{n},{n + 1},{n + 2},{n + 3},'
                f"{'ABCD'[n % 4]}"
                for n in range(number)
            ]
            write(folder / "mmlu" / split / f"{subject}_{split}.csv", "\n".join(rows) + "\n")


def bbh(folder: Path) -> None:
    """Two tasks."""
    for name, target in (("boolean_expressions", "True"), ("web_of_lies", "No")):
        examples = [{"input": f"not not {n} is", "target": target} for n in range(3)]
        write(folder / "bbh" / "bbh" / f"{name}.json", json.dumps({"examples": examples}))


def mathematics(folder: Path) -> None:
    """Three problems."""
    records = [
        {
            "problem": f"What is ${n} + 1$?",
            "level": "Level 1",
            "type": "Prealgebra",
            "solution": f"It is $\\boxed{{{n + 1}}}$.",
        }
        for n in range(3)
    ]
    lines(folder / "math" / "test.jsonl", records)


def mbpp(folder: Path) -> None:
    """Tasks 1 to 14, of which ten are to show."""
    records = [
        {
            "text": f"Write a function that adds {n}.",
            "code": f"def add(x):\r\n  return x + {n}",
            "task_id": n,
            "test_setup_code": "",
            "test_list": [f"assert add({m}) == {m + n}" for m in range(3)],
            "challenge_test_list": [],
        }
        for n in range(1, 15)
    ]
    lines(folder / "mbpp" / "mbpp.jsonl", records)


#: By dataset, what writes its files.
WRITERS: Mapping[str, Callable[[Path], None]] = {
    "axb": axb,
    "bbh": bbh,
    "c3": c3,
    "commonsense_qa": commonsense_qa,
    "math": mathematics,
    "mbpp": mbpp,
    "mmlu": mmlu,
    "tydiqa_goldp": tydiqa,
}


def lines(path: Path, records: list[dict[str, Any]]) -> None:
    """Write one JSON record a line."""
    write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def write(path: Path, text: str) -> None:
    """Write a file into folders that need not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
