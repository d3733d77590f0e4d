"""All editors of the study: the honest ones, and those that are wrong in one thing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from benchmarks.spoilt import alphaedit, altered, grace, memit, mend
from benchmarks.spoilt.entrant import NO_BOUND, Entrant
from benchmarks.spoilt.rome_entrants import ROME
from editsuite.errors import OptionError, listing

#: A radius that reaches other facts' prompts on the default model (docs/methods/grace.md).
WIDE: Mapping[str, object] = {"eps": 40.0}

HONEST = (
    *(Entrant(name, name) for name in ("rome", "memit", "alphaedit", "mend", "grace", "ft_l")),
    Entrant("grace-wide", "grace", given=WIDE),
)

MEMIT = (
    Entrant(
        "memit-sign", "memit", "the update is subtracted", spoiler=partial(altered.scaled, by=-1)
    ),
    Entrant("memit-next-layers", "memit", "it edits one layer higher throughout", shift=1),
    Entrant(
        "memit-one-layer",
        "memit",
        "of the changes of all layers only the first one's is applied",
        spoiler=altered.first_matrix_only,
    ),
    Entrant(
        "memit-undivided",
        "memit",
        "what is missing is not divided by the layers that are left",
        spoiler=memit.undivided,
    ),
    Entrant(
        "memit-stale-missing",
        "memit",
        "what is missing is looked at only before the first layer",
        spoiler=memit.stale_missing,
    ),
    Entrant(
        "memit-stale-keys",
        "memit",
        "a layer's keys are read before the layers below it are changed",
        spoiler=memit.stale_keys,
    ),
    Entrant(
        "memit-unedited-model",
        "memit",
        "every edit is computed on the unedited model: keys and targets are stale",
        spoiler=altered.unedited_model,
    ),
    Entrant(
        "memit-turned-covariances",
        "memit",
        "each layer has the covariance of the next one",
        spoiler=memit.turned_covariances,
    ),
    Entrant(
        "memit-no-covariance",
        "memit",
        "the identity stands in place of the covariances",
        spoiler=memit.no_covariance,
    ),
    Entrant(
        "memit-float16",
        "memit",
        "the update is rounded to float16",
        spoiler=partial(altered.rounded, to=torch.float16),
    ),
    Entrant("memit-no-kl", "memit", "the search has no KL term", settings={"kl_factor": 0.0}),
)

ALPHAEDIT = (
    Entrant(
        "alphaedit-no-projection",
        "alphaedit",
        "the projection is forgotten",
        spoiler=alphaedit.everything,
    ),
    Entrant(
        "alphaedit-other-space",
        "alphaedit",
        "it projects onto the directions that it should keep clear of",
        spoiler=alphaedit.rest,
    ),
    Entrant(
        "alphaedit-forgetful",
        "alphaedit",
        "the keys of earlier edits are forgotten",
        spoiler=alphaedit.forgetful,
    ),
)

MEND = (
    Entrant(
        "mend-sign", "mend", "the update is subtracted", spoiler=partial(altered.scaled, by=-1)
    ),
    Entrant(
        "mend-twice", "mend", "the update is applied twice", spoiler=partial(altered.scaled, by=2)
    ),
    Entrant(
        "mend-unnormalised",
        "mend",
        "the gradients are not normalised",
        spoiler=mend.unnormalised,
    ),
    Entrant(
        "mend-bypassed",
        "mend",
        "the gradients do not go through the network",
        spoiler=mend.bypassed,
    ),
    Entrant("mend-one-rate", "mend", "all maps have one rate", spoiler=mend.one_rate),
    Entrant(
        "mend-turned-modes",
        "mend",
        "each layer has the next layer's part of the network",
        spoiler=mend.turned_modes,
    ),
)

GRACE = (
    Entrant(
        "grace-never-split",
        "grace",
        "radii never give way to another label (eps 40)",
        spoiler=grace.never_split,
        given=WIDE,
        twin="grace-wide",
    ),
    Entrant(
        "grace-boundless",
        "grace",
        "the nearest entry answers, however far it is",
        spoiler=grace.boundless,
    ),
    Entrant(
        "grace-farthest",
        "grace",
        "the farthest entry is taken for the nearest",
        spoiler=grace.farthest,
    ),
    Entrant(
        "grace-added",
        "grace",
        "the value is added to the output instead of put in its place",
        spoiler=grace.added,
    ),
    Entrant(
        "grace-next-value",
        "grace",
        "an entry answers with the value of the entry before it",
        spoiler=grace.next_value,
    ),
    Entrant(
        "grace-first-token",
        "grace",
        "the key is read at the prompt's first token",
        spoiler=grace.first_token_key,
    ),
    Entrant("grace-one-step", "grace", "the search takes one step", settings={"n_iter": 1}),
)

FT_L = (
    Entrant("ft_l-next-layer", "ft_l", "it edits the layer above the right one", shift=1),
    Entrant(
        "ft_l-sign", "ft_l", "the update is subtracted", spoiler=partial(altered.scaled, by=-1)
    ),
    Entrant(
        "ft_l-no-bound",
        "ft_l",
        "nothing bounds the change of an entry",
        settings={"norm_constraint": NO_BOUND},
    ),
    Entrant(
        "ft_l-next-target",
        "ft_l",
        "each fact is taught the target of the fact after it",
        spoiler=altered.next_target,
    ),
)

SPOILT = (*ROME, *MEMIT, *ALPHAEDIT, *MEND, *GRACE, *FT_L)
ENTRANTS: Mapping[str, Entrant] = {entrant.name: entrant for entrant in (*HONEST, *SPOILT)}


def chosen(words: str) -> list[Entrant]:
    """Entrants by name, separated by commas, and what they are compared with; all for ''.

    Raises:
        OptionError: there is none of a name.
    """
    names = [word.strip() for word in words.split(",") if word.strip()]
    unknown = [name for name in names if name not in ENTRANTS]
    if unknown:
        raise OptionError(
            f"there is no editor {listing(map(repr, unknown))} in the study; known are "
            f"{listing(ENTRANTS)}"
        )
    asked = [ENTRANTS[name] for name in names] or list(ENTRANTS.values())
    beside = {entrant.beside for entrant in asked}
    return [e for e in ENTRANTS.values() if e in asked or e.name in beside]
