"""Patterns compared with ablations: numbers computed in other ways, intervals, undefined cases, tables, the figure."""

import json

import ablations
import analysis_tables
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import scripts
from matplotlib.text import Text

from headpatterns.attribution import REDUCTIONS
from headpatterns.errors import InputError
from headpatterns.presentation import inputs, style
from headpatterns.presentation.results import Results
from headpatterns.statistics import CORRELATION, estimate_and_interval
from headpatterns.studies.validity import ablations as files
from headpatterns.studies.validity import curves
from headpatterns.studies.validity import figure as drawing
from headpatterns.studies.validity import measures as validity
from headpatterns.studies.validity import section as reporting

MODELS = {"llama": ("Llama_mini & co", 3, 4), "opt": ("OPT-mini", 2, 3)}
TASKS = {name: analysis_tables.TASKS[name] for name in ("math", "arc")}
TOP = (1, 2, 4, 6)


def test_the_reductions_stand_in_the_order_in_which_they_are_stored():
    assert tuple(REDUCTIONS) == files.REDUCTIONS


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_is_scipys(ties):
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 7, 4, 5))
    if ties:
        a, b = np.round(a), np.round(2 * b)
    found = validity.spearman(a, b)
    within = validity.spearman_within_layers(a, b)
    for n in range(7):
        assert found[n] == pytest.approx(scipy.stats.spearmanr(a[n].ravel(), b[n].ravel()).statistic)
        layers = [scipy.stats.spearmanr(x, y).statistic for x, y in zip(a[n], b[n], strict=True)]
        assert within[n] == pytest.approx(np.mean(layers))


def test_equal_values_share_a_rank():
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5 (sums).
    found = validity.spearman(np.array([[1.0, 2.0], [2.0, 3.0]]), np.array([[10.0, 20.0], [30.0, 40.0]]))
    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_a_constant_side_has_no_correlation_even_where_it_is_constant_up_to_rounding():
    values = np.arange(6.0).reshape(1, 2, 3)
    constant = 0.1 + 1e-16 * np.arange(6.0).reshape(1, 2, 3)
    assert len(np.unique(constant)) > 1
    for a, b in ((values, constant), (constant, values), (np.zeros_like(values), values)):
        assert np.isnan(validity.spearman(a, b)).all()
        assert np.isnan(validity.spearman_within_layers(a, b)).all()


def test_layers_without_a_correlation_are_left_out_and_none_is_left_of_single_heads():
    a = np.array([[[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]])
    b = np.array([[[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]])
    assert validity.spearman_within_layers(a, b) == pytest.approx([-1.0])
    assert np.isnan(validity.spearman_within_layers(a[..., :1], b[..., :1])).all()


def test_layers_may_seem_to_rank_heads():
    """The order is right between layers and wrong within each layer. The two numbers show this."""
    pattern = np.array([[[1.0, 2.0, 3.0], [11.0, 12.0, 13.0]]])
    change = np.array([[[0.3, 0.2, 0.1], [1.3, 1.2, 1.1]]])
    assert validity.spearman(pattern, change)[0] > 0.5
    assert validity.spearman_within_layers(pattern, change) == pytest.approx([-1.0])


def found_by(changes, patterns, groups=None, top=(1,)):
    """An ablation in which only the given values matter."""
    changes, patterns = np.asarray(changes, dtype=float), np.asarray(patterns, dtype=float)
    groups = np.zeros((3, len(top), len(changes))) if groups is None else np.asarray(groups, dtype=float)
    return files.Ablation(
        list(map(str, range(len(changes)))), [f"p{n}" for n in range(len(patterns[0]))], changes, patterns, groups,
        np.array(top), "abs_of_sum",
    )  # fmt: skip


def equally(found):
    """The weights of the estimate only, without resamples."""
    patterns, changes = (np.full((1, count), 1 / count) for count in (len(found.pattern_ids), len(found.ids)))
    return validity.Weights(patterns, changes)


def test_the_absolute_change_counts_heads_that_help_some_samples_and_hurt_others():
    changes = [[[3.0, 0.5, 1.0, 0.0]], [[-3.0, 0.5, 1.0, 0.0]]]  # the first head's changes cancel
    absolute = np.abs(changes)
    found = found_by(changes, [absolute] * 3)
    made = validity.correlations(found, equally(found))
    assert made["abs_of_sum", "absolute", "all_heads"] == pytest.approx([1.0])
    # The means of the changes are 0, 0.5, 1, 0, and the patterns are 3, 0.5, 1, 0.
    signed = scipy.stats.spearmanr([0, 0.5, 1, 0], [3, 0.5, 1, 0]).statistic
    assert made["abs_of_sum", "signed", "all_heads"] == pytest.approx([signed])


def test_correlations_and_intervals_by_resampling_the_samples_themselves(tmp_path):
    found = files.read(ablations.write(tmp_path / "run", samples=9, pattern_samples=7), "before")
    weights = validity.weights_of(found, "math", 40, 3)
    made = validity.correlations(found, weights)
    between = validity.between_reductions(found, weights)
    assert len(made) == 3 * 2 * 2 and len(between) == 3 * 2
    of_patterns = [np.repeat(np.arange(7), np.round(7 * row).astype(int)) for row in weights.patterns]
    of_changes = [np.repeat(np.arange(9), np.round(9 * row).astype(int)) for row in weights.changes]
    for r, reduction in enumerate(files.REDUCTIONS):
        for change, taken in (("absolute", np.abs(found.changes)), ("signed", found.changes)):
            means = [
                (found.patterns[r][p].mean(axis=0), taken[c].mean(axis=0))
                for p, c in zip(of_patterns, of_changes, strict=True)
            ]
            expected = [scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in means]
            np.testing.assert_allclose(made[reduction, change, "all_heads"], expected, atol=1e-12)
    means = [found.patterns[:, pick].mean(axis=1).reshape(3, -1) for pick in of_patterns]
    expected = [scipy.stats.spearmanr(mean[0], mean[2]).statistic for mean in means]
    np.testing.assert_allclose(between["abs_of_sum", "abs_per_position", "all_heads"], expected, atol=1e-12)


def test_the_two_sets_of_samples_are_resampled_independently_and_alike_in_every_phase(tmp_path):
    both = files.read_both(ablations.write(tmp_path / "run", samples=9, pattern_samples=9))
    before, after = (validity.weights_of(found, "math", 2000, 0) for found in both.values())
    np.testing.assert_array_equal(before.patterns, after.patterns)
    np.testing.assert_array_equal(before.changes, after.changes)
    paired = np.corrcoef(before.patterns[1:].ravel(), before.changes[1:].ravel())[0, 1]
    assert abs(paired) < 0.05
    other = validity.weights_of(both["before"], "arc", 2000, 0)
    assert abs(np.corrcoef(before.changes[1:].ravel(), other.changes[1:].ravel())[0, 1]) < 0.05


@pytest.mark.slow
def test_intervals_of_a_correlation_hold_that_of_endless_samples():
    """Patterns and changes are noisy, so their plain correlation is too small."""
    random = np.random.default_rng(3)
    found, plain, truth = [], [], []
    for seed in range(150):
        heads = np.exp(random.normal(0, 0.8, (1, 2, 10)))
        effects = heads * np.exp(random.normal(0, 0.5, (1, 2, 10)))
        truth.append(scipy.stats.spearmanr(heads.ravel(), effects.ravel()).statistic)
        patterns, changes = (true * random.gamma(1.0, 1.0, (24, 2, 10)) for true in (heads, effects))
        ablation = found_by(changes, [patterns] * 3)
        made = validity.correlations(ablation, validity.weights_of(ablation, "math", 100, seed))
        replicates = made["abs_of_sum", "signed", "all_heads"]
        found.append(estimate_and_interval(replicates, limits=CORRELATION))
        plain.append(replicates[0])
    value, low, high = np.array(found).T
    assert ((low <= truth) & (truth <= high)).mean() > 0.85
    assert abs(np.mean(value - truth)) < 0.5 * abs(np.mean(np.subtract(plain, truth)))


@pytest.mark.slow
def test_heads_that_are_alike_have_no_correlation_where_samples_are_not_shared(tmp_path):
    apart, shared = [], []
    for seed in range(120):
        found = files.read(ablations.write(tmp_path / str(seed), seed, samples=10, alike=True), "after")
        of = ("abs_of_sum", "absolute", "all_heads")
        apart.append(validity.correlations(found, equally(found))[of][0])
        same = found_by(found.changes, np.abs([found.changes] * 3))
        shared.append(validity.correlations(same, equally(same))[of][0])
    assert abs(np.mean(apart)) < 3 * np.std(apart) / np.sqrt(len(apart))
    assert np.mean(shared) > 0.9  # the correlation that shared samples would give


def test_curves_and_contrasts_by_hand():
    # One sample. Sizes 1, 2 and all 4 heads.
    groups = np.array([[4.0, 6.0, 8.0], [0.0, 1.0, 8.0], [1.0, 2.0, 8.0], [3.0, 8.0, 8.0]])[:, :, None]
    found = found_by(np.zeros((1, 1, 4)), np.zeros((3, 1, 1, 4)), groups, (1, 2, 4))
    made = validity.curves(found, equally(found))
    np.testing.assert_allclose(made["signed", "top"].change, [[4, 6, 8]])
    np.testing.assert_allclose(made["signed", "bottom"].change, [[0, 1, 8]])
    np.testing.assert_allclose(made["signed", "random"].change, [[2, 5, 8]])
    np.testing.assert_allclose(made["signed", "random"].spread, [np.sqrt(2), np.sqrt(18), 0])
    assert np.isnan(made["signed", "top"].spread).all()
    np.testing.assert_allclose(found.shares, [0.25, 0.5, 1])
    contrasts = validity.contrasts(found, equally(found))
    # The group of all heads is left out: the mean of the first two sizes.
    assert contrasts["signed", "top_minus_random"].value == pytest.approx([5 - 3.5])
    assert contrasts["signed", "random_minus_bottom"].value == pytest.approx([3.5 - 0.5])
    # The draws' own means are 1.5 and 5.5.
    assert contrasts["signed", "top_minus_random"].exceeds == 0.5
    assert contrasts["signed", "random_minus_bottom"].exceeds == 1.0


def test_top_heads_that_lower_the_loss_count_for_the_patterns_in_the_absolute_change_alone():
    # Two samples: without the top head the loss of one falls by 3 and that of the other rises by 1.
    groups = np.array([[[-3.0, 1.0]], [[0.0, 0.0]], [[0.5, 0.5]]])
    found = found_by(np.zeros((2, 1, 4)), np.zeros((3, 2, 1, 4)), groups)
    contrasts, curves = validity.contrasts(found, equally(found)), validity.curves(found, equally(found))
    assert curves["signed", "top"].change == pytest.approx(np.array([[-1.0]]))
    assert curves["absolute", "top"].change == pytest.approx(np.array([[2.0]]))
    assert contrasts["signed", "top_minus_random"].value == pytest.approx([-1.5])
    assert contrasts["absolute", "top_minus_random"].value == pytest.approx([1.5])
    assert contrasts["signed", "top_minus_random"].exceeds == 0.0
    assert contrasts["absolute", "top_minus_random"].exceeds == 1.0


def test_sizes_that_are_no_doublings_count_by_their_logarithm():
    groups = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])[:, :, None]
    found = found_by(np.zeros((1, 1, 9)), np.zeros((3, 1, 1, 9)), groups, (1, 2, 8))
    # From 1 to 2, a third of the width has the mean 2. From 2 to 8, two thirds have the mean 1.5.
    value = validity.contrasts(found, equally(found))["signed", "top_minus_random"].value
    assert value == pytest.approx([2 / 3 + 1.5 * 2 / 3])


def test_one_size_of_groups_and_one_draw_suffice():
    found = found_by(np.zeros((1, 1, 4)), np.zeros((3, 1, 1, 4)), [[[5.0]], [[1.0]], [[2.0]]], (3,))
    contrasts = validity.contrasts(found, equally(found))
    assert contrasts["signed", "top_minus_random"].value == pytest.approx([3])
    assert contrasts["signed", "random_minus_bottom"].value == pytest.approx([1])
    assert np.isnan(validity.curves(found, equally(found))["signed", "random"].spread).all()


def test_groups_of_all_heads_alone_leave_nothing_to_compare():
    found = found_by(np.zeros((1, 1, 4)), np.zeros((3, 1, 1, 4)), [[[5.0]], [[5.0]], [[5.0]]], (4,))
    for contrast in validity.contrasts(found, equally(found)).values():
        assert np.isnan(contrast.value).all() and np.isnan(contrast.exceeds)


def groups_by(cost, orders):
    """The losses of groups of heads in several orders, for one sample. A group costs the sum of its heads' costs."""
    return np.array([[[cost[order[:k]].sum()] for k in (1, 2, 4, 8)] for order in orders])


@pytest.mark.parametrize("of", [("signed", "top_minus_random"), ("signed", "random_minus_bottom")])
def test_a_random_ranking_exceeds_all_draws_as_often_as_chance_has_it(of):
    random = np.random.default_rng(5)
    repeats, draws = 1500, 4
    beyond = 0
    for _ in range(repeats):
        cost = random.lognormal(0, 1, 32)
        groups = groups_by(cost, [random.permutation(32) for _ in range(2 + draws)])
        found = found_by(cost.reshape(1, 4, 8), np.zeros((3, 1, 4, 8)), groups, (1, 2, 4, 8))
        beyond += validity.contrasts(found, equally(found))[of].exceeds == 1
    chance = 1 / (1 + draws)
    assert abs(beyond / repeats - chance) < 3 * np.sqrt(chance * (1 - chance) / repeats)


def test_a_true_ranking_has_an_advantage():
    random = np.random.default_rng(6)
    for _ in range(50):
        cost = random.lognormal(0, 1, 32)
        orders = [np.argsort(-cost), np.argsort(cost), *(random.permutation(32) for _ in range(4))]
        found = found_by(cost.reshape(1, 4, 8), np.zeros((3, 1, 4, 8)), groups_by(cost, orders), (1, 2, 4, 8))
        for contrast in validity.contrasts(found, equally(found)).values():
            assert contrast.value[0] > 0 and contrast.exceeds == 1


def test_means_are_taken_replicate_by_replicate_and_draw_by_draw():
    random = np.random.default_rng(2)
    correlations, own, draws = random.normal(size=(4, 11)), random.normal(size=4), random.normal(size=(4, 3))
    runs = [("m", "a", "0"), ("m", "a", "1"), ("m", "b", "0"), ("n", "a", "0")]
    contrasts = [validity.Contrast(*parts) for parts in zip(correlations, own, draws, strict=True)]
    curves = [validity.Curve(random.normal(size=(11, 2)), random.normal(size=(3, 2))) for _ in runs]
    for kinds in (correlations, contrasts, curves):
        made = validity.with_means({(*run, "after"): {("kind",): part} for run, part in zip(runs, kinds, strict=True)})
        keys = [("m", "a", "*"), ("m", "b", "*"), ("n", "a", "*"), ("m", "*", "*"), ("n", "*", "*")]
        assert list(made) == [(*run, "after") for run in [*runs, *keys]]
    mean = made["m", "*", "*", "after"]["kind",]
    a, b = (curves[0].draws + curves[1].draws) / 2, curves[2].draws  # a task counts once, with any number of seeds
    np.testing.assert_allclose(mean.draws, (a + b) / 2)
    np.testing.assert_allclose(mean.spread, ((a + b) / 2).std(axis=0, ddof=1))
    made = validity.with_means({(*run, "after"): {"r": part} for run, part in zip(runs, correlations, strict=True)})
    expected = ((correlations[0] + correlations[1]) / 2 + correlations[2]) / 2
    np.testing.assert_allclose(made["m", "*", "*", "after"]["r"], expected)
    undefined = validity.with_means(
        {("m", task, "0", "after"): {"r": np.array([r])} for task, r in (("a", 1), ("b", np.nan))}
    )
    assert undefined["m", "a", "*", "after"]["r"] == 1 and np.isnan(undefined["m", "*", "*", "after"]["r"])
    made = validity.with_means({(*run, "after"): {"c": part} for run, part in zip(runs, contrasts, strict=True)})
    ranked, drawn = (own[0] + own[1]) / 4 + own[2] / 2, (draws[0] + draws[1]) / 4 + draws[2] / 2
    assert made["m", "*", "*", "after"]["c"].exceeds == np.mean(ranked > drawn)


def test_groups_are_read_in_the_order_of_their_size(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    groups = np.arange(3 * 3 * 2).reshape(3, 3, 2)
    ablations.save(folder, "before", np.zeros((2, 1, 5)), np.zeros((3, 2, 1, 5)), groups, (4, 1, 2))
    found = files.read(folder, "before")
    assert found.top.tolist() == [1, 2, 4]
    np.testing.assert_array_equal(found.groups, groups[:, [1, 2, 0]])


def damaged(tmp_path, phase="after", **changed):
    folder = ablations.write(tmp_path / "run", samples=3)
    for name, change in changed.items():
        if name == "about":
            path = folder / f"{phase}.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        else:
            path = folder / f"{phase}.{name}.npy"
            np.save(path, change(np.load(path)))
    return folder


def with_nan(array):
    array[0, 0, 0] = np.nan
    return array


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"changes": lambda array: array[:2]}, "phase 'after' do not fit together"),
        ({"patterns": lambda array: array[:2]}, "do not fit together"),
        ({"patterns": lambda array: array[:, :2]}, "do not fit together"),
        ({"about": {"pattern_ids": [f"row-{n}" for n in range(10)]}}, "'row-0' for patterns and for changes"),
        ({"about": {"pattern_ids": [f"other-{n}" for n in range(10)]}}, "before and after fine-tuning differ"),
        ({"groups": lambda array: array[:2]}, "do not fit together"),
        ({"groups": lambda array: array[:, :1]}, "do not fit together"),
        ({"groups": with_nan}, r"after\.groups\.npy has a number that is not finite"),
        ({"about": {"reduction": "mean"}}, "groups by mean"),
        ({"about": {"ids": ["a", "b", "other"]}}, "before and after fine-tuning differ"),
        ({"about": {"reduction": "sum_of_abs"}}, "before and after fine-tuning differ"),
        ({"about": {"top": [1, 2, 4, 11]}}, "before and after fine-tuning differ"),
        ({"about": {"top": ["many"]}}, r"after\.json does not say what was ablated"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        files.read_both(damaged(tmp_path, **changed))


@pytest.mark.parametrize("name", ["before.json", "after.changes.npy"])
def test_missing_files_are_named(tmp_path, name):
    folder = damaged(tmp_path)
    (folder / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        files.read_both(folder)


SUFFIXES = ("", "_between", "_groups", "_contrasts")


def run(ablated, output, resamples=60):
    """Run the script, with its four tables below `output`; `ablated` has models, tasks, seeds and folders."""
    outputs = {"correlations": "", "between": "_between", "groups": "_groups", "contrasts": "_contrasts"}
    scripts.run(
        "analyse",
        positional=["validity"],
        inputs=json.dumps({"ablations": [str(folder) for *_, folder in ablated]}),
        outputs=json.dumps({key: str(output / f"validity{suffix}.csv") for key, suffix in outputs.items()}),
        settings=json.dumps({"runs": [named for *named, _ in ablated], "resamples": resamples, "seed": 0}),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The run table, ablations of two models of different shape on two tasks, and the tables of the script."""
    made = analysis_tables.write(tmp_path_factory.mktemp("validity"), MODELS, TASKS, seeds=1)
    analyse(made, made)
    return made


def analyse(folder, output, seeds=(0,)):
    runs = []
    for m, (model, (_, layers, heads)) in enumerate(MODELS.items()):
        for t, task in enumerate(TASKS):
            for seed in seeds:
                place = folder / "ablations" / model / f"nlp.{task}.seed{seed}"
                if not place.is_dir():
                    top = TOP if model == "opt" else (*TOP, 12)
                    ablations.write(place, 10 * m + t, layers=layers, heads=heads, top=top, training_seed=seed)
                runs.append((model, task, seed, place))
    run(runs, output)


KEYS = ["model", "task", "seed", "phase"]


def test_the_tables_hold_every_run_and_phase_and_their_means(folder):
    tables = {suffix: pd.read_csv(folder / f"validity{suffix}.csv") for suffix in SUFFIXES}
    states = 4 + 4 + 2  # runs, tasks over seeds, models over tasks
    assert len(tables[""]) == states * 3 * 12  # phases with their difference, correlations
    assert len(tables["_between"]) == states * 2 * 6
    assert len(tables["_groups"]) == states // 2 * (2 * 2 * 3 * (len(TOP) + 1) + 2 * 2 * 3 * len(TOP))
    assert len(tables["_contrasts"]) == states * 2 * 2 * 2
    for suffix, kind in (("", ["reduction", "change", "over"]), ("_between", ["reduction_a", "reduction_b", "over"]),
                         ("_groups", ["change", "ranking", "k"]), ("_contrasts", ["change", "contrast"])):  # fmt: skip
        assert not tables[suffix].duplicated([*KEYS, *kind]).any()
        assert (tables[suffix].loc[tables[suffix]["task"] == "*", "seed"] == "*").all()
    assert tables[""]["value"].between(-2, 2).all()
    assert (tables["_contrasts"]["draws"] == 4).all()
    groups = tables["_groups"]
    assert groups.loc[groups["ranking"] == "random", "spread"].notna().all()
    assert groups.loc[groups["ranking"] != "random", "spread"].isna().all()
    np.testing.assert_allclose(groups["share"], groups["k"] / groups["model"].map({"llama": 12, "opt": 6}))


def test_a_mean_over_tasks_is_narrower_than_the_mean_of_their_intervals(folder):
    """Tasks have independent samples and draws, so that part of their noise cancels."""
    groups = pd.read_csv(folder / "validity_groups.csv")
    groups = groups[(groups["change"] == "signed") & (groups["seed"] == "*")]
    groups["width"] = groups["high"] - groups["low"]
    kinds = ["model", "phase", "ranking", "k"]
    numbers = ["value", "width", "spread"]
    mean = groups[groups["task"] == "*"].set_index(kinds)[numbers].sort_index()
    of_tasks = groups[groups["task"] != "*"].groupby(kinds)[numbers].mean().sort_index()
    np.testing.assert_allclose(mean["value"], of_tasks["value"], atol=1e-9)
    assert (mean["width"] < of_tasks["width"]).mean() > 0.95
    partial = of_tasks["spread"] > 1e-6
    assert partial.any() and (mean["spread"][partial] < of_tasks["spread"][partial]).mean() > 0.8


def test_the_numbers_of_a_table_are_those_of_the_files(folder):
    rows = pd.read_csv(folder / "validity.csv").set_index([*KEYS, "reduction", "change", "over"])
    place = folder / "ablations/opt/nlp.arc.seed0"
    expected = {}
    for phase in files.PHASES:
        pattern = np.load(place / f"{phase}.patterns.npy")[1].mean(axis=0)
        change = np.load(place / f"{phase}.changes.npy").mean(axis=0)
        expected[phase] = scipy.stats.spearmanr(pattern.ravel(), change.ravel()).statistic
    of = ("sum_of_abs", "signed", "all_heads")
    for phase, value in expected.items():
        assert rows.loc[("opt", "arc", "0", phase, *of), "plain"] == pytest.approx(value)
    difference = rows.loc[("opt", "arc", "0", "after_minus_before", *of)]
    assert difference["plain"] == pytest.approx(expected["after"] - expected["before"])
    assert difference["low"] < difference["value"] < difference["high"]


def test_the_same_files_give_the_same_bytes(folder, tmp_path):
    analyse(folder, tmp_path)
    for suffix in SUFFIXES:
        name = f"validity{suffix}.csv"
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_constant_pattern_has_no_correlation_in_the_table(tmp_path):
    folder = ablations.write(tmp_path / "run")
    for phase in files.PHASES:
        path = folder / f"{phase}.patterns.npy"
        np.save(path, np.full_like(np.load(path), 0.1))
    run([("llama", "math", 0, folder)], tmp_path, resamples=20)
    lines = (tmp_path / "validity.csv").read_text().splitlines()[1:]
    assert lines and all(line.endswith(",nan,nan,nan") for line in lines)


def test_a_wrong_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match="but the seed is not a whole number"):
        run([("llama", "math", "first", tmp_path)], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"draws": 3}, "differ in random draws or in the reduction"),
        ({"top": (1, 2)}, "runs of llama differ in heads or sizes"),
        ({"layers": 4}, "runs of llama differ in heads or sizes"),
    ],
)
def test_runs_that_cannot_be_averaged_are_refused(tmp_path, changed, message):
    first, other = ablations.write(tmp_path / "first"), ablations.write(tmp_path / "other", **changed)
    with pytest.raises(InputError, match=message):
        run([("llama", "math", 0, first), ("llama", "arc", 0, other)], tmp_path)
    with pytest.raises(InputError, match="llama math 0 twice"):
        run([("llama", "math", 0, first), ("llama", "math", 0, other)], tmp_path)
    assert not list(tmp_path.glob("*.csv"))


def read_tables(folder):
    return (
        inputs.read_run_table(folder / "runs.csv"),
        inputs.read_table(folder / "validity.csv", drawing.TEXT, drawing.NUMBERS),
        inputs.read_table(folder / "validity_groups.csv", drawing.GROUP_TEXT, drawing.GROUP_NUMBERS),
    )


def test_the_figure_names_models_and_tasks_in_readable_print(folder):
    with style.applied():
        figure = drawing.draw(*read_tables(folder))
        figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= style.SMALL
    written = [text.get_text().replace("\n", " ") for text in texts]
    for label, *_ in MODELS.values():
        assert written.count(label) == 2  # above its tasks and above its curves
    for label, _ in TASKS.values():
        assert written.count(label) == 2
    assert written.count("before SFT") == written.count("after SFT") == 1 + len(MODELS)


def shown_correlations(axes):
    """Estimates and intervals that a strip shows."""
    estimates = {round(float(line.get_xdata()[0]), 8) for line in axes.lines if line.get_marker() == "o"}
    bars = {tuple(np.round(bar[:, 0], 8)) for bars in axes.collections for bar in bars.get_segments()}
    return estimates, bars


def test_the_figure_shows_the_numbers_of_the_tables(folder):
    runs, correlations, groups = read_tables(folder)
    with style.applied():
        figure = drawing.draw(runs, correlations, groups)
    absolute, signed, *panels = figure.axes
    drawn = correlations[(correlations["over"] == "all_heads") & (correlations["reduction"] == "abs_of_sum")]
    drawn = drawn[(drawn["seed"] == "*") & (drawn["task"] != "*") & (drawn["phase"] != "after_minus_before")]
    for axes, change in ((absolute, "absolute"), (signed, "signed")):
        rows = drawn[drawn["change"] == change].round(8)
        assert shown_correlations(axes) == (set(rows["value"]), set(zip(rows["low"], rows["high"], strict=True)))
    assert absolute.get_xlim() == signed.get_xlim()
    assert len(panels) == 4
    means = groups[(groups["task"] == "*") & (groups["change"] == "signed") & (groups["share"] < 1)]
    for axes, (phase, model) in zip(panels, ((p, m) for p in files.PHASES for m in MODELS), strict=True):
        for ranking in ("top", "bottom", "random"):
            curve = means[(means["phase"] == phase) & (means["model"] == model) & (means["ranking"] == ranking)]
            assert any(np.array_equal(np.asarray(line.get_ydata()), curve["value"]) for line in axes.lines)
            spread = curve["spread"].fillna(0)
            low, high = axes.get_ylim()
            assert low < min(curve["low"].min(), (curve["value"] - spread).min())
            assert high > max(curve["high"].max(), (curve["value"] + spread).max())
        np.testing.assert_allclose(axes.get_xticks(), 100 * curve["share"])
    assert panels[0].get_ylim() == panels[1].get_ylim() and panels[2].get_ylim() == panels[3].get_ylim()


def test_labels_of_shares_do_not_run_into_each_other():
    labels = curves.share_labels([0.1, 12.5, 25, 50, 67], [0.0, 0.5, 0.6, 0.7, 0.72])
    assert labels == ["0.1", "12", "", "", "67"]


def test_a_correlation_that_does_not_exist_is_said(folder):
    runs, correlations, groups = read_tables(folder)
    undefined = (correlations["model"] == "opt") & (correlations["task"] == "arc")
    correlations.loc[undefined, ["value", "low", "high"]] = np.nan
    with style.applied():
        figure = drawing.draw(runs, correlations, groups)
    assert [sum("n/a" in text.get_text() for text in axes.texts) for axes in figure.axes[:2]] == [2, 2]
    correlations[["value", "low", "high"]] = np.nan
    with style.applied():
        figure = drawing.draw(runs, correlations, groups)
    assert sum("n/a" in text.get_text() for text in figure.axes[0].texts) == 2 * 4


def test_a_model_without_groups_of_some_heads_has_no_curves(folder):
    runs, correlations, groups = read_tables(folder)
    groups.loc[groups["model"] == "opt", "share"] = 1.0
    with style.applied():
        figure = drawing.draw(runs, correlations, groups)
    said = ["n/a" in [text.get_text() for text in axes.texts] for axes in figure.axes[2:]]
    assert said == [False, True, False, True]


def test_a_figure_is_of_one_reduction_and_of_known_models(folder):
    runs, correlations, groups = read_tables(folder)
    mixed = groups.assign(reduction=["abs_of_sum", *["sum_of_abs"] * (len(groups) - 1)])
    with pytest.raises(InputError, match="abs_of_sum and sum_of_abs"):
        drawing.draw(runs, correlations, mixed)
    with pytest.raises(InputError, match=r"validity\.csv names the model 'gpt'"):
        drawing.draw(runs, correlations.assign(model="gpt"), groups)


def results_of(folder):
    """The results folder that the report reads, with the tables in `folder`."""
    made = folder / "results"
    (made / "figures").mkdir(parents=True)
    (made / "figures" / "figure_validity.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (made / "analysis").symlink_to(folder)
    (made / "runs.csv").symlink_to(folder / "runs.csv")
    return Results(made)


@pytest.fixture(scope="module")
def section(folder):
    return reporting.gathered(results_of(folder))


def test_the_figure_has_a_title_and_its_question_as_alternative_text(section):
    assert section.figure.title == "Patterns and ablations"
    question = "Do activation patterns predict what ablating heads does to the loss?"
    assert section.figure.alternative == f"Patterns and ablations: {question}"


def test_the_report_shows_means_by_model_and_phase(section, folder):
    rows = pd.read_csv(folder / "validity.csv")
    rows = rows[(rows["model"] == "opt") & (rows["phase"] == "after") & (rows["over"] == "all_heads")]
    rows = rows[rows["change"] == "absolute"]
    means = rows[rows["task"] == "*"].set_index("reduction")[["value", "low", "high", "plain"]]
    # Values are cut off at 1, so the mean of the runs' values need not be the value of their mean.
    of_runs = rows[rows["seed"] != "*"].groupby("reduction")["plain"].mean()
    np.testing.assert_allclose(means["plain"].loc[of_runs.index], of_runs)
    assert [line[:2] for line in section.table.rows] == [
        [label, phase] for label, *_ in MODELS.values() for phase in ("before", "after")
    ]
    shown = dict(zip(section.table.header, section.table.rows[-1], strict=True))
    for reduction in files.REDUCTIONS:
        value, low, high = (
            f"{number:.3g}".replace("-", "−") for number in means.loc[reduction, ["value", "low", "high"]]
        )
        assert shown[reduction] == f"{value} [{low}, {high}]"
    areas = pd.read_csv(folder / "validity_contrasts.csv")
    areas = areas[areas["seed"] != "*"].set_index(["model", "phase", "change", "contrast"])
    for change, column in (("signed", "largest − random"), ("absolute", "largest − random, absolute")):
        value = areas.loc[("opt", "after", change, "top_minus_random"), "value"].mean()
        assert shown[column].startswith(f"{value:.3g} [")
    agreement = pd.read_csv(folder / "validity_between.csv")
    agreement = agreement[agreement["task"] == "*"]
    agreement = agreement[(agreement["model"] == "llama") & (agreement["phase"] == "before")]
    agreement = agreement[(agreement["reduction_b"] == "sum_of_abs") & (agreement["over"] == "all_heads")]
    assert section.between.rows[0][2].startswith(f"{agreement['value'].mean():.3g} [")


def counts(found):
    """The numbers of intervals above 0 and below 0."""
    return (found["low"] > 0).sum(), (found["high"] < 0).sum()


def check_sentences(findings, folder, pairs, runs):
    """Compare all findings except the first with the tables."""
    rows = pd.read_csv(folder / "validity.csv")
    rows = rows[(rows["reduction"] == "abs_of_sum") & (rows["over"] == "all_heads") & (rows["seed"] != "*")]
    areas = pd.read_csv(folder / "validity_contrasts.csv")
    areas = areas[(areas["contrast"] == "top_minus_random") & (areas["change"] == "signed") & (areas["seed"] != "*")]
    _, *of_phases, change = findings
    once = {"before": ["model", "task"], "after": ["model", "task", "seed"]}
    for phase, counted, (correlated, costly) in (
        ("before", f"{pairs} base model–task pairs", of_phases[:2]),
        ("after", f"{runs} runs", of_phases[2:]),
    ):
        for way, kind in (("up or down,", "absolute"), ("with the signed change", "signed")):
            found = rows[(rows["phase"] == phase) & (rows["change"] == kind)].drop_duplicates(once[phase])
            ends = " and ".join(f"{end:.2f}".replace("-", "−") for end in (found["value"].min(), found["value"].max()))
            above, below = counts(found)
            expected = (
                f"{way} lies between {ends}; its interval is above 0 in {above} and below 0 in {below} of {counted}"
            )
            assert expected in correlated
        top = areas[areas["phase"] == phase].drop_duplicates(once[phase])
        assert "a mean over the sizes of groups" in costly and "all 4 draws" in costly
        assert f"in {(top['exceeds'] == 1).sum()} of {counted}. The rise" in costly
        assert costly.endswith("By chance, this happens in one of 5.")
    for way, kind in (("the magnitude of the change", "absolute"), ("the signed change", "signed")):
        above, below = counts(rows[(rows["phase"] == "after_minus_before") & (rows["change"] == kind)])
        assert f"with {way} it raises it in {above} and lowers it in {below} of {runs} runs" in change
    assert change.endswith("one run in 40 is expected for each.")


def test_the_sentences_of_the_report_count_the_runs(section, folder):
    assert "different samples" in section.findings[0]
    check_sentences(section.findings, folder, 4, 4)


def findings_of(folder, change=None):
    rows = inputs.read_table(folder / "validity.csv", reporting.TEXT, reporting.INTERVAL)
    numbers = (*reporting.INTERVAL, "exceeds", "draws")
    areas = inputs.read_table(folder / "validity_contrasts.csv", reporting.CONTRAST_TEXT, numbers)
    if change:
        change(rows, areas)
    return reporting.findings(rows, areas, "abs_of_sum")


def test_seeds_before_fine_tuning_are_one_measurement(folder, tmp_path):
    analyse(folder, tmp_path, seeds=(0, 1))
    check_sentences(findings_of(tmp_path), tmp_path, 4, 8)
    rows = pd.read_csv(tmp_path / "validity.csv").set_index(["seed", "model", "task", "phase", "reduction", "change"])
    rows = rows[rows["over"] == "all_heads"].drop(columns="over").sort_index()
    before = [rows.xs("before", level="phase").loc[seed].drop("*", errors="ignore") for seed in ("0", "1", "*")]
    pd.testing.assert_frame_equal(before[0], before[1])
    of_tasks = before[2][before[2].index.get_level_values("task") != "*"]
    pd.testing.assert_frame_equal(of_tasks, before[0])
    after = [rows.xs("after", level="phase").loc[seed, "plain"] for seed in ("0", "1", "*")]
    assert (after[0] != after[1]).any()
    np.testing.assert_allclose(after[2].loc[after[0].index], (after[0] + after[1]) / 2, atol=1e-9)


def test_base_models_of_each_seed_are_measurements_of_their_own(folder, tmp_path):
    """Seeds whose numbers before fine-tuning differ do not share a base model."""
    analyse(folder, tmp_path, seeds=(0, 1))

    def apart(rows, areas):
        for table in (rows, areas):
            table.loc[(table["phase"] == "before") & (table["seed"] == "1"), "value"] += 0.001

    findings = findings_of(tmp_path, apart)
    assert "of 8 base model–task pairs" in findings[1] and "of 8 base model–task pairs" in findings[2]


def lowered(rows, areas):
    """After fine-tuning every correlation is lower than before, and below 0."""
    of = rows["phase"] == "after_minus_before"
    rows.loc[of, ["value", "low", "high"]] = [-0.5, -0.7, -0.3]
    rows.loc[rows["phase"] == "after", ["value", "low", "high"]] = [-0.25, -0.4, -0.1]


def test_what_fine_tuning_lowers_is_said(folder):
    findings = findings_of(folder, lowered)
    assert "up or down, lies between −0.25 and −0.25; its interval is above 0 in 0 and below 0 in 4 of 4" in findings[3]
    assert (
        "the signed change lies between −0.25 and −0.25; its interval is above 0 in 0 and below 0 in 4" in findings[3]
    )
    assert findings[-1].count("raises it in 0 and lowers it in 4 of 4 runs") == 2


def some_undefined(rows, areas):
    rows.loc[(rows["model"] == "opt") & (rows["task"] == "arc"), ["value", "low", "high"]] = np.nan
    areas.loc[areas["model"] == "opt", ["value", "low", "high", "exceeds"]] = np.nan


def all_undefined(rows, areas):
    rows[["value", "low", "high"]] = np.nan
    areas[["value", "low", "high", "exceeds"]] = np.nan


def test_runs_without_a_number_are_left_out_and_counted(folder):
    findings = findings_of(folder, some_undefined)
    assert not any("nan" in sentence for sentence in findings)
    assert findings[1].count("of 3 base model–task pairs (1 without a number left out)") == 2
    assert "of 2 base model–task pairs (2 without a number left out). The rise is a mean" in findings[2]
    assert findings[3].count("of 3 runs (1 without a number left out)") == 2
    assert findings[-1].count("of 3 runs (1 without a number left out)") == 2


def test_where_no_run_has_a_number_fixed_sentences_say_so(folder):
    findings = findings_of(folder, all_undefined)
    assert not any("nan" in sentence for sentence in findings)
    assert findings[1].count("does not exist in any base model–task pair") == 2
    assert "no run has groups of some but not all heads to compare" in findings[4]
    assert findings[-1].count("no run has a difference") == 2


def test_what_does_not_exist_is_a_dash_in_the_report(folder, tmp_path, section):
    rows = pd.read_csv(folder / "validity.csv")
    rows.loc[(rows["model"] == "opt") & rows["task"].isin(["arc", "*"]), ["value", "low", "high"]] = np.nan
    rows.to_csv(tmp_path / "validity.csv", index=False)
    for name in ("runs", "validity_between", "validity_contrasts"):
        (tmp_path / f"{name}.csv").symlink_to(folder / f"{name}.csv")
    made = reporting.gathered(results_of(tmp_path))
    assert [line[2] for line in made.table.rows[2:]] == ["–", "–"]
    assert made.table.rows[:2] == section.table.rows[:2]


@pytest.mark.slow
def test_the_script_draws_three_formats_with_the_same_bytes(folder, tmp_path):
    for attempt in ("one", "two"):
        tables = {"runs": "runs", "correlations": "validity", "groups": "validity_groups"}
        given = json.dumps({name: str(folder / f"{table}.csv") for name, table in tables.items()})
        scripts.run("draw", positional=["validity"], inputs=given, output=tmp_path / attempt)
    for suffix, signature in ((".pdf", b"%PDF"), (".svg", b"<?xml"), (".png", b"\x89PNG")):
        first = (tmp_path / f"one/figure_validity{suffix}").read_bytes()
        assert first == (tmp_path / f"two/figure_validity{suffix}").read_bytes()
        assert first.startswith(signature)
