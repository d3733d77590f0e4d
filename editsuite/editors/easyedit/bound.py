"""One of EasyEdit's methods on one model."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editsuite.editors.change import norm_of
from editsuite.editors.covariance import CovarianceSource
from editsuite.editors.easyedit.changes import change_of, weights_of
from editsuite.editors.easyedit.loading import Modules
from editsuite.editors.easyedit.memory import Memory
from editsuite.editors.easyedit.priming import Given, prime
from editsuite.editors.easyedit.recipe import Recipe
from editsuite.editors.easyedit.settings import Settings
from editsuite.editors.easyedit.shield import shielded
from editsuite.editors.easyedit.tree import Tree
from editsuite.editors.protocol import Change, Recorded, Update
from editsuite.editors.single import names_of, one_request
from editsuite.engine import DecoderStack
from editsuite.errors import EditError, listing
from editsuite.facts import EditRequest, subject_span


def main_of(modules: Modules, recipe: Recipe) -> Any:
    """The module that edits."""
    return modules.module(f"models.{recipe.package}.{recipe.main}")


@dataclass(frozen=True)
class BoundEasyEdit:
    """One of EasyEdit's methods on one model.

    Attributes:
        stack: the model.
        recipe: the method.
        tree: the EasyEdit.
        layers: where to edit.
        seed: of the random states within an edit.
        settings: the hyperparameters.
        prefixes: context prefixes, the empty one first.
        covariances: by layer.
        code: digest of the modules' sources.
        memory: what the method keeps from one edit to the next, if it does.
    """

    stack: DecoderStack
    recipe: Recipe
    tree: Tree
    layers: tuple[int, ...]
    seed: int
    settings: Settings
    prefixes: tuple[str, ...]
    covariances: Mapping[int, CovarianceSource]
    code: str
    memory: Memory | None

    @property
    def inputs(self) -> Mapping[str, object]:
        """The EasyEdit and its code, the hyperparameters, the prefixes, the covariances."""
        return {
            "easyedit": {
                "version": self.tree.version,
                "commit": self.tree.commit,
                "code": self.code,
            },
            "hyperparameters": dict(self.settings.chosen),
            "prefixes": list(self.prefixes),
            "covariance": {
                str(layer): source.identity for layer, source in self.covariances.items()
            },
        }

    @property
    def parameters(self) -> tuple[str, ...]:
        """The down projections of the layers."""
        return tuple(self.stack.loaded.down_proj_name(layer) for layer in self.layers)

    def prepare(self) -> None:
        """Compute the covariances that are not yet kept."""
        for source in self.covariances.values():
            source.ready()

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Let EasyEdit compute the change; the model is left as it was.

        Raises:
            EditError: a fact that EasyEdit cannot be told, an error within its code, or a change
                of a weight that the method has not declared.
        """
        if not self.recipe.batches:
            one_request(requests, method=self.recipe.name)
        started = time.perf_counter()
        told = [self._told(request, i) for i, request in enumerate(requests)]
        loaded, modules = self.stack.loaded, Modules(self.tree.root)
        main = main_of(modules, self.recipe)
        name = str(self.settings.theirs["model_name"])
        given = self._given(name)
        self.stack.keep_pace()
        with shielded(loaded, self.parameters, seed=self.seed, name=name) as said:
            try:
                settings = self._hyperparameters(main)
                prime(modules, self.recipe, given, loaded.model, settings)
                with modules.at_hand():
                    deltas = getattr(main, self.recipe.execute)(
                        loaded.model,
                        loaded.tokenizer,
                        told if self.recipe.batches else told[0],
                        settings,
                    )
            except Exception as error:
                raise EditError(self._failed(requests, error, said.getvalue())) from error
        changes, weights = self._changes(deltas), weights_of(loaded, self.layers)
        record: dict[str, Recorded] = {
            "facts": names_of(requests),
            "layer": ",".join(map(str, self.layers)),
            "easyedit": self.tree.commit or self.tree.version,
            "printed_lines": len(said.getvalue().splitlines()),
            "update_norm": math.hypot(*map(norm_of, changes.values())),
            "weight_norm_before": math.hypot(*(float(w.float().norm()) for w in weights.values())),
            "seconds": time.perf_counter() - started,
        }
        update = Update(changes, record)
        if self.memory is not None:
            self.memory.keep(main, weights, update, transposed=loaded.family.transposed)
        return update

    def _given(self, name: str) -> Given:
        template = str(self.settings.theirs["rewrite_module_tmp"])
        covariances = {template.format(layer): c.regular for layer, c in self.covariances.items()}
        if self.memory is None:
            return Given(name, self.prefixes, covariances, None, None)
        summed = self.memory.at(weights_of(self.stack.loaded, self.layers))
        return Given(name, self.prefixes, covariances, self.memory.projection, summed)

    def _hyperparameters(self, main: Any) -> Any:
        """An object of EasyEdit's own class."""
        kind = getattr(main, self.recipe.settings)
        # Where it looks for AlphaEdit's projections there must be something, nothing is read.
        here = {"device": self.stack.loaded.device, "P_loc": str(self.tree.root)}
        values = {**self.settings.theirs, **here}
        names = {field.name for field in dataclasses.fields(kind)}
        return kind(**{name: value for name, value in values.items() if name in names})

    def _told(self, request: EditRequest, number: int) -> dict[str, object]:
        """A fact as EasyEdit takes it."""
        prompt = request.prompt
        if self.recipe.templated:
            if any(brace in text for text in (prompt, request.target_new) for brace in "{}"):
                raise EditError(
                    f"fact {request.id}: its prompt or target holds a brace, which EasyEdit takes "
                    "for a place to fill in; reword it, or edit it by the suite's own method"
                )
            # EasyEdit itself would replace every occurrence of the subject.
            start, end = subject_span(prompt, request.subject)
            prompt = prompt[:start] + "{}" + prompt[end:]
        space = " " if self.recipe.spaced else ""
        return {
            "case_id": number,
            "prompt": prompt,
            "subject": request.subject,
            "target_new": space + request.target_new.strip(),
        }

    def _failed(self, requests: Sequence[EditRequest], error: Exception, said: str) -> str:
        facts = ", ".join(request.id for request in requests)
        last = said.strip().splitlines()[-1:] or ["nothing"]
        return (
            f"EasyEdit's {self.recipe.name} ({self.tree.version}) failed on {facts} with "
            f"{type(error).__name__}: {error}; the last it said was {last[0]!r}. See "
            "docs/easyedit.md for what was seen to run"
        )

    def _changes(self, deltas: Mapping[str, Any]) -> dict[str, Change]:
        foreign = set(deltas) - set(self.parameters)
        if foreign:
            raise EditError(
                f"EasyEdit's {self.recipe.name} wants to change {listing(foreign)} beside the down "
                "projections of its layers; the bridge does not carry that"
            )
        return {name: change_of(delta, self.stack.loaded, name) for name, delta in deltas.items()}
