"""Composition of pattern changes: against numpy for each replicate, planted weights, degenerate input, the null."""

import numpy as np
import pytest

from headpatterns.errors import InputError
from headpatterns.statistics import regression


@pytest.fixture
def generator():
    return np.random.default_rng(11)


def reference(target, columns, intercept):
    """Coefficients and R² of one replicate by numpy's own least squares."""
    matrix = np.stack([column.ravel() for column in columns], axis=1)
    if intercept:
        matrix = np.column_stack([matrix, np.ones(len(matrix))])
    y = target.ravel()
    beta = np.linalg.lstsq(matrix, y)[0]
    return beta, 1 - np.sum((y - matrix @ beta) ** 2) / np.sum((y - y.mean()) ** 2)


@pytest.mark.parametrize("intercept", [False, True])
def test_every_term_set_matches_lstsq_of_every_replicate(generator, intercept):
    # The changes have very different sizes, like those of tasks. Their mean is not 0, so that the intercept matters.
    basic = generator.normal(size=(6, 4, 5, 3)) * np.array([1e-5, 1.0, 30.0, 0.1])[:, None, None] + 0.5
    target = generator.normal(size=(6, 5, 3)) + basic[:, 0] * 3
    fits = regression.fit_all(target, basic, intercept, permutations=10, seed=0)
    assert [fit.terms for fit in fits] == regression.term_sets(4)
    for fit in fits:
        for replicate in range(6):
            beta, r2 = reference(target[replicate], basic[replicate, list(fit.terms)], intercept)
            np.testing.assert_allclose(fit.beta[replicate], beta, rtol=1e-7)
            assert fit.r2[replicate] == pytest.approx(r2, abs=1e-10)


def test_null_is_the_fit_of_permuted_heads(generator):
    basic = generator.normal(size=(3, 2, 4, 4))
    target = generator.normal(size=(3, 4, 4))
    shuffled = regression.permuted(target[0], 20, seed=5)
    assert all(sorted(copy.ravel()) == sorted(target[0].ravel()) for copy in shuffled)
    fits = regression.fit_all(target, basic, False, permutations=20, seed=5)
    for fit in fits:
        expected = [reference(copy, basic[0, list(fit.terms)], False)[1] for copy in shuffled]
        np.testing.assert_allclose(fit.null, expected, atol=1e-12)
        assert fit.p_value == (1 + np.sum(np.array(expected) >= fit.r2[0])) / 21


def test_planted_composition_is_recovered(generator):
    basic = generator.normal(size=(1, 6, 16, 16)) + np.zeros((2, 1, 1, 1))
    target = 0.7 * basic[:, 2] + 0.3 * basic[:, 4] + 0.05 * generator.normal(size=(2, 16, 16))
    fits = {fit.terms: fit for fit in regression.fit_all(target, basic, False, 500, 0)}
    pairs = {terms: fit.r2[0] for terms, fit in fits.items() if len(terms) == 2}
    assert max(pairs, key=pairs.get) == (2, 4)
    assert fits[2, 4].r2[0] > 0.97
    np.testing.assert_allclose(fits[2, 4].beta[0], [0.7, 0.3], atol=0.02)
    np.testing.assert_allclose(fits[tuple(range(6))].beta[0], [0, 0, 0.7, 0, 0.3, 0], atol=0.02)
    assert fits[2, 4].p_value == 1 / 501
    assert fits[2, 4].null.max() < 0.2


def test_p_values_of_unrelated_changes_are_uniform(generator):
    p_values = []
    for trial in range(120):
        basic, target = generator.normal(size=(2, 2, 5, 5)), generator.normal(size=(2, 5, 5))
        p_values.append(regression.fit_all(target, basic, True, 99, trial)[-1].p_value)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.09)
    assert 0 < np.mean(np.array(p_values) <= 0.1) < 0.25


def test_more_terms_never_explain_less(generator):
    basic, target = generator.normal(size=(4, 3, 4, 4)), generator.normal(size=(4, 4, 4))
    r2 = {fit.terms: fit.r2 for fit in regression.fit_all(target, basic, False, 5, 0)}
    assert (r2[0, 1] >= np.maximum(r2[0,], r2[1,]) - 1e-12).all()
    assert (r2[0, 1, 2] >= np.maximum(r2[0, 1], r2[1, 2]) - 1e-12).all()


def test_identical_tasks_share_their_weight(generator):
    one = generator.normal(size=(2, 4, 4))
    basic = np.stack([one, one, generator.normal(size=(2, 4, 4))], axis=1)
    fits = {fit.terms: fit for fit in regression.fit_all(2 * one, basic, False, 10, 0)}
    np.testing.assert_allclose(fits[0, 1].beta, 1.0)
    np.testing.assert_allclose(fits[0, 1, 2].r2, 1.0)
    np.testing.assert_allclose(fits[0, 1].r2, fits[0,].r2)


def test_a_task_that_did_not_change_gets_no_weight(generator):
    basic = np.stack([np.zeros((2, 3, 3)), generator.normal(size=(2, 3, 3))], axis=1)
    fits = {fit.terms: fit for fit in regression.fit_all(basic[:, 1] * 0.5, basic, False, 10, 0)}
    np.testing.assert_array_equal(fits[0,].beta, 0)
    np.testing.assert_allclose(fits[0, 1].beta, [[0, 0.5], [0, 0.5]], atol=1e-12)


def test_fewer_heads_than_tasks(generator):
    basic, target = generator.normal(size=(3, 6, 1, 4)), generator.normal(size=(3, 1, 4))
    fits = regression.fit_all(target, basic, False, 10, 0)
    np.testing.assert_allclose(fits[-1].r2, 1.0)
    beta, r2 = reference(target[1], basic[1, [0, 3]], False)
    pair = next(fit for fit in fits if fit.terms == (0, 3))
    assert pair.r2[1] == pytest.approx(r2)
    np.testing.assert_allclose(pair.beta[1], beta)


@pytest.mark.filterwarnings("error")
def test_a_constant_complex_change_has_no_r2(generator):
    fits = regression.fit_all(np.full((3, 2, 2), 0.3), generator.normal(size=(3, 2, 2, 2)), False, 10, 0)
    assert all(np.isnan(fit.r2).all() and np.isnan(fit.p_value) for fit in fits)


def test_term_sets_are_listed_once():
    assert regression.term_sets(1) == [(0,)]
    assert regression.term_sets(2) == [(0,), (1,), (0, 1)]
    assert len(regression.term_sets(6)) == 6 + 15 + 1


def test_a_null_needs_permutations():
    with pytest.raises(InputError, match="--permutations"):
        regression.permuted(np.ones((2, 2)), 0, 0)
