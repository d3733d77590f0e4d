"""EasyEdit's methods as methods of this suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from editsuite.editors.contexts import context_prefixes
from editsuite.editors.covariance import CovarianceSource
from editsuite.editors.easyedit.bound import BoundEasyEdit, main_of
from editsuite.editors.easyedit.changes import weights_of
from editsuite.editors.easyedit.loading import Modules
from editsuite.editors.easyedit.memory import Memory
from editsuite.editors.easyedit.recipe import PREFIX, Recipe
from editsuite.editors.easyedit.recipes import check_recipe
from editsuite.editors.easyedit.settings import read_settings
from editsuite.editors.easyedit.tree import find_tree
from editsuite.editors.single import one_layer
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError


@dataclass(frozen=True)
class EasyEdit:
    """One of EasyEdit's methods.

    Its forward passes are EasyEdit's own; that is what it is here for.

    Attributes:
        recipe: how it is run.
    """

    recipe: Recipe
    version: int = 1

    @property
    def name(self) -> str:
        """Its own, so that no chain or baseline is mixed with those of the suite's methods."""
        return PREFIX + self.recipe.name

    @property
    def card_key(self) -> str:
        """As the suite's own method."""
        return self.recipe.card_key

    @property
    def spans(self) -> bool:
        """See ``Recipe``."""
        return self.recipe.spans

    @property
    def batches(self) -> bool:
        """See ``Recipe``."""
        return self.recipe.batches

    def bind(
        self,
        stack: DecoderStack,
        *,
        layers: Sequence[int],
        seed: int,
        hyperparameters: Mapping[str, object],
        cache: Path,
    ) -> BoundEasyEdit:
        """See ``editsuite.editors.protocol.Method``.

        Raises:
            OptionError: there is no EasyEdit, or it lacks the method.
            EditError: its modules cannot be loaded.
        """
        tree, recipe = find_tree(), self.recipe
        check_recipe(recipe, tree.root)
        if not recipe.spans:
            one_layer(layers, method=self.name)
        modules = Modules(tree.root)
        kind = getattr(main_of(modules, recipe), recipe.settings)
        settings = read_settings(recipe, kind, tree, stack.loaded, layers, hyperparameters)
        prefixes: tuple[str, ...] = ()
        if recipe.contexts != "none":
            drawn = context_prefixes(stack, n=settings.ours.n_contexts, seed=seed, cache=cache)
            # EasyEdit formats its contexts; its own are freed of braces in this way.
            prefixes = tuple(text.replace("{", " ").replace("}", " ") for text in drawn)
        constrained = recipe.covariance == "always" or (
            recipe.covariance == "asked" and settings.theirs["mom2_adjustment"]
        )
        covariances = {
            layer: CovarianceSource(
                stack, layer, settings.ours.mom2_corpus, settings.ours.mom2_n_tokens, cache
            )
            for layer in layers
            if constrained
        }
        memory = Memory(weights_of(stack.loaded, layers)) if recipe.remembers else None
        if memory is not None and stack.loaded.dtype is not torch.float32:
            raise OptionError(f"{self.name} is carried in float32 only; mend --edit-dtype")
        return BoundEasyEdit(
            stack,
            recipe,
            tree,
            tuple(layers),
            seed,
            settings,
            prefixes,
            covariances,
            modules.digest,
            memory,
        )
