"""How often a verdict is wrong where it should not be, and how often it sees what is there.

    python -m benchmarks.study_verdicts

Draws samples of items from models whose true retention is known and gives each to the tests that
the suite decides by. At the margin itself every "retained" and every "lost" is an error (type I);
beyond it they are power. Rivals at the margin show why these tests and no others: Student's t
without the two added items, and the bootstrap (scipy, bias-corrected and accelerated).
"""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from scipy import stats

from benchmarks.bench import ROOT, start
from benchmarks.table import rewritten, row
from editsuite.files import write_text_atomically
from editsuite.measures.observation import Pairs
from editsuite.verdicts.difference import difference_test
from editsuite.verdicts.families import corrected
from editsuite.verdicts.judging import nats
from editsuite.verdicts.one_sided import student
from editsuite.verdicts.ratio import ratio_test
from editsuite.verdicts.verdict import ALPHA, MARGIN, Evidence, Verdict

BOUND = 1 - MARGIN
#: True retentions: of the margin, and of effects on both sides.
KEPT, LOST = (0.98, 0.95), (0.8, 0.7)
MEMBERS = 8
BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"

Samples = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Scenario:
    """Items of which the truth is known.

    Attributes:
        name: for the table.
        draw: scores before and after, both ``[n]``, for a true retention.
        test: gives the verdict on them.
    """

    name: str
    draw: Callable[[np.random.Generator, int, float], Samples]
    test: Callable[[np.ndarray, np.ndarray], Evidence]


def binary(right: float, won: float) -> Callable[[np.random.Generator, int, float], Samples]:
    """0/1 scores: a share is right before, of the wrong ones some are won."""

    def draw(rng: np.random.Generator, n: int, ratio: float) -> Samples:
        stays = ratio - (1 - right) / right * won
        before = rng.random(n) < right
        after = np.where(before, rng.random(n) < stays, rng.random(n) < won)
        return before.astype(float), after.astype(float)

    return draw


def part_lost(rng: np.random.Generator, n: int, ratio: float) -> Samples:
    """Graded scores, all whole before; a third of the items lose, each another part."""
    mean = 3 * (1 - ratio)
    loss = (rng.random(n) < 1 / 3) * rng.beta(2 * mean, 2 * (1 - mean), n)
    return np.ones(n), 1 - loss


def mixed_parts(rng: np.random.Generator, n: int, ratio: float) -> Samples:
    """Graded scores before, too; most items keep theirs or lose it all, a tenth is drawn anew."""
    before, anew = rng.beta(2, 1, n), rng.random(n) < 0.1
    kept = before * (rng.random(n) < (ratio - 0.1) / 0.9)
    return before, np.where(anew, rng.beta(2, 1, n), kept)


def even_change(rng: np.random.Generator, n: int, ratio: float) -> Samples:
    """Log-likelihoods that change by normal amounts, half a nat wide."""
    before = rng.normal(-2, 1, n)
    return before, before + rng.normal(math.log(ratio), 0.5, n)


def rare_change(rng: np.random.Generator, n: int, ratio: float) -> Samples:
    """Log-likelihoods of which a fifth falls, by exponential amounts; the others stay."""
    before = rng.normal(-2, 1, n)
    fall = (rng.random(n) < 0.2) * rng.exponential(-5 * math.log(ratio), n)
    return before, before - fall


def judge_binary(before: np.ndarray, after: np.ndarray) -> Evidence:
    """The ratio's test; of 0/1 scores only the four counts matter."""
    counts = [int(np.sum((before == b) & (after == a))) for b in (0, 1) for a in (0, 1)]
    return judge_counts(*counts)


@cache
def judge_counts(wrong: int, won: int, lost: int, kept: int) -> Evidence:
    """The ratio's test of so many items of each kind."""
    before = (0.0,) * (wrong + won) + (1.0,) * (lost + kept)
    after = (0.0,) * wrong + (1.0,) * won + (0.0,) * lost + (1.0,) * kept
    return ratio_test(Pairs(before, after), BOUND)


def judge_graded(before: np.ndarray, after: np.ndarray) -> Evidence:
    """The ratio's test."""
    return ratio_test(Pairs(tuple(before.tolist()), tuple(after.tolist())), BOUND)


def judge_nats(before: np.ndarray, after: np.ndarray) -> Evidence:
    """The test of changes, against the margin in nats."""
    pairs = Pairs(tuple(before.tolist()), tuple(after.tolist()))
    return difference_test(pairs, -nats(MARGIN))


SCENARIOS = (
    Scenario("0/1, all right before", binary(1.0, 0.0), judge_binary),
    Scenario("0/1, 80 % right, none won", binary(0.8, 0.0), judge_binary),
    Scenario("0/1, 80 % right, a tenth won", binary(0.8, 0.1), judge_binary),
    Scenario("0/1, 40 % right, a tenth won", binary(0.4, 0.1), judge_binary),
    Scenario("graded, all whole before", part_lost, judge_graded),
    Scenario("graded, mixed before", mixed_parts, judge_graded),
    Scenario("nats, all change", even_change, judge_nats),
    Scenario("nats, a fifth falls", rare_change, judge_nats),
)


def sample(scenario: Scenario, n: int, ratio: float, runs: int, seed: int) -> list[Evidence]:
    """The tests of many samples."""
    rng = np.random.default_rng([seed, n, round(1000 * ratio)])
    return [scenario.test(*scenario.draw(rng, n, ratio)) for _ in range(runs)]


def said(found: Sequence[Evidence], claim: str) -> float:
    """Share of the tests that make a claim."""
    return float(np.mean([getattr(tested, claim) <= ALPHA for tested in found]))


def in_families(
    found: Sequence[Evidence], claim: str, families: int, seed: int
) -> tuple[float, float]:
    """Share of families with the claim for any member, and share of members with it, under Holm.

    Families are drawn from the samples; their members share nothing, as capabilities of other
    items.
    """
    rng, any_of, each = np.random.default_rng(seed), [], []
    for _ in range(families):
        members = [
            Verdict("", 0, 0, 0, 1, "ratio", MARGIN, "", found[i])
            for i in rng.integers(len(found), size=MEMBERS)
        ]
        hits = [v.outcome == claim for v in corrected("capabilities", members)]
        any_of.append(any(hits))
        each.append(np.mean(hits))
    return float(np.mean(any_of)), float(np.mean(each))


def line(scenario: Scenario, n: int, runs: int, seed: int) -> str:
    """One row: errors at the margin, power beyond, both again in families."""
    at = {r: sample(scenario, n, r, runs, seed) for r in (BOUND, *KEPT, *LOST)}
    families = max(1, runs // 4)
    shares = [said(at[BOUND], "retained"), said(at[BOUND], "lost")]
    shares += [said(at[r], "retained") for r in KEPT] + [said(at[r], "lost") for r in LOST]
    shares += [in_families(at[BOUND], c, families, seed)[0] for c in ("retained", "lost")]
    shares += [
        in_families(at[KEPT[0]], "retained", families, seed)[1],
        in_families(at[LOST[-1]], "lost", families, seed)[1],
    ]
    return row([scenario.name, str(n), *(f"{100 * s:.1f}" for s in shares)])


def rival(scenario: Scenario, n: int, runs: int, seed: int) -> str:
    """One row: false "retained" at the margin, by the suite's test and by two others."""
    rng, plain, boot, ours = np.random.default_rng([seed, n]), [], [], []
    for _ in range(runs):
        before, after = scenario.draw(rng, n, BOUND)
        is_ratio = scenario.test is not judge_nats
        apart = after - BOUND * before if is_ratio else after - before + nats(MARGIN)
        ours.append(scenario.test(before, after).retained <= ALPHA)
        alike = np.ptp(apart) == 0
        plain.append(apart[0] > 0 if alike else student(apart, 0.0)[0] <= ALPHA)
        held = stats.bootstrap((apart,), np.mean, method="BCa", n_resamples=999, rng=rng)
        # Where all items are alike the bootstrap has no interval (NaN), and claims nothing.
        boot.append(held.confidence_interval.low > 0)
    shares = [float(np.mean(x)) for x in (ours, plain, boot)]
    return row([scenario.name, str(n), *(f"{100 * s:.1f}" for s in shares)])


def tables(sizes: Sequence[int], runs: int, seed: int) -> str:
    """Both tables, as Markdown."""
    head = ["items", "n", "false retained", "false lost"]
    head += [f"retained at {r:g}" for r in KEPT] + [f"lost at {r:g}" for r in LOST]
    head += [f"any of {MEMBERS} falsely {c}, Holm" for c in ("retained", "lost")]
    head += [f"retained at {KEPT[0]:g}, Holm", f"lost at {LOST[-1]:g}, Holm"]
    lines = [row(head), row(["---"] * len(head))]
    lines += [line(s, n, runs, seed) for s in SCENARIOS for n in sizes]
    short = ["items", "n", "the suite's test", "t without added items", "bootstrap (BCa)"]
    lines += ["", 'False "retained" at the margin, in percent:', "", row(short)]
    lines += [row(["---"] * len(short))]
    few = [n for n in sizes if n <= 100]
    lines += [rival(s, n, max(1, runs // 4), seed) for s in SCENARIOS for n in few]
    error = 100 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    # Families are drawn from the same samples: the first step of Holm sees so many at its level.
    pooled = 100 * MEMBERS * math.sqrt(ALPHA / MEMBERS * (1 - ALPHA / MEMBERS) / runs)
    return "\n".join(
        [
            f"Percent of {runs} samples (seed {seed}); one standard error at 2.5 % is {error:.1f}, "
            f"in the columns of the rivals {2 * error:.1f}, of the families {pooled:.1f}.",
            "",
            *lines,
        ]
    )


def main(
    sizes: Annotated[str, typer.Option(help="numbers of items")] = "64,100,1000",
    runs: Annotated[int, typer.Option(min=1, help="samples of each kind")] = 500,
    seed: Annotated[int, typer.Option(help="of the samples")] = 0,
    page: Annotated[Path, typer.Option(help="the page to write to")] = ROOT / "docs/verdicts.md",
    write: Annotated[bool, typer.Option(help="put the tables into the page")] = False,
) -> None:
    """Simulate the tests."""
    # statsmodels' Holm collects garbage at every call, and would look through all of torch.
    gc.freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        text = tables([int(n) for n in sizes.split(",")], runs, seed)
    if write:
        held = page.read_text(encoding="utf-8")
        write_text_atomically(page, rewritten(held, text, (BEGIN, END)))
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    start(main)
