"""Statistics of levels, each compared with a value worked out by hand or by another library."""

import numpy as np
import pytest
import scipy

from headpatterns.statistics import levels, log_ratio
from headpatterns.studies.adaptation import distribution


@pytest.fixture
def generator():
    return np.random.default_rng(8)


def test_levels_by_hand():
    before = np.array([[1.0, 2.0], [3.0, 2.0]])
    after = np.array([[2.0, 2.0], [1.0, 5.0]])
    assert levels.level(before) == 2 and levels.level(after) == 2.5
    assert levels.share_rising(before, after) == 2 / 4  # 1 to 2, and 2 to 5; the one that stays does not rise
    assert levels.share_active(after, before) == 1 / 4  # above the mean of before, 2
    assert levels.share_active(before, before) == 1 / 4
    np.testing.assert_allclose(log_ratio(before, after), np.log([[2, 1], [1 / 3, 2.5]]))


def test_leading_axes_are_kept(generator):
    before, after = generator.gamma(1.0, size=(2, 5, 7, 3, 4))
    for statistic in (levels.share_rising, levels.share_active, levels.against_base):
        found = statistic(after, before)
        assert found.shape == (5, 7)
        assert found[2, 6] == pytest.approx(statistic(after[2, 6], before[2, 6]))
    assert levels.level(before)[4, 1] == pytest.approx(before[4, 1].mean())


def test_log_ratios_leave_out_heads_that_are_dead_in_the_estimate():
    before = np.array([[[1.0, 0.0, 4.0]], [[1.0, 3.0, 4.0]]])
    after = np.array([[[2.0, 1.0, 1.0]], [[4.0, 5.0, 1.0]]])
    found = levels.mean_log_ratio(before, after)
    np.testing.assert_allclose(found, [np.log(2 * 0.25) / 2, np.log(4 * 0.25) / 2])
    assert np.isnan(levels.mean_log_ratio(np.zeros((2, 1, 3)), after)).all()
    lost = np.array([[[2.0, 1.0, 1.0]], [[4.0, 5.0, 0.0]]])  # only a replicate has lost a head
    assert np.isnan(levels.mean_log_ratio(before, lost)[1])


def test_skewness_is_scipys(generator):
    patterns = generator.gamma(0.4, size=(6, 4, 5))
    expected = scipy.stats.skew(patterns.reshape(6, -1), axis=-1)
    np.testing.assert_allclose(levels.skewness(patterns), expected, rtol=1e-10)
    assert np.isnan(levels.skewness(np.full((2, 3), 0.7)))


def test_shrinking_alike_is_minus_the_base_pattern(generator):
    before = generator.gamma(1.0, size=(4, 6))
    assert levels.against_base(before, 0.2 * before) == pytest.approx(1)
    assert levels.against_base(before, 1.7 * before) == pytest.approx(-1)
    after = generator.gamma(1.0, size=(4, 6))
    expected = np.corrcoef((after - before).ravel(), -before.ravel())[0, 1]
    assert levels.against_base(before, after) == pytest.approx(expected)


def test_coherence_by_hand():
    signed = np.array([[[3.0, 1.0, 0.0]], [[-1.0, 1.0, 0.0]]])  # |2| / 4, 2 / 2, and a head that is always 0
    weights = np.array([[0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(levels.coherence(signed, weights), [(0.5 + 1) / 2, 1])
    assert np.isnan(levels.coherence(np.zeros((2, 1, 3)), weights)).all()


def test_noise_reaches_the_floor_on_average_whatever_its_size_and_the_weights(generator):
    """The means over 20 000 heads of noise have standard errors of about 0.0007 and 0.0008."""
    samples = 64
    noise = generator.normal(size=(samples, 100, 200)) * generator.lognormal(size=(1, 100, 200))
    equal = np.full((1, samples), 1 / samples)
    assert levels.noise_floor(equal[0]) == pytest.approx(1 / 8)
    assert levels.coherence(noise, equal)[0] == pytest.approx(1 / 8, abs=0.003)
    uneven = np.arange(1, samples + 1) / np.arange(1, samples + 1).sum()
    assert levels.coherence(noise, uneven[None])[0] == pytest.approx(levels.noise_floor(uneven), abs=0.004)


def test_rank_correlations_are_scipys(generator):
    patterns = generator.integers(0, 5, size=(3, 4, 2, 6)).astype(float)  # with ties
    patterns[1, 2] = 7.0
    found = levels.rank_correlation_matrix(patterns)
    assert found.shape == (3, 4, 4)
    for replicate in (0, 2):
        expected = scipy.stats.spearmanr(patterns[replicate].reshape(4, -1).T).statistic
        np.testing.assert_allclose(found[replicate], expected, atol=1e-12)
    assert np.isnan(found[1, 2]).all() and np.isnan(found[1, :, 2]).all()
    np.testing.assert_allclose(found[1, [0, 1, 3], [0, 1, 3]], 1)


def test_within_runs_ignores_how_runs_differ(generator):
    """Each run has slope 2, while the means of the runs fall. The gaps of a short run and of a zero are left out."""
    x = generator.normal(size=(3, 4, 6))
    y = 2 * x + 10 * np.arange(4)[:, None] * -1
    x = x + 7 * np.arange(4)[:, None]
    x[:, 1, 4:] = np.nan
    y[:, 1, 4:] = np.nan
    y[:, 2, 3] = -np.inf
    r, slope = levels.within_runs(x, y)
    np.testing.assert_allclose(r, 1)
    np.testing.assert_allclose(slope, 2)
    flat = levels.within_runs(np.ones((2, 3, 4)), x[:2, :3, :4])
    assert np.isnan(flat).all()


def test_coherence_is_shown_with_the_bias_that_its_floor_has():
    """Resamples of noise with coherence 0.125 give larger values; a bias correction would compare 0.07 with 0.125."""
    replicates = np.array([0.125, 0.17, 0.18, 0.19])
    value, low, high, plain = distribution.numbers([replicates], "coherence", "after")
    assert value == pytest.approx(0.125) and plain == 0.125 and low < 0.125 < high
    level = distribution.numbers([replicates], "level", "after")
    assert level[0] == pytest.approx(2 * 0.125 - 0.18)
