"""Digests of sources: what counts for a result, and what does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from editsuite.code import code_digest, used_modules
from editsuite.measures.known import measures
from editsuite.runs.store import look_code

FILES = {
    "__init__.py": "",
    "a.py": "from made_up.b import x\n\ndef f():\n    import made_up.inner.c\n",
    "b.py": "x = 1\n",
    "alone.py": "import json\ny = 2\n",
    "inner/__init__.py": "",
    "inner/c.py": "from made_up import a\nimport math\n",
    "whole.py": "from made_up import alone, name\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        file = tmp_path / "made_up" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield tmp_path / "made_up"
    _forget()


def _forget() -> None:
    code_digest.cache_clear()
    used_modules.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "made_up"]:
        del sys.modules[name]


def digest(module: str) -> str:
    _forget()
    return code_digest(used_modules(module, "made_up"))


def test_what_is_imported_counts_in_rings_and_within_functions(package: Path) -> None:
    assert used_modules("made_up.a", "made_up") == (
        "made_up.inner/c.py",
        "made_up/a.py",
        "made_up/b.py",
    )
    assert used_modules("made_up.alone", "made_up") == ("made_up/alone.py",)
    assert used_modules("made_up.whole", "made_up") == (
        "made_up/__init__.py",
        "made_up/alone.py",
        "made_up/whole.py",
    )


@pytest.mark.parametrize(
    ("file", "text", "moves"),
    [
        ("b.py", "x = 2\n", True),
        ("inner/c.py", "from made_up import a\nimport cmath\n", True),
        ("b.py", '"""Said."""\n# and more\n\nx  =  1\n', False),
        ("alone.py", "y = 3\n", False),
        ("new.py", "z = 3\n", False),
    ],
)
def test_only_a_change_of_what_is_used_moves_a_digest(
    package: Path, file: str, text: str, moves: bool
) -> None:
    before = digest("made_up.a")
    (package / file).write_text(text)
    assert (digest("made_up.a") != before) is moves


def test_a_module_that_is_not_there_is_named(package: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"made_up\.nowhere"):
        used_modules("made_up.nowhere", "made_up")


def test_each_measure_answers_for_its_own_code() -> None:
    """And for no other's: a new measure must not cost what the others saw."""
    modules = {type(measure).__module__ for measure in measures().values()}
    codes = {look_code(module) for module in modules}
    assert len(codes) == len(modules) > 5
    for module in modules:
        own = used_modules(module, "editsuite.measures")
        package, _, name = module.rpartition(".")
        assert f"{package}/{name}.py" in own
        assert "editsuite.measures/known.py" not in own


def test_a_strangers_measure_counts_on_all_of_them() -> None:
    assert look_code("stranger.measures") not in {
        look_code(type(measure).__module__) for measure in measures().values()
    }
