"""The pages say what is so: links, options, commands, measures and numbers are held to the code."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from editsuite.cards import known_cards, resolve_card, tiny_model
from editsuite.cards.families import FAMILIES
from editsuite.chains import EditedWeight
from editsuite.cli import app
from editsuite.editors.easyedit.recipes import RECIPES
from editsuite.editors.names import METHOD_HELP
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest
from editsuite.measures import (
    Answers,
    Judged,
    Look,
    Observation,
    Perplexity,
    View,
    measures,
)
from editsuite.measures.capabilities.battery import Battery
from editsuite.measures.capabilities.capability import Capability
from editsuite.measures.questions import Questions
from editsuite.measures.texts import Texts
from editsuite.plugin.known_options import OPTIONS
from editsuite.runs import TIERS
from editsuite.verdicts.findings import Claim, judge

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

LINK = re.compile(r"\]\(([^)\s]+)\)")
OPTION = re.compile(r"--edit-[a-z]+(?:-[a-z]+)*")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
MACHINE = re.compile(r"(?<![\w.~])/(?:work|tmp|root|home)\b|\.library\b")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(params=PAGES, ids=name_of)
def page(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(text) if language in languages]


def commands(text: str) -> Iterator[list[str]]:
    """The words of every shell command on a page, without settings of variables before it."""
    lines = [line for body in blocks(text, "sh") for line in body.splitlines()]
    for command in (*lines, *INLINE.findall(FENCE.sub("", text))):
        words = command.split()
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words:
            yield words


def rows(text: str) -> dict[str, list[str]]:
    """Rows of all tables whose first cell is code, by that code."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.lstrip().startswith("|") and re.fullmatch(r"`[^`]+`", cells[0]):
            found[cells[0].strip("`")] = cells[1:]
    return found


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", read(page))):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), f"{name_of(page)}: {target}"
        assert goal.is_relative_to(ROOT), f"{name_of(page)}: {target} leads out of the project"
        if anchor:
            assert anchor in anchors(read(goal)), f"{name_of(page)}: no heading for {target}"


def test_no_page_names_a_path_of_a_machine(page: Path) -> None:
    assert MACHINE.findall(read(page)) == []


def test_no_line_is_left_to_be_written(page: Path) -> None:
    assert re.findall(r"\b(?:TODO|FIXME|TBD|XXX)\b", read(page)) == []


@pytest.fixture
def options(pytestconfig: pytest.Config) -> set[str]:
    """The options that the plugin really registered with this very pytest."""
    names = (name for name in vars(pytestconfig.option) if name.startswith("edit_"))
    return {"--" + name.replace("_", "-") for name in names}


def test_every_option_that_is_named_exists(page: Path, options: set[str]) -> None:
    assert set(OPTION.findall(read(page))) <= options


def test_every_option_is_on_the_page_of_options_with_key_and_default(options: set[str]) -> None:
    table = rows(read(DOCS / "options.md"))
    assert {name for name in table if name.startswith("--")} == options
    for option in OPTIONS:
        metavar, key, default = table[f"--edit-{option.name}"]
        assert metavar == option.metavar
        assert key == f"`edit_{option.name.replace('-', '_')}`"
        assert not option.default or default == f"`{option.default}`"


def test_the_readme_gives_the_options_their_defaults() -> None:
    table = rows(read(ROOT / "README.md"))
    named = [option for option in OPTIONS if f"--edit-{option.name}" in table and option.default]
    assert named
    for option in named:
        assert table[f"--edit-{option.name}"][0] == f"`{option.default}`"


def test_every_tier_is_told_with_its_counts() -> None:
    table = rows(read(DOCS / "options.md"))
    for tier, counts in TIERS.items():
        assert table[tier] == [f"{', '.join(map(str, counts))} edits"]


def test_every_editsuite_command_exists_with_its_options(page: Path) -> None:
    root = typer.main.get_command(app)
    for words in commands(read(page)):
        if words[0] == "editsuite" and len(words) > 1:
            check_command(root, words)


def check_command(root: Any, words: list[str]) -> None:
    command, path, rest = root, words[:1], words[1:]
    while rest and hasattr(command, "commands"):
        # `cache ls|verify|prune` names three at once.
        known = command.commands
        assert set(rest[0].split("|")) <= set(known), " ".join(words)
        command, path, rest = known[rest[0].split("|")[0]], [*path, rest[0]], rest[1:]
    known_options = {name for parameter in command.params for name in parameter.opts}
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in known_options, f"{' '.join(path)} {word}"


def test_every_option_in_running_text_exists(page: Path, options: set[str]) -> None:
    """An option that is named without its command belongs to some command, or to pytest."""
    known = {*options, "--snapshot-update", "--markers", "--ignore", "--lf"}
    known |= options_below(typer.main.get_command(app))
    named = {words[0].partition("=")[0] for words in commands(read(page)) if words[0][:2] == "--"}
    assert named <= known


def options_below(command: Any) -> set[str]:
    own = {n for p in command.params for n in (*p.opts, *p.secondary_opts)}
    return own.union(*map(options_below, getattr(command, "commands", {}).values()))


def test_every_make_target_exists(page: Path) -> None:
    rules = re.findall(r"^([a-z ]+):", read(ROOT / "Makefile"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    for words in commands(read(page)):
        if words[0] == "make":
            named = {word for word in words[1:] if re.fullmatch(r"[a-z]+", word)}
            assert named <= targets, " ".join(words)


def test_every_marker_that_is_selected_exists(page: Path) -> None:
    known = {*METHOD_HELP, *RECIPES, *TIERS, "easyedit", "capability"}
    known |= {"and", "or", "not", "real_model"}
    commands_of = "\n".join((*blocks(read(page), "sh"), *INLINE.findall(read(page))))
    for expression in re.findall(r"\s-m (\"[^\"]+\"|\w+)", f" {commands_of}"):
        if expression != "editsuite":
            assert set(re.findall(r"\w+", expression)) <= known | {"benchmarks"}, expression


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> dict[str, Observation]:
    """All observations of a tiny model after one edit of nothing."""
    short = ("The rain had stopped.", "Nobody came to the door.")
    monkeypatch.setattr("editsuite.measures.perplexity.prose", lambda: short)
    monkeypatch.setattr("editsuite.measures.saliency.shots.ITEMS", 4)
    few = Answers(Questions(("a", "b"), ("Why is it dark?", "Who is there?")))
    monkeypatch.setattr("editsuite.measures.known.Answers", lambda: few)
    stack = DecoderStack(tiny_model("llama"))
    name = stack.loaded.down_proj_name(1)
    weight = stack.loaded.model.get_parameter(name).detach()
    fact = EditRequest(
        prompt="The capital of Ostrava Minor is",
        subject="Ostrava Minor",
        target_new="Velt",
        rephrase="Which town governs Ostrava Minor?",
        locality_prompt="The capital of France is",
        locality_answer="Paris",
    )
    weights = {name: EditedWeight(weight, weight)}
    found: list[Observation] = []
    for measure in (*measures().values(), Perplexity(Texts("text", short, 8))):
        seen: dict[Look, object] = {}
        for look in measure.looks(1):
            if look.judged:
                seen[look] = cast("Judged", measure).judge(stack, seen[look.written])
                continue
            seen[look] = measure.look(View(stack, (fact,) if look.last else (), weights))
        found += measure.observe(1, seen)
    # The page names no single layer.
    found = [replace(o, name=re.sub(r"\.L\d\d$", ".LNN", o.name)) for o in found]
    return {observation.name: observation for observation in (*found, *_of_capabilities())}


def _of_capabilities() -> tuple[Observation, ...]:
    """What is said of any capability, as made of four items."""
    weights = [1.0] * 4
    said = {"weights": weights, "replies": ["A", "B", "", "?"]}
    before = {**said, "scores": [1.0, 1.0, 0.0, 1.0], "gold": [-1.0, -2.0, -1.0, -2.0]}
    after = {**said, "scores": [1.0, 0.0, 1.0, 1.0], "gold": [-1.0, -2.5, -1.0, -2.0]}
    capability = Capability(Battery("NAME", "probe", (), "", answers=("A", "B")))
    found = capability.observe(1, {Look(0): before, Look(1): after})
    return (*found, *judge([Claim("NAME", 1.0, "retained")], found))


def test_the_page_of_measures_names_every_observation_and_no_other(
    observed: dict[str, Observation],
) -> None:
    table = rows(read(DOCS / "measures.md"))
    assert set(table) == set(observed)
    for name, observation in observed.items():
        assert table[name][:2] == [observation.unit, observation.interval], name


def test_the_table_of_cards_is_that_of_the_cards() -> None:
    table = rows(section(read(DOCS / "models.md"), "Cards"))
    assert set(table) == set(known_cards())
    for name in known_cards():
        card = resolve_card(name)
        rome = ", ".join(map(str, card.layers["rome"]))
        assert table[name][:3] == [f"`{card.architecture}`", str(card.n_layers), rome], name
        assert ("gated" in table[name][3]) == card.gated, name


def test_the_table_of_architectures_is_that_of_the_families() -> None:
    table = rows(section(read(DOCS / "models.md"), "Architectures"))
    assert set(table) == set(FAMILIES)
    for family in FAMILIES.values():
        module, _, note = table[family.architecture][0].partition(",")
        assert module == f"`{family.down_proj}`"
        assert ("transposed" in note) == family.transposed


def test_the_example_of_the_facts_prints_what_the_page_says() -> None:
    text = read(DOCS / "facts.md")
    (program,), (printed,) = blocks(text, "python"), blocks(text, "text")
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        exec(compile(program, "docs/facts.md", "exec"), {})
    assert written.getvalue() == printed


def test_the_checks_catch_what_they_should() -> None:
    """Each search finds its thing in a text that has one of each."""
    text = (
        "see [there](x.md#a-b) and `editsuite cache ls`\n"
        "```sh\nA=1 make rome --edit-new-thing=3\n```\n| `a.b` | share |\n## A, b!\n"
    )
    assert LINK.findall(text) == ["x.md#a-b"]
    assert OPTION.findall(text) == ["--edit-new-thing"]
    assert list(commands(text)) == [
        ["make", "rome", "--edit-new-thing=3"],
        ["editsuite", "cache", "ls"],
        ["a.b"],
    ]
    assert rows(text) == {"a.b": ["share"]}
    assert anchors(text) == {"a-b"}
    assert section(text + "under\n## C\n", "A, b!") == "under"
    assert MACHINE.findall("in /tmp/x, not in ~/tmp or work/tmp") == ["/tmp"]
    root = typer.main.get_command(app)
    for words in (["editsuite", "cure"], ["editsuite", "doctor", "--cure"]):
        with pytest.raises(AssertionError):
            check_command(root, words)
