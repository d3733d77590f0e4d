"""What a spoilt editor is: an honest method, and the one thing that is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from editsuite.code import code_digest
from editsuite.editors import BoundEditor, Method, method
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest

B = TypeVar("B")

#: A bound that no change reaches.
NO_BOUND = 1e9


@dataclass(frozen=True)
class Scene:
    """What a spoiler may need beside the editor that it spoils.

    Attributes:
        stack: the unedited model.
        cache: folder of the method's statistics.
        order: all facts of the chain, in the order of editing.
    """

    stack: DecoderStack
    cache: Path
    order: tuple[EditRequest, ...]


#: From the honest editor, bound to a model in state 0, to the spoilt one.
Spoiler = Callable[[Any, Scene], BoundEditor]


@dataclass(frozen=True)
class Entrant:
    """One editor of the study.

    Attributes:
        name: its name, which is a part of its chains' identity.
        base: the honest method, whose baselines it is held against.
        wrong: one sentence; empty for an honest editor.
        settings: hyperparameters that are spoilt.
        shift: layers above the right one at which it edits.
        spoiler: spoils the bound editor; None where settings or shift are all that is wrong.
        given: hyperparameters that are unusual and no mistake; its twin has them, too.
        twin: the honest entrant that differs in the mistake alone; ``base`` where empty. What the
            twin fails is not counted as caught.
    """

    name: str
    base: str
    wrong: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    shift: int = 0
    spoiler: Spoiler | None = None
    given: Mapping[str, object] = field(default_factory=dict)
    twin: str = ""

    @property
    def honest(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.wrong

    @property
    def beside(self) -> str:
        """The name of the entrant whose failures are not counted as caught."""
        return self.twin or self.base

    @property
    def by_default(self) -> bool:
        """Whether the committed baselines are of this very plan but for the mistake."""
        return not self.given

    def method(self, order: Sequence[EditRequest]) -> Method:
        """The entrant as a method; an honest one without settings of its own is the method."""
        honest = method(self.base)
        return honest if self.name == self.base else EnteredMethod(self, honest, tuple(order))


@dataclass(frozen=True)
class EnteredMethod:
    """An entrant behind the protocol of all methods.

    Attributes:
        entrant: what is wrong.
        honest: the method that is spoilt.
        order: all facts of the chain, in the order of editing.
    """

    entrant: Entrant
    honest: Method
    order: tuple[EditRequest, ...]

    @property
    def name(self) -> str:
        """See ``editsuite.editors.protocol.Method``; a spoilt chain is never an honest one."""
        return self.entrant.name

    @property
    def card_key(self) -> str:
        """The honest method's: the same layers and hyperparameters."""
        return self.honest.card_key

    @property
    def spans(self) -> bool:
        """The honest method's."""
        return self.honest.spans

    @property
    def batches(self) -> bool:
        """The honest method's."""
        return self.honest.batches

    @property
    def version(self) -> int:
        """Another number for another mistake, so that no kept chain outlives a change of it."""
        entrant = self.entrant
        parts = [self.honest.version, entrant.settings, entrant.given, entrant.shift, self._code()]
        text = json.dumps(parts, sort_keys=True, default=dict)
        return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)

    def _code(self) -> str:
        """What the spoiler does: its name, what it is told, its module's code; or nothing."""
        spoiler = self.entrant.spoiler
        if spoiler is None:
            return ""
        told = spoiler if isinstance(spoiler, partial) else partial(spoiler)
        module = told.func.__module__.rpartition(".")[2]
        code = code_digest((f"{__package__}/{module}.py",))
        return f"{told.func.__qualname__} {sorted(told.keywords.items())} {code}"

    def bind(
        self,
        stack: DecoderStack,
        *,
        layers: Sequence[int],
        seed: int,
        hyperparameters: Mapping[str, object],
        cache: Path,
    ) -> BoundEditor:
        """See ``editsuite.editors.protocol.Method``."""
        entrant = self.entrant
        bound = self.honest.bind(
            stack,
            layers=[layer + entrant.shift for layer in layers],
            seed=seed,
            hyperparameters={**hyperparameters, **entrant.given, **entrant.settings},
            cache=cache,
        )
        if entrant.spoiler is None:
            return bound
        return entrant.spoiler(bound, Scene(stack, cache, self.order))


def recast(kind: type[B], bound: Any, /, **more: Any) -> B:
    """A bound editor as one of a subclass that spoils something, with the same attributes."""
    return kind(**{f.name: getattr(bound, f.name) for f in fields(bound)}, **more)
