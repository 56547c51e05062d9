"""Patterns held against ablations: numbers by other ways, intervals, undefined cases, the tables, the figure."""

import json
from pathlib import Path

import ablations
import analysis_tables
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import scripts
from matplotlib.text import Text

import analyse_validity
from headpatterns import validity
from headpatterns.attribution import REDUCTIONS
from headpatterns.errors import InputError
from headpatterns.plotting import inputs, style
from headpatterns.plotting import validity as drawing
from headpatterns.reporting import validity as reporting
from headpatterns.statistics import estimate_and_interval, probe_weights

CAPTIONS = Path(__file__).parents[2] / "rules" / "captions"
MODELS = {"llama": ("Llama_mini & co", 3, 4), "opt": ("OPT-mini", 2, 3)}
TASKS = {name: analysis_tables.TASKS[name] for name in ("math", "arc")}
TOP = (1, 2, 4, 6)


def test_the_reductions_stand_in_the_order_in_which_they_are_stored():
    assert tuple(REDUCTIONS) == validity.REDUCTIONS


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
    """Between layers the order is right and within each it is wrong: the two numbers tell."""
    pattern = np.array([[[1.0, 2.0, 3.0], [11.0, 12.0, 13.0]]])
    change = np.array([[[0.3, 0.2, 0.1], [1.3, 1.2, 1.1]]])
    assert validity.spearman(pattern, change)[0] > 0.5
    assert validity.spearman_within_layers(pattern, change) == pytest.approx([-1.0])


def found_by(changes, patterns, groups=None, top=(1,), ids=None):
    """An ablation of which only what is given matters."""
    changes = np.asarray(changes, dtype=float)
    groups = np.zeros((3, len(top), len(changes))) if groups is None else np.asarray(groups, dtype=float)
    return validity.Ablation(
        ids or list(map(str, range(len(changes)))), changes, np.asarray(patterns, float), groups, np.array(top),
        "abs_of_sum",
    )  # fmt: skip


def test_the_absolute_change_counts_heads_that_help_some_samples_and_hurt_others():
    changes = [[[3.0, 0.5, 1.0, 0.0]], [[-3.0, 0.5, 1.0, 0.0]]]  # the first head's changes cancel
    absolute = np.abs(changes)
    made = validity.correlations(found_by(changes, [absolute] * 3), np.full((1, 2), 0.5))
    assert made["abs_of_sum", "absolute", "all_heads"] == pytest.approx([1.0])
    # Means of the changes 0, 0.5, 1, 0 against patterns 3, 0.5, 1, 0.
    signed = scipy.stats.spearmanr([0, 0.5, 1, 0], [3, 0.5, 1, 0]).statistic
    assert made["abs_of_sum", "signed", "all_heads"] == pytest.approx([signed])


def test_correlations_and_intervals_by_resampling_the_samples_themselves(tmp_path):
    found = validity.read(ablations.write(tmp_path / "run", samples=9), "before")
    weights = probe_weights(9, "math", 40, 3)
    made = validity.correlations(found, weights)
    between = validity.between_reductions(found, weights)
    assert len(made) == 3 * 2 * 2 and len(between) == 3 * 2
    picks = [np.repeat(np.arange(9), np.round(9 * row).astype(int)) for row in weights]
    for r, reduction in enumerate(validity.REDUCTIONS):
        for change, taken in (("absolute", np.abs(found.changes)), ("signed", found.changes)):
            means = [(found.patterns[r][pick].mean(axis=0), taken[pick].mean(axis=0)) for pick in picks]
            expected = [scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in means]
            np.testing.assert_allclose(made[reduction, change, "all_heads"], expected, atol=1e-12)
    means = [found.patterns[:, pick].mean(axis=1).reshape(3, -1) for pick in picks]
    expected = [scipy.stats.spearmanr(mean[0], mean[2]).statistic for mean in means]
    np.testing.assert_allclose(between["abs_of_sum", "abs_per_position", "all_heads"], expected, atol=1e-12)
    low, high = np.quantile(expected[1:], [0.025, 0.975])
    interval = estimate_and_interval(between["abs_of_sum", "abs_per_position", "all_heads"])
    assert interval == pytest.approx([expected[0], low, high])


def test_curves_and_contrasts_by_hand():
    # One sample. Sizes 1, 2 and 4: both steps are a doubling, so that the mean over log k is (a + 2 b + c) / 4.
    groups = np.array([[4.0, 6.0, 8.0], [0.0, 1.0, 8.0], [1.0, 2.0, 8.0], [3.0, 8.0, 8.0]])[:, :, None]
    found = found_by(np.zeros((1, 1, 4)), np.zeros((3, 1, 1, 4)), groups, (1, 2, 4))
    one = np.ones((1, 1))
    made = validity.curves(found, one)
    np.testing.assert_allclose(made["signed", "top"].change, [[4, 6, 8]])
    np.testing.assert_allclose(made["signed", "bottom"].change, [[0, 1, 8]])
    np.testing.assert_allclose(made["signed", "random"].change, [[2, 5, 8]])
    np.testing.assert_allclose(made["signed", "random"].spread, [np.sqrt(2), np.sqrt(18), 0])
    assert np.isnan(made["signed", "top"].spread).all()
    np.testing.assert_allclose(found.shares, [0.25, 0.5, 1])
    contrasts = validity.contrasts(found, one)
    assert contrasts["signed", "top_minus_random"].value == pytest.approx([6 - 5])
    assert contrasts["signed", "random_minus_bottom"].value == pytest.approx([5 - 2.5])
    # The draws' own means are 3.25 and 6.75.
    assert contrasts["signed", "top_minus_random"].exceeds == 0.5
    assert contrasts["signed", "random_minus_bottom"].exceeds == 1.0


def test_top_heads_that_lower_the_loss_count_for_the_patterns_in_the_absolute_change_alone():
    # Two samples: without the top head the loss of one falls by 3 and that of the other rises by 1.
    groups = np.array([[[-3.0, 1.0]], [[0.0, 0.0]], [[0.5, 0.5]]])
    found = found_by(np.zeros((2, 1, 4)), np.zeros((3, 2, 1, 4)), groups)
    half = np.full((1, 2), 0.5)
    contrasts, curves = validity.contrasts(found, half), validity.curves(found, half)
    assert curves["signed", "top"].change == pytest.approx(np.array([[-1.0]]))
    assert curves["absolute", "top"].change == pytest.approx(np.array([[2.0]]))
    assert contrasts["signed", "top_minus_random"].value == pytest.approx([-1.5])
    assert contrasts["absolute", "top_minus_random"].value == pytest.approx([1.5])
    assert contrasts["signed", "top_minus_random"].exceeds == 0.0
    assert contrasts["absolute", "top_minus_random"].exceeds == 1.0


def test_sizes_that_are_no_doublings_count_by_their_logarithm():
    groups = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])[:, :, None]
    found = found_by(np.zeros((1, 1, 8)), np.zeros((3, 1, 1, 8)), groups, (1, 2, 8))
    # From 1 to 2 a third of the width with mean 2, from 2 to 8 two thirds with mean 1.5.
    value = validity.contrasts(found, np.ones((1, 1)))["signed", "top_minus_random"].value
    assert value == pytest.approx([2 / 3 + 1.5 * 2 / 3])


def test_one_size_of_groups_and_one_draw_suffice():
    found = found_by(np.zeros((1, 1, 4)), np.zeros((3, 1, 1, 4)), [[[5.0]], [[1.0]], [[2.0]]], (3,))
    contrasts = validity.contrasts(found, np.ones((1, 1)))
    assert contrasts["signed", "top_minus_random"].value == pytest.approx([3])
    assert contrasts["signed", "random_minus_bottom"].value == pytest.approx([1])
    assert np.isnan(validity.curves(found, np.ones((1, 1)))["signed", "random"].spread).all()


def test_a_random_ranking_has_no_advantage():
    """Patterns that know nothing: over many models the mean contrast and correlation are near 0."""
    random = np.random.default_rng(5)
    values, correlations = [], []
    for _ in range(200):
        cost = random.lognormal(0, 1, 8)
        orders = [random.permutation(8) for _ in range(5)]
        groups = np.array([[[cost[order[:k]].sum()] for k in (1, 2, 4)] for order in orders])
        found = found_by(cost.reshape(1, 2, 4), random.lognormal(0, 1, (3, 1, 2, 4)), groups, (1, 2, 4))
        values.append(validity.contrasts(found, np.ones((1, 1)))["signed", "top_minus_random"].value[0])
        correlations.append(validity.correlations(found, np.ones((1, 1)))["sum_of_abs", "absolute", "all_heads"][0])
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert abs(np.mean(correlations)) < 3 * np.std(correlations) / np.sqrt(200)


def test_groups_are_read_in_the_order_of_their_size(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    groups = np.arange(3 * 3 * 2).reshape(3, 3, 2)
    ablations.save(folder, "before", np.zeros((2, 1, 5)), np.zeros((3, 2, 1, 5)), groups, (4, 1, 2))
    found = validity.read(folder, "before")
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
        ({"changes": lambda array: array[:2]}, "phase 'after' do not fit each other"),
        ({"patterns": lambda array: array[:2]}, "do not fit each other"),
        ({"groups": lambda array: array[:2]}, "do not fit each other"),
        ({"groups": lambda array: array[:, :1]}, "do not fit each other"),
        ({"groups": with_nan}, r"after\.groups\.npy holds a number that is not finite"),
        ({"about": {"reduction": "mean"}}, "groups by mean"),
        ({"about": {"ids": ["a", "b", "other"]}}, "not ablated alike"),
        ({"about": {"reduction": "sum_of_abs"}}, "not ablated alike"),
        ({"about": {"top": [1, 2, 4, 11]}}, "not ablated alike"),
        ({"about": {"top": ["many"]}}, r"after\.json does not say what was ablated"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        validity.read_both(damaged(tmp_path, **changed))


@pytest.mark.parametrize("name", ["before.json", "after.changes.npy"])
def test_missing_files_are_named(tmp_path, name):
    folder = damaged(tmp_path)
    (folder / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        validity.read_both(folder)


OUTPUTS = {"": "", "between-": "_between", "groups-": "_groups", "contrasts-": "_contrasts"}


def run(words, output):
    """The script with the four tables below `output`."""
    written = [f"--{part}output={output / f'validity{suffix}.csv'}" for part, suffix in OUTPUTS.items()]
    analyse_validity.main(analyse_validity.parser().parse_args([*words, *written]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run table, ablations of two models of different shape on two tasks, and what the script makes of them."""
    made = analysis_tables.write(tmp_path_factory.mktemp("validity"), MODELS, TASKS, seeds=1)
    analyse(made, made)
    return made


def analyse(folder, output):
    runs = []
    for m, (model, (_, layers, heads)) in enumerate(MODELS.items()):
        for t, task in enumerate(TASKS):
            place = folder / "ablations" / model / f"nlp.{task}.seed0"
            if not place.is_dir():
                top = TOP if model == "opt" else (*TOP, 12)
                ablations.write(place, 10 * m + t, layers=layers, heads=heads, top=top)
            runs += ["--ablations", model, task, "0", str(place)]
    run([*runs, "--resamples", "60"], output)


def test_the_tables_hold_every_run_and_phase(folder):
    tables = {suffix: pd.read_csv(folder / f"validity{suffix}.csv") for suffix in OUTPUTS.values()}
    assert len(tables[""]) == 4 * 3 * 12  # runs, phases with their difference, correlations
    assert len(tables["_between"]) == 4 * 2 * 6
    assert len(tables["_groups"]) == 2 * (2 * 2 * 3 * (len(TOP) + 1) + 2 * 2 * 3 * len(TOP))
    assert len(tables["_contrasts"]) == 4 * 2 * 2 * 2
    keys = ["model", "task", "seed", "phase"]
    for suffix, kind in (("", ["reduction", "change", "over"]), ("_between", ["reduction_a", "reduction_b", "over"]),
                         ("_groups", ["change", "ranking", "k"]), ("_contrasts", ["change", "contrast"])):  # fmt: skip
        assert not tables[suffix].duplicated([*keys, *kind]).any()
    assert tables[""]["value"].between(-2, 2).all()
    groups = tables["_groups"]
    assert groups.loc[groups["ranking"] == "random", "spread"].notna().all()
    assert groups.loc[groups["ranking"] != "random", "spread"].isna().all()
    np.testing.assert_allclose(groups["share"], groups["k"] / groups["model"].map({"llama": 12, "opt": 6}))


def test_the_numbers_of_a_table_are_those_of_the_files(folder):
    rows = pd.read_csv(folder / "validity.csv").set_index(["model", "task", "phase", "reduction", "change", "over"])
    place = folder / "ablations/opt/nlp.arc.seed0"
    expected = {}
    for phase in validity.PHASES:
        pattern = np.load(place / f"{phase}.patterns.npy")[1].mean(axis=0)
        change = np.load(place / f"{phase}.changes.npy").mean(axis=0)
        expected[phase] = scipy.stats.spearmanr(pattern.ravel(), change.ravel()).statistic
    of = ("sum_of_abs", "signed", "all_heads")
    for phase, value in expected.items():
        assert rows.loc[("opt", "arc", phase, *of), "value"] == pytest.approx(value)
    difference = rows.loc[("opt", "arc", "after_minus_before", *of)]
    assert difference["value"] == pytest.approx(expected["after"] - expected["before"])
    assert difference["low"] <= difference["high"]


def test_the_same_files_give_the_same_bytes(folder, tmp_path):
    analyse(folder, tmp_path)
    for suffix in OUTPUTS.values():
        name = f"validity{suffix}.csv"
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_constant_pattern_has_no_correlation_in_the_table(tmp_path):
    folder = ablations.write(tmp_path / "run")
    for phase in validity.PHASES:
        path = folder / f"{phase}.patterns.npy"
        np.save(path, np.full_like(np.load(path), 0.1))
    run(["--ablations", "llama", "math", "0", str(folder), "--resamples", "20"], tmp_path)
    lines = (tmp_path / "validity.csv").read_text().splitlines()[1:]
    assert lines and all(line.endswith(",nan,nan,nan") for line in lines)


def test_a_wrong_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match="the seed is no whole number"):
        run(["--ablations", "llama", "math", "first", str(tmp_path)], tmp_path)
    assert not list(tmp_path.iterdir())


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


def test_the_figure_shows_the_numbers_of_the_tables(folder):
    runs, correlations, groups = read_tables(folder)
    with style.applied():
        figure = drawing.draw(runs, correlations, groups)
    strip, *panels = figure.axes
    shown = {round(float(line.get_xdata()[0]), 9) for line in strip.lines if line.get_marker() not in (None, "None")}
    drawn = correlations[(correlations["change"] == "absolute") & (correlations["over"] == "all_heads")]
    drawn = drawn[drawn["phase"] != "after_minus_before"]
    assert shown == set(drawn["value"].round(9))
    assert len(panels) == 4
    curve = groups[(groups["model"] == "llama") & (groups["phase"] == "before") & (groups["ranking"] == "top")]
    curve = curve[curve["change"] == "signed"]
    expected = curve.groupby("k")["value"].mean().to_numpy()
    assert any(np.array_equal(np.asarray(line.get_ydata()), expected) for line in panels[0].lines)


def test_a_correlation_that_does_not_exist_is_said(folder):
    runs, correlations, groups = read_tables(folder)
    undefined = (correlations["model"] == "opt") & (correlations["task"] == "arc")
    correlations.loc[undefined, ["value", "low", "high"]] = np.nan
    with style.applied():
        figure = drawing.draw(runs, correlations, groups)
    assert sum("n/a" in text.get_text() for text in figure.axes[0].texts) == 2
    correlations[["value", "low", "high"]] = np.nan
    with style.applied():
        figure = drawing.draw(runs, correlations, groups)
    assert sum("n/a" in text.get_text() for text in figure.axes[0].texts) == 2 * 4


def test_a_figure_is_of_one_reduction_and_of_known_models(folder):
    runs, correlations, groups = read_tables(folder)
    mixed = groups.assign(reduction=["abs_of_sum", *["sum_of_abs"] * (len(groups) - 1)])
    with pytest.raises(InputError, match="abs_of_sum and sum_of_abs"):
        drawing.draw(runs, correlations, mixed)
    with pytest.raises(InputError, match=r"validity\.csv names the model 'gpt'"):
        drawing.draw(runs, correlations.assign(model="gpt"), groups)


@pytest.fixture(scope="module")
def section(folder):
    picture = folder / "figure_validity.svg"
    picture.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return reporting.section(
        picture,
        folder / "validity.csv",
        folder / "validity_between.csv",
        folder / "validity_contrasts.csv",
        CAPTIONS,
        inputs.read_run_table(folder / "runs.csv"),
    )


def test_the_report_shows_means_by_model_and_phase(section, folder):
    rows = pd.read_csv(folder / "validity.csv")
    rows = rows[(rows["model"] == "opt") & (rows["phase"] == "after") & (rows["over"] == "all_heads")]
    means = rows[rows["change"] == "absolute"].groupby("reduction")[["value", "low", "high"]].mean()
    assert [line[:2] for line in section.table.rows] == [
        [label, phase] for label, *_ in MODELS.values() for phase in ("before", "after")
    ]
    shown = dict(zip(section.table.header, section.table.rows[-1], strict=True))
    for reduction in validity.REDUCTIONS:
        value, low, high = (f"{number:.3g}".replace("-", "−") for number in means.loc[reduction])
        assert shown[reduction] == f"{value} [{low}, {high}]"
    areas = pd.read_csv(folder / "validity_contrasts.csv").set_index(["model", "phase", "change", "contrast"])
    for change, column in (("signed", "largest − random"), ("absolute", "largest − random, absolute")):
        value = areas.loc[("opt", "after", change, "top_minus_random"), "value"].mean()
        assert shown[column].startswith(f"{value:.3g} [")
    agreement = pd.read_csv(folder / "validity_between.csv")
    agreement = agreement[(agreement["model"] == "llama") & (agreement["phase"] == "before")]
    agreement = agreement[(agreement["reduction_b"] == "sum_of_abs") & (agreement["over"] == "all_heads")]
    assert section.between.rows[0][2].startswith(f"{agreement['value'].mean():.3g} [")


def test_the_sentences_of_the_report_count_the_runs(section, folder):
    rows = pd.read_csv(folder / "validity.csv").set_index(["reduction", "change", "over"])
    rows = rows.loc[("abs_of_sum", "absolute", "all_heads")]
    areas = pd.read_csv(folder / "validity_contrasts.csv")
    before, after, change = section.findings
    for phase, sentence in (("before", before), ("after", after)):
        found = rows[rows["phase"] == phase]
        assert f"up or down, lies between {found['value'].min():.2f} and {found['value'].max():.2f}" in sentence
        assert f"above 0 in {(found['low'] > 0).sum()} of 4 runs" in sentence
        top = areas[(areas["phase"] == phase) & (areas["contrast"] == "top_minus_random")]
        top = top[top["change"] == "signed"]
        assert sentence.endswith(f"in {(top['exceeds'] == 1).sum()} of 4 runs.")
    raised = (rows.loc[rows["phase"] == "after_minus_before", "low"] > 0).sum()
    assert f"in {raised} of 4 runs" in change


def test_what_does_not_exist_is_a_dash_in_the_report(folder, tmp_path, section):
    rows = pd.read_csv(folder / "validity.csv")
    rows.loc[(rows["model"] == "opt") & (rows["task"] == "arc"), ["value", "low", "high"]] = np.nan
    rows.to_csv(tmp_path / "validity.csv", index=False)
    made = reporting.section(
        folder / "figure_validity.svg",
        tmp_path / "validity.csv",
        folder / "validity_between.csv",
        folder / "validity_contrasts.csv",
        CAPTIONS,
        inputs.read_run_table(folder / "runs.csv"),
    )
    assert [line[2] for line in made.table.rows[2:]] == ["–", "–"]
    assert made.table.rows[:2] == section.table.rows[:2]


def test_the_report_takes_all_of_the_section_or_none(capfd, monkeypatch, folder):
    names = ("runs", "table1", "captions", "claims", "provenance", "output")
    given = {**dict.fromkeys(names, folder), "experiment": "mini", "figures": folder}
    sentence = scripts.refused(capfd, monkeypatch, "render_report", **given, validity=folder / "validity.csv")
    assert "give all four or none" in sentence


def test_the_script_draws_three_formats_with_the_same_bytes(folder, tmp_path):
    for attempt in ("one", "two"):
        scripts.run(
            "draw_validity",
            runs=folder / "runs.csv",
            correlations=folder / "validity.csv",
            groups=folder / "validity_groups.csv",
            output=tmp_path / attempt / "figure_validity",
        )
    for suffix, signature in ((".pdf", b"%PDF"), (".svg", b"<?xml"), (".png", b"\x89PNG")):
        first = (tmp_path / f"one/figure_validity{suffix}").read_bytes()
        assert first == (tmp_path / f"two/figure_validity{suffix}").read_bytes()
        assert first.startswith(signature)
