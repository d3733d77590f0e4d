"""Items of a task, asked of a model in a state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING, Any

from editsuite.errors import MeasureError, OptionError
from editsuite.measures.capabilities.quiet import quiet
from editsuite.measures.capabilities.replies import reply

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask

    from editsuite.engine.harness import EngineLM

#: Where a task file says what the right answer is, where that is not its target.
GOLD = "gold"


@dataclass(frozen=True)
class Answer:
    """What a model said to one item.

    Attributes:
        doc: number of the item among the task's documents.
        scores: of each of the task's metrics, the item's value; the mean where it was asked
            several times.
        gold: log-likelihood of the right answer after the item's prompt, nats a token. It does
            not depend on the temperature.
        reply: what was written, or the number of the option that is likeliest.
        further: what was written the other times.
    """

    doc: int
    scores: Mapping[str, float]
    gold: float
    reply: str
    further: tuple[str, ...] = ()


class Asker:
    """The prompts of a task's items, built once and asked of one state after another.

    Args:
        task: the task.
        docs: numbers of the items among the task's documents.
        seed: of the choice of examples, where the task draws them.
        temperature: at which text is drawn; 0 takes the likeliest token.
        repeats: how many times each item is asked, each with a seed of its own.

    Raises:
        MeasureError: there is no item, or a temperature is given and the task writes no text.
        OptionError: the temperature is below 0, or there is nothing to repeat.
    """

    def __init__(
        self,
        task: ConfigurableTask,
        docs: Sequence[int],
        seed: int = 0,
        *,
        temperature: float = 0.0,
        repeats: int = 1,
    ) -> None:
        _check_drawing(task, temperature, repeats)
        if not docs:
            raise MeasureError(f"task {task.config.task!r} was given no item; give at least one")
        self._task, self._docs = task, tuple(docs)
        self._temperature, self._repeats = temperature, repeats
        task.set_fewshot_seed(seed)
        # lm-eval asks the documents in their own order, and numbers those that it asks.
        self._numbers = tuple(sorted(set(docs)))
        with quiet():
            task.build_all_requests(samples=list(self._numbers), rank=0, world_size=1)

    def ask(self, lm: EngineLM) -> tuple[Answer, ...]:
        """Ask all items, and score the answers by the task's own metrics."""
        (answers,) = ask_together([self], lm)
        return answers

    def requests(self) -> list[Instance]:
        """All that is to be asked: what the items ask, as often as they do, and the right
        answers where no item scores them."""
        instances: list[Instance] = self._task.instances
        drawn = [self._drawn(instance) for _ in range(self._repeats) for instance in instances]
        return [*drawn, *self._right(instances)]

    def answers(self, lm: EngineLM, asked: Sequence[Instance]) -> tuple[Answer, ...]:
        """What the replies to `requests` come to, item by item in the order of the items."""
        instances: list[Instance] = self._task.instances
        found: dict[int, list[tuple[dict[str, float], str]]] = {}
        size = len(instances)
        for start in range(0, self._repeats * size, size):
            replies = [instance.resps[0] for instance in asked[start : start + size]]
            for doc, scored in self._scored(instances, replies):
                found.setdefault(doc, []).append(scored)
        gold = self._gold(lm, instances, asked[self._repeats * size :])
        answers = {doc: _answer(doc, gold[at], found[at]) for at, doc in enumerate(self._numbers)}
        return tuple(answers[doc] for doc in self._docs)

    def _drawn(self, instance: Instance) -> Instance:
        arguments = instance.args
        if self._temperature:
            drawing = {"do_sample": True, "temperature": self._temperature}
            arguments = (arguments[0], {**arguments[1], **drawing})
        return replace(instance, arguments=arguments, resps=[], filtered_resps={})

    def _scored(
        self, instances: Sequence[Instance], replies: Sequence[Any]
    ) -> Iterator[tuple[int, tuple[dict[str, float], str]]]:
        for instance, given in zip(instances, replies, strict=True):
            instance.resps, instance.filtered_resps = [given], {}
        self._task.apply_filters()
        for doc, group in groupby(instances, key=lambda instance: int(instance.doc_id)):
            own = list(group)
            (filtered,) = {key for one in own for key in one.filtered_resps}
            answers = [one.filtered_resps[filtered] for one in own]
            scores = _numbers(self._task.process_results(own[0].doc, answers))
            yield doc, (scores, _written([one.resps[0] for one in own]))

    def _right(self, instances: Sequence[Instance]) -> Iterator[Instance]:
        """Questions for the right answers' log-likelihood; options are scored as it is."""
        from lm_eval.api.instance import Instance

        for doc, group in groupby(instances, key=lambda instance: int(instance.doc_id)):
            first = next(group)
            if first.request_type != "loglikelihood":
                text = f"{self._task.config.target_delimiter}{self._target(first.doc)}"
                pair = (first.args[0], text)
                yield Instance("loglikelihood", first.doc, pair, 0, ("", doc, 1))

    def _gold(
        self, lm: EngineLM, instances: Sequence[Instance], right: Sequence[Instance]
    ) -> dict[int, float]:
        """Log-likelihood of the right answers, nats a token."""
        golds = list(right)
        if not golds:
            for _, group in groupby(instances, key=lambda instance: int(instance.doc_id)):
                own = list(group)
                golds.append(own[self._right_option(own[0].doc)])
        return {int(i.doc_id): i.resps[0][0] / _length(lm, i.args) for i in golds}

    def _right_option(self, document: Mapping[str, Any]) -> int:
        right = self._task.doc_to_target(document)
        if isinstance(right, str):
            right = self._task.doc_to_choice(document).index(right)
        return int(right)

    def _target(self, document: Mapping[str, Any]) -> str:
        from lm_eval.utils import apply_template

        template = (self._task.config.metadata or {}).get(GOLD)
        if template is not None:
            return str(apply_template(template, document))
        target = self._task.doc_to_target(document)
        return str(target[0] if isinstance(target, list) else target)


def ask_together(askers: Sequence[Asker], lm: EngineLM) -> list[tuple[Answer, ...]]:
    """Ask the items of several tasks at once, so that texts of all are written together."""
    asked = [asker.requests() for asker in askers]
    reply(lm, [instance for own in asked for instance in own])
    return [asker.answers(lm, own) for asker, own in zip(askers, asked, strict=True)]


def _check_drawing(task: ConfigurableTask, temperature: float, repeats: int) -> None:
    if temperature < 0 or repeats < 1:
        raise OptionError(
            f"a temperature of {temperature} and {repeats} repeats cannot be asked; give a "
            "temperature from 0 and repeats from 1"
        )
    if temperature == 0 and repeats > 1:
        raise OptionError(
            f"{repeats} repeats at temperature 0 are the same answer each time; give a "
            "temperature above 0, or 1 repeat"
        )
    if temperature and task.OUTPUT_TYPE != "generate_until":
        raise MeasureError(
            f"task {task.config.task!r} scores given options and writes nothing, so it has no "
            f"temperature; leave {temperature} out, or ask a benchmark that generates"
        )


def _answer(doc: int, gold: float, times: Sequence[tuple[dict[str, float], str]]) -> Answer:
    (first, reply), *others = times
    scores = {name: fmean(scores[name] for scores, _ in times) for name in first}
    return Answer(doc, scores, gold, reply, tuple(text for _, text in others))


def _length(lm: EngineLM, args: tuple[Any, ...]) -> int:
    context, text = args
    return max(1, len(lm.tok_encode(context + text)) - len(lm.tok_encode(context)))


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}


def _written(replies: Iterable[Any]) -> str:
    one, *more = replies
    if isinstance(one, str):
        return one
    options = [log_prob for log_prob, _ in (one, *more)]
    return str(options.index(max(options)))
