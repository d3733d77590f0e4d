"""The study of verdicts, small: errors at the margin within the level, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.study_verdicts import BOUND, SCENARIOS, Scenario, in_families, line, rival, sample
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
