"""Agreement of two training methods on handmade patterns: where runs are read, the numbers, and the figure."""

import csv

import numpy as np
import pattern_files
import pytest
from experiments import checked, config_of, meaning

from headpatterns.experiment import run_table
from headpatterns.io import write_csv
from headpatterns.studies.methods import agreement, effects, figure_methods
from headpatterns.studies.methods.settings import problems, runs

BASE = np.array([[4.0, 3.0, 2.0], [5.0, 6.0, 7.0]])
MOVES = {"a": np.array([[1.0, -1.0, 0.5], [0.0, 2.0, -2.0]]), "b": np.array([[-1.0, 0.2, 0.0], [3.0, -0.5, 1.0]])}


def write(folder, courses):
    """Write the run table of `courses`: for each (group, task, seed) and step, a pattern [layers, heads] and a loss."""
    rows = []
    for (group, task, seed), course in courses.items():
        place = folder / "m" / f"{group}.{task}.seed{seed}" / task
        for step, (pattern, loss) in course.items():
            factors = np.array([1.1, 0.9] * 3)
            samples = factors[:, None, None] * np.asarray(pattern)
            pattern_files.save(place, step, samples, losses=(factors * loss).tolist())
        rows.append(("methods", group, "m", "Model", task, task.upper(), "", "basic", seed, place.parent.name, place))
    write_csv(folder / "runs.csv", run_table.COLUMNS, rows)
    return folder / "runs.csv"


def straight(move, losses, per_nat):
    """A run whose pattern moves along `move` by `per_nat` per nat that it learns, with one loss every 10 steps."""
    return {10 * place: (BASE + move * per_nat * (losses[0] - loss), loss) for place, loss in enumerate(losses)}


@pytest.fixture
def table(tmp_path):
    """Adapters learn less and move heads about twice as far per nat: in the same direction on a, the opposite on b.

    Full fine-tuning moves less per nat on a with seed 1 than with seed 0.
    """
    return write(
        tmp_path,
        {
            ("full", "a", 0): straight(MOVES["a"], [3, 2, 1], 0.5),
            ("full", "a", 1): straight(MOVES["a"], [3, 2.5, 1.5], 0.4),
            ("full", "b", 0): straight(MOVES["b"], [3, 2, 1], 0.5),
            ("full", "b", 1): straight(MOVES["b"], [3, 2, 1], 0.5),
            ("lora", "a", 0): straight(MOVES["a"], [3, 2.2, 1.6], 1.0),
            ("lora", "a", 1): straight(MOVES["a"], [3, 2.2, 1.6], 1.0),
            ("lora", "b", 0): straight(-MOVES["b"], [3, 2.2, 1.6], 1.0),
            ("lora", "b", 1): straight(-MOVES["b"], [3, 2.2, 1.6], 1.0),
        },
    )


@pytest.mark.parametrize(("loss", "place"), [(3, 0), (3.5, 0), (2.5, 0.5), (2, 1), (1.75, 1.25), (1, 2), (0.5, 2)])
def test_a_run_is_read_where_it_passes_a_loss(loss, place):
    assert agreement.place_of(np.array([3.0, 2.0, 1.0]), loss) == pytest.approx(place)


def test_a_run_that_comes_back_is_read_where_it_passes_first():
    assert agreement.place_of(np.array([3.0, 1.0, 4.0, 0.0]), 2.0) == pytest.approx(0.5)


def test_pairs_differ_in_one_thing(table):
    found = agreement.compute(table, 10, 0)["methods"]
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    keys = {
        (row["differ_in"], row["group"], row["task"], row["seed"], row["other_group"], row["other_task"],
         row["other_seed"]) for row in rows
    }  # fmt: skip
    assert keys == {
        *(("method", "full", task, seed, "lora", task, seed) for task in "ab" for seed in (0, 1)),
        *(("seed", group, task, 0, group, task, 1) for group in ("full", "lora") for task in "ab"),
        *(("task", group, "a", seed, group, "b", seed) for group in ("full", "lora") for seed in (0, 1)),
    }
    assert {row["read_at"] for row in rows if row["differ_in"] == "task"} == {"end"}


def values(table, **wanted):
    found = agreement.compute(table, 10, 0)["methods"]
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_numbers_by_hand(table):
    at_same = {"differ_in": "method", "task": "a", "seed": 0, "read_at": "same loss"}
    for statistic, value in (("correlation", 1), ("rank_correlation", 1), ("size", 2)):
        (row,) = values(table, **at_same, statistic=statistic)
        assert (row["loss"], row["other_loss"]) == (pytest.approx(1.6), pytest.approx(1.6))
        # Full fine-tuning passes 1.6 between two steps. There it has learnt 1.4 nats, as the adapters have at the end.
        assert row["plain"] == pytest.approx(value, rel=1e-6)
    (row,) = values(table, **{**at_same, "read_at": "end"}, statistic="size")
    assert row["plain"] == pytest.approx(1.0 * 1.4 / (0.5 * 2), rel=1e-6)
    (row,) = values(table, **{**at_same, "task": "b"}, statistic="correlation")
    assert row["plain"] == pytest.approx(-1)
    (row,) = values(table, differ_in="task", group="full", seed=0, statistic="correlation")
    assert row["plain"] == pytest.approx(np.corrcoef(MOVES["a"].ravel(), MOVES["b"].ravel())[0, 1], rel=1e-6)


def test_what_falls_in_proportion_agrees_by_that_alone(tmp_path):
    """Two runs lower every level by a third. In addition, each run moves heads in its own way."""
    own = {
        "full": np.array([[0.3, -0.3, 0.0], [0.1, 0.0, -0.1]]),
        "lora": np.array([[0.0, 0.1, 0.2], [-0.3, 0.0, 0.0]]),
    }
    courses = {(group, "a", 0): {0: (BASE, 3), 10: (BASE * 2 / 3 + own[group], 1)} for group in own}
    found = {row["statistic"]: row["plain"] for row in values(write(tmp_path, courses), read_at="end")}
    after = [BASE * 2 / 3 + own[group] for group in own]
    assert found["correlation"] == pytest.approx(np.corrcoef(*(one.ravel() - BASE.ravel() for one in after))[0, 1])
    ratios = [np.log(one / BASE).ravel() for one in after]
    assert found["log_correlation"] == pytest.approx(np.corrcoef(*ratios)[0, 1], rel=1e-5)
    line = np.column_stack([np.ones(BASE.size), BASE.ravel()])
    left = [one - line @ np.linalg.lstsq(line, one)[0] for one in (each.ravel() - BASE.ravel() for each in after)]
    assert found["partial_correlation"] == pytest.approx(np.corrcoef(*left)[0, 1], rel=1e-5)
    assert found["correlation"] > 0.8 > 0.2 > found["partial_correlation"]


def test_effects_by_hand(table):
    found = {one.name: one.effect for one in effects.measure(table, 10, 0)}
    between = np.corrcoef(MOVES["a"].ravel(), MOVES["b"].ravel())[0, 1]
    assert found["methods_agree"].plain == pytest.approx(0, abs=1e-6)  # 1 on a, −1 on b
    assert found["methods_agree_beyond_base"].plain == pytest.approx(0, abs=1e-6)
    assert found["seeds_agree_more"].plain == pytest.approx(1)
    assert found["tasks_agree_less"].plain == pytest.approx(0 - (between - between) / 2, abs=1e-6)
    assert found["methods_agree"].varies == ("seeds", "tasks")
    assert found["seeds_agree_more"].varies == ("tasks",)


def test_one_seed_says_nothing_about_seeds(tmp_path):
    one = {("full", "a", 0): straight(MOVES["a"], [3, 1], 1), ("lora", "a", 0): straight(MOVES["a"], [3, 2], 1)}
    assert [found.name for found in effects.measure(write(tmp_path, one), 10, 0)] == [
        "methods_agree",
        "methods_agree_beyond_base",
    ]


def test_the_figure_has_a_row_for_every_comparison(table):
    found = agreement.compute(table, 10, 0)["methods"]
    path = table.with_name("methods.csv")
    write_csv(path, found.columns, found.rows)
    axes, other = figure_methods.figures(table, path)["figure_methods"].axes
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == [
        *("full and lora: A", "full and lora: B"),
        *("two seeds, full: A", "two seeds, full: B", "two seeds, lora: A", "two seeds, lora: B"),
        *("two tasks, full: A, B", "two tasks, lora: A, B"),
    ]
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for panel, statistic in ((axes, "correlation"), (other, "partial_correlation")):
        drawn = sum(line.get_marker() not in ("None", "") for line in panel.get_lines())
        assert drawn == sum(row["statistic"] == statistic for row in rows)


def two_groups(**settings):
    config = config_of()
    config["task_groups"]["again"] = {"tasks": ["gsm8k", "mathbench"], "samples": None}
    config["studies"]["methods"] = {"models": ["llama"], "groups": ["nlp", "again"], "seeds": [0]} | settings
    return config


def test_runs_are_those_of_the_tasks_that_groups_share():
    experiment = checked(two_groups())
    assert [(run.model, run.group, run.task, run.seed) for run in runs(experiment)] == [
        ("llama", "nlp", "gsm8k", 0),
        ("llama", "again", "gsm8k", 0),
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"groups": ["nlp"]}, "studies.methods.groups names 1 task groups: name two or more to compare."),
        (
            {"groups": ["nlp", "infinity"]},
            "studies.methods.groups: nlp, infinity have no task in common: give them a common task.",
        ),
        ({"models": [], "groups": []}, None),
    ],
)
def test_groups_that_cannot_be_compared(settings, said):
    assert list(problems(meaning(two_groups(**settings)))) == ([said] if said else [])
