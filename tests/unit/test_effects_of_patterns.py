"""The effects behind the claims of section 4, from patterns made by hand: estimates and sources of variation."""

import itertools
import math

import numpy as np
import pattern_files
import pytest

from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.io import write_csv
from headpatterns.statistics import gini, kurtosis
from headpatterns.studies import effects as tables
from headpatterns.studies import jackknife
from headpatterns.studies.adaptation import effects as adaptation
from headpatterns.studies.dynamics import effects as dynamics
from headpatterns.studies.reading import Reading

FAMILIES = {"a": "one", "b": "one", "c": "one", "d": "two", "e": "two"}
SAMPLES = 6


def write(folder, courses, seeds=(0,), study="adaptation", families=FAMILIES):
    """The run table of `courses`, which has a pattern [layers, heads] and a loss by (model, task, seed) and by step.

    Three samples have the pattern and the loss increased by 20 %, and three have them reduced by 20 %.
    """
    rows = []
    for (model, task, seed), course in courses.items():
        if seed not in seeds:
            continue
        place = folder / model / f"g.{task}.seed{seed}" / task
        factors = np.array([1.2, 0.8] * (SAMPLES // 2))
        for step, (pattern, loss) in course.items():
            samples = factors[:, None, None] * np.asarray(pattern, dtype=float)
            pattern_files.save(place, step, samples, losses=(factors * loss).tolist())
        row = (study, "g", model, model, task, task, families.get(task, ""), "basic", seed, place.parent.name, place)
        rows.append(row)
    table = folder / "runs.csv"
    write_csv(table, run_table.COLUMNS, rows)
    return table


def by_name(measured):
    found = {(name, model, about): effect for name, model, about, effect in measured}
    assert len(found) == len(measured)
    return found


@pytest.fixture
def random_courses():
    """Two models, five tasks, three seeds: random patterns of 3 x 4 heads before and after."""
    generator = np.random.default_rng(3)
    return {
        (model, task, seed): {
            0: (generator.gamma(1.0, size=(3, 4)), 4 + generator.random()),
            10: (generator.gamma(1.0, size=(3, 4)), 1 + generator.random()),
        }
        for model in ("m", "n")
        for task in FAMILIES
        for seed in (0, 1, 2)
    }


def test_levels_by_hand(tmp_path):
    base = np.array([[1.0, 2.0], [4.0, 1.0]])  # mean 2, one head above it
    courses = {
        ("m", "a", 0): {0: (base, 5), 10: (base * [[2, 2], [0.5, 0.5]], 3)},  # 2, 4, 2, 0.5: two rise, one is above 2
        ("m", "b", 0): {0: (base, 6), 10: (base * 4, 2)},  # all rise, and all are above 2
    }
    table = write(tmp_path, courses)
    found = by_name(adaptation.measure(table, 20, 0))
    plain = {name: effect.plain for (name, _, about), effect in found.items() if not about}
    assert plain["level_change"] == pytest.approx((0 + math.log(4)) / 2, abs=1e-7)
    assert plain["heads_rising"] == pytest.approx((2 / 4 + 1) / 2)
    # At first one head of four; then only 4 in a (2 is not above 2), and 4, 8, 16, 4 in b.
    assert plain["active_heads_change"] == pytest.approx(((1 - 1) / 4 + (4 - 1) / 4) / 2)
    assert plain["loss_fall"] == pytest.approx((2 + 4) / 2)
    assert found["loss_fall", "m", "b"].plain == pytest.approx(4)
    assert found["loss_fall", "m", "b"].varies == ("samples",)
    assert found["loss_fall", "m", ""].varies == ("tasks",)


def test_no_head_that_rises_anywhere_is_a_result(tmp_path):
    """All heads fall in all four tasks, so nothing varies, and the sign test has p = 1/16."""
    base = np.array([[1.0, 2.0], [4.0, 1.0]])
    courses = {("m", task, seed): {0: (base, 5), 10: (base * 0.5, 3)} for task in "abcd" for seed in (0, 1)}
    effect = by_name(adaptation.measure(write(tmp_path, courses, seeds=(0, 1)), 20, 0))["heads_rising", "m", ""]
    assert (effect.estimate, effect.interval(), effect.standard_error) == (0, (0, 0), 0)
    assert (effect.p_above, effect.p_below, effect.p_least, effect.exact_bound) == (1, 1 / 16, 1 / 16, 0.5)


def test_the_spread_is_that_of_each_task_or_of_the_mean_pattern(tmp_path, random_courses):
    table = write(tmp_path, random_courses, seeds=(0, 1, 2))
    tasks, seeds = tuple(FAMILIES), (0, 1, 2)
    first, last = (
        np.array([[random_courses["m", task, seed][step][0] for task in tasks] for seed in seeds]) for step in (0, 10)
    )
    each, mean = (
        by_name(adaptation.measure(table, 10, 0, model_value=value)) for value in adaptation.ModelValue.__args__
    )
    assert set(each) == set(mean)
    for (name, model, about), effect in each.items():
        if "gini" not in name and "cv" not in name and "kurtosis" not in name:
            assert effect == mean[name, model, about]
    assert each["gini_before", "m", ""].plain == pytest.approx(gini(first).mean(), rel=1e-6)
    assert mean["gini_before", "m", ""].plain == pytest.approx(gini(first.mean(axis=1)).mean(), rel=1e-6)
    assert each["kurtosis_after", "m", ""].plain == pytest.approx(kurtosis(last).mean(), rel=1e-6)
    assert mean["kurtosis_after", "m", ""].plain == pytest.approx(kurtosis(last.mean(axis=1)).mean(), rel=1e-6)
    change = gini(last.mean(axis=1)).mean() - gini(first.mean(axis=1)).mean()
    assert mean["gini_change", "m", ""].plain == pytest.approx(change, rel=1e-5)
    # The delete-one-task jackknife of the mean pattern, by hand.
    left = [gini(np.delete(first, place, axis=1).mean(axis=1)).mean() for place in range(5)]
    (part,) = (part for part in mean["gini_before", "m", ""].components if part.source == "tasks")
    assert part.variance == pytest.approx(4 / 5 * np.square(left - np.mean(left)).sum(), rel=1e-4)
    assert part.df == 4


def test_correlations_and_clusters(tmp_path, random_courses):
    table = write(tmp_path, random_courses, seeds=(0, 1, 2))
    found = by_name(adaptation.measure(table, 10, 0))
    tasks = tuple(FAMILIES)
    matrices = {}
    for seed in (0, 1, 2):
        patterns = [np.array([random_courses["n", t, seed][step][0].ravel() for t in tasks]) for step in (0, 10)]
        made = {"before": patterns[0], "after": patterns[1], "rates": patterns[1] / patterns[0] - 1}
        for name, values in made.items():
            matrices.setdefault(name, []).append(np.corrcoef(values))
    before, after, rates = (np.array(matrices[name]) for name in ("before", "after", "rates"))
    pairs = list(itertools.combinations(range(5), 2))
    change = np.array([[(after - before)[seed, a, b] for a, b in pairs] for seed in range(3)])
    effect = found["correlation_change", "n", ""]
    assert effect.plain == pytest.approx(change.mean(), rel=1e-5)
    assert found["pairs_falling", "n", ""].plain == pytest.approx((change < 0).mean())
    assert effect.varies == ("seeds", "tasks")
    by_seed, by_task = effect.components
    assert by_seed.variance == pytest.approx(change.mean(axis=1).var(ddof=1) / 3, rel=1e-4)
    left = [change[:, [place for place, pair in enumerate(pairs) if out not in pair]].mean() for out in range(5)]
    assert by_task.variance == pytest.approx(4 / 5 * np.square(left - np.mean(left)).sum(), rel=1e-4)

    def difference(matrix, one):
        within = [matrix[a, b] for a, b in pairs if (a in one) == (b in one)]
        between = [matrix[a, b] for a, b in pairs if (a in one) != (b in one)]
        return np.mean(within) - np.mean(between)

    for name, matrix in (("clusters_before", before), ("clusters_after", after), ("clusters_rates", rates)):
        effect, mean = found[name, "n", ""], matrix.mean(axis=0)
        own = difference(mean, (0, 1, 2))
        assert effect.plain == pytest.approx(own, rel=1e-5)
        # Ten ways to give three of five tasks the first family.
        others = np.array([difference(mean, one) for one in itertools.combinations(range(5), 3)])
        assert effect.p_above == pytest.approx(np.mean(others >= own - 1e-9))
        assert effect.p_below == pytest.approx(np.mean(others <= own + 1e-9))
        assert effect.p_least == 1 / 10


def test_without_families_or_a_second_task_nothing_is_said_of_them(tmp_path, random_courses):
    one = {key: course for key, course in random_courses.items() if key[1] == "a"}
    names = {name for name, _, _ in by_name(adaptation.measure(write(tmp_path / "one", one), 10, 0))}
    assert "level_change" in names and not names & {"correlation_change", "pairs_falling", "clusters_before"}
    table = write(tmp_path / "all", random_courses, families={})
    names = {name for name, _, _ in by_name(adaptation.measure(table, 10, 0))}
    assert "correlation_change" in names and "clusters_before" not in names


def test_one_seed_leaves_seeds_held_and_two_tasks_leave_correlations_to_samples(tmp_path, random_courses):
    two = {key: course for key, course in random_courses.items() if key[1] in ("a", "b")}
    found = by_name(adaptation.measure(write(tmp_path, two), 10, 0))
    assert found["level_change", "m", ""].varies == ("tasks",)
    assert found["correlation_change", "m", ""].varies == ("samples",), "without one of the two there is no pair"
    rows = tables.rows(adaptation.measure(tmp_path / "runs.csv", 10, 0))
    assert {len(row) for row in rows} == {len(tables.COLUMNS)}


def test_a_reading_reaches_the_effects(tmp_path, random_courses):
    """Patterns divided by their sums have equal levels, so that the total rise equals the total fall."""
    table = write(tmp_path, random_courses)
    found = by_name(adaptation.measure(table, 10, 0, reading=Reading(normalisation="sum")))
    usual = by_name(adaptation.measure(table, 10, 0))
    first, last = (np.array([random_courses["m", task, 0][step][0].ravel() for task in FAMILIES]) for step in (0, 10))
    first, last = (values / values.sum(axis=1, keepdims=True) for values in (first, last))
    assert found["heads_rising", "m", ""].plain == pytest.approx((last > first).mean())
    assert found["gini_before", "m", ""].plain == pytest.approx(usual["gini_before", "m", ""].plain, rel=1e-6)
    assert found["level_change", "m", ""].plain == pytest.approx(np.log(last / first).mean(), rel=1e-5)


def direction(r):
    """A pattern with mean 2.5 and correlation r with [1, 2, 3, 4]: r times that direction plus an orthogonal one."""
    base, other = np.array([-3.0, -1.0, 1.0, 3.0]) / math.sqrt(20), np.array([1.0, -1.0, -1.0, 1.0]) / 2
    return (2.5 + math.sqrt(5) * (r * base + math.sqrt(1 - r * r) * other)).reshape(2, 2)


def course(correlations, losses):
    """Patterns of steps 0, 10, ... with these correlations with the base pattern; losses of the first and last step."""
    last = len(correlations)
    middle = {10 * place: (direction(r), 3.0) for place, r in enumerate(correlations, start=1)}
    return {0: (direction(1), losses[0]), **middle, 10 * last: (direction(correlations[-1]), losses[1])}


def test_courses_by_hand(tmp_path):
    # Changes 0.2, 0.6, 0.7, 0.8: 0.2 after a quarter; 90 % of 0.8 is 0.72, a fifth of the way from step 30 to 40.
    courses = {("m", "a", 0): course([0.8, 0.4, 0.3, 0.2], (5, 1))}
    (run,) = dynamics.patterns.rows_of(write(tmp_path, courses, study="dynamics"), "dynamics")
    found = dynamics.course(run, 10, 0, Reading())
    assert found.final[0] == pytest.approx(0.8, abs=1e-6)
    assert found.early[0] == pytest.approx(0.2, abs=1e-6)
    assert found.converged[0] == pytest.approx(0.8, abs=1e-6)
    assert found.loss[0] == pytest.approx(5) and found.gain[0] == pytest.approx(0.8)


def test_the_first_crossing_counts_and_no_change_has_none():
    shares = np.array([0, 0.2, 0.5, 1])
    change = np.array([[0, 1.0, 0.3, 0.5], [0, 0, 0, 0], [0, 0.1, 0.2, 1.2]])
    found = dynamics.first_reaching(shares, change, 0.9)
    # 0.45 is 45 % of the way from 0 to 1.0; no crossing; 1.08 is 88 % of the way from 0.2 to 1.2.
    np.testing.assert_allclose(found, [0.09, np.nan, 0.94])


FINALS = {("m", "a"): 0.1, ("m", "b"): 0.3, ("n", "a"): 0.6, ("n", "b"): 0.5, ("o", "a"): 0.2, ("o", "b"): 0.7}


@pytest.fixture
def three_models():
    """The final changes of seed 1 are 0.05 larger; base models with a larger loss converge more slowly."""
    courses = {}
    for place, ((model, task), final) in enumerate(FINALS.items()):
        for seed in (0, 1):
            change = final + 0.05 * seed
            late = [1 - change * (1 - 0.1 * place), 1 - change]
            courses[model, task, seed] = course(late, (3 + place, (3 + place) * (1 - change)))
    return courses


def test_effects_of_all_models(tmp_path, three_models):
    table = write(tmp_path, three_models, seeds=(0, 1), study="dynamics")
    found = by_name(dynamics.measure(table, 10, 0, "n"))
    assert found["changes_most", "n", ""].plain == pytest.approx(0.55 - 0.45, abs=1e-6)
    assert found["changes_most", "n", ""].varies == ("seeds", "tasks")
    # Without a: 0.5 - 0.7; without b: 0.6 - 0.2. The jackknife variance of two values is their squared difference / 4.
    (part,) = (part for part in found["changes_most", "n", ""].components if part.source == "tasks")
    assert part.variance == pytest.approx((0.4 + 0.2) ** 2 / 4, rel=1e-4)
    assert found["change_goes_with_gain", "", ""].plain == pytest.approx(1)
    assert found["stronger_converges_faster", "", ""].plain == pytest.approx(1)
    # Steps 10 and 20 of 20: after a quarter, at step 5, there is half of the change at step 10.
    early = [0.5 * (1 - 0.1 * place) * final for place, final in enumerate(FINALS.values())]
    assert found["early_share", "m", ""].plain == pytest.approx(
        np.sum([(early[place] / final) * (2 * final + 0.05) for place, final in enumerate((0.1, 0.3))])
        / np.sum([2 * final + 0.05 for final in (0.1, 0.3)]),
        rel=1e-5,
    )
    assert ("changes_most", "n", "") not in by_name(dynamics.measure(table, 10, 0))


def test_the_order_of_models_and_of_losses_decides(tmp_path, three_models):
    turned = {}
    for (model, task, seed), one in three_models.items():
        last = max(one)
        turned[model, task, seed] = {**one, 0: (one[0][0], 1 / one[0][1]), last: (one[last][0], 0.01)}
    found = by_name(dynamics.measure(write(tmp_path, turned, seeds=(0, 1), study="dynamics"), 10, 0))
    assert found["stronger_converges_faster", "", ""].plain == pytest.approx(-1)


@pytest.mark.filterwarnings("error")
def test_one_run_that_never_changes_leaves_its_effects_undefined(tmp_path):
    still = course([1.0, 1.0], (5, 5))
    found = by_name(dynamics.measure(write(tmp_path, {("m", "a", 0): still}, study="dynamics"), 10, 0, "m"))
    assert {name for name, _, _ in found} == {"early_share", "change_goes_with_gain", "stronger_converges_faster"}
    assert all(math.isnan(effect.plain) for effect in found.values())


def test_a_model_that_the_study_lacks_is_refused(tmp_path, three_models):
    table = write(tmp_path, three_models, study="dynamics")
    with pytest.raises(InputError, match=r"changes_most is opt: the study has no such model: use one of m, n, o\."):
        dynamics.measure(table, 10, 0, "opt")


def runs_of(tasks, seeds):
    return [
        RunRow("s", "g", "m", "m", task, task, "", "", seed, f"g.{task}.seed{seed}", path)
        for path in [None]
        for task in tasks
        for seed in seeds
    ]


def test_pseudo_values_of_a_mean_are_the_seeds():
    values = {("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 5.0, ("b", 1): 11.0}

    def mean(runs):
        return float(np.mean([values[run.task, run.seed] for run in runs]))

    runs = runs_of(("a", "b"), (0, 1))
    found = jackknife.over_runs(runs, np.array([5.0, 5.5, 4.5]), mean)
    seeds, tasks = found.components
    assert (seeds.source, seeds.df, tasks.source, tasks.df) == ("seeds", 1, "tasks", 1)
    assert seeds.variance == pytest.approx(np.var([3, 7], ddof=1) / 2)
    assert tasks.variance == pytest.approx(np.var([2, 8], ddof=1) / 2)
    held = jackknife.over_runs(runs, np.array([5.0, 5.5, 4.5]), mean, tasks_vary=False)
    assert held.varies == ("seeds", "samples")
    undefined = jackknife.over_runs(
        runs, np.array([5.0, 5.5, 4.5]), lambda some: mean(some) if len(some) > 2 else np.nan
    )
    assert undefined.varies == ("samples",)


def test_a_share_stays_a_share():
    assert jackknife.over_runs([], np.array([0.99, 0.9, 0.92]), lambda some: 0.0).estimate > 1
    found = jackknife.over_runs([], np.array([0.99, 0.9, 0.92]), lambda some: 0.0, limits=(0.0, 1.0))
    assert (found.estimate, found.plain, found.interval()[1]) == (1, 0.99, 1)
