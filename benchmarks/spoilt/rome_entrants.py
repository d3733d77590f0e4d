"""ROME with one thing wrong, of each thing that can be."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.spoilt import altered, rome
from benchmarks.spoilt.entrant import NO_BOUND, Entrant

ROME = (
    Entrant("rome-next-layer", "rome", "it edits the layer above the right one", shift=1),
    Entrant(
        "rome-other-matrix",
        "rome",
        "the update of a layer is put on the layer above",
        spoiler=altered.next_layer,
    ),
    Entrant(
        "rome-sign", "rome", "the update is subtracted", spoiler=partial(altered.scaled, by=-1)
    ),
    Entrant(
        "rome-twice", "rome", "the update is applied twice", spoiler=partial(altered.scaled, by=2)
    ),
    Entrant(
        "rome-half",
        "rome",
        "half of the update is applied",
        spoiler=partial(altered.scaled, by=0.5),
    ),
    Entrant(
        "rome-next-fact",
        "rome",
        "each fact gets the update of the fact after it",
        spoiler=altered.next_fact,
    ),
    Entrant(
        "rome-next-target",
        "rome",
        "each fact is taught the target of the fact after it",
        spoiler=altered.next_target,
    ),
    Entrant(
        "rome-unedited-model",
        "rome",
        "every edit is computed on the unedited model: key and value are stale",
        spoiler=altered.unedited_model,
    ),
    Entrant(
        "rome-bfloat16",
        "rome",
        "the update is rounded to bfloat16",
        spoiler=partial(altered.rounded, to=torch.bfloat16),
    ),
    Entrant(
        "rome-key-before",
        "rome",
        "the key is read one token before the subject's last",
        spoiler=rome.key_before,
    ),
    Entrant(
        "rome-token-before",
        "rome",
        "key and value belong to the token before the subject's last",
        spoiler=rome.token_before,
    ),
    Entrant(
        "rome-prompt-last",
        "rome",
        "key and value belong to the prompt's last token instead of the subject's",
        spoiler=rome.prompt_last,
    ),
    Entrant(
        "rome-other-tokens",
        "rome",
        "the search asks for token ids that are off by one",
        spoiler=rome.other_tokens,
    ),
    Entrant(
        "rome-asked-early",
        "rome",
        "the loss reads the target one position early",
        spoiler=rome.asked_early,
    ),
    Entrant("rome-no-kl", "rome", "the search has no KL term", settings={"kl_factor": 0.0}),
    Entrant(
        "rome-no-clamp",
        "rome",
        "nothing bounds the value's change",
        settings={"clamp_norm_factor": NO_BOUND},
    ),
    Entrant(
        "rome-one-step",
        "rome",
        "the search ends after its first step",
        settings={"v_num_grad_steps": 2},
    ),
    Entrant("rome-no-prefixes", "rome", "the key knows no context", settings={"n_contexts": 1}),
    Entrant(
        "rome-no-denominator",
        "rome",
        "the closed form's denominator is left out",
        spoiler=rome.undivided,
    ),
    Entrant(
        "rome-no-covariance",
        "rome",
        "the covariance is left out",
        settings={"mom2_adjustment": False},
    ),
    Entrant(
        "rome-next-covariance",
        "rome",
        "the covariance is that of the layer above",
        spoiler=rome.next_covariance,
    ),
    Entrant(
        "rome-not-inverted",
        "rome",
        "the key is multiplied by the covariance instead of divided",
        spoiler=rome.uninverted,
    ),
)
