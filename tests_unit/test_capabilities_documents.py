"""Datasets are read from their own files; a fault is named with its file, line and mend."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from capabilities_ import WRITERS, lines, write
from datasets_ import dataset_file

from editsuite.errors import CapabilityError
from editsuite.measures.capabilities.documents import READERS
from editsuite.measures.capabilities.items import ids_of
from editsuite.measures.capabilities.sources import LocalFiles


@pytest.fixture
def source(tmp_path: Path) -> LocalFiles:
    for write_files in WRITERS.values():
        write_files(tmp_path)
    return LocalFiles(tmp_path)


def test_axb(source: LocalFiles) -> None:
    first, second, *_ = source.documents("axb")[""]["test"]
    assert first == {
        "id": "0",
        "label": 0,
        "sentence1": "The box holds 0 red balls.",
        "sentence2": "The box holds 0 balls.",
    }
    assert second["label"] == 1


def test_c3_has_one_document_for_each_question(source: LocalFiles) -> None:
    found = source.documents("c3")[""]["validation"]
    assert [one["id"] for one in found] == ["1-2#0", "1-2#1", "3-4#0"]
    assert found[1]["context"] == ["男:我去店里买茶。", "女:好。"]
    assert found[1]["choice"] == ["家", "店"]
    assert found[1]["answer"] == "店"


def test_commonsense_qa(source: LocalFiles) -> None:
    found = source.documents("commonsense_qa")[""]
    assert (len(found["train"]), len(found["validation"])) == (9, 4)
    assert found["train"][0]["answerKey"] == "A"
    assert found["train"][0]["choices"]["text"][4] == "black 0"


def test_tydiqa_by_language(source: LocalFiles) -> None:
    found = source.documents("tydiqa_goldp")
    assert {language: len(own["validation"]) for language, own in found.items()} == {
        "english": 3,
        "korean": 1,
    }
    assert found["english"]["validation"][0]["answers"] == {"text": ["40 meters", "40"]}


def test_mmlu_by_subject_with_commas_and_breaks_in_its_cells(source: LocalFiles) -> None:
    found = source.documents("mmlu")
    assert sorted(found) == ["anatomy", "world_religions"]
    assert {split: len(own) for split, own in found["anatomy"].items()} == {"dev": 5, "test": 3}
    assert found["anatomy"]["test"][2] == {
        "subject": "anatomy",
        "question": "What is 2, in anatomy,\nsaid test?",
        "choices": ["2", "3", "4", "5"],
        "answer": 2,
    }


def test_bbh_math_and_mbpp(source: LocalFiles) -> None:
    assert source.documents("bbh")["web_of_lies"]["test"][1]["target"] == "No"
    assert source.documents("math")[""]["test"][2]["answer"] == "3"
    found = source.documents("mbpp")[""]
    assert [one["task_id"] for one in found["test"]] == [11, 12, 13, 14]
    assert len(found["prompt"]) == 10
    assert found["test"][0]["code"] == "def add(x):\n  return x + 11"


def spoil_line(path: Path, number: int, text: str) -> None:
    every = path.read_text(encoding="utf-8").split("\n")
    every[number - 1] = text
    write(path, "\n".join(every))


def change(path: Path, number: int, **fields: object) -> None:
    every = path.read_text(encoding="utf-8").split("\n")
    record = {**json.loads(every[number - 1]), **fields}
    spoil_line(path, number, json.dumps({k: v for k, v in record.items() if v is not None}))


FAULTS: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("axb", "superglue_axb/AX-b.jsonl", lambda p: spoil_line(p, 3, "{no"), "line 3: is no JSON"),
    ("axb", "superglue_axb/AX-b.jsonl", lambda p: spoil_line(p, 3, "[1]"), "line 3: is list"),
    (
        *("axb", "superglue_axb/AX-b.jsonl"),
        *(lambda p: change(p, 2, sentence2=None), "line 2: the field 'sentence2' is missing"),
    ),
    (
        *("axb", "superglue_axb/AX-b.jsonl"),
        *(lambda p: change(p, 2, label="maybe"), "line 2: the field 'label' is 'maybe', not one"),
    ),
    (
        *("axb", "superglue_axb/AX-b.jsonl"),
        *(lambda p: p.write_bytes(b'{"idx": "0"}\n\n\xff'), "line 3: is not UTF-8"),
    ),
    ("axb", "superglue_axb/AX-b.jsonl", lambda p: write(p, " \n"), "AX-b.jsonl: is empty"),
    ("axb", "superglue_axb/AX-b.jsonl", Path.unlink, "cannot be read .No such file"),
    ("c3", "c3/c3-d-dev.json", lambda p: write(p, "{}"), "something else than passages"),
    (
        *("c3", "c3/c3-d-dev.json"),
        *(lambda p: write(p, '[[["a"], [{"question": "q"}]]]'), "the field 'id' is missing"),
    ),
    (
        *("c3", "c3/c3-d-dev.json"),
        lambda p: write(
            p, p.read_text(encoding="utf-8").replace('"answer": "店"', '"answer": "x"')
        ),
        "passage 1, record 1, questions, record 2: the field 'answer' is 'x', not one of",
    ),
    (
        *("commonsense_qa", "commonsenseqa/dev_rand_split.jsonl"),
        *(lambda p: change(p, 1, answerKey=None), "line 1: the field 'answerKey' is missing"),
    ),
    (
        *("commonsense_qa", "commonsenseqa/train_rand_split.jsonl"),
        lambda p: change(p, 4, question={"stem": "s", "choices": [{"label": "A", "text": "t"}]}),
        r"line 4: the options are \['A'\]",
    ),
    (
        *("commonsense_qa", "commonsenseqa/train_rand_split.jsonl"),
        *(Path.unlink, "train_rand_split.jsonl: cannot be read"),
    ),
    (
        *("tydiqa_goldp", "tydiqa_goldp/korean_tydiqa_dev.json"),
        *(lambda p: write(p, '{"data": 3}'), "the field 'data' is int, not a list"),
    ),
    (
        *("tydiqa_goldp", "tydiqa_goldp/korean_tydiqa_dev.json"),
        lambda p: write(p, p.read_text(encoding="utf-8").replace('"text": "40미터"', '"text": ""')),
        "answers, record 1: the field 'text' is empty",
    ),
    (
        *("mmlu", "mmlu/test/anatomy_test.csv"),
        *(lambda p: spoil_line(p, 3, "a,b,c"), "columns, not the 6 question, A, B, C, D, answer"),
    ),
    (
        *("mmlu", "mmlu/test/anatomy_test.csv"),
        *(lambda p: write(p, "q,1,2,3,4,A\nq,1,2,3,4,E\n"), "line 2: the field 'answer' is 'E'"),
    ),
    ("mmlu", "mmlu/dev/anatomy_dev.csv", Path.unlink, "anatomy_dev.csv: cannot be read"),
    (
        *("bbh", "bbh/bbh/web_of_lies.json"),
        *(lambda p: write(p, '{"examples": [{"input": "x"}]}'), "the field 'target' is missing"),
    ),
    (
        *("bbh", "bbh/bbh/web_of_lies.json"),
        *(lambda p: write(p, "[" * 100_000), "is nested too deeply|is no JSON"),
    ),
    (
        *("math", "math/test.jsonl"),
        *(lambda p: change(p, 2, solution="It is 2."), r"line 2: the solution has no .boxed"),
    ),
    (
        *("mbpp", "mbpp/mbpp.jsonl"),
        *(lambda p: change(p, 12, test_list=[]), "line 12: the field 'test_list' is empty"),
    ),
    ("mbpp", "mbpp/mbpp.jsonl", lambda p: change(p, 1, task_id="1"), "line 1: the field 'task_id'"),
]


@pytest.mark.parametrize(("dataset", "file", "spoil", "message"), FAULTS)
def test_a_fault_is_named_with_file_line_and_mend(
    source: LocalFiles, dataset: str, file: str, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(source.folder / file)
    with pytest.raises(CapabilityError, match=message) as caught:
        source.documents(dataset)
    assert Path(file).name in caught.value.place
    assert caught.value.what == dataset
    assert caught.value.mend in str(caught.value)


@pytest.mark.parametrize("dataset", READERS)
def test_what_is_absent_is_told_with_the_place_that_was_looked_at(
    tmp_path: Path, dataset: str
) -> None:
    with pytest.raises(CapabilityError) as caught:
        LocalFiles(tmp_path).documents(dataset)
    assert caught.value.what == dataset
    assert caught.value.place.startswith(str(tmp_path))


def test_no_folder_and_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="is no folder; give --edit-data"):
        LocalFiles(tmp_path / "none").documents("axb")
    with pytest.raises(CapabilityError, match="no reader knows it; known are axb, bbh") as caught:
        LocalFiles(tmp_path).documents("glue")
    # Workers send it to one another.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_last_line_may_be_unfinished_and_blank_lines_do_not_count(source: LocalFiles) -> None:
    path = source.folder / "superglue_axb" / "AX-b.jsonl"
    before = source.documents("axb")
    write(path, "\ufeff\n" + path.read_text(encoding="utf-8").replace("\n", "\r\n\n").rstrip())
    assert source.documents("axb") == before


def test_a_line_separator_inside_a_text_ends_no_line(source: LocalFiles) -> None:
    path = source.folder / "superglue_axb" / "AX-b.jsonl"
    record = {"idx": "9", "label": "entailment", "sentence1": "a\u2028b", "sentence2": "c"}
    lines(path, [record])
    assert source.documents("axb")[""]["test"][0]["sentence1"] == "a\u2028b"


#: Subsets and asked documents: Table 6, less what the folder lacks of MMLU and TyDiQA.
NUMBERS = {
    "axb": (1, 1104),
    "bbh": (27, 6511),
    "c3": (1, 1825),
    "commonsense_qa": (1, 1221),
    "math": (1, 5000),
    "mbpp": (1, 500),
    "mmlu": (57, 14042),
    "tydiqa_goldp": (5, 1893),
}
SPLITS = ("test", "validation")


@pytest.mark.parametrize("dataset", READERS)
def test_the_real_datasets_are_whole(dataset: str) -> None:
    folder = dataset_file("superglue_axb", "AX-b.jsonl").parents[1]
    found = LocalFiles(folder).documents(dataset)
    asked = [own[split] for own in found.values() for split in SPLITS if split in own]
    assert (len(found), sum(map(len, asked))) == NUMBERS[dataset]
    assert all(len(set(ids_of(own))) == len(own) for own in asked)
