"""The study of verdicts, small: errors at the margin within the level, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.bench import ROOT
from benchmarks.study_verdicts import (
    BEGIN,
    BOUND,
    END,
    KEPT,
    LOST,
    SCENARIOS,
    Scenario,
    in_families,
    line,
    rival,
    sample,
)
from editsuite.measures.observation import Pairs
from editsuite.verdicts.ratio import ratio_test
from editsuite.verdicts.verdict import ALPHA, Evidence

RUNS = 400
#: No more errors than the level gives, but for a chance of one in 10,000.
MOST = int(stats.binom.ppf(1 - 1e-4, RUNS, ALPHA))
#: Student's t calls a change small too often where a few items fall far (`docs/verdicts.md`).
SKEWED = "nats, a fifth falls"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_errors_at_the_margin_stay_within_the_level(scenario: Scenario) -> None:
    found = sample(scenario, 64, BOUND, RUNS, seed=1)
    level = 4 * ALPHA if scenario.name == SKEWED else ALPHA
    most = int(stats.binom.ppf(1 - 1e-4, RUNS, level))
    assert sum(tested.retained <= ALPHA for tested in found) <= most
    assert sum(tested.lost <= ALPHA for tested in found) <= MOST


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
@pytest.mark.parametrize("ratio", [0.95, 0.75])
def test_the_scenarios_have_the_retention_they_are_named_for(
    scenario: Scenario, ratio: float
) -> None:
    before, after = scenario.draw(np.random.default_rng(2), 200_000, ratio)
    if scenario.name.startswith("nats"):
        assert float(np.mean(after - before)) == pytest.approx(np.log(ratio), abs=0.02)
    else:
        assert after.mean() / before.mean() == pytest.approx(ratio, abs=0.01)
        assert set(np.sign([before.min(), after.min()])) <= {0.0, 1.0}


def test_what_is_there_is_seen() -> None:
    (all_right, *_) = SCENARIOS
    at = {r: sample(all_right, 100, r, RUNS, seed=3) for r in (0.99, 0.7)}
    assert sum(t.retained <= ALPHA for t in at[0.99]) > 0.95 * RUNS
    assert sum(t.lost <= ALPHA for t in at[0.7]) > 0.95 * RUNS


def test_the_counts_are_enough_for_the_ratios_test() -> None:
    mixed = SCENARIOS[2]
    before, after = mixed.draw(np.random.default_rng(4), 64, 0.9)
    whole = ratio_test(Pairs(tuple(before.tolist()), tuple(after.tolist())), BOUND)
    found = mixed.test(before, after)
    assert found.retained == pytest.approx(whole.retained)
    assert found.lost == pytest.approx(whole.lost)
    assert found.test == whole.test


def test_a_family_is_told_from_its_members() -> None:
    sure = [Evidence(1e-6, 1.0, "given")] * 3
    assert in_families(sure, "retained", 5, 0) == (1.0, 1.0)
    assert in_families(sure, "lost", 5, 0) == (0.0, 0.0)


@pytest.mark.filterwarnings("ignore::scipy.stats.DegenerateDataWarning")
def test_a_line_has_a_cell_for_every_column() -> None:
    assert line(SCENARIOS[0], 64, 4, 0).count("|") == 13
    assert rival(SCENARIOS[0], 64, 2, 0).count("|") == 6


def page_lines() -> list[list[str]]:
    """The cells of the study's first table on the page."""
    text = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    between = text.partition(BEGIN)[2].partition(END)[0].partition("False")[0]
    lines = [line.strip("| ").split(" | ") for line in between.splitlines() if line[:1] == "|"]
    return lines[2:]


def test_the_page_has_every_scenario_at_every_size() -> None:
    told = [(cells[0], int(cells[1])) for cells in page_lines()]
    assert told == [(s.name, n) for s in SCENARIOS for n in (64, 100, 1000)]


@pytest.mark.parametrize("n", [64, 100, 1000])
def test_the_pages_first_lines_are_what_can_be_computed(n: int) -> None:
    """With all right before, every share on the page has a closed form: sums of binomials."""
    (cells,) = (c for c in page_lines() if c[:2] == [SCENARIOS[0].name, str(n)])
    kept = np.arange(n + 1)
    claims = {
        "retained": stats.binom.sf(kept - 1, n, BOUND) <= ALPHA,
        "lost": stats.binom.cdf(kept, n, BOUND) <= ALPHA,
    }
    columns = [("retained", BOUND), ("lost", BOUND), *[("retained", r) for r in KEPT]]
    columns += [("lost", r) for r in LOST]
    for cell, (claim, ratio) in zip(cells[2:8], columns, strict=True):
        truth = float(stats.binom.pmf(kept, n, ratio) @ claims[claim])
        # Five standard errors of the page's 500 samples, and the page's rounding.
        room = 5 * (truth * (1 - truth) / 500) ** 0.5 + 0.0006
        assert abs(float(cell) / 100 - truth) <= room, (claim, ratio)
