"""The analysis scripts as commands, on small pattern folders: tables, edge cases and refusals."""

import csv
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pattern_files
import pytest
import scipy

from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.io import write_csv
from headpatterns.statistics import cv, gini, kurtosis, mse, pearson
from headpatterns.studies import patterns

pytestmark = pytest.mark.slow  # each script is started as a program

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
FAMILIES = {"gsm8k": "maths and code", "code": "maths and code", "arc": "text reasoning", "sgsm": "maths and code"}
STEPS = (0, 2, 5, 20)
LAYERS, HEADS, SAMPLES = 4, 6, 40
OUTPUTS = {
    "distribution": {
        "patterns": "patterns.csv",
        "distribution": "distribution.csv",
        "by_model": "distribution_by_model.csv",
    },
    "similarity": {"similarity": "similarity.csv", "summary": "similarity_summary.csv"},
    "composition": {
        "composition": "composition.csv",
        "coefficients": "composition_coefficients.csv",
        "by_model": "composition_by_model.csv",
        "controls": "composition_controls.csv",
    },
    "dynamics": {"dynamics": "dynamics.csv"},
    "level": {"level": "level.csv", "summary": "level_summary.csv"},
}
SCHEMA = {
    "patterns.csv": "model,task,seed,state,layer,head,value,low,high",
    "distribution.csv": "model,task,seed,state,statistic,value,low,high,plain",
    "distribution_by_model.csv": "model,state,statistic,value,low,high,plain",
    "similarity.csv": "model,seed,matrix,task_a,task_b,value,low,high,plain",
    "similarity_summary.csv": "model,matrix,pairs,value,low,high,plain",
    "composition.csv": "model,group,seed,complex,of,terms,size,r2,low,high,rank,null_mean,null_high,p_value,plain",
    "composition_coefficients.csv": "model,group,seed,complex,of,terms,task,beta,low,high,plain",
    "composition_by_model.csv": "model,group,complex,of,terms,size,statistic,value,low,high,plain",
    "composition_controls.csv": ("model,group,complex,control,pairs,spearman,low,high,best_on_changes,best_on_control"),
    "dynamics.csv": "model,task,seed,step,statistic,value,low,high,plain",
    "level_summary.csv": "model,statistic,value,low,high,plain",
}


def write_runs(folder, models=("big", "small"), tasks=("gsm8k", "code", "arc"), seeds=(0, 1), families=True):
    """Write pattern folders and their run table; fine-tuning moves a task to its family's heads, fast at first.

    The change of the complex task sgsm is 0.7 times that of gsm8k plus 0.3 times that of code.
    """
    rows = []
    for model in models:
        generator = np.random.default_rng(len(model))
        base = 1 + generator.gamma(0.3, size=(LAYERS, HEADS))
        families_heads = {family: generator.gamma(1.0, size=base.shape) for family in sorted(set(FAMILIES.values()))}
        noise = {task: generator.gamma(4.0, 0.25, size=(SAMPLES, *base.shape)) for task in FAMILIES}
        for seed in seeds:
            goal = {t: families_heads[f] + generator.gamma(0.5, size=base.shape) for t, f in FAMILIES.items()}
            goal["sgsm"] = 0.7 * goal["gsm8k"] + 0.3 * goal["code"]
            for task in (*tasks, "sgsm"):
                patterns = folder / "patterns" / model / f"nlp.{task}.seed{seed}" / task
                for step in STEPS:
                    pattern = base + (1 - np.exp(-step / 2)) * goal[task]
                    losses = ((1 + noise[task][:, 0, 0]) / (1 + step)).tolist()
                    pattern_files.save(patterns, step, pattern * noise[task], losses=losses)
                family = FAMILIES[task] if families else ""
                row = (model, model.title(), task, task.upper(), family, "complex" if task == "sgsm" else "basic")
                place = (seed, f"nlp.{task}.seed{seed}", patterns)
                rows += [("composition", "nlp", *row, *place)]
                if task in tasks:
                    rows += [(study, "nlp", *row, *place) for study in ("adaptation", "dynamics")]
    table = folder / "runs.csv"
    write_csv(table, run_table.COLUMNS, rows)
    return table


def call(script, *arguments):
    command = [sys.executable, SCRIPTS / f"{script}.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


def command(study, table, folder, **settings):
    outputs = {key: str(folder / name) for key, name in OUTPUTS[study].items()}
    more = {"permutations": 1000, "reading": {}} if study == "composition" else {}
    given = {"inputs": {"runs": str(table)}, "outputs": outputs, "settings": {**more, **settings}}
    return ["analyse", study, *(word for name, value in given.items() for word in (f"--{name}", json.dumps(value)))]


def analyse(study, table, folder, **more):
    done = call(*command(study, table, folder, resamples=60, seed=3, **more))
    assert (done.returncode, done.stderr) == (0, "")


def read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def one(rows, **wanted):
    found = [row for row in rows if all(row[key] == str(value) for key, value in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return float(found[0].get("plain") or found[0]["value"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All tables of two models, three basic tasks, the complex task and two seeds."""
    folder = tmp_path_factory.mktemp("whole")
    table = write_runs(folder)
    for study in OUTPUTS:
        analyse(study, table, folder)
    return folder


def mean_pattern(folder, model, task, seed, step):
    samples = np.load(folder / f"patterns/{model}/nlp.{task}.seed{seed}/{task}/step-{step}.samples.npy")
    return samples.astype(np.float64).mean(axis=0)


@pytest.mark.parametrize(("name", "columns"), SCHEMA.items())
def test_tables_have_the_columns_of_the_contract_and_sane_intervals(whole, name, columns):
    rows = read(whole / name)
    assert ",".join(rows[0]) == columns
    for row in rows:
        estimate = next(row[name] for name in ("value", "r2", "beta", "spearman") if name in row)
        assert float(row["low"]) <= float(estimate) <= float(row["high"])
    assert list(dict.fromkeys(row["model"] for row in rows)) == ["big", "small"]


def test_patterns_hold_every_head_of_every_state(whole):
    rows = read(whole / "patterns.csv")
    assert len(rows) == 2 * 3 * 2 * 4 * LAYERS * HEADS
    before, after = (mean_pattern(whole, "small", "arc", 1, step) for step in (0, 20))
    expected = {"before": before, "after": after, "change": after - before, "change_rate": (after - before) / before}
    for state, pattern in expected.items():
        value = one(rows, model="small", task="arc", seed=1, state=state, layer=3, head=5)
        # Only the change rate is debiased; the other states are means.
        assert value == pytest.approx(pattern[3, 5], rel=1e-9 if state != "change_rate" else 0.02)


def test_distribution_and_its_means(whole):
    rows, means = read(whole / "distribution.csv"), read(whole / "distribution_by_model.csv")
    for name, statistic in {"gini": gini, "cv": cv, "kurtosis": kurtosis}.items():
        values = []
        for task in ("gsm8k", "code", "arc"):
            for seed in (0, 1):
                before, after = (statistic(mean_pattern(whole, "big", task, seed, step)) for step in (0, 20))
                found = one(rows, model="big", task=task, seed=seed, statistic=name, state="change")
                assert found == pytest.approx(after - before, rel=1e-7)
                values.append(after - before)
        assert one(means, model="big", statistic=name, state="change") == pytest.approx(np.mean(values), rel=1e-7)


def test_distribution_tells_how_levels_change(whole):
    rows, means = read(whole / "distribution.csv"), read(whole / "distribution_by_model.csv")
    rising = []
    for task in ("gsm8k", "code", "arc"):
        for seed in (0, 1):
            before, after = (mean_pattern(whole, "big", task, seed, step) for step in (0, 20))
            key = {"model": "big", "task": task, "seed": seed}
            assert one(rows, **key, statistic="level", state="after") == pytest.approx(after.mean(), rel=1e-7)
            assert one(rows, **key, statistic="level", state="change") == pytest.approx((after - before).mean())
            r = np.corrcoef((after - before).ravel(), -before.ravel())[0, 1]
            assert one(rows, **key, statistic="against_base", state="change") == pytest.approx(r, rel=1e-7)
            # All samples have the same sign, so the coherence is 1. The floor is that of 40 random signs.
            assert one(rows, **key, statistic="coherence", state="after") == pytest.approx(1)
            assert one(rows, **key, statistic="coherence_floor", state="before") == pytest.approx(40**-0.5)
            rising.append((after > before).mean())
            assert one(rows, **key, statistic="rising", state="change") == pytest.approx(rising[-1])
    assert one(means, model="big", statistic="rising", state="change") == pytest.approx(np.mean(rising))
    assert {row["state"] for row in rows if row["statistic"] in ("rising", "against_base")} == {"change"}


def test_a_model_may_be_its_tasks_mean_pattern(whole, tmp_path):
    analyse("distribution", whole / "runs.csv", tmp_path, model_value="statistic_of_mean")
    means = read(tmp_path / "distribution_by_model.csv")
    tasks = ("gsm8k", "code", "arc")
    by_seed = [gini(np.mean([mean_pattern(whole, "big", task, seed, 20) for task in tasks], axis=0)) for seed in (0, 1)]
    found = one(means, model="big", statistic="gini", state="after")
    assert found == pytest.approx(np.mean(by_seed), rel=1e-7)
    usual = read(whole / "distribution_by_model.csv")
    assert abs(found - one(usual, model="big", statistic="gini", state="after")) > 1e-3
    assert (tmp_path / "distribution.csv").read_bytes() == (whole / "distribution.csv").read_bytes()
    for name in ("coherence", "level"):
        either = [one(rows, model="big", statistic=name, state="after") for rows in (means, usual)]
        assert either[0] == pytest.approx(either[1])


def test_a_reading_reaches_the_patterns(whole, tmp_path):
    """Every sample's pattern, divided by its sum, has the level 1 / (layers × heads), before and after."""
    reading = {"reduction": "abs_of_sum", "normalisation": "sum"}
    for study in ("distribution", "similarity", "dynamics", "level"):
        analyse(study, whole / "runs.csv", tmp_path, reading=reading)
    rows = read(tmp_path / "distribution.csv")
    found = [float(row["value"]) for row in rows if row["statistic"] == "level" and row["state"] != "change"]
    np.testing.assert_allclose(found, 1 / (LAYERS * HEADS), rtol=1e-6)
    for name in ("similarity.csv", "dynamics.csv"):
        assert (tmp_path / name).read_bytes() != (whole / name).read_bytes()
    # The level study does not divide patterns, because it shows exactly what the division removes.
    assert (tmp_path / "level.csv").read_bytes() == (whole / "level.csv").read_bytes()


def test_coherence_needs_values_with_a_sign(tmp_path):
    table = write_runs(tmp_path, models=("only",), seeds=(0,))
    for folder in (tmp_path / "patterns" / "only").glob("*/*"):
        for step in STEPS:
            samples = np.load(folder / f"step-{step}.samples.npy")
            pattern_files.save(folder, step, samples, reduction="sum_of_abs")
    analyse("distribution", table, tmp_path)
    statistics = {row["statistic"] for row in read(tmp_path / "distribution.csv")}
    assert statistics == {"gini", "cv", "kurtosis", "skewness", "level", "rising", "against_base"}


def test_the_mean_over_runs_has_a_narrower_interval_than_a_run(whole):
    rows, means = read(whole / "distribution.csv"), read(whole / "distribution_by_model.csv")
    widths = [float(r["high"]) - float(r["low"]) for r in rows if (r["statistic"], r["state"]) == ("gini", "before")]
    mean = next(r for r in means if (r["model"], r["statistic"], r["state"]) == ("big", "gini", "before"))
    assert float(mean["high"]) - float(mean["low"]) < np.mean(widths)


def test_intervals_of_means_over_seeds_hold_the_seeds(whole):
    """With two seeds, the standard error is half their distance, and Student's t with one degree of freedom is 12.7."""
    rows = read(whole / "distribution.csv")
    key = {"model": "big", "state": "after", "statistic": "kurtosis"}
    first, second = (
        np.mean([one(rows, **key, task=task, seed=seed) for task in ("gsm8k", "code", "arc")]) for seed in (0, 1)
    )
    (mean,) = (
        row
        for row in read(whole / "distribution_by_model.csv")
        if all(row[name] == value for name, value in key.items())
    )
    reach = float(mean["high"]) - float(mean["value"])
    assert first != second and reach >= 12.7062 * abs(first - second) / 2 * (1 - 1e-4)
    assert float(mean["plain"]) == pytest.approx((first + second) / 2)


def test_seeds_share_the_draw_of_their_probe_set(whole):
    # Both seeds start from the same model and see the same samples, so numbers and intervals are the same.
    rows = [row for row in read(whole / "distribution.csv") if row["state"] == "before" and row["model"] == "big"]
    by_seed = [[{k: v for k, v in r.items() if k != "seed"} for r in rows if r["seed"] == s] for s in "01"]
    assert by_seed[0] == by_seed[1]


def test_similarity_is_a_full_square_and_its_mean(whole):
    rows, summary = read(whole / "similarity.csv"), read(whole / "similarity_summary.csv")
    assert len(rows) == 2 * 2 * 7 * 3 * 3
    diagonal = [row for row in rows if row["task_a"] == row["task_b"]]
    assert {(row["value"], row["low"], row["high"]) for row in diagonal} == {("1", "1", "1")}
    after = []
    for seed in (0, 1):
        for a, b in combinations(("gsm8k", "code", "arc"), 2):
            expected = pearson(*(mean_pattern(whole, "big", task, seed, 20) for task in (a, b)))
            value = one(rows, model="big", seed=seed, matrix="after", task_a=b, task_b=a)
            assert value == pytest.approx(expected, rel=1e-8)
            after.append(expected)
    assert one(summary, model="big", matrix="after", pairs="all") == pytest.approx(np.mean(after), rel=1e-8)
    within, between = (
        one(summary, model="big", matrix="after", pairs=f"{kind}_family") for kind in ("within", "between")
    )
    assert one(summary, model="big", matrix="after", pairs="all") == pytest.approx((within + 2 * between) / 3)
    difference = one(summary, model="big", matrix="after", pairs="within_minus_between")
    assert difference == pytest.approx(within - between, rel=1e-6)
    before = one(summary, model="big", matrix="before", pairs="all")
    falls = one(summary, model="big", matrix="after_minus_before", pairs="all")
    assert falls == pytest.approx(np.mean(after) - before, rel=1e-6)


def test_changes_are_compared_in_four_ways(whole):
    rows = read(whole / "similarity.csv")
    key = {"model": "small", "seed": 1, "task_a": "gsm8k", "task_b": "arc"}
    before, after = (
        np.array([mean_pattern(whole, "small", task, 1, step).ravel() for task in ("gsm8k", "arc")]) for step in (0, 20)
    )
    rates = (after - before) / before
    expected = {
        "change_rate": np.corrcoef(rates)[0, 1],
        "log_ratio": np.corrcoef(np.log(after) - np.log(before))[0, 1],
        "before_spearman": scipy.stats.spearmanr(*before).statistic,
        "after_spearman": scipy.stats.spearmanr(*after).statistic,
        "change_rate_spearman": scipy.stats.spearmanr(*rates).statistic,
    }
    for matrix, value in expected.items():
        assert one(rows, **key, matrix=matrix) == pytest.approx(value, rel=1e-7)
    summary = read(whole / "similarity_summary.csv")
    for pairs in ("all", "within_minus_between"):
        after_ranks, before_ranks = (
            one(summary, model="big", matrix=f"{state}_spearman", pairs=pairs) for state in ("after", "before")
        )
        found = one(summary, model="big", matrix="after_minus_before_spearman", pairs=pairs)
        assert found == pytest.approx(after_ranks - before_ranks, abs=1e-9)


def test_level_and_loss_of_every_step(whole):
    rows = read(whole / "level.csv")
    assert len(rows) == 2 * 3 * 2 * len(STEPS)
    columns = [f"{name}{ending}" for name in ("loss", "level", "level_over_loss") for ending in ("", "_low", "_high")]
    assert list(rows[0]) == ["model", "task", "seed", "step", *columns]
    (row,) = (r for r in rows if (r["model"], r["task"], r["seed"], r["step"]) == ("big", "arc", "1", "5"))
    level = mean_pattern(whole, "big", "arc", 1, 5).mean()
    step = whole / "patterns/big/nlp.arc.seed1/arc/step-5.json"
    loss = np.mean(json.loads(step.read_text())["losses"])
    expected = {"loss": loss, "level": level, "level_over_loss": level / loss}
    for name, value in expected.items():
        # The two means have no bias. Their ratio has a small bias, which is subtracted.
        assert float(row[name]) == pytest.approx(value, rel=5e-3 if "over" in name else 1e-7)
        assert float(row[f"{name}_low"]) < value < float(row[f"{name}_high"])


def test_level_and_loss_are_compared_within_runs(whole):
    """The slope is that of a regression with a separate constant for every run."""
    rows, summary = read(whole / "level.csv"), read(whole / "level_summary.csv")
    runs = {}
    for row in rows:
        if row["model"] == "small":
            point = (np.log(float(row["loss"])), np.log(float(row["level"])))
            runs.setdefault((row["task"], row["seed"]), []).append(point)
    x, y = np.array([point for points in runs.values() for point in points]).T
    constants = np.kron(np.eye(len(runs)), np.ones((len(STEPS), 1)))
    beta, *_ = np.linalg.lstsq(np.column_stack([x, constants]), y, rcond=None)
    assert one(summary, model="small", statistic="slope") == pytest.approx(beta[0], rel=1e-6)
    left = [values - constants @ np.linalg.lstsq(constants, values, rcond=None)[0] for values in (x, y)]
    assert one(summary, model="small", statistic="r") == pytest.approx(np.corrcoef(*left)[0, 1], rel=1e-6)
    changes = np.array([np.subtract(points[-1], points[0]) for points in runs.values()])
    assert one(summary, model="small", statistic="log_level_change") == pytest.approx(changes[:, 1].mean(), rel=1e-6)
    left_over = (changes[:, 1] - changes[:, 0]).mean()
    assert one(summary, model="small", statistic="log_level_over_loss_change") == pytest.approx(left_over, rel=1e-6)


def test_composition_finds_the_planted_pair(whole):
    rows, coefficients = read(whole / "composition.csv"), read(whole / "composition_coefficients.csv")
    assert len(rows) == 3 * 2 * 2 * (3 + 3 + 1)
    rows = [row for row in rows if row["of"] == "change"]
    pairs = {row["terms"]: float(row["r2"]) for row in rows if row["size"] == "2" and row["seed"] == "0"}
    assert max(pairs, key=pairs.get) == "gsm8k+code"
    key = {"model": "big", "seed": 1, "complex": "sgsm", "of": "change", "terms": "gsm8k+code"}
    assert one(coefficients, **key, task="gsm8k") == pytest.approx(0.7, abs=0.1)
    assert one(coefficients, **key, task="code") == pytest.approx(0.3, abs=0.1)
    change = {t: mean_pattern(whole, "big", t, 1, 20) - mean_pattern(whole, "big", t, 1, 0) for t in FAMILIES}
    matrix = np.stack([change["gsm8k"].ravel(), change["code"].ravel()], axis=1)
    residual = np.linalg.lstsq(matrix, change["sgsm"].ravel())[1][0]
    assert one(rows, **key) == pytest.approx(1 - residual / (change["sgsm"].var() * change["sgsm"].size), rel=1e-8)


def test_composition_by_model_averages_seeds_and_ranks(whole):
    rows, means = read(whole / "composition.csv"), read(whole / "composition_by_model.csv")
    key = {"model": "small", "of": "change"}
    for terms in ("gsm8k+code", "gsm8k+arc"):
        seeds = [one(rows, **key, seed=seed, terms=terms) for seed in (0, 1)]
        assert one(means, **key, terms=terms, statistic="r2") == pytest.approx(np.mean(seeds), rel=1e-8)
    ranks = [one(means, **key, terms=t, statistic="rank") for t in ("gsm8k+code", "gsm8k+arc", "code+arc")]
    assert ranks[0] == 1 and sorted(ranks) == [1, 2, 3]


def test_dynamics_start_at_the_base_model(whole):
    rows = read(whole / "dynamics.csv")
    assert len(rows) == 2 * 3 * 2 * len(STEPS) * 2
    start = {(r["statistic"], r["value"], r["low"], r["high"]) for r in rows if r["step"] == "0"}
    assert start == {("correlation", "1", "1", "1"), ("mse", "0", "0", "0")}
    base, reached = (mean_pattern(whole, "small", "code", 0, step) for step in (0, 5))
    for name, statistic in {"correlation": pearson, "mse": mse}.items():
        value = one(rows, model="small", task="code", seed=0, step=5, statistic=name)
        assert value == pytest.approx(statistic(base, reached), rel=1e-8)


def test_same_input_gives_the_same_bytes(whole, tmp_path):
    for study, outputs in OUTPUTS.items():
        analyse(study, whole / "runs.csv", tmp_path)
        for name in outputs.values():
            assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_one_model_one_task_one_seed(tmp_path):
    table = write_runs(tmp_path, models=("only",), tasks=("gsm8k",), seeds=(0,))
    for study in OUTPUTS:
        analyse(study, table, tmp_path, **({"reading": {"intercept": True}} if study == "composition" else {}))
    assert [r["value"] for r in read(tmp_path / "similarity.csv")] == ["1"] * 7
    assert read(tmp_path / "similarity_summary.csv") == []
    assert [r["terms"] for r in read(tmp_path / "composition.csv")] == ["gsm8k"] * 3
    assert [r["task"] for r in read(tmp_path / "composition_coefficients.csv")] == ["gsm8k", "intercept"] * 3
    assert read(tmp_path / "composition_controls.csv") == []


def test_without_families_there_are_no_family_rows(tmp_path):
    table = write_runs(tmp_path, models=("only",), seeds=(0,), families=False)
    analyse("similarity", table, tmp_path)
    summary = read(tmp_path / "similarity_summary.csv")
    assert {row["pairs"] for row in summary} == {"all"}
    assert [row["matrix"] for row in summary] == [
        *("before", "after", "change_rate", "log_ratio", "before_spearman", "after_spearman", "change_rate_spearman"),
        *("after_minus_before", "after_minus_before_spearman"),
    ]


def refusal(study, table, folder):
    done = call(*command(study, table, folder, resamples=1000, seed=0))
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert not any((folder / name).exists() for name in OUTPUTS[study].values())
    return done.stderr


def test_steps_of_different_shape_are_refused_with_the_folder(tmp_path):
    table = write_runs(tmp_path, models=("only",), seeds=(0,))
    folder = tmp_path / "patterns/only/nlp.code.seed0/code"
    np.save(folder / "step-5.samples.npy", np.ones((SAMPLES - 1, LAYERS, HEADS), np.float32))
    message = refusal("dynamics", table, tmp_path)
    assert f"{folder}: the patterns of step 5 have shape 39 x 4 x 6 but those of step 0 have 40 x 4 x 6" in message


def reshape_run(folder, shape):
    for step in STEPS:
        pattern_files.save(folder, step, np.ones(shape))


def test_tasks_of_a_model_must_have_the_same_heads(tmp_path):
    table = write_runs(tmp_path, models=("only",), seeds=(0,))
    reshape_run(tmp_path / "patterns/only/nlp.arc.seed0/arc", (SAMPLES, LAYERS, HEADS + 1))
    assert "4 x 7 layers x heads" in refusal("similarity", table, tmp_path)


def test_seeds_of_a_task_must_have_the_same_probe_set(tmp_path):
    table = write_runs(tmp_path, models=("only",))
    reshape_run(tmp_path / "patterns/only/nlp.arc.seed1/arc", (SAMPLES + 2, LAYERS, HEADS))
    assert "42 probe samples" in refusal("distribution", table, tmp_path)


def test_a_broken_pattern_is_refused_with_its_place(tmp_path):
    table = write_runs(tmp_path, models=("only",), seeds=(0,))
    path = tmp_path / "patterns/only/nlp.arc.seed0/arc/step-20.samples.npy"
    samples = np.load(path)
    samples[3, 2, 1] = np.nan
    np.save(path, samples)
    assert "step-20.samples.npy has a value that is not finite, at the sample s3, layer 2, head 1" in refusal(
        "similarity", table, tmp_path
    )
    path.write_bytes(path.read_bytes()[:500])
    assert "step-20.samples.npy is not a complete NumPy array" in refusal("similarity", table, tmp_path)


def test_a_run_without_step_0_or_files_is_refused(tmp_path):
    table = write_runs(tmp_path, models=("only",), seeds=(0,))
    folder = tmp_path / "patterns/only/nlp.arc.seed0/arc"
    (folder / "step-0.samples.npy").unlink()
    assert "lacks the patterns before fine-tuning (step 0)" in refusal("dynamics", table, tmp_path)
    for path in folder.iterdir():
        path.unlink()
    assert "has no activation pattern" in refusal("dynamics", table, tmp_path)


ROW = "adaptation,nlp,m,M,gsm8k,GSM8K,,basic,0,nlp.gsm8k.seed0,some/folder"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study,group\n", "lacks the column 'model'"),
        ("{header}\n", "no row of the study 'adaptation'"),
        ("{header}\n" + ROW.replace("adaptation", "adaption"), "row 1: unknown study 'adaption'"),
        ("{header}\n" + ROW.replace(",0,", ",zero,"), "row 1: the seed 'zero'"),
        ("{header}\n" + ROW.replace("gsm8k,GSM8K", "a+b,AB"), r"row 1: the task 'a\+b'"),
        ("{header}\n" + ROW.replace("some/folder", ""), "row 1: the column 'patterns' is empty"),
        ("{header}\n" + ROW.replace(",basic", ""), "row 1: the number of fields"),
        ("{header}\n" + ROW.replace("adaptation", "composition").replace("basic", ""), "row 1: the role is ''"),
        ("{header}\n" + ROW + "\n" + ROW.replace("nlp,", "infinity,"), "row 2 repeats row 1"),
    ],
)
def test_run_table_refuses_a_row_by_its_number(tmp_path, text, message):
    table = tmp_path / "runs.csv"
    table.write_text(text.format(header=",".join(run_table.COLUMNS)), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        patterns.rows_of(table, "adaptation")


def test_run_table_is_typed_and_keeps_its_order(tmp_path):
    runs = patterns.rows_of(write_runs(tmp_path), "composition")
    assert [run.model for run in runs] == ["big"] * 8 + ["small"] * 8
    assert runs[0].seed == 0 and isinstance(runs[0].patterns, Path) and runs[3].role == "complex"
    with pytest.raises(InputError, match=r"absent\.csv"):
        patterns.rows_of(tmp_path / "absent.csv", "composition")


def test_composition_needs_both_roles(tmp_path):
    table = write_runs(tmp_path, models=("only",), seeds=(0,))
    table.write_text(table.read_text().replace(",complex,", ",basic,"))
    assert "has no complex task" in refusal("composition", table, tmp_path)


def test_numbers_are_written_alike(tmp_path):
    write_csv(
        tmp_path / "t.csv", ("a", "b"), [(np.float32(0.1), -0.0), (np.float64("nan"), np.int64(3)), ("x,y", 1e-12)]
    )
    assert (tmp_path / "t.csv").read_bytes() == b'a,b\n0.1000000015,0\nnan,3\n"x,y",1e-12\n'
