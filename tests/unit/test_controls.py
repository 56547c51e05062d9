"""Controls of Eq. 3, by hand and by numpy: base patterns only, changes without them; the effects of Figure 4."""

import numpy as np
import pytest
from test_analysis import FAMILIES, analyse, mean_pattern, read, write_runs

from headpatterns.errors import InputError
from headpatterns.statistics import regression
from headpatterns.statistics.controls import Observed, equations, partialled
from headpatterns.studies.composition import effects
from headpatterns.studies.reading import Reading


@pytest.fixture
def generator():
    return np.random.default_rng(17)


def r2_by_numpy(target, columns, intercept=False):
    matrix = np.stack([np.ravel(column) for column in columns], axis=1)
    if intercept:
        matrix = np.column_stack([matrix, np.ones(len(matrix))])
    y = np.ravel(target)
    return 1 - np.sum((y - matrix @ np.linalg.lstsq(matrix, y)[0]) ** 2) / np.sum((y - y.mean()) ** 2)


def test_the_projection_on_the_base_pattern_is_taken_off_by_hand():
    # The projection is 3 * 1 / (1 + 4 + 4) = 1/3 of the base pattern.
    left = partialled(np.array([[3.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 2.0]]), intercept=False)
    np.testing.assert_allclose(left, [[8 / 3, -2 / 3, -2 / 3]])
    # After centring, (2, -1, -1) is -3 times (-2/3, 1/3, 1/3), so nothing is left.
    left = partialled(np.array([[3.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 2.0]]), intercept=True)
    np.testing.assert_array_equal(left, [[0, 0, 0]])


@pytest.mark.parametrize("intercept", [False, True])
def test_every_replicate_is_the_residual_of_lstsq(generator, intercept):
    change, before = generator.normal(size=(5, 4, 3)) + 2, generator.gamma(2, size=(5, 4, 3))
    left = partialled(change, before, intercept)
    for replicate in range(5):
        matrix = np.stack([before[replicate].ravel(), np.full(12, float(intercept))], axis=1)
        y = change[replicate].ravel()
        expected = y - matrix @ np.linalg.lstsq(matrix, y)[0]
        np.testing.assert_allclose(left[replicate].ravel(), expected, atol=1e-12)


def test_of_a_base_pattern_of_zero_nothing_is_taken_off(generator):
    change = generator.normal(size=(2, 3, 3))
    np.testing.assert_array_equal(partialled(change, np.zeros((2, 3, 3)), intercept=False), change)


def test_changes_that_undo_the_base_pattern_say_what_it_says_and_leave_nothing(generator):
    """Each task loses nine tenths of its own pattern, so the fits on changes and on base patterns are the same."""
    before = generator.gamma(1, size=(5, 1, 6, 6)) + np.zeros((5, 4, 1, 1))
    runs = [Observed(one, (-0.9 * one.astype(np.float32)).astype(float)) for one in before]
    sides = equations(runs[0], runs[1:], intercept=False)
    r2 = {of: regression.r2_of_pairs(*equation, intercept=False) for of, equation in sides.items()}
    np.testing.assert_allclose(r2["change"], r2["base"], atol=1e-6)
    assert np.isnan(r2["partialled"]).all()
    np.testing.assert_array_equal(sides["partialled"].target, 0)
    np.testing.assert_array_equal(sides["partialled"].basic, 0)


def hidden_pair(generator):
    """Runs that lose nine tenths of their pattern; the complex task comes first.

    Its base pattern is the sum of those of tasks 2 and 3. Its gain is a weighted sum of the gains of tasks 0 and 1.
    """
    before, gains = generator.gamma(1, size=(4, 8, 8)), 0.1 * generator.normal(size=(4, 8, 8))
    complex_before, complex_gain = before[2] + before[3], 0.6 * gains[0] + 0.4 * gains[1]
    change = np.array([complex_gain - 0.9 * complex_before, *(gains - 0.9 * before)])
    return [
        Observed(b[None].repeat(3, 0), c[None].repeat(3, 0))
        for b, c in zip([complex_before, *before], change, strict=True)
    ]


def test_partialling_out_finds_the_true_pair_behind_alike_base_patterns(generator):
    target, *basic = hidden_pair(generator)
    found = {}
    for of, equation in equations(target, basic, intercept=False).items():
        r2 = regression.r2_of_pairs(*equation, intercept=False)
        found[of] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)][int(np.argmax(r2[0]))], r2[0].max()
    assert found["base"] == ((2, 3), pytest.approx(1))
    assert found["change"][0] == (2, 3)
    assert found["partialled"][0] == (0, 1) and found["partialled"][1] > 0.8


def test_r2_of_pairs_matches_numpy(generator):
    target, basic = generator.normal(size=(3, 4, 4)), generator.normal(size=(3, 3, 4, 4)) + 1
    for intercept in (False, True):
        r2 = regression.r2_of_pairs(target, basic, intercept)
        for replicate in range(3):
            for place, pair in enumerate([(0, 1), (0, 2), (1, 2)]):
                expected = r2_by_numpy(target[replicate], basic[replicate, list(pair)], intercept)
                assert r2[replicate, place] == pytest.approx(expected)


def test_heads_without_a_rate_are_left_out_of_all_three(generator):
    before = generator.gamma(1, size=(3, 2, 4, 4))
    change = generator.normal(size=(3, 2, 4, 4))
    change[1, :, 0, 2] = np.nan
    runs = [Observed(*pair) for pair in zip(before, change, strict=True)]
    sides = equations(runs[0], runs[1:], intercept=False)
    assert {side.target.shape for side in sides.values()} == {(2, 1, 15)}
    kept = np.delete(np.arange(16), 2)
    np.testing.assert_array_equal(sides["base"].basic[0, 1, 0], before[2, 0].ravel()[kept])
    change[:] = np.nan
    with pytest.raises(InputError, match=r"no rate of change exists: set analysis\.change to difference"):
        equations(runs[0], runs[1:], intercept=False)


@pytest.mark.filterwarnings("error")
def test_a_replicate_without_a_rate_has_no_number_and_the_others_keep_theirs(generator):
    basic, target = generator.normal(size=(4, 2, 3, 3)), generator.normal(size=(4, 3, 3))
    whole = regression.fit_all(target, basic, False, 10, 0)
    basic[2, 1, 0, 0] = np.nan
    for fit, other in zip(regression.fit_all(target, basic, False, 10, 0), whole, strict=True):
        assert np.isnan(fit.r2[2]) and np.isnan(fit.beta[2]).all()
        np.testing.assert_allclose(np.delete(fit.r2, 2), np.delete(other.r2, 2))
        np.testing.assert_allclose(fit.null, other.null)


# The tables and the claims' numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("controls")
    write_runs(made, models=("big",))
    return made


def test_composition_csv_holds_the_fits_of_the_controls(folder):
    analyse("composition", folder / "runs.csv", folder)
    rows = [row for row in read(folder / "composition.csv") if row["seed"] == "1"]
    before = {task: mean_pattern(folder, "big", task, 1, 0) for task in FAMILIES}
    change = {task: mean_pattern(folder, "big", task, 1, 20) - before[task] for task in FAMILIES}
    left = {t: change[t] - (change[t] * before[t]).sum() / (before[t] ** 2).sum() * before[t] for t in FAMILIES}
    for of, own in {"change": change, "base": before, "partialled": left}.items():
        pairs = {}
        for row in rows:
            if (row["of"], row["size"]) == (of, "2"):
                pairs[row["terms"]] = r2_by_numpy(own["sgsm"], [own[task] for task in row["terms"].split("+")])
                assert float(row["plain"]) == pytest.approx(pairs[row["terms"]], rel=1e-6)
                assert float(row["low"]) <= float(row["high"])
        order = sorted(pairs, key=pairs.get, reverse=True)
        ranks = {row["terms"]: int(row["rank"]) for row in rows if (row["of"], row["size"]) == (of, "2")}
        assert [ranks[terms] for terms in order] == [1, 2, 3]


def test_composition_controls_csv_holds_the_agreement_of_ranks(folder, tmp_path):
    """With three pairs, rho can only be 1, 0.5, -0.5 or -1."""
    analyse("composition", folder / "runs.csv", tmp_path)
    means = [
        row for row in read(tmp_path / "composition_by_model.csv") if (row["size"], row["statistic"]) == ("2", "rank")
    ]
    ranks = {
        of: {row["terms"]: float(row["value"]) for row in means if row["of"] == of}
        for of in ("change", "base", "partialled")
    }
    rows = read(tmp_path / "composition_controls.csv")
    assert [row["control"] for row in rows] == ["base", "partialled"]
    for row in rows:
        other = ranks[row["control"]]
        squares = sum((ranks["change"][terms] - other[terms]) ** 2 for terms in other)
        assert float(row["spearman"]) == pytest.approx(1 - 6 * squares / (3 * 8))
        assert (row["pairs"], row["best_on_changes"]) == ("3", "gsm8k+code")
        assert other[row["best_on_control"]] == 1


def measured(folder, pair=("code", "gsm8k"), **reading):
    found = effects.measure(folder / "runs.csv", 200, 3, {"nlp": list(pair)}, Reading(**reading))
    assert {(one.model, one.about) for one in found} == {("big", "nlp")}
    return {one.name: one.effect for one in found}


def test_the_effects_are_differences_of_r2_with_the_seeds_in_their_error(folder):
    values = []
    for seed in (0, 1):
        before = {task: mean_pattern(folder, "big", task, seed, 0) for task in FAMILIES}
        change = {task: mean_pattern(folder, "big", task, seed, 20) - before[task] for task in FAMILIES}
        left = {t: change[t] - (change[t] * before[t]).sum() / (before[t] ** 2).sum() * before[t] for t in FAMILIES}

        def r2(own, *pair):
            return r2_by_numpy(own["sgsm"], [own[task] for task in pair])

        own, others = r2(change, "gsm8k", "code"), [r2(change, "gsm8k", "arc"), r2(change, "code", "arc")]
        rest = [r2(left, "gsm8k", "arc"), r2(left, "code", "arc")]
        values.append(
            {
                "pair_r2": own,
                "pair_beats_base_patterns": own - r2(before, "gsm8k", "code"),
                "pair_margin": own - max(others),
                "pair_margin_partialled": r2(left, "gsm8k", "code") - max(rest),
                "pair_beats_null": own - np.mean(others),
            }
        )
    found = measured(folder)
    assert set(found) == set(values[0])
    for name, effect in found.items():
        one, two = values[0][name], values[1][name]
        assert effect.plain == pytest.approx((one + two) / 2, abs=1e-6)
        seeds, samples = effect.components
        assert (seeds.source, seeds.df, samples.source) == ("seeds", 1, "samples")
        assert seeds.variance == pytest.approx((one - two) ** 2 / 4, rel=1e-3, abs=1e-12)
        assert samples.variance > 0


def test_how_patterns_are_read_changes_the_effects(folder):
    plain = measured(folder)["pair_r2"].plain
    for reading in ({"intercept": True}, {"change": "rate"}, {"normalisation": "sum"}):
        assert measured(folder, **reading)["pair_r2"].plain != pytest.approx(plain, abs=1e-6)


def test_one_pair_has_no_rivals(tmp_path):
    write_runs(tmp_path, models=("big",), tasks=("gsm8k", "code"), seeds=(0,))
    found = measured(tmp_path)
    assert set(found) == {"pair_r2", "pair_beats_base_patterns"}
    assert found["pair_r2"].varies == ("samples",)


def test_groups_without_an_expected_pair_are_left_out(folder):
    assert effects.measure(folder / "runs.csv", 20, 3, {}, Reading()) == []
    assert effects.measure(folder / "runs.csv", 20, 3, {"law": ["a", "b"]}, Reading()) == []


@pytest.mark.parametrize("pair", [[], ["code"], ["code", "code"], ["code", "chess"], ["code", "sgsm"]])
def test_a_pair_that_is_not_of_two_basic_tasks_is_refused(folder, pair):
    with pytest.raises(
        InputError, match=r"does not consist of two of its basic tasks in .*fix task_groups\.nlp\.expected_pair"
    ):
        effects.measure(folder / "runs.csv", 20, 3, {"nlp": pair}, Reading())
