"""A step is what plain autograd says, and a training ends at the same bits however it is cut."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from checks_ import tiny_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from mend_ import (
    LAYERS,
    Plain,
    distance,
    doubles,
    facts,
    network,
    plain_update,
    stack_of,
    statistics_of,
    write,
)
from torch import Tensor
from typer.testing import CliRunner

from editsuite.cli import app
from editsuite.editors.hypernetwork import Hypernetwork
from editsuite.editors.hypernetwork_file import HypernetworkFile, read_hypernetwork
from editsuite.engine import DecoderStack
from editsuite.errors import EditError, FactError, OptionError
from editsuite.facts import EditRequest, FactSet
from editsuite.training import (
    Evaluation,
    Lessons,
    Passages,
    PlainText,
    Recipe,
    Trained,
    Trainer,
    choose_lessons,
    notes_of,
    passages_of,
)
from editsuite.training.lessons import Lesson, apart_from, lesson_of, order_of, spread
from editsuite.training.states import KeptStates
from editsuite.training.step import Outcome, outcome

pytestmark = pytest.mark.usefixtures("one_thread")

BOTH = pytest.mark.parametrize("architecture", ["gpt2", "llama"])
QUICK = Recipe(
    LAYERS, rank=4, batch=2, steps=6, lr=1e-3, lr_rates=1e-4, every=2, held_out=3, facts=7
)


def lessons_of(stack: DecoderStack, n: int) -> list[Lesson]:
    passages = Passages(((5, 9, 11, 6, 5), (7, 8, 5)), {})
    return [lesson_of(fact, stack.loaded.tokenizer, 4, passages) for fact in facts(n)]


def ask(stack: DecoderStack, net: Hypernetwork, lessons: list[Lesson], *, learn: bool) -> Outcome:
    kept = KeptStates(stack, min(LAYERS))
    states = [kept.of(lesson) for lesson in lessons]
    return outcome(stack, net, lessons, states, min(LAYERS), learn=learn)


# --- one step -----------------------------------------------------------------------------------


@BOTH
def test_loss_and_gradient_of_a_step_are_those_of_plain_autograd(architecture: str) -> None:
    """Mitchell et al. 2022, section 3.2, written out: every fact's dense update by itself."""
    stack = stack_of(architecture)
    recipe = replace(QUICK, c_edit=0.3, c_loc=0.7, c_rephrase=0.2)
    lessons, plain = lessons_of(stack, 3), Plain.of(stack)
    net = Hypernetwork(network(stack).shapes, rank=5)
    net.load_state_dict(network(stack).state_dict())
    for name, buffer in net.named_buffers():
        buffer.zero_()  # so that the statistics are those of this batch alone
        assert name.endswith(("mean", "squares", "count"))
    ours = ask(stack, net, lessons, learn=True).losses(recipe).mean()
    ours.backward()  # type: ignore[no-untyped-call]

    gradients = [plain.gradients(one.prompt.ids, one.prompt.target_ids) for one in lessons]
    seen: dict[str, list[Tensor]] = {}
    for shape in net.shapes:
        for found in gradients:
            entering, leaving, _ = found[shape.name]
            there = entering.any(dim=1) & leaving.any(dim=1)
            seen.setdefault(f"{shape.key}.input", []).append(entering[there])
            seen.setdefault(f"{shape.key}.output", []).append(leaving[there])
    parameters, statistics = doubles(net), statistics_of(seen)
    losses = []
    for one, found in zip(lessons, gradients, strict=True):
        change = plain_update(net, parameters, statistics, found)
        edit = [plain.loss(t.ids, t.target_ids, change) for t in (one.prompt, one.rephrase)]
        kept = []
        for text in one.unrelated:
            was, now = plain.log_probs(text.ids), plain.log_probs(text.ids, change)
            kept.append((was.exp() * (was - now)).sum(dim=1)[list(text.held)])
        losses.append(0.3 * (0.8 * edit[0] + 0.2 * edit[1]) + 0.7 * torch.cat(kept).mean())
    wanted = torch.stack(losses).mean()
    wanted.backward()  # type: ignore[no-untyped-call]

    assert float(ours.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        gradient = parameters[name].grad
        assert gradient is not None
        assert gradient.any(), name
        assert distance(parameter.grad, gradient) < 1e-5, name


@BOTH
def test_a_packed_step_is_its_facts_one_by_one(architecture: str) -> None:
    stack = stack_of(architecture)
    net, lessons = network(stack), lessons_of(stack, 4)
    together = ask(stack, net, lessons, learn=False)
    alone = [ask(stack, net, [lesson], learn=False) for lesson in lessons]
    for name in ("prompt", "rephrase", "locality", "prompt_accuracy", "rephrase_accuracy"):
        one_by_one = torch.cat([getattr(found, name) for found in alone])
        torch.testing.assert_close(getattr(together, name), one_by_one, rtol=1e-4, atol=1e-5)


def test_an_update_of_nothing_leaves_everything_as_it_was() -> None:
    stack = stack_of("llama")
    net, lessons, plain = network(stack), lessons_of(stack, 2), Plain.of(stack)
    net.rates.data.zero_()
    found = ask(stack, net, lessons, learn=False)
    assert found.locality.abs().max() < 1e-5
    for got, lesson in zip(found.prompt, lessons, strict=True):
        wanted = plain.loss(lesson.prompt.ids, lesson.prompt.target_ids)
        assert float(got) == pytest.approx(float(wanted), rel=1e-5)


def test_asking_changes_no_statistics_and_learning_does() -> None:
    stack = stack_of("llama")
    net, lessons = network(stack), lessons_of(stack, 2)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    ask(stack, net, lessons, learn=False)
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    ask(stack, net, lessons, learn=True)
    moved = {name for name, t in net.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {name for name, _ in net.named_buffers()}


# --- a whole training ---------------------------------------------------------------------------


def trainer_of(folder: Path, recipe: Recipe = QUICK) -> Trainer:
    stack = stack_of("llama")
    return Trainer(stack, chosen(stack, recipe), recipe, folder)


def chosen(stack: DecoderStack, recipe: Recipe) -> Lessons:
    return choose_lessons(
        [fact_set(facts(12))],
        [fact_set(facts(2))],
        stack.loaded.tokenizer,
        held_out=recipe.held_out,
        seed=recipe.seed,
        longest=recipe.longest,
        positions=recipe.positions,
        at_most=recipe.facts,
    )


def fact_set(requests: tuple[EditRequest, ...]) -> FactSet:
    return FactSet.of("stones", requests, source="stones.json")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    torch.set_num_threads(1)
    return trainer_of(tmp_path_factory.mktemp("undisturbed")).train()


def assert_same(got: Trained, wanted: Trained) -> None:
    assert got.curve == wanted.curve
    state = wanted.net.state_dict()
    for name, tensor in got.net.state_dict().items():
        assert torch.equal(tensor, state[name]), name


class CutError(Exception):
    """The power fails."""


def cut_at(number: int) -> Callable[[int, float], None]:
    def step(made: int, loss: float) -> None:
        if made == number:
            raise CutError

    return step


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_an_interrupted_training_ends_at_the_same_bits(
    cut: int, undisturbed: Trained, tmp_path: Path
) -> None:
    with pytest.raises(CutError):
        trainer_of(tmp_path).train(step=cut_at(cut))
    seen: list[int] = []
    got = trainer_of(tmp_path).train(evaluated=lambda evaluation: seen.append(evaluation.step))
    assert_same(got, undisturbed)
    # The step at which it was cut came before the evaluation of that step.
    assert seen == [s for s in (2, 4, 6) if s > 2 * ((cut - 1) // 2)]


def test_a_training_that_learned_moved_and_is_evaluated(undisturbed: Trained) -> None:
    assert [evaluation.step for evaluation in undisturbed.curve] == [2, 4, 6]
    begun = Hypernetwork(undisturbed.net.shapes, rank=4, rate=QUICK.rate).state_dict()
    for name, parameter in undisturbed.net.named_parameters():
        assert not torch.equal(parameter, begun[name]), name
    assert undisturbed.best.loss == min(evaluation.loss for evaluation in undisturbed.curve)


def test_steps_lower_the_loss_on_facts_that_are_not_trained_on(tmp_path: Path) -> None:
    recipe = replace(QUICK, steps=30, every=10, lr=3e-3, lr_rates=1e-2)
    curve = trainer_of(tmp_path, recipe).train().curve
    assert curve[-1].loss < curve[0].loss


def test_more_steps_go_on_from_the_checkpoint(undisturbed: Trained, tmp_path: Path) -> None:
    trainer_of(tmp_path, replace(QUICK, steps=2)).train()
    made: list[int] = []
    got = trainer_of(tmp_path).train(step=lambda number, loss: made.append(number))
    assert made == [3, 4, 5, 6]
    assert_same(got, undisturbed)
    assert_same(trainer_of(tmp_path).train(step=cut_at(7)), undisturbed)


def test_a_damaged_checkpoint_is_told_and_begun_anew(undisturbed: Trained, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, replace(QUICK, steps=4))
    trainer.train()
    (file,) = trainer.folder.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    made: list[int] = []
    with pytest.warns(UserWarning, match="is damaged.*begins anew"):
        got = trainer_of(tmp_path).train(step=lambda number, loss: made.append(number))
    assert made[0] == 1
    assert_same(got, undisturbed)


@pytest.mark.parametrize(
    "change", [{"lr": 2e-3}, {"seed": 1}, {"rank": 5}, {"batch": 3}, {"layers": (3,)}], ids=str
)
def test_another_recipe_is_another_training(change: dict[str, Any], tmp_path: Path) -> None:
    own = trainer_of(tmp_path).folder
    assert trainer_of(tmp_path, replace(QUICK, **change)).folder != own
    assert trainer_of(tmp_path, replace(QUICK, steps=8, patience=1)).folder == own


def test_patience_ends_a_training_and_the_best_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = {2: 5.0, 4: 3.0, 6: 4.0, 8: 3.0, 10: 1.0}
    at_four: dict[str, Tensor] = {}

    def evaluate(self: Trainer, made: int, trained: list[float]) -> Evaluation:
        if made == 4:
            at_four.update({name: t.clone() for name, t in self.net.state_dict().items()})
        return Evaluation(made, 0.0, losses[made], 0.0, 0.0, 0.0)

    monkeypatch.setattr(Trainer, "_evaluate", evaluate)
    recipe = replace(QUICK, steps=10, patience=2)
    for _ in range(2):  # the second finds the first one's checkpoint, and has nothing to do
        trained = trainer_of(tmp_path, recipe).train()
        assert [evaluation.step for evaluation in trained.curve] == [2, 4, 6, 8]
        assert trained.best.step == 4
        for name, tensor in trained.net.state_dict().items():
            assert torch.equal(tensor, at_four[name]), name


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, replace(QUICK, rate=1e30))
    with pytest.raises(EditError, match=r"step 1.*lower the learning rates.*--rate"):
        trainer.train()


def test_a_training_may_start_from_a_network(undisturbed: Trained, tmp_path: Path) -> None:
    stack = stack_of("llama")
    start = read_hypernetwork(write(tmp_path / "net", stack, undisturbed.net))
    lessons = chosen(stack, QUICK)

    def trainer(recipe: Recipe = QUICK, start: HypernetworkFile = start) -> Trainer:
        return Trainer(stack, lessons, recipe, tmp_path, start)

    state = undisturbed.net.state_dict()
    begun = trainer(replace(QUICK, c_loc=5.0))
    assert begun.folder != trainer_of(tmp_path, replace(QUICK, c_loc=5.0)).folder
    for name, tensor in begun.net.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=1e-6, atol=0)
    trained = begun.train()
    notes: Any = notes_of(trained, lessons, QUICK, start)
    assert notes["start"]["sha256"] == start.digest
    with pytest.raises(OptionError, match="--rank"):
        trainer(replace(QUICK, rank=5))
    with pytest.raises(OptionError, match="--model"):
        trainer(start=replace(start, model="another"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": ()}, "no layer"),
        ({"steps": 7}, "multiple"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"batch": 0}, "batch is 0; the least is 1"),
        ({"rate": -1.0}, "rate is -1.0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        replace(QUICK, **change)


# --- lessons ------------------------------------------------------------------------------------

NAMES = ["Ada", "ADA", "Bo", "Cy", "Di", "Ed", "Flo"]
WORDS = ["speaks", "lives in", "Speaks", "was born in"]


@st.composite
def requests(draw: st.DrawFn) -> EditRequest:
    """Facts from so few words that they share subjects, prompts and rephrases."""
    name, word = draw(st.sampled_from(NAMES)), draw(st.sampled_from(WORDS))
    other = draw(st.sampled_from(NAMES)) if draw(st.booleans()) else None
    return EditRequest(
        f"{name} {word}",
        name,
        draw(st.sampled_from(["Thai", "Rome"])),
        rephrase=None if other is None else f"{other} {draw(st.sampled_from(WORDS))}",
        locality_prompt="The sea is" if draw(st.booleans()) else None,
    )


@settings(max_examples=100)
@given(
    st.lists(requests(), max_size=14, unique_by=lambda fact: fact.prompt),
    st.lists(requests(), max_size=2, unique_by=lambda fact: fact.prompt),
    st.integers(0, 5),
)
def test_no_lesson_is_about_a_checked_fact_nor_held_out_facts_about_others(
    offered: list[EditRequest], checked: list[EditRequest], seed: int
) -> None:
    tokenizer = stack_of("llama").loaded.tokenizer
    try:
        lessons = choose_lessons(
            [fact_set(tuple(offered))],
            [fact_set(tuple(checked))],
            tokenizer,
            held_out=2,
            seed=seed,
            longest=64,
            positions=4,
        )
    except FactError:  # too few are left
        return
    by_digest = {fact.digest: fact for fact in offered}
    train = [by_digest[lesson.fact] for lesson in lessons.train]
    held_out = [by_digest[lesson.fact] for lesson in lessons.held_out]
    for some, others in ((train, checked), (held_out, checked), (train, held_out)):
        assert not subjects(some) & subjects(others)
        assert not texts(some) & texts(others)
    assert all(fact.locality_prompt for fact in (*train, *held_out))
    assert lessons.description["train"] == len(train)


def subjects(some: list[EditRequest]) -> set[str]:
    return {fact.subject.lower() for fact in some}


def texts(some: list[EditRequest]) -> set[str]:
    return {t.lower() for fact in some for t in (fact.prompt, fact.rephrase) if t}


def test_lessons_do_not_depend_on_the_order_of_the_facts() -> None:
    stack, offered = stack_of("llama"), facts(12)

    def lessons(order: tuple[EditRequest, ...]) -> Lessons:
        return choose_lessons(
            [fact_set(order)],
            [],
            stack.loaded.tokenizer,
            held_out=3,
            seed=0,
            longest=64,
            positions=4,
        )

    first, again = lessons(offered), lessons(offered[::-1])
    assert (first.train, first.held_out) == (again.train, again.held_out)
    assert order_of(first.train, 0, 1) == order_of(first.train[::-1], 0, 1)
    assert order_of(first.train, 0, 1) != order_of(first.train, 0, 2)


def test_a_fact_is_not_apart_from_itself() -> None:
    assert apart_from(facts(3), facts(2)) == facts(3)[2:]


@given(st.integers(1, 30), st.integers(1, 12))
def test_positions_are_spread_to_the_last(length: int, number: int) -> None:
    found = spread(length, number)
    assert len(set(found)) == min(length, number)
    assert min(found) >= 0
    assert max(found) == length - 1


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 4))
def test_passages_are_the_lines_cut_in_pieces(lengths: list[int], length: int) -> None:
    tokenizer = stack_of("llama").loaded.tokenizer
    text = PlainText("sea.txt", "\n".join(" ".join("sea" for _ in range(n)) for n in lengths))
    whole = [tuple(tokenizer(line)["input_ids"]) for line in text.text.splitlines() if line]
    wanted = [line[i * length :][:length] for line in whole for i in range(len(line) // length)]
    if not wanted:
        with pytest.raises(FactError, match=rf"sea.txt: no line has {length} tokens"):
            passages_of(text, tokenizer, length)
        return
    passages = passages_of(text, tokenizer, length)
    assert list(passages.ids) == wanted
    assert passages.description["passages"] == len(wanted)
    assert {passages.of(f"{n:064x}") for n in range(99)} <= set(wanted)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.getbasetemp() / "checks-model")


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    names = ("prompt", "subject", "target_new", "rephrase", "locality_prompt", "locality_answer")
    lines = [json.dumps({name: getattr(fact, name) for name in names}) for fact in facts(9)]
    path = tmp_path / "facts.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def call(model: Path, facts_file: Path, out: Path, *more: str) -> tuple[int, str]:
    words = ["train-mend", "--model", str(model), "--facts", str(facts_file), "--out", str(out)]
    words += ["--layers=2,3", "--steps=4", "--every=2", "--batch=2", "--held-out=3", "--rank=4"]
    words += ["--device=cpu", f"--edit-cache={facts_file.parent / 'cache'}", *more]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_the_command_trains_a_network_that_edits(
    model: Path, facts_file: Path, tmp_path: Path
) -> None:
    from editsuite.cards import load_model, resolve_card
    from editsuite.editors import method

    out = tmp_path / "mend.safetensors"
    prose = tmp_path / "prose.txt"
    prose.write_text("the sea is deep and the sky is high " * 40, encoding="utf-8")
    more = ("--half", "--texts", str(prose))
    code, text = call(model, facts_file, out, *more)
    assert code == 0, text
    file = read_hypernetwork(out)
    assert file.digest in text
    assert "step 4" in text
    assert file.layers == (2, 3)
    assert [one["step"] for one in file.notes["curve"]] == [2, 4]
    assert file.notes["recipe"]["rank"] == 4
    assert file.notes["facts"]["train"] == 6
    assert file.notes["facts"]["texts"]["name"] == "prose.txt"
    assert str(tmp_path) not in json.dumps(file.notes)
    stack = DecoderStack(load_model(resolve_card(str(model)), device="cpu"))
    bound = method("mend").bind(
        stack,
        layers=(2, 3),
        seed=0,
        hyperparameters={"hypernetwork": str(out), "sha256": file.digest},
        cache=tmp_path,
    )
    assert bound.edit(facts(1)).record["facts"] == "s0"
    before = out.read_bytes()
    # Given again, it goes on from its end: nothing is left to do.
    assert call(model, facts_file, out, *more)[0] == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--out", "absent/mend.safetensors"], "there is no folder absent"),
        (["--out", "."], "is a folder"),
        (["--facts", "absent.jsonl"], "absent.jsonl"),
        (["--facts", "nonsense"], "nonsense"),
        (["--layers", "2,9"], "layer 9"),
        (["--layers", "x"], "'x'"),
        (["--steps", "3"], "multiple"),
        (["--lr", "nan"], "lr is nan"),
        (["--texts", "absent.txt"], "absent.txt"),
        (["--c-rephrase", "1.5"], "it is a share"),
        (["--model", "nowhere"], "nowhere"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_is_told_before_a_model_is_loaded(
    more: list[str],
    words: str,
    model: Path,
    facts_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("editsuite.cards.load_model", load, raising=False)
    monkeypatch.chdir(tmp_path)
    code, text = call(model, facts_file, tmp_path / "mend.safetensors", *more)
    assert code == 2
    assert words in text
    assert "Traceback" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_told(
    model: Path, facts_file: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    code, text = call(model, facts_file, locked / "mend.safetensors")
    assert code == 2
    assert "cannot be written to" in text


def test_facts_that_do_not_suffice_are_told(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    fact = {"prompt": "Ada speaks", "subject": "Ada", "target_new": "Thai"}
    path.write_text(json.dumps(fact) + "\n", encoding="utf-8")
    code, text = call(model, path, tmp_path / "mend.safetensors")
    assert code == 2
    assert "of 1 training facts" in text
    assert "locality" in text


def test_help_teaches() -> None:
    result = CliRunner().invoke(app, ["train-mend", "--help"], env={"COLUMNS": "160"})
    assert result.exit_code == 0
    for words in ("editsuite train-mend --facts", "locality prompts", "checkpoint", "--half"):
        assert words in " ".join(result.output.split())
