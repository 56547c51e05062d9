"""Statistics of activation patterns, compared with values by hand and scipy, and the bootstrap with a plain loop."""

import warnings

import numpy as np
import pytest
import scipy.stats

from headpatterns.errors import InputError
from headpatterns.statistics import (
    change,
    change_rate,
    correlation_matrix,
    cv,
    estimate_and_interval,
    gini,
    kurtosis,
    mse,
    pearson,
    probe_weights,
    replicate_patterns,
    value_and_range,
    without_dead_heads,
)


@pytest.fixture
def generator():
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 0, 0, 1], 0.75), ([1, 1, 1, 1], 0.0), ([1, 2, 3, 4], 0.25), ([0, 5], 0.5), ([3], 0.0)],
)
def test_gini_by_hand(values, expected):
    assert gini(np.array([values], dtype=float)) == pytest.approx(expected, abs=1e-15)


def test_cv_and_kurtosis_by_hand():
    # mean 2.5, population variance 1.25, fourth moment (2 * 1.5^4 + 2 * 0.5^4) / 4 = 2.5625
    pattern = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert cv(pattern) == pytest.approx(np.sqrt(1.25) / 2.5)
    assert kurtosis(pattern) == pytest.approx(2.5625 / 1.25**2)
    # Two equally frequent values have the smallest possible kurtosis.
    assert kurtosis(np.array([[0.0, 1.0, 0.0, 1.0]])) == pytest.approx(1.0)


def test_statistics_match_their_definitions(generator):
    patterns = generator.gamma(0.5, size=(3, 2, 5, 4))
    values = patterns.reshape(3, 2, 20)
    differences = np.abs(values[..., :, None] - values[..., None, :]).sum(axis=(-1, -2))
    np.testing.assert_allclose(gini(patterns), differences / (2 * 20**2 * values.mean(-1)), rtol=1e-12)
    second, fourth = (np.mean((values - values.mean(-1, keepdims=True)) ** power, axis=-1) for power in (2, 4))
    np.testing.assert_allclose(cv(patterns), np.sqrt(second) / values.mean(-1), rtol=1e-12)
    np.testing.assert_allclose(kurtosis(patterns), fourth / second**2, rtol=1e-12)


def test_statistics_ignore_the_scale_of_tiny_float32_patterns(generator):
    pattern = generator.gamma(1.0, size=(8, 8)).astype(np.float32)
    for statistic in (gini, cv, kurtosis):
        assert statistic(pattern * np.float32(2**-60)) == pytest.approx(float(statistic(pattern)), rel=1e-12)


def test_undefined_statistics_are_nan_without_a_warning():
    flat = np.full((3, 3, 3), 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(kurtosis(flat)).all()
        assert np.isnan(pearson(flat[0], np.arange(9.0).reshape(3, 3)))
        assert np.isnan(gini(np.zeros((2, 2)))) and np.isnan(cv(np.zeros((2, 2))))
        assert np.isnan(gini(np.array([[1.0, -1.0]]))) and np.isnan(cv(np.array([[1.0, -1.0]])))
        assert np.isnan(estimate_and_interval(kurtosis(flat))).all()
    assert gini(flat) == pytest.approx([0, 0, 0], abs=1e-12) and cv(flat) == pytest.approx([0, 0, 0], abs=1e-12)


def test_one_constant_pattern_leaves_the_other_correlations(generator):
    patterns = generator.random((3, 2, 4))
    patterns[1] = 5.0
    matrix = correlation_matrix(patterns)
    assert np.isnan(matrix[1]).all() and np.isnan(matrix[:, 1]).all()
    assert matrix[0, 2] == pytest.approx(scipy.stats.pearsonr(patterns[0].ravel(), patterns[2].ravel())[0])
    assert matrix[0, 0] == matrix[2, 2] == 1


def test_pearson_and_mse_match_scipy_and_numpy(generator):
    a, b = generator.gamma(1.0, size=(2, 3, 6, 4)).astype(np.float32)
    for i in range(3):
        expected = scipy.stats.pearsonr(a[i].ravel().astype(float), b[i].ravel().astype(float))[0]
        assert pearson(a, b)[i] == pytest.approx(expected, rel=1e-12)
        assert mse(a, b)[i] == pytest.approx(((a[i].astype(float) - b[i]) ** 2).mean(), rel=1e-12)
    assert pearson(a[0], 3 * a[0] + 2) == pytest.approx(1)
    assert pearson(a[0], -a[0]) == pytest.approx(-1)
    assert mse(a[0], a[0]) == 0


def test_correlation_matrix_is_that_of_numpy_for_every_leading_index(generator):
    patterns = generator.random((4, 5, 3, 3))
    matrices = correlation_matrix(patterns)
    for i in range(4):
        np.testing.assert_allclose(matrices[i], np.corrcoef(patterns[i].reshape(5, 9)), atol=1e-14)
    np.testing.assert_array_equal(matrices, matrices.swapaxes(-1, -2))


def test_change_and_change_rate_element_by_element():
    before, after = np.array([[1.0, 2.0], [4.0, 0.5]]), np.array([[2.0, 1.0], [4.0, 1.0]])
    np.testing.assert_array_equal(change(before, after), [[1, -1], [0, 0.5]])
    np.testing.assert_array_equal(change_rate(before, after), [[1, -0.5], [0, 1]])


def test_a_dead_head_has_no_change_rate_and_hides_no_other():
    generator = np.random.default_rng(0)
    before, after = generator.uniform(1, 2, (2, 5, 3, 2, 2))
    before[:, 1, 1, 0] = 0  # dead in one of three tasks
    before[3, 0, 0, 0] = 0  # missed by one replicate only
    rates = change_rate(before, after)
    assert np.isnan(rates[:, 1, 1, 0]).all()
    left = without_dead_heads(rates)
    assert left.shape == (5, 3, 1, 3)
    np.testing.assert_array_equal(left[0, :, 0], rates.reshape(5, 3, 4)[0][:, [0, 1, 3]])
    correlations = correlation_matrix(left)
    assert np.isfinite(correlations[0]).all()
    assert np.isnan(correlations[3, 0]).all()


def test_a_head_that_one_replicate_missed_is_undefined_only_there():
    before = np.ones((3, 2, 2))
    before[1, 0, 0] = 0
    rates = change_rate(before, 2 * before + 1)
    assert np.isnan(rates[1, 0, 0]) and np.isnan(rates).sum() == 1


def test_weights_resample_with_replacement_after_the_estimate():
    weights = probe_weights(samples=40, task="gsm8k", resamples=500, seed=3)
    assert weights.shape == (501, 40)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_array_equal(weights[0], np.full(40, 1 / 40))
    counts = weights[1:] * 40
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    # A count is binomial(40, 1/40): mean 1, variance 0.975.
    assert counts.var() == pytest.approx(0.975, rel=0.05)
    # The draws are balanced: every sample 500 times.
    np.testing.assert_array_equal(counts.round().sum(axis=0), 500)


def test_draws_depend_on_seed_and_task_alone():
    draw = probe_weights(20, "math", 10, 0)
    np.testing.assert_array_equal(draw, probe_weights(20, "math", 10, 0))
    assert not np.array_equal(draw, probe_weights(20, "math", 10, 1))
    assert not np.array_equal(draw, probe_weights(20, "arc", 10, 0))


@pytest.mark.parametrize(
    ("resamples", "seed", "option"), [(0, 0, "--resamples"), (1, 0, "--resamples"), (10, -1, "--seed")]
)
def test_impossible_bootstrap_options_are_named(resamples, seed, option):
    with pytest.raises(InputError, match=option):
        probe_weights(5, "math", resamples, seed)


def test_replicates_are_means_of_the_drawn_samples(generator):
    samples = generator.random((12, 2, 3)).astype(np.float32)
    weights = probe_weights(12, "arc", 30, 0)
    patterns = replicate_patterns(samples, weights)
    assert patterns.dtype == np.float64 and patterns.shape == (31, 2, 3)
    np.testing.assert_allclose(patterns[0], samples.astype(float).mean(axis=0), rtol=1e-14)
    for row, pattern in zip(weights, patterns, strict=True):
        drawn = np.repeat(samples, np.rint(row * 12).astype(int), axis=0)
        assert len(drawn) == 12
        np.testing.assert_allclose(pattern, drawn.astype(float).mean(axis=0), rtol=1e-12)


def test_interval_agrees_with_scipy_bootstrap(generator):
    samples = generator.gamma(1.0, size=(60, 3, 4))

    def gini_of_mean(index, axis=-1):
        return gini(samples[index.astype(int)].mean(axis=-3))

    expected = scipy.stats.bootstrap(
        (np.arange(60),), gini_of_mean, n_resamples=6000, method="percentile", batch=500, rng=generator
    )
    ours = gini(replicate_patterns(samples, probe_weights(60, "gsm8k", 6000, 0)))
    value, low, high = estimate_and_interval(ours)
    plain = float(gini(samples.mean(axis=0)))
    error = expected.standard_error
    assert value == pytest.approx(2 * plain - expected.bootstrap_distribution.mean(), abs=0.06 * error)
    assert value < plain - 0.3 * error  # noise spreads out the heads
    assert high - low == pytest.approx(2 * 1.959964 * 1.08 * error, rel=0.04)
    assert (low + high) / 2 == pytest.approx(value)


def test_interval_by_hand():
    # Replicates 0.2 above the plain value on average, with a standard deviation of 0.1.
    replicates = np.array([0.5, 0.6, 0.7, 0.8])
    reach = 1.959964 * 1.08 * 0.1
    np.testing.assert_allclose(estimate_and_interval(replicates), [0.3, 0.3 - reach, 0.3 + reach], rtol=1e-6)
    reach = 1.281552 * 1.08 * 0.1
    np.testing.assert_allclose(estimate_and_interval(replicates, 0.8), [0.3, 0.3 - reach, 0.3 + reach], rtol=1e-6)
    np.testing.assert_allclose(estimate_and_interval(replicates, limits=(0.25, 0.4)), [0.3, 0.25, 0.4])
    np.testing.assert_allclose(estimate_and_interval(replicates, limits=(0.45, 1.0))[:2], [0.45, 0.45])


def test_estimates_without_bias_stay_exactly_as_they_are(generator):
    samples = generator.gamma(0.5, size=(50, 3, 4))
    patterns = replicate_patterns(samples, probe_weights(50, "math", 40, 0))
    np.testing.assert_array_equal(estimate_and_interval(patterns)[0], patterns[0])
    means = patterns.mean(axis=(1, 2))
    assert estimate_and_interval(means - means[::-1].mean())[0] == means[0] - means[::-1].mean()
    correlations = correlation_matrix(patterns.reshape(41, 3, 2, 2))
    value, low, high = estimate_and_interval(correlations, limits=(-1.0, 1.0))
    for numbers in (value, low, high):
        np.testing.assert_array_equal(np.diagonal(numbers), 1)
        assert (np.abs(numbers) <= 1).all()
    assert (low <= value).all() and (value <= high).all()


def test_ranks_are_not_debiased_and_lie_in_their_range():
    ranks = np.array([1.0, 3, 2, 2, 4])
    np.testing.assert_allclose(value_and_range(ranks, 0.5), [1, 1, 3.25])
    np.testing.assert_allclose(value_and_range(np.array([5.0, 3, 2, 2, 4]), 0.5), [5, 2, 5])


def test_an_interval_of_a_single_replicate_is_refused():
    with pytest.raises(InputError, match="given 1 bootstrap replicates: it needs at least 2"):
        estimate_and_interval(np.array([1.0, 2.0]))


def test_an_undefined_replicate_makes_the_interval_undefined():
    assert np.isnan(estimate_and_interval(np.array([1.0, 2.0, np.nan, 3.0]))).tolist() == [False, True, True]


def test_interval_covers_the_truth_at_about_its_level(generator):
    covered = 0
    for trial in range(200):
        samples = generator.gamma(2.0, size=(80, 1, 1))
        replicates = replicate_patterns(samples, probe_weights(80, f"trial {trial}", 300, 0))
        _, low, high = estimate_and_interval(replicates[:, 0, 0])
        covered += low <= 2.0 <= high
    assert 178 <= covered <= 198


def test_pairing_narrows_the_interval_of_a_difference(generator):
    before = generator.gamma(0.5, size=(50, 4, 4))
    after = before * 1.1 + 0.01 * generator.random((50, 4, 4))
    weights = probe_weights(len(before), "math", 500, 0)
    paired = [cv(replicate_patterns(samples, weights)) for samples in (before, after)]
    unpaired = cv(replicate_patterns(after, probe_weights(50, "arc", 500, 0)))
    _, low, high = estimate_and_interval(paired[1] - paired[0])
    _, loose_low, loose_high = estimate_and_interval(unpaired - paired[0])
    assert high - low < 0.2 * (loose_high - loose_low)
