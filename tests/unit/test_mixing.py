"""Mixing of basic tasks: coefficients and shares known beforehand, apportionment, draws, the files, and refusals."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pattern_files
import pyarrow
import pyarrow.parquet
import pytest
import scripts

from headpatterns.attribution import files as patterns
from headpatterns.errors import InputError
from headpatterns.io import read_csv, write_csv
from headpatterns.statistics import accuracy
from headpatterns.studies.mixing import analysis, grid
from headpatterns.studies.mixing import proportions as mixing

LAYERS, HEADS, SAMPLES = 4, 6, 30
SIZES = {"a": 90, "b": 80, "c": 70}
COEFFICIENTS = (
    "model,seed,task,beta,low,high,r2,kept,share,instructions,plain,beta_base,kept_base,beta_partialled,kept_partialled"
)
MIXTURES = "model,seed,variant,task,share,instructions"


def write_patterns(folder, change, noise=0.0, seed=0, samples=SAMPLES):
    """Write a pattern folder in which SFT adds `change` [layers, heads]; its intermediate step must not count."""
    generator = np.random.default_rng(seed)
    before = generator.gamma(2.0, size=(samples, *np.shape(change)))
    after = before + change * (1 + noise * generator.normal(size=(samples, 1, 1)))
    for step, pattern in {0: before, 2: before * 7, 10: after}.items():
        pattern_files.save(folder, step, pattern, "sum_of_abs")  # readers take no absolute value of it
    return folder


def write_training_set(path, task, size):
    write_csv(path, ("dataset", "id"), [(f"{task}-data", f"{task}{n}") for n in range(size)])
    return path


def question(id, text, choices=("one", "two", "three"), before="Question: "):
    lettered = [f"{letter}. {choice}" for letter, choice in zip("ABC", choices, strict=False)]
    return {"id": id, "prompt": before + "\n".join([text, *lettered]) + "\nAnswer: ", "choices": list(choices)}


def write_rows(path, rows):
    text = pyarrow.string()
    schema = pyarrow.schema({"id": text, "prompt": text, "choices": pyarrow.list_(text)})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)
    return path


def training_rows(task):
    """Rows of a task's training set and some more, in another order."""
    return [question(f"{task}{n}", f"What is {task} {n}?") for n in reversed(range(SIZES[task] + 5))]


TEST = [question(f"test{n}", f"What is the target {n}?", ("red", "green", "blue")) for n in range(10)]


def make(folder, weights, noise=0.0, **more):
    """Options of a run whose target change is the sum of the candidates' changes (a, b and c) times `weights`."""
    generator = np.random.default_rng(1)
    basic = {task: generator.normal(size=(LAYERS, HEADS)) for task in SIZES}
    target = sum(weight * basic[task] for task, weight in weights.items()) + np.zeros((LAYERS, HEADS))
    runs = folder / "patterns" / "llama"
    candidates = {
        task: write_patterns(runs / f"nlp.{task}.seed0" / task, change, noise, seed)
        for seed, (task, change) in enumerate(basic.items(), start=1)
    }
    sets = {task: write_training_set(folder / f"{task}.csv", task, size) for task, size in SIZES.items()}
    rows = {task: write_rows(folder / f"{task}.parquet", training_rows(task)) for task in SIZES}
    options = {
        "model": "llama",
        "seed": 0,
        "target": write_patterns(runs / "mixing.target.seed0" / "training", target, noise, 99, samples=17),
        "candidate": [f"{task}={path}" for task, path in candidates.items()],
        "training_set": [f"{task}={path}" for task, path in sets.items()],
        "training_rows": [f"{task}={path}" for task, path in rows.items()],
        "test": write_rows(folder / "test.parquet", TEST),
        "instructions": 40,
        "random_draws": 3,
        "resamples": 50,
        "output": folder / "mixtures" / "llama" / "seed0",
    }
    return options | more


def spread(options):
    """Options with the repeated ones spelt out for the command line: --candidate A --candidate B."""
    repeated = ("candidate", "training_set", "training_rows")
    made = {
        name: [word for one in options[name] for word in (f"--{name.replace('_', '-')}", one)][1:] for name in repeated
    }
    return options | made


def mix(options):
    """Run the script and return its folder."""
    scripts.run("mix_basic_tasks", **spread(options))
    return options["output"]


def table(path):
    return read_csv(path, ())


def column(rows, name, kind=float):
    return [kind(row[name]) for row in rows]


# Coefficients


def test_coefficients_by_hand():
    """For two orthogonal changes, each coefficient is a projection, and the fit does not explain the rest."""
    first, second = np.array([[1.0, 1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 2.0, -2.0]])
    target = np.array([[3.0, 1.0, 1.0, -3.0]])
    beta, r2 = mixing.coefficients(target[None], np.stack([first, second])[None], intercept=False)
    # Projections: (3 + 1) / 2 and (2 + 6) / 8; residuals 1, -1, -1, -1; squares about the mean 0.5: 19.
    np.testing.assert_allclose(beta, [[2.0, 1.0]])
    np.testing.assert_allclose(r2, [1 - 4 / 19])


@pytest.mark.parametrize("intercept", [False, True])
def test_every_replicate_matches_lstsq(intercept):
    generator = np.random.default_rng(4)
    candidates = generator.normal(size=(7, 3, 4, 5)) + 0.4
    target = generator.normal(size=(7, 4, 5)) + candidates[:, 1]
    beta, r2 = mixing.coefficients(target, candidates, intercept)
    assert beta.shape == (7, 3) and r2.shape == (7,)
    for replicate in range(7):
        matrix = candidates[replicate].reshape(3, -1).T
        if intercept:
            matrix = np.column_stack([matrix, np.ones(20)])
        expected = np.linalg.lstsq(matrix, target[replicate].ravel())[0]
        np.testing.assert_allclose(beta[replicate], expected[:3], rtol=1e-9)


def test_a_constant_change_has_no_coefficient_and_no_part_in_the_fit():
    generator = np.random.default_rng(5)
    candidates = generator.normal(size=(2, 3, 4, 4))
    target = generator.normal(size=(2, 4, 4)) + 5
    for constant in (0.0, 1.5):
        candidates[:, 1] = constant
        beta, r2 = mixing.coefficients(target, candidates, intercept=False)
        alone, r2_alone = mixing.coefficients(target, candidates[:, [0, 2]], intercept=False)
        assert np.isnan(beta[:, 1]).all()
        np.testing.assert_allclose(beta[:, [0, 2]], alone)
        np.testing.assert_allclose(r2, r2_alone)
    beta, r2 = mixing.coefficients(np.full((2, 4, 4), 0.7), candidates, intercept=False)
    assert np.isnan(beta).all() and np.isnan(r2).all()


def test_a_coefficient_that_is_only_rounding_is_zero():
    generator = np.random.default_rng(6)
    candidates = generator.normal(size=(1, 6, 8, 8)) * np.array([1e6, 1, 1, 1, 1, 1e-6])[:, None, None]
    beta, _ = mixing.coefficients(candidates[:, 2] * 0.3, candidates, intercept=True)
    np.testing.assert_allclose(beta[0], [0, 0, 0.3, 0, 0, 0], atol=0, rtol=1e-12)


# What is kept


@pytest.mark.parametrize(
    ("beta", "count", "indices"),
    [
        ([0.1, 0.5, 0.3], 2, [1, 2]),
        ([0.5, -0.9, 0.3], 2, [0, 2]),
        ([0.5, 0.0, -0.3], 2, [0]),
        ([-0.5, 0.0, np.nan], 2, []),
        ([np.nan, 0.2, 0.1], 1, [1]),
        ([0.2, 0.2, 0.2, 0.2], 2, [0, 1]),
        ([0.1, 0.3, 0.2, 0.2], 2, [1, 2]),
        ([0.2, 0.2 * (1 + 1e-14), 0.1], 1, [0]),  # equal except for rounding
        ([0.2, 0.2 * (1 + 1e-8), 0.1], 1, [1]),
        ([0.1, 0.2], 5, [0, 1]),
    ],
)
def test_the_largest_positive_coefficients_are_kept(beta, count, indices):
    assert mixing.kept(beta, count) == indices


def test_shares_are_in_proportion_to_the_kept_coefficients():
    np.testing.assert_allclose(mixing.shares([3.0, -2.0, 1.0, 0.5, np.nan], [0, 2]), [0.75, 0, 0.25, 0, 0])
    np.testing.assert_array_equal(mixing.shares([np.nan, -1.0], []), [0, 0])


# Apportionment


@pytest.mark.parametrize(
    ("total", "weights", "numbers"),
    [
        (100, [3, 1], [75, 25]),
        (10, [1, 1, 1], [4, 3, 3]),
        (2, [1, 1, 1], [1, 1, 0]),
        (5, [0.7, 0.3], [4, 1]),  # quotas 3.5 and 1.5: equal remainders, the earlier is rounded up
        (5, [0.3, 0.7], [2, 3]),
        (7, [0.50, 0.26, 0.24], [3, 2, 2]),  # 3.5, 1.82, 1.68
        (1, [0.4, 0.6], [0, 1]),
        (3, [0.0, 1.0], [0, 3]),
        (2000, [1.0], [2000]),
        (9, [], []),
    ],
)
def test_apportionment_by_hand(total, weights, numbers):
    assert mixing.apportion(total, weights) == numbers


def test_any_apportionment_sums_to_the_total_within_one_of_its_quotas():
    generator = np.random.default_rng(8)
    for _ in range(2000):
        weights = generator.exponential(10.0 ** generator.integers(-6, 6), size=generator.integers(1, 9))
        total = int(generator.integers(1, 10 ** generator.integers(1, 7)))
        numbers = mixing.apportion(total, weights)
        assert sum(numbers) == total
        exact = sum(map(Fraction, weights))
        for number, weight in zip(numbers, weights, strict=True):
            assert abs(number - total * Fraction(weight) / exact) < 1
        order = np.argsort(weights, kind="stable")
        assert (np.diff(np.array(numbers)[order]) >= 0).all(), "more weight never gets less"


@pytest.mark.parametrize("tasks", [2, 3, 7])
def test_whole_quotas_are_met_and_equal_weights_favour_the_earlier(tasks):
    for total in range(1, 60):
        numbers = mixing.apportion(total, [0.1] * tasks)
        assert numbers == [total // tasks + (place < total % tasks) for place in range(tasks)]
        parts = np.arange(1, tasks + 1)
        assert mixing.apportion(total * parts.sum(), parts / 10) == list(total * parts)


# Random shares


def test_random_shares_are_uniform_on_the_simplex():
    drawn = np.array([mixing.random_shares(3, draw, seed=2) for draw in range(4000)])
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 3, atol=0.015)
    # Each share has the distribution function 1 - (1 - x)^2.
    for x in (0.1, 0.3, 0.6):
        np.testing.assert_allclose((drawn < x).mean(axis=0), 1 - (1 - x) ** 2, atol=0.03)
    two = np.array([mixing.random_shares(2, draw, seed=2)[0] for draw in range(4000)])
    np.testing.assert_allclose(np.quantile(two, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)


def test_a_draw_depends_on_seed_and_number_alone():
    np.testing.assert_array_equal(mixing.random_shares(2, 1, 0), mixing.random_shares(2, 1, 0))
    different = {tuple(mixing.random_shares(2, draw, seed)) for draw in range(5) for seed in range(5)}
    assert len(different) == 25
    np.testing.assert_array_equal(mixing.random_shares(1, 0, 0), [1])
    assert mixing.random_shares(0, 0, 0).shape == (0,)


def test_the_mixed_order_is_seeded_and_not_blockwise():
    samples = [(task, f"{task}{n}") for task in "ab" for n in range(50)]
    order = mixing.mixed(samples, 3)
    assert sorted(order) == sorted(samples)
    assert order == mixing.mixed(reversed(samples), 3) != mixing.mixed(samples, 4)
    tasks = [task for task, _ in order]
    changes = sum(one != other for one, other in pairwise(tasks))
    assert 35 < changes < 65  # 50 expected of 99 places; standard deviation 5
    assert mixing.mixed([("b", "1"), ("a", "1"), ("a", "1")], 0).count(("a", "1")) == 2


# The script


def test_three_parts_of_one_task_and_one_of_another_are_found_and_mixed(tmp_path):
    folder = mix(make(tmp_path, {"a": 3.0, "c": 1.0}))
    names = {"coefficients.csv", "picks.csv", "mixtures.csv", "report.json", "ours-basic.csv"}
    assert {path.name for path in folder.iterdir()} == names | {f"random{k}-basic.csv" for k in range(3)}
    rows = table(folder / "coefficients.csv")
    assert ",".join(rows[0]) == COEFFICIENTS
    assert [(row["model"], row["seed"], row["task"]) for row in rows] == [("llama", "0", task) for task in "abc"]
    np.testing.assert_allclose(column(rows, "beta"), [3, 0, 1], atol=1e-5)
    np.testing.assert_allclose(column(rows, "r2"), 1, atol=1e-9)
    np.testing.assert_allclose(column(rows, "share"), [0.75, 0, 0.25], atol=1e-5)
    assert column(rows, "kept", int) == [1, 0, 1]
    assert column(rows, "instructions", int) == [30, 0, 10]
    report = json.loads((folder / "report.json").read_text())
    nothing = {"samples": 0, "same_as": {}}
    left_out = {"a": nothing, "c": nothing}
    assert report == {"model": "llama", "seed": 0, "kept": ["a", "c"], "left_out_as_test": left_out, "note": ""}

    mixture = table(folder / "mixtures.csv")
    assert ",".join(mixture[0]) == MIXTURES
    variants = [(row["variant"], row["task"]) for row in mixture]
    assert variants == [(v, task) for v in ("ours", "random0", "random1", "random2") for task in "ac"]
    for variant in ("ours", "random0", "random1", "random2"):
        own = [row for row in mixture if row["variant"] == variant]
        counts = column(own, "instructions", int)
        assert sum(counts) == 40
        assert sum(column(own, "share")) == pytest.approx(1, abs=1e-9)
        if variant != "ours":
            np.testing.assert_allclose(column(own, "share"), mixing.random_shares(2, int(variant[-1]), 0))
        chosen = [(row["dataset"], row["id"]) for row in table(folder / f"{variant}-basic.csv")]
        heads = [(f"{task}-data", f"{task}{n}") for task, count in zip("ac", counts, strict=True) for n in range(count)]
        assert sorted(chosen) == sorted(heads), "the first rows of each training set"
        assert chosen == mixing.mixed(heads, 0) != heads


def test_intervals_hold_the_weights_and_grow_with_the_noise(tmp_path):
    widths = {}
    for noise in (0.1, 0.4):
        rows = table(mix(make(tmp_path / str(noise), {"a": 3.0, "c": 1.0}, noise, resamples=400)) / "coefficients.csv")
        for row, weight in zip(rows, (3.0, 0.0, 1.0), strict=True):
            assert float(row["low"]) - 1e-5 <= weight <= float(row["high"]) + 1e-5
            assert float(row["low"]) <= float(row["beta"]) <= float(row["high"])
        widths[noise] = float(rows[0]["high"]) - float(rows[0]["low"])
    assert 0 < widths[0.1] < 0.5 * widths[0.4]


def test_target_and_candidates_are_resampled_independently(tmp_path):
    """With the same draws, the target would equal the candidate in every replicate, with a coefficient of 1."""
    options = make(tmp_path, {"a": 1.0}, noise=0.5)
    folder = options["candidate"][0].split("=")[1]
    row = table(mix(options | {"target": folder, "resamples": 200}) / "coefficients.csv")[0]
    assert float(row["plain"]) == pytest.approx(1, abs=1e-6)
    assert float(row["low"]) < 0.95 and float(row["high"]) > 1.05


def test_the_intercept_takes_what_all_heads_share(tmp_path):
    options = make(tmp_path, {"a": 2.0, "b": 1.0})
    for step in patterns.steps(options["target"])[1:]:
        path = options["target"] / f"step-{step}.samples.npy"
        np.save(path, np.load(path) + 5)
    with_intercept = table(mix(options | {"reading": '{"intercept": true}'}) / "coefficients.csv")
    np.testing.assert_allclose(column(with_intercept, "beta"), [2, 1, 0], atol=1e-5)
    without = table(mix(options) / "coefficients.csv")
    assert np.abs(np.array(column(without, "beta")) - [2, 1, 0]).max() > 0.1
    assert float(with_intercept[0]["r2"]) > float(without[0]["r2"])


@pytest.mark.parametrize(
    ("weights", "kept", "sentence"),
    [
        ({"b": 2.0, "a": -1.0, "c": -0.5}, ["b"], "only b has a positive coefficient"),
        ({"a": -1.0, "b": -0.2, "c": -0.5}, [], "no candidate has a positive coefficient"),
        ({}, [], "no candidate has a positive coefficient"),
    ],
    ids=["one", "none", "no change"],
)
def test_fewer_than_two_positive_coefficients_are_said_and_used(weights, kept, sentence, tmp_path, capsys):
    folder = mix(make(tmp_path, weights))
    printed = capsys.readouterr().out
    report = json.loads((folder / "report.json").read_text())
    assert report["kept"] == kept
    assert sentence in report["note"] and printed == report["note"] + "\n"
    assert printed.startswith("Model llama, seed 0: ")
    rows = table(folder / "coefficients.csv")
    assert [row["task"] for row in rows if row["kept"] == "1"] == kept
    assert column(rows, "instructions", int) == [40 * (row["task"] in kept) for row in rows]
    ours = (folder / "ours-basic.csv").read_text()
    assert ours.startswith("dataset,id\n")
    assert len(ours.splitlines()) == 1 + 40 * len(kept)
    for draw in range(3):
        assert (folder / f"random{draw}-basic.csv").read_text() == ours
    if not kept:
        assert table(folder / "mixtures.csv") == []


def test_two_of_three_to_keep(tmp_path, capsys):
    folder = mix(make(tmp_path, {"a": 1.0, "b": 1.0, "c": -1.0}, keep=3))
    assert "only 2 of the 3 tasks to keep have a positive coefficient" in capsys.readouterr().out
    assert [row["kept"] for row in table(folder / "coefficients.csv")] == ["1", "1", "0"]


def test_a_candidate_that_fine_tuning_left_alone_is_not_kept(tmp_path):
    options = make(tmp_path, {"a": 1.0, "c": 2.0})
    options["candidate"][1] = f"b={write_patterns(tmp_path / 'still', np.zeros((LAYERS, HEADS)))}"
    row = table(mix(options) / "coefficients.csv")[1]
    assert [row[name] for name in ("beta", "low", "high", "kept", "share")] == ["nan", "nan", "nan", "0", "0"]


def test_identical_candidates_share_their_weight(tmp_path):
    options = make(tmp_path, {"a": 2.0})
    options["candidate"][2] = options["candidate"][0].replace("a=", "c=", 1)
    rows = table(mix(options) / "coefficients.csv")
    np.testing.assert_allclose(column(rows, "plain"), [1, 0, 1], atol=1e-5)
    assert column(rows, "instructions", int) == [20, 0, 20]


@pytest.mark.slow
def test_the_same_bytes_by_two_processes_and_other_shares_with_another_seed(tmp_path):
    options = make(tmp_path, {"a": 3.0, "c": 1.0}, noise=0.2)
    made = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        output = tmp_path / name / "mixture"
        done = scripts.launch("mix_basic_tasks", tmp_path / name, **spread(options | {"output": output, "seed": seed}))
        assert done.returncode == 0, done.stderr
        made.append(scripts.contents(output))
    one, two, three = made
    assert one == two
    assert one["random0-basic.csv"] != three["random0-basic.csv"]
    assert one["ours-basic.csv"] != three["ours-basic.csv"], "another order"
    assert sorted(one["ours-basic.csv"].split()) == sorted(three["ours-basic.csv"].split())
    betas = [row.split(b",")[3:7] for row in one["coefficients.csv"].splitlines()]
    assert betas == [row.split(b",")[3:7] for row in three["coefficients.csv"].splitlines()]


def test_more_draws_change_none_of_the_earlier(tmp_path):
    options = make(tmp_path, {"a": 3.0, "c": 1.0}, random_draws=0)
    few = scripts.contents(mix(options))
    assert set(few) == {"coefficients.csv", "picks.csv", "mixtures.csv", "ours-basic.csv", "report.json"}
    more = scripts.contents(mix(options | {"random_draws": 2}))
    most = scripts.contents(mix(options | {"random_draws": 4}))
    assert few["ours-basic.csv"] == more["ours-basic.csv"]
    assert {name for name in more if more[name] != most[name]} == {"mixtures.csv"}
    assert most["mixtures.csv"].startswith(more["mixtures.csv"])


# Items of the test


def plant(folder, task, copies):
    """Replace rows of a task's training set, by number, with other rows."""
    rows = [{**copies.get(int(row["id"][1:]), row), "id": row["id"]} for row in training_rows(task)]
    write_rows(folder / f"{task}.parquet", rows)


def test_test_items_are_left_out_before_the_first_rows_are_taken(tmp_path):
    options = make(tmp_path, {"a": 3.0, "c": 1.0})
    upper = question("", "WHAT IS THE TARGET 7", ("RED", "GREEN", "BLUE"))
    reordered = question("", "What is the target 2?", ("Blue.", "red", "green"))
    other_options = question("", "What is the target 3?", ("red", "green", "yellow"))
    beyond_the_training_set = question("", "What is the target 4?", ("red", "green", "blue"))
    plant(tmp_path, "a", {0: upper, 4: other_options, 12: reordered, SIZES["a"] + 1: beyond_the_training_set})
    plant(tmp_path, "b", {1: upper})
    folder = mix(options)
    report = json.loads((folder / "report.json").read_text())
    assert report["left_out_as_test"] == {
        "a": {"samples": 2, "same_as": {"a0": "test7", "a12": "test2"}},
        "c": {"samples": 0, "same_as": {}},
    }
    mixture = table(folder / "mixtures.csv")
    for variant in ("ours", "random0", "random1", "random2"):
        numbers = {row["task"]: int(row["instructions"]) for row in mixture if row["variant"] == variant}
        free = [f"a{n}" for n in range(SIZES["a"]) if n not in (0, 12)][: numbers["a"]]
        chosen = [row["id"] for row in table(folder / f"{variant}-basic.csv")]
        assert sorted(chosen) == sorted([*free, *(f"c{n}" for n in range(numbers["c"]))])
    assert column(table(folder / "coefficients.csv"), "instructions", int) == [30, 0, 10]
    before = scripts.contents(folder)
    assert scripts.contents(mix(options)) == before


def test_samples_left_out_are_not_counted_on(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 3.0, "c": 1.0}, instructions=120, random_draws=0)
    assert mix(options).is_dir()
    plant(tmp_path, "a", {89: TEST[0]})
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert "takes 90 instructions of a, but its training set has 89 that are not test items: lower" in said


def test_a_sample_without_a_row_is_refused(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 3.0, "c": 1.0})
    rows = write_rows(tmp_path / "a.parquet", [row for row in training_rows("a") if row["id"] != "a60"])
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert f"The training set of a has the sample a60, but {rows} does not: make both" in said
    assert not options["output"].exists()


def test_a_test_that_cannot_be_read_is_named(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 3.0}, test=tmp_path / "a.csv")
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert f"{tmp_path / 'a.csv'} cannot be read as a parquet file of instructions" in said


# Refusals


def test_a_training_set_that_is_too_small_is_named_with_the_mend(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 3.0, "c": 1.0}, instructions=200)
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert "The mixture ours takes 150 instructions of a, but its training set has 90" in said
    assert "lower studies.mixing.instructions (70 are enough for any shares)" in said
    assert not options["output"].exists() and not list(tmp_path.glob("mixtures/**/*.csv"))
    assert mix(options | {"instructions": 70}).is_dir()


def test_heads_that_differ_are_refused(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 1.0})
    options["candidate"][1] = f"b={write_patterns(tmp_path / 'other', np.ones((LAYERS, HEADS + 1)))}"
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert "4 x 7 layers x heads" in said and "4 x 6" in said and str(tmp_path / "other") in said


def test_a_folder_without_patterns_is_refused(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 1.0}, target=tmp_path / "nowhere")
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert f"{tmp_path / 'nowhere'} has no activation pattern" in said
    only_before = write_patterns(tmp_path / "unfinished", np.ones((LAYERS, HEADS)))
    for step in (2, 10):
        (only_before / f"step-{step}.samples.npy").unlink()
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options | {"target": only_before}))
    assert f"{only_before} lacks the patterns before fine-tuning (step 0) or after it" in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"instructions": 0}, "--instructions is 0: give a whole number of 1 or more."),
        ({"keep": 0}, "--keep is 0"),
        ({"random_draws": -1}, "--random-draws is -1: give a whole number of 0 or more."),
        ({"seed": -1}, "--seed is -1"),
        ({"bootstrap_seed": -1}, "--bootstrap-seed is -1"),
        ({"resamples": 0}, "--resamples is 0"),
        ({"candidate": ["a"]}, "--candidate a does not have the form TASK=PATH: fix it."),
        ({"training_set": ["=x.csv"]}, "--training-set =x.csv does not have the form"),
        ({"candidate": ["a=x", "a=y"]}, "--candidate names a twice"),
    ],
)
def test_a_wrong_option_is_named(change, sentence, tmp_path):
    options = make(tmp_path, {"a": 1.0}) | change
    with pytest.raises(InputError, match=re.escape(sentence)):
        mix(options)
    assert not options["output"].exists()


def test_candidates_and_training_sets_belong_together(tmp_path):
    options = make(tmp_path, {"a": 1.0})
    with pytest.raises(InputError, match="The candidate c has no training set: add --training-set c=CSV"):
        mix(options | {"training_set": options["training_set"][:2]})
    with pytest.raises(InputError, match="--training-set names c, which is not a candidate"):
        mix(options | {"candidate": options["candidate"][:2]})
    with pytest.raises(InputError, match="The candidate c has no file of training rows: add --training-rows c=PARQUET"):
        mix(options | {"training_rows": options["training_rows"][:2]})
    with pytest.raises(InputError, match="--training-rows names d, which is not a candidate"):
        mix(options | {"training_rows": [*options["training_rows"], "d=d.parquet"]})
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        mix(options | {"training_set": [*options["training_set"][:2], f"c={tmp_path / 'none.csv'}"]})


def test_points_of_a_grid_by_hand():
    assert grid.points(2, 2) == [(0, 2), (1, 1), (2, 0)]
    assert grid.points(0, 2) == [] and grid.points(3, 1) == [(3,)]
    found = grid.points(4, 3)
    assert len(found) == len(set(found)) == 15 and {sum(point) for point in found} == {4}
    assert grid.named((1, 3)) == "1/4 + 3/4"
    assert grid.shares((1, 3), 2) == [0.25, 0.75]


def test_a_grid_of_more_tasks_than_are_kept_is_of_those_alone():
    assert grid.shares((1, 1, 2), 2) == [0.5, 0.5] and grid.shares((0, 0, 4), 2) == [0.5, 0.5]
    assert grid.shares((0, 4), 1) == [1.0] and grid.shares((2, 2), 0) == []


def test_further_mixtures_are_of_all_candidates_and_the_grid_of_the_kept(tmp_path):
    """The files have 95, 85 and 75 rows, so they give 19, 17 and 15 of 51 instructions."""
    options = make(
        tmp_path, {"a": 0.9, "b": 0.3, "c": -0.5}, instructions=51, further=["uniform", "size-proportional"], grid=2
    )
    mix(options)
    rows = table(options["output"] / "mixtures.csv")
    found = {}
    for row in rows:
        found.setdefault(row["variant"], {})[row["task"]] = int(row["instructions"])
    assert found["uniform"] == {"a": 17, "b": 17, "c": 17}
    assert found["size-proportional"] == {"a": 19, "b": 17, "c": 15}
    assert [found[f"grid{n}"] for n in range(3)] == [{"a": 0, "b": 51}, {"a": 26, "b": 25}, {"a": 51, "b": 0}]
    assert len(read_csv(options["output"] / "uniform-basic.csv", ("dataset", "id"))) == 51


def outcome(values, measure=accuracy.ACCURACY):
    """Two seeds of three points on two items, with equal weights in every replicate."""
    seeds = ("0", "0", "0", "1", "1", "1")
    return accuracy.Outcome(tuple("abcdef"), seeds, np.array(values, dtype=float), np.full((4, 2), 0.5), measure)


def test_the_best_of_a_grid_is_that_of_the_mean_over_seeds():
    """The points have the means 0.25, 0.5 and 0.5 over seeds. The first of the two best is taken."""
    points = analysis.of_points(outcome([[0, 0], [1, 1], [1, 0], [1, 0], [0, 0], [0, 1]]))
    assert [one.runs for one in points] == [("a", "d"), ("b", "e"), ("c", "f")]
    assert analysis.best_of(points).runs == ("b", "e")
    losses = analysis.of_points(outcome([[3, 3], [2, 2], [1, 1], [3, 3], [2, 2], [2, 2]], accuracy.NLL))
    assert analysis.best_of(losses).runs == ("c", "f")


def test_every_point_has_a_row_and_regret_is_what_the_best_gains():
    cells = {
        ("llama", "", "grid", ""): outcome([[0, 0], [1, 1], [1, 0], [1, 0], [0, 1], [0, 1]]),
        ("llama", "", "ours", ""): replace(
            outcome([[0, 0]] * 6), runs=("x", "y"), seeds=("0", "1"), values=np.array([[0.0, 1.0], [1.0, 0.0]])
        ),
    }
    rows = analysis.grid_rows(cells, "llama", ["0/2 + 2/2", "1/2 + 1/2", "2/2 + 0/2"])
    assert [(row[0], row[1], row[2], row[-1]) for row in rows] == [
        (0, "0/2 + 2/2", 0.25, 0), (1, "1/2 + 1/2", 0.75, 1), (2, "2/2 + 0/2", 0.5, 0)
    ]  # fmt: skip
    own = analysis.of_model(cells, "llama")
    assert accuracy.gain(own["grid"], own["ours"]).estimate == pytest.approx(0.25)
    assert analysis.grid_rows(cells, "gemma", []) == []
