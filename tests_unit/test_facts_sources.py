from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from editsuite.errors import FactError
from editsuite.facts import load_facts

OWN = {"prompt": "The river through Rome is the", "subject": "Rome", "target_new": "Danube"}


def write(path: Path, content: object) -> str:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("spec", ["", "foo", "foo:bar.json2", "builtin:x", "zrse:x"])
def test_an_unknown_specification_lists_the_known_ones(spec: str) -> None:
    with pytest.raises(FactError, match=r"are unknown; give one of: .*builtin.*zsre:PATH"):
        load_facts(spec)


def test_a_dataset_without_its_path_says_how_to_give_it() -> None:
    with pytest.raises(FactError, match="give zsre:PATH"):
        load_facts("zsre:")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FactError, match=r"none\.json: no such file; check the path"):
        load_facts(f"zsre:{tmp_path / 'none.json'}")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FactError, match=r"is no regular file; give the \.json"):
        load_facts(f"counterfact:{tmp_path}")


def test_broken_json_is_placed(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('[\n{"prompt": }]')
    with pytest.raises(FactError, match=r"f\.json: is no JSON .*line 2, column 12"):
        load_facts(str(path))


def test_a_broken_line_is_counted_from_one(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(OWN) + "\n\n{oops}\n")
    with pytest.raises(FactError, match=r"f\.jsonl, line 3: is no JSON"):
        load_facts(str(path))


def test_a_deep_nest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text("[" * 200_000)
    with pytest.raises(FactError, match=r"nested too deeply|is no JSON"):
        load_facts(str(path))


def test_the_top_must_be_a_list(tmp_path: Path) -> None:
    with pytest.raises(FactError, match="holds dict at the top, not a list"):
        load_facts(write(tmp_path / "f.json", {"data": [OWN]}))


def test_another_encoding_is_refused_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(json.dumps([OWN]).encode("utf-16"))
    with pytest.raises(FactError, match="is not UTF-8"):
        load_facts(str(path))
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([OWN]).encode())
    assert len(load_facts(str(path))) == 1


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(FactError, match="more than the 1 GiB"):
        load_facts(str(path))


@pytest.mark.parametrize("records", [[], [1, "two"], [{"question": "x"}]])
def test_records_of_no_known_form_are_refused(tmp_path: Path, records: list[object]) -> None:
    with pytest.raises(FactError, match=r"no record is of a known form .*known forms: .*ZsRE"):
        load_facts(write(tmp_path / "f.json", records))


def test_own_form_is_read_from_lines_and_from_a_list(tmp_path: Path) -> None:
    lines = tmp_path / "mine.jsonl"
    # A line separator inside a string is no end of line.
    other = OWN | {"prompt": "Rome\u2028is in", "id": "named", "relation": "country"}
    records = [OWN, other]
    texts = [json.dumps(record, ensure_ascii=False) for record in records]
    lines.write_text("\r\n".join(texts), encoding="utf-8")
    read = load_facts(str(lines))
    assert read.requests == load_facts(write(tmp_path / "mine.json", records)).requests
    assert [fact.id for fact in read.requests] == ["facts-0", "named"]
    assert read.requests[1].relation == "country"


def test_own_form_refuses_bad_records_unless_told_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "f.json", [OWN, OWN | {"subject": "Paris"}, OWN])
    with pytest.raises(FactError, match=r"f\.json, record 1: field `subject` \('Paris'\) does not"):
        load_facts(path)
    read = load_facts(path, on_bad="report")
    assert len(read) == 1
    assert [bad.record for bad in read.rejected] == [1, 2]
    assert "repeat record 0" in read.rejected[1].reason


def test_an_id_used_twice_is_a_bad_record(tmp_path: Path) -> None:
    other = OWN | {"prompt": "Rome lies in", "id": "same"}
    read = load_facts(write(tmp_path / "f.json", [OWN | {"id": "same"}, other]), on_bad="report")
    assert len(read) == 1
    assert read.rejected[0].reason == "field `id` ('same') repeats that of record 0"


def test_own_form_may_be_given_for_a_dataset(tmp_path: Path) -> None:
    assert load_facts(f"zsre:{write(tmp_path / 'f.txt', [OWN])}").name == "zsre"


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FactError, match="give one of refuse, report"):
        load_facts(write(tmp_path / "f.json", [OWN]), on_bad="ignore")  # type: ignore[arg-type]


def test_a_file_of_bad_records_only_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "f.json", [OWN | {"target_new": ""}] * 3)
    with pytest.raises(FactError, match=r"no usable fact among 3 records; record 0: .*is empty"):
        load_facts(path, on_bad="report")


def test_a_file_of_the_other_dataset_names_it(tmp_path: Path) -> None:
    path = write(tmp_path / "f.json", [OWN | {"case_id": 1, "ground_truth": "Tiber"}])
    with pytest.raises(FactError, match=r"not zsre; give counterfact:.*f\.json"):
        load_facts(f"zsre:{path}")


@pytest.mark.parametrize(
    ("dataset", "library"), [("zsre", "huggingface_hub"), ("counterfact", "datasets")]
)
def test_without_the_client_library_a_path_is_offered(
    monkeypatch: pytest.MonkeyPatch, dataset: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(FactError, match=rf"pip install {library}`, or give a file: {dataset}:PATH"):
        load_facts(dataset)


def hub_module(name: str, function: str, answer: object) -> ModuleType:
    def call(*_: Any, **__: Any) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    module = ModuleType(name)
    setattr(module, function, call)
    return module


def test_the_hubs_zsre_is_read_as_knowedit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path / "any.json", [OWN | {"portability": {}, "rephrase_prompt": "Rome?"}])
    module = hub_module("huggingface_hub", "hf_hub_download", path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    read = load_facts("zsre")
    assert (read.name, read.requests[0].rephrase) == ("zsre", "Rome?")
    assert str(tmp_path) not in read.source


def test_the_hubs_counterfact_is_read_as_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite = {"prompt": "{} is in", "subject": "Rome", "target_new": {"str": "Peru"}}
    module = hub_module("datasets", "load_dataset", [{"requested_rewrite": rewrite}])
    monkeypatch.setitem(sys.modules, "datasets", module)
    assert load_facts("counterfact").requests[0].prompt == "Rome is in"


@pytest.mark.parametrize("error", [ConnectionError("no net"), ValueError("no such entry")])
def test_an_unreachable_hub_offers_a_path(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    module = hub_module("datasets", "load_dataset", error)
    monkeypatch.setitem(sys.modules, "datasets", module)
    with pytest.raises(FactError, match=r"go online without HF_HUB_OFFLINE, or give a file: count"):
        load_facts("counterfact")


def test_the_hubs_offline_switch_ends_in_one_clear_error(tmp_path: Path) -> None:
    code = (
        "from editsuite.errors import FactError\nfrom editsuite.facts import load_facts\n"
        "try:\n    load_facts('zsre')\nexcept FactError as error:\n    print(error)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert "give a file: zsre:PATH" in done.stdout


def test_facts_load_without_torch_or_a_hub_client() -> None:
    code = (
        "import sys, editsuite.facts\n"
        "print([n for n in ('torch', 'transformers', 'datasets') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
