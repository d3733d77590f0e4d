"""The floors of the house: each module knows only those below it, and none is too long."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "editsuite"

#: From the ground up; parts of one floor may know each other only where ``SAME`` says so.
FLOORS = (
    ("code", "errors", "files", "late", "sealed"),
    ("facts", "cards", "sandbox"),
    ("engine",),
    ("editors",),
    ("chains", "training"),
    ("measures",),
    ("verdicts",),
    ("report",),
    ("runs", "doctor", "sweep"),
    ("presets",),
    ("planning",),
    ("reproduction",),
    ("plugin",),
    ("commands",),
    ("cli",),
)
#: Below all: ``sealed`` writes by way of ``files`` and raises from ``errors``.
SAME = {("sealed", "errors"), ("sealed", "files")}
#: Handed a model in a state, a measure asks nobody how it came to be so.
FORBIDDEN = {("measures", "editors"), ("measures", "chains")}
#: What verdicts may know: observations, so that a paper's table will do as well as a live run.
VERDICTS_KNOW = {"editsuite.errors", "editsuite.files", "editsuite.verdicts"}
OBSERVATIONS = "editsuite.measures.observation"
LONGEST = 220
MODULE_NAME = re.compile(r"editsuite(\.\w+)+")

MODULES = sorted(ROOT.rglob("*.py"))


def floor_of(part: str) -> int:
    for height, parts in enumerate(FLOORS):
        if part in parts:
            return height
    raise AssertionError(f"editsuite.{part} stands on no floor: give it one in FLOORS")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Full dotted names of all that a module imports."""
    name = name_of(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return imports_in(path.read_text(encoding="utf-8"), package.split("."))


def imports_in(text: str, package: list[str]) -> set[str]:
    """Full dotted names of all that is imported, wherever it stands in the text."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "late"):
            constants = [c for c in ast.walk(node) if isinstance(c, ast.Constant)]
            found |= {str(c.value) for c in constants if MODULE_NAME.fullmatch(str(c.value))}
    return {name for name in found if name.split(".")[0] == "editsuite"}


def part_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__") else None


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "id", getattr(node.func, "attr", "")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_knows_only_the_floors_below(path: Path) -> None:
    own = part_of(name_of(path))
    if own is None:
        assert not imports_of(path), "importing editsuite must import nothing of it"
        return
    for imported in imports_of(path):
        part = part_of(imported)
        if part is None or part == own or (own, part) in SAME:
            continue
        assert floor_of(part) < floor_of(own), f"{name_of(path)} imports {imported}, not below it"
        assert (own, part) not in FORBIDDEN, f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", sorted((ROOT / "verdicts").rglob("*.py")), ids=name_of)
def test_verdicts_see_observations_only(path: Path) -> None:
    for imported in imports_of(path):
        known = {".".join(imported.split(".")[:2])} <= VERDICTS_KNOW
        of_measures = imported.startswith(OBSERVATIONS) or imported == (
            "editsuite.measures.Observation"
        )
        assert known or of_measures, f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{name_of(path)} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_does_not_print(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{name_of(path)}:{node.lineno}"


def test_the_search_sees_what_it_should() -> None:
    """Imports within functions, for typing alone, relative and late are all found."""
    text = """
from typing import TYPE_CHECKING
from importlib import import_module
if TYPE_CHECKING:
    from editsuite.chains import Chain
def f():
    import editsuite.editors.rome
    import_module("editsuite.cli")
from .protocol import Look
from ..facts import records
"""
    assert imports_in(text, ["editsuite", "measures"]) == {
        "editsuite.chains.Chain",
        "editsuite.editors.rome",
        "editsuite.cli",
        "editsuite.measures.protocol.Look",
        "editsuite.facts.records",
    }
