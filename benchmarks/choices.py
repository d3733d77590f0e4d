"""Multiple choice by the log-likelihood of the answer's letter, as lm-eval asks it.

The wording comes from lm-eval's own task files, the items from local files; both sides get the
same list of lm-eval requests, and only the call that answers them is timed.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import yaml

from benchmarks.bench import ROOT, Bench, Compared, Side, largest
from editsuite.cards import LoadedModel
from editsuite.engine import DecoderStack, ResumeCache
from editsuite.errors import OptionError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

#: Batch sizes of which the rival gets its fastest.
BATCH_SIZES = (1, 2, 4, 8, 16)
#: Environment variable that names the folder of the datasets.
DATA = "EDITSUITE_DATA"
BETWEEN, BEFORE_ANSWER = "\n\n", " "

Answers = Sequence[tuple[float, bool]]


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        context: the few-shot block and the question, up to its answer.
        letters: the options' letters.
        answer: index of the right one.
    """

    context: str
    letters: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class Wording:
    """How an lm-eval task writes a question.

    Attributes:
        text: template of the question.
        letters: what is scored behind it.
        description: what stands before everything.
    """

    text: str
    letters: tuple[str, ...]
    description: str = ""

    def question(self, document: Mapping[str, Any]) -> str:
        """A question up to its answer."""
        return str(jinja2.Template(self.text).render(**document))

    def items(
        self, shots: Sequence[Mapping[str, Any]], asked: Sequence[Mapping[str, Any]]
    ) -> list[Item]:
        """Questions behind one fixed block of answered ones; ``answer`` is an index."""
        block = "".join(
            f"{self.question(d)}{BEFORE_ANSWER}{self.letters[d['answer']]}{BETWEEN}" for d in shots
        )
        before = self.description + block
        return [Item(before + self.question(d), self.letters, d["answer"]) for d in asked]


def wording(*files: str) -> Wording:
    """Read the wording from lm-eval's task files, later ones adding to earlier ones.

    Args:
        files: paths below ``lm_eval/tasks``.

    Raises:
        OptionError: lm-eval is not installed, or its task is written in another way.
    """
    spec = find_spec("lm_eval")
    if spec is None or spec.origin is None:
        raise OptionError("lm-eval is not installed: pip install 'editsuite[capabilities]'")
    fields: dict[str, Any] = {}
    for file in files:
        path = Path(spec.origin).parent / "tasks" / file
        if not path.is_file():
            raise OptionError(f"lm-eval has no task file {file} here; this script knows 0.4.13")
        fields |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return Wording(
        text=fields["doc_to_text"],
        letters=tuple(fields["doc_to_choice"]),
        description=fields.get("description", ""),
    )


def data_folder(name: str) -> Path | None:
    """Folder of a dataset: below ``EDITSUITE_DATA``, or beside the project; None if absent."""
    folder = Path(os.environ.get(DATA) or ROOT.parent / "shared" / "data") / name
    return folder if folder.is_dir() else None


def requests_of(items: Sequence[Item], task: str) -> list[Instance]:
    """One lm-eval request for each letter of each item."""
    from lm_eval.api.instance import Instance

    return [
        Instance(
            request_type="loglikelihood",
            doc={},
            arguments=(item.context, BEFORE_ANSWER + letter),
            idx=number,
            metadata=(task, document, 1),
        )
        for document, item in enumerate(items)
        for number, letter in enumerate(item.letters)
    ]


def chosen(items: Sequence[Item], answers: Answers) -> list[int]:
    """Index of the likeliest letter of each item; the first of equals, as lm-eval takes it."""
    found, at = [], 0
    for item in items:
        of_item = [log_likelihood for log_likelihood, _ in answers[at : at + len(item.letters)]]
        found.append(of_item.index(max(of_item)))
        at += len(item.letters)
    return found


def accuracy(items: Sequence[Item], answers: Answers) -> float:
    """Share of the items answered rightly."""
    picked = chosen(items, answers)
    return sum(p == item.answer for p, item in zip(picked, items, strict=True)) / len(items)


def same_choices(items: Sequence[Item], ours: Answers, rival: Answers) -> Compared:
    """Same if every item gets the same answer; the difference is the largest log-likelihood's."""
    apart = largest(abs(a[0] - b[0]) for a, b in zip(ours, rival, strict=True))
    same = chosen(items, ours) == chosen(items, rival)
    return Compared(same and not math.isnan(apart), apart)


def ask(lm: LM, requests: list[Instance]) -> Answers:
    """The call that is timed."""
    answers: Answers = lm.loglikelihood(requests, disable_tqdm=True)
    return answers


def engine_lm(stack: DecoderStack) -> LM:
    """Our side: the engine as a model of lm-eval."""
    from editsuite.engine.harness import EngineLM

    return EngineLM(stack)


def rival_lm(loaded: LoadedModel, batch_size: int) -> LM:
    """The other side: lm-eval's own model class on the same weights."""
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns that a model was passed in
    return HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch_size)


def fresh_engine(
    loaded: LoadedModel,
    requests: list[Instance],
    call: Callable[[LM, list[Instance]], Any] = ask,
) -> Side:
    """Our side with a stack of its own for each repeat, so that nothing is left of the last."""
    return Side(lambda _: partial(call, engine_lm(DecoderStack(loaded)), requests))


def rival(
    lm: LM, requests: list[Instance], call: Callable[[LM, list[Instance]], Any] = ask
) -> Side:
    """The other side."""
    return Side(lambda _: partial(call, lm, requests))


def best_batch_size(
    bench: Bench, name: str, loaded: LoadedModel, items: Sequence[Item], least: int
) -> dict[str, Any]:
    """The rival's fastest batch size, tried on whole batches of at least so many items.

    Returns:
        ``batch_size`` and ``batch_seconds``, the seconds an item by batch size.
    """
    settings = {"model": loaded.digest, "first": items[0].context, "items": len(items)}

    def try_all() -> dict[str, Any]:
        seconds: dict[str, float] = {}
        for size in BATCH_SIZES:
            number = size * math.ceil(least / size)
            if number > len(items):
                continue
            lm, requests = rival_lm(loaded, size), requests_of(items[:number], name)
            taken, _ = bench.timed(rival(lm, requests), 0)
            seconds[str(size)] = taken / number
        fastest = min(seconds, key=lambda size: seconds[size])
        return {"batch_size": int(fastest), "batch_seconds": seconds}

    found = bench.once(f"{name}-batch-size", {**settings, "least": least}, try_all)
    bench.console.print(
        f"[dim]{name}: HFLM's seconds an item by batch size: "
        + ", ".join(f"{size}: {s:.2f}" for size, s in found["batch_seconds"].items())
        + "[/dim]"
    )
    return dict(found)


@contextmanager
def resuming(stack: DecoderStack, layer: int) -> Iterator[None]:
    """Within, the stack keeps what the layers below ``layer`` compute, for all states."""
    loaded = stack.loaded
    identity = (loaded.digest, str(loaded.dtype), loaded.device.type)
    scope: AbstractContextManager[None] = (
        stack.resumed(ResumeCache(layer, identity)) if layer else nullcontext()
    )
    with scope:
        yield
