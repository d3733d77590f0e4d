"""Noise, measured: the same plan with other threads, batches, last bits and context seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from editsuite.chains import Progress
from editsuite.runs.case import Case
from editsuite.runs.run import Run
from editsuite.runs.settings import RunSettings

#: Values of one variation, by number of edits and name of the observation.
Values = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Variation:
    """What is done otherwise than in the plan that the baselines were made with.

    Attributes:
        kind: ``base``, ``threads``, ``batch``, ``rounding`` or ``contexts``.
        threads: CPU threads.
        token_budget: batch size of the measures; None for the usual one.
        context_seed: seed of the context prefixes; None for the plan's.
    """

    kind: str
    threads: int
    token_budget: int | None = None
    context_seed: int | None = None

    @property
    def folder(self) -> str:
        """Where its chains lie, where it has chains of its own."""
        if self.kind == "rounding":
            return "rounding"
        seed = "plan" if self.context_seed is None else str(self.context_seed)
        return f"threads-{self.threads}-contexts-{seed}"


def variations(
    base_threads: int, threads: Sequence[int], budgets: Sequence[int], seeds: Sequence[int]
) -> list[Variation]:
    """The base and one variation for each other thread count, batch size and context seed.

    And one computed by torch's own products and transformers' layers in place of the engine's: the
    same arithmetic in another order, as on another processor. A hundred edits on top of each other
    make much of a last bit.
    """
    return [
        Variation("base", base_threads),
        *(Variation("threads", t) for t in threads if t != base_threads),
        *(Variation("batch", base_threads, token_budget=b) for b in budgets),
        Variation("rounding", base_threads),
        *(Variation("contexts", base_threads, context_seed=s) for s in seeds),
    ]


def observe_variation(
    settings: RunSettings,
    case: Case,
    names: Sequence[str],
    variation: Variation,
    progress: Callable[[Case, Progress], None] | None = None,
) -> Values:
    """Run one variation to the end; what was kept of an earlier try is reused.

    Where threads or contexts differ it edits in a folder of its own under the cache: its chain
    may have the plan's identity and, by design, other bits. The base, and the base measured in
    other batches, stand on the kept chain that the baselines were made from.
    """
    import torch

    torch.set_num_threads(variation.threads)
    apart = variation.kind in ("threads", "rounding", "contexts")
    varied = replace(
        settings,
        chains=settings.cache / "calibration" / variation.folder if apart else None,
        context_seed=variation.context_seed,
        token_budget=variation.token_budget,
        own_ways=variation.kind != "rounding",
        space="" if variation.kind == "base" else f"calibration-{variation}",
    )
    run = Run(varied, progress)
    return {
        edits: {o.name: o.value for o in run.observe(case, edits, names) if not o.absent}
        for edits in settings.counts
    }
