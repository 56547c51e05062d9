"""Correlations of relations between tasks and their permutation test, compared with cases worked out in full."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest
import scipy.stats

from headpatterns.statistics import mantel as module
from headpatterns.statistics.mantel import DESIGNS, DIRECTED, INTERACTION, PEARSON, SPEARMAN, SYMMETRISED, cells, mantel

PLACES = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
SIMILARITY = np.array([[1, 0.9, 0.2, 0.1], [0.9, 1, 0.3, 0.0], [0.2, 0.3, 1, 0.8], [0.1, 0.0, 0.8, 1]])
GAIN = np.array([[5.0, 2.0, -1.0, -2.0], [3.0, 4.0, 0.5, -1.5], [-2.0, -1.0, 6.0, 1.0], [-1.0, -3.0, 2.5, 3.0]])


def by_hand(first, second, statistic):
    """The correlation of the six pairs, and the shares of the 24 orders of tasks with at least and at most this one."""
    found = []
    for order in permutations(range(4)):
        pairs = [(second[order[a]][order[b]] + second[order[b]][order[a]]) / 2 for a, b in PLACES]
        found.append(statistic([first[a][b] for a, b in PLACES], pairs).statistic)
    above = sum(one >= found[0] - 1e-9 for one in found)
    below = sum(one <= found[0] + 1e-9 for one in found)
    return found[0], above / 24, below / 24


@pytest.mark.parametrize(("statistic", "scipys"), [(PEARSON, scipy.stats.pearsonr), (SPEARMAN, scipy.stats.spearmanr)])
def test_four_tasks_by_hand(statistic, scipys):
    found = mantel(SIMILARITY, GAIN, SYMMETRISED, statistic)
    assert (found.r, found.p_above, found.p_below) == pytest.approx(by_hand(SIMILARITY, GAIN, scipys))
    assert found.p_least == 1 / 24
    # Two pairs of similar tasks: swaps within a pair, and of the two pairs, make 8 of the 24 orders the same.
    blocks = np.kron(np.eye(2), np.ones((2, 2)))
    same = mantel(blocks, blocks, SYMMETRISED, statistic)
    assert (same.r, same.p_above, same.p_below, same.p) == pytest.approx((1, 8 / 24, 1, 16 / 24))
    opposite = mantel(blocks, -blocks, SYMMETRISED, statistic)
    assert (opposite.r, opposite.p_above, opposite.p_below) == pytest.approx((-1, 1, 8 / 24))


def test_diagonals_are_not_read():
    changed = GAIN + np.diag([100, -100, 50, 0])
    for design in DESIGNS:
        assert mantel(SIMILARITY, changed, design, PEARSON) == mantel(SIMILARITY, GAIN, design, PEARSON)


def test_directed_pearson_has_the_p_of_pairs():
    pairs, ordered = (mantel(SIMILARITY, GAIN, design, PEARSON) for design in (SYMMETRISED, DIRECTED))
    assert (pairs.p_above, pairs.p_below) == (ordered.p_above, ordered.p_below)
    assert abs(ordered.r) < abs(pairs.r)
    off = ~np.eye(4, dtype=bool)
    assert ordered.r == pytest.approx(np.corrcoef(SIMILARITY[off], GAIN[off])[0, 1])


def test_the_interaction_is_what_no_row_and_column_explains():
    rows, columns = np.array([1.0, -2, 5, 0]), np.array([0.5, 3, -1, 2])
    shifted = GAIN + rows[:, None] + columns[None, :]
    np.testing.assert_allclose(cells(shifted, INTERACTION), cells(GAIN, INTERACTION), atol=1e-12)
    residuals = np.zeros((4, 4))
    residuals[~np.eye(4, dtype=bool)] = cells(GAIN, INTERACTION)
    np.testing.assert_allclose(residuals.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(residuals.sum(axis=1), 0, atol=1e-12)
    off = ~np.eye(4, dtype=bool)
    design = np.array([[*(a == row for row in range(4)), *(b == column for column in range(4))]
                       for a, b in zip(*np.nonzero(off), strict=True)], dtype=float)  # fmt: skip
    fitted = design @ np.linalg.lstsq(design, GAIN[off])[0]
    np.testing.assert_allclose(cells(GAIN, INTERACTION), GAIN[off] - fitted, atol=1e-12)
    assert mantel(SIMILARITY, shifted, INTERACTION, PEARSON) == pytest.approx(
        mantel(SIMILARITY, GAIN, INTERACTION, PEARSON), nan_ok=True
    )


def test_without_spread_there_is_no_correlation():
    found = mantel(np.ones((4, 4)), GAIN)
    assert math.isnan(found.r) and math.isnan(found.p) and found.p_least == 1 / 24
    assert math.isnan(mantel(SIMILARITY[:2, :2], GAIN[:2, :2]).r)  # one pair


def test_many_tasks_are_drawn(monkeypatch):
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 6, 6))
    exact = mantel(first, second)
    monkeypatch.setattr(module, "MOST_TASKS", 5)
    monkeypatch.setattr(module, "DRAWN", 2000)
    drawn = mantel(first, second, seed=3)
    assert drawn.r == exact.r and drawn.p_least == 1 / 2000
    assert drawn.p_above == pytest.approx(exact.p_above, abs=0.05) and drawn.p_above != exact.p_above
    assert drawn == mantel(first, second, seed=3) != mantel(first, second, seed=4)


def test_levels_are_kept():
    """On unrelated relations between five tasks, one-sided tests at 5 % reject as often as 120 orders allow."""
    random = np.random.default_rng(1)
    found = [mantel(*random.normal(size=(2, 5, 5)), statistic=PEARSON) for _ in range(300)]
    share = np.mean([one.p_above <= 0.05 for one in found])
    assert 0.02 < share < 0.09
    for one in found[:50]:
        assert (one.r >= one.critical) == (one.p_above <= 0.025)
    pairs = list(combinations(range(5), 2))
    assert cells(random.normal(size=(5, 5)), SYMMETRISED).shape == (len(pairs),)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [3, 4, 5, 6])
@pytest.mark.parametrize("design", DESIGNS)
def test_a_critical_value_is_the_smallest_that_has_a_p_of_5_percent(tasks, design):
    """Fewer than five tasks have no critical value."""
    random = np.random.default_rng(tasks)
    first, second = random.normal(size=(2, tasks, tasks))
    found = mantel(first, second, design)
    orders = [mantel(first, second[np.ix_(order, order)], design) for order in map(list, permutations(range(tasks)))]
    if tasks < 5 or math.isnan(found.r):
        assert math.isnan(found.critical) and not any(one.p <= 0.05 for one in orders)
        return
    rare = [one.r for one in orders if one.p_above <= 0.025]
    assert found.critical == pytest.approx(min(rare), abs=1e-12)
    assert {one.p <= 0.05 for one in orders if one.r > found.critical - 1e-9} == {True}
