"""Chains of checkpoints: numbers of three stages computed by hand, their figures, and their section."""

import csv

import numpy as np
import pattern_files
import pytest
from refusals import refusal

from headpatterns.experiment import run_table
from headpatterns.io import write_csv
from headpatterns.presentation import style
from headpatterns.presentation.results import Results
from headpatterns.statistics import change_rate, gini, pearson, spearman
from headpatterns.studies.checkpoints import analysis, figure, section
from headpatterns.studies.table import Table

LAYERS, HEADS, SAMPLES = 3, 4, 12
TASKS = {"gsm8k": "GSM8K", "arc": "ARC"}
CHAINS = {
    "long": {"label": "A long one", "base": ["m", "M"], "stages": [["finetuned.sft", "SFT"], ["finetuned.dpo", "DPO"]]},
    "short": {"label": "A short one", "base": ["m", "M"], "stages": [["finetuned.dpo", "DPO"]]},
}
LOSSES = {"m": 3.0, "finetuned.sft": 2.0, "finetuned.dpo": 2.5}


def levels(task, stage):
    """Patterns [samples, layers, heads] with identical samples, so that resampling changes nothing."""
    drawn = np.random.default_rng([list(TASKS).index(task), list(LOSSES).index(stage)])
    return np.repeat(drawn.uniform(0.1, 1, (1, LAYERS, HEADS)), SAMPLES, axis=0)


@pytest.fixture
def runs(tmp_path):
    """The run table of two runs on two tasks, with their patterns."""
    rows = []
    for stage in ("finetuned.sft", "finetuned.dpo"):
        for task, label in TASKS.items():
            folder = tmp_path / "patterns" / stage / task
            for step, of in ((0, "m"), (1, stage)):
                pattern_files.save(folder, step, levels(task, of), losses=[LOSSES[of]] * SAMPLES)
            row = {
                "study": "checkpoints",
                "group": "finetuned",
                "model": "m",
                "model_label": "M",
                "task": task,
                "task_label": label,
                "seed": 0,
                "run": stage,
                "patterns": folder,
            }
            rows.append([row.get(column, "") for column in run_table.COLUMNS])
    write_csv(tmp_path / "runs.csv", run_table.COLUMNS, rows)
    return tmp_path / "runs.csv"


def records(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def value(table, **wanted):
    """The value of the only row with these fields; it must be within its interval."""
    [row] = [row for row in records(table) if wanted.items() <= row.items()]
    assert row["low"] - 1e-9 <= row["value"] <= row["high"] + 1e-9
    return row["value"]


def mean(task, stage):
    return levels(task, stage).astype(np.float32)[0].astype(float)


def test_stages_and_changes_are_what_they_are_by_hand(runs):
    found = analysis.compute(runs, CHAINS, 20, 0)
    rows = found["statistics"]
    sft, dpo, base = (mean("gsm8k", stage) for stage in ("finetuned.sft", "finetuned.dpo", "m"))
    at = {"chain": "long", "task": "gsm8k", "stage": "finetuned.dpo"}
    assert value(rows, **at, since="", statistic="gini") == pytest.approx(gini(dpo))
    assert value(rows, **at, since="", statistic="loss") == 2.5
    for since, before, loss in (("m", base, -0.5), ("finetuned.sft", sft, 0.5)):
        place = {**at, "since": since}
        assert value(rows, **place, statistic="loss") == pytest.approx(loss)
        assert value(rows, **place, statistic="level") == pytest.approx(dpo.mean() - before.mean())
        assert value(rows, **place, statistic="pearson") == pytest.approx(pearson(before, dpo))
        assert value(rows, **place, statistic="spearman") == pytest.approx(spearman(before, dpo))
        assert value(rows, **place, statistic="rising") == pytest.approx((dpo > before).mean())
        for layer in range(LAYERS):
            moved = (dpo - before)[layer]
            assert value(found["layers"], **place, layer=layer) == pytest.approx(moved.mean())
            for head in range(HEADS):
                assert value(found["heads"], **place, layer=layer, head=head) == pytest.approx(moved[head])


def test_means_are_over_tasks_and_tasks_are_compared(runs):
    found = analysis.compute(runs, CHAINS, 20, 0)
    at = {"chain": "long", "stage": "finetuned.sft"}
    own = [mean(task, "finetuned.sft") for task in TASKS]
    together = value(found["statistics"], **at, since="", task="all", statistic="level")
    assert together == pytest.approx(np.mean(own))
    cell = {**at, "task_a": "gsm8k", "task_b": "arc"}
    expected = pearson(*own)
    assert value(found["similarity"], **cell, since="", matrix="levels") == pytest.approx(expected)
    similar = value(found["statistics"], **at, since="", task="all", statistic="similarity_levels")
    assert similar == pytest.approx(expected)
    rates = pearson(*(change_rate(mean(task, "m"), mean(task, "finetuned.sft")) for task in TASKS))
    assert value(found["similarity"], **cell, since="m", matrix="change_rate") == pytest.approx(rates)


def test_a_short_chain_has_each_change_once(runs):
    found = analysis.compute(runs, CHAINS, 20, 0)
    assert [row["stage_label"] for row in records(found["stages"])] == ["M", "SFT", "DPO", "M", "DPO"]
    since = {
        chain: [(row["stage"], row["since"]) for row in records(found["statistics"])
                if row["chain"] == chain and row["task"] == "arc" and row["statistic"] == "level"]
        for chain in CHAINS
    }  # fmt: skip
    assert since["short"] == [("m", ""), ("finetuned.dpo", ""), ("finetuned.dpo", "m")]
    assert since["long"][3:] == [("finetuned.sft", "m"), ("finetuned.dpo", "m"), ("finetuned.dpo", "finetuned.sft")]


def test_noise_widens_intervals(runs, tmp_path):
    """If the samples differ, the interval is wider than a point."""
    noise = np.random.default_rng(0).uniform(-0.05, 0.05, (SAMPLES, LAYERS, HEADS))
    folder = tmp_path / "patterns/finetuned.sft/gsm8k"
    pattern_files.save(folder, 1, levels("gsm8k", "finetuned.sft") + noise, losses=[2.0] * SAMPLES)
    rows = records(analysis.compute(runs, CHAINS, 20, 0)["heads"])
    wide = {(row["task"], row["stage"]) for row in rows if row["high"] - row["low"] > 1e-3}
    assert wide == {("gsm8k", "finetuned.sft"), ("gsm8k", "finetuned.dpo")}
    assert all(row["since"] for row in rows if row["high"] - row["low"] > 1e-3 and row["stage"] == "finetuned.dpo")


def test_a_stage_that_the_table_lacks_is_refused(runs):
    chains = {"c": {"label": "C", "base": ["m", "M"], "stages": [["finetuned.sft", "SFT"], ["finetuned.rl", "RL"]]}}
    with refusal(str(runs), ("finetuned.rl on gsm8k", "make the table again")):
        analysis.compute(runs, chains, 20, 0)


@pytest.fixture
def results(runs, tmp_path):
    """A folder of results with the tables of the analysis, and of ablations."""
    names = {"stages": "checkpoints_stages", "statistics": "checkpoints", "heads": "checkpoints_patterns",
             "layers": "checkpoints_layers", "similarity": "checkpoints_similarity"}  # fmt: skip
    for key, table in analysis.compute(runs, CHAINS, 20, 0).items():
        write(tmp_path / f"analysis/{names[key]}.csv", table)
    kind = ("abs_of_sum", "absolute", "all_heads")
    rows = [("long", *place, phase, *kind, 0.5, 0.4, 0.6, 0.5)
            for place in (("gsm8k", "0"), ("all", "all")) for phase in ("before", "after", "difference")]  # fmt: skip
    write(tmp_path / "analysis/checkpoints_validity.csv", Table(section.VALIDITY_COLUMNS, rows))
    return Results(tmp_path)


def write(path, table):
    path.parent.mkdir(exist_ok=True)
    write_csv(path, table.columns, table.rows)


def drawn(results):
    files = {"stages": "checkpoints_stages", "statistics": "checkpoints", "heads": "checkpoints_patterns",
             "layers": "checkpoints_layers", "similarity": "checkpoints_similarity"}  # fmt: skip
    with style.applied():
        return figure.figures(
            results.folder / "runs.csv", **{key: results.analysis(name) for key, name in files.items()}
        )


def test_every_stage_and_change_is_drawn(results):
    figures = drawn(results)
    assert set(figures) == set(section.FIGURES)
    maps = [axes for axes in figures["checkpoints_heads"].axes if axes.images]
    assert len(maps) == len(TASKS) * ((3 + 2) + (2 + 1))
    lines = [axes for axes in figures["checkpoints_stages"].axes if axes.get_title() == "mean level"]
    assert [len(axes.containers) for axes in lines] == [len(TASKS)] * 2
    texts = {text.get_text() for text in figures["checkpoints_heads"].texts}
    assert {"A long one", "A short one", "GSM8K", "SFT − M", "DPO − SFT", "DPO − M"} <= texts


def test_the_section_shows_stages_changes_and_ablations(results):
    (results.folder / "figures").mkdir()
    with style.applied():
        for name in section.FIGURES:
            style.save(style.new_figure(1, 1), results.folder / "figures" / name)
    [made] = section.section(results)
    for word in ("At each stage", "What changes", "Patterns and ablations", "A long one", "0.5 [0.4, 0.6]", "DPO"):
        assert word in made.body
    write(results.analysis("checkpoints_validity"), Table(section.VALIDITY_COLUMNS, []))
    assert "Patterns and ablations" not in section.section(results)[0].body


def test_one_task_is_like_no_other(runs, tmp_path):
    with runs.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if "arc" not in row]
    write_csv(runs, rows[0], rows[1:])
    found = analysis.compute(runs, CHAINS, 20, 0)
    assert found["similarity"].rows == []
