"""Competence of the models: shares and intervals, reading of tasks and answers, the table by hand, evaluations."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import scripts
from experiments import checked, config_of, meaning
from refusals import refusal

from headpatterns.errors import InputError
from headpatterns.evaluation.intervals import wilson
from headpatterns.experiment import arguments, run_table
from headpatterns.experiment.variants import COLUMNS as VARIANT_COLUMNS
from headpatterns.io import write_csv
from headpatterns.presentation.grids import latex, markdown
from headpatterns.statistics.effects import Component, Effect
from headpatterns.studies import effects
from headpatterns.studies.competence import analysis, answered, figure, section, settings, shares, table
from headpatterns.studies.effects import Measured

NAN = math.nan
T2 = 4.302652729911275  # Student's t at 97.5 %, 2 degrees of freedom


# Shares.


def test_the_interval_of_one_run_is_wilsons():
    assert shares.share(np.array([[1.0, 0, 1, 1, 0, 0, 0, 1, 0, 0]])) == pytest.approx((0.4, *wilson(4, 10)))
    assert shares.share(np.ones((1, 8))) == pytest.approx((1, *wilson(8, 8)))


def test_seeds_that_answer_alike_add_no_items_and_those_that_err_apart_add_theirs():
    alike = np.tile([1.0, 0, 1, 0], (3, 1))
    assert shares.effective_items(alike) == 4
    assert shares.share(alike) == pytest.approx((0.5, *wilson(2, 4)))
    # One of two seeds answers each item correctly, so the mean over seeds is the same for all items.
    assert shares.effective_items(np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])) == 8
    # The means over seeds are 1, 1/2, 1/2 and 0, with the variance 1/8: one item counts as (1/4) / (1/8) = 2.
    assert shares.effective_items(np.array([[1.0, 1, 0, 0], [1, 0, 1, 0]])) == 8
    assert shares.effective_items(np.array([[1.0, 1, 1, 0], [1, 1, 0, 0]])) == pytest.approx(4 * (15 / 64) / (11 / 64))


def test_what_seeds_vary_by_is_added_as_squares():
    """Accuracies 1/4, 2/4 and 3/4 have a standard deviation of 1/4."""
    marks = np.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])
    items = shares.effective_items(marks)
    low, _ = wilson(items / 2, items)
    assert math.hypot(0.5 - low, T2 * 0.25 / math.sqrt(3)) > 0.5
    assert shares.share(marks) == (0.5, 0, 1)
    wide = np.concatenate([np.tile([1.0, 0], (3, 50)), [[1], [0], [0]]], axis=1)
    own = [one.mean() for one in wide]
    low, _ = wilson(wide.mean() * shares.effective_items(wide), shares.effective_items(wide))
    expected = math.hypot(wide.mean() - low, T2 * np.std(own, ddof=1) / math.sqrt(3))
    assert shares.share(wide).low == pytest.approx(wide.mean() - expected)


@pytest.mark.parametrize(("skill", "luck"), [(0.3, 0.0), (0.6, 0.3), (0.95, 0.3)])
def test_intervals_hold_the_share_of_other_items_and_seeds(skill, luck):
    """Items differ in difficulty and seeds in skill, and each answer is correct with the resulting probability."""
    generator = np.random.default_rng(7)
    logit, held, times = math.log(skill / (1 - skill)), 0, 400
    draws = generator.normal(size=(2, 200_000)) * np.array([[1.0], [luck]])
    truth = float(np.mean(1 / (1 + np.exp(-(logit + draws.sum(axis=0))))))
    for _ in range(times):
        hard, good = generator.normal(0, 1.0, 64), generator.normal(0, luck, (3, 1))
        marks = (generator.uniform(size=(3, 64)) < 1 / (1 + np.exp(-(logit + hard + good)))).astype(float)
        found = shares.share(marks)
        held += found.low <= truth <= found.high
    assert held / times >= 0.94


# Tasks and answers as they are read.

OPTIONS = ["w", "x", "y", "z"]


def write_rows(path, rows):
    columns = ("id", "prompt", "response", "choices", "answer")
    pd.DataFrame([dict(zip(columns, row, strict=True)) for row in rows]).to_parquet(path)
    return path


def choices(path, letters="ABCD", response="{}. text"):
    return write_rows(path, [(str(n), "?", response.format(one), OPTIONS, one) for n, one in enumerate(letters)])


def test_a_task_says_what_chance_is_and_what_is_right(tmp_path):
    task = answered.read_task(choices(tmp_path / "a.parquet", "ABCDA"))
    assert task.note == "" and task.chance == pytest.approx(2 / 5) and task.gold["4"] == "A"
    free = answered.read_task(write_rows(tmp_path / "b.parquet", [("7", "?", "It is 3.\n#### 3", [], "3.0")]))
    assert (free.gold, free.chance, free.note) == ({"7": "3"}, 1, "")


def test_a_task_without_gold_answers_has_no_competence_and_says_so(tmp_path):
    rows = [("0", "?", "def f(): ...", [], ""), ("1", "?", "def g(): ...", [], "")]
    without = answered.read_task(write_rows(tmp_path / "a.parquet", rows))
    assert without.note == "no gold answers" and math.isnan(without.chance)
    rows.append(("2", "?", "8", [], "8"))
    assert answered.read_task(write_rows(tmp_path / "b.parquet", rows)).note == "gold answers for only 1 of 3 items"


def test_a_task_whose_responses_do_not_show_their_answer_has_no_competence(tmp_path):
    """The last number of a program that computes 8 is 5; it is read as the answer, except in a function solution().

    One such item in five is accepted.
    """
    program, plain = ("?", "def total():\n    return 3 + 5", [], "8"), ("?", "3 + 5 = 8", [], "8")
    assert (
        answered.read_task(write_rows(tmp_path / "a.parquet", [("0", *program), ("1", *plain)])).note
        == "responses whose own answers cannot be read"
    )
    most = [("0", *program), *((str(n), *plain) for n in range(1, 5))]
    assert answered.read_task(write_rows(tmp_path / "b.parquet", most)).note == ""
    solutions = [(str(n), "?", "def solution():\n    return 3 + 5", [], "8") for n in range(3)]
    assert answered.read_task(write_rows(tmp_path / "c.parquet", solutions)).note == ""


def item(run, id, answer, correct, nll=2.0, tokens=4, likeliest="", per_token="", set="arc", model="m"):
    parsed = "" if correct == "" else int(answer != "")
    return (model, run, set, id, answer, parsed, correct, nll, tokens, likeliest, per_token)


def write_items(path, rows):
    write_csv(path, answered.ITEM_COLUMNS, rows)
    return path


KEY = ("m", "base", "arc")


def test_answers_are_read_in_the_order_of_their_ids(tmp_path):
    rows = [item("base", "b", "B", 0, 3.0, 2, "A", "C"), item("base", "a", "B", 1, 1.0, 4, "B", "B")]
    rows += [item("other", "a", "", 0), item("base", "c", "", 0, 6.0, 3, "D", "D")]
    found = answered.read_answers([write_items(tmp_path / "i.csv", rows)], [KEY])[KEY]
    assert found.ids == ("a", "b", "c") and found.answer == ("B", "B", "")
    assert found.correct.tolist() == [1, 0, 0] and found.parsed.tolist() == [1, 1, 0]
    assert found.nll.tolist() == [0.25, 1.5, 2] and found.likeliest_per_token == ("B", "C", "D")
    assert found.same == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([item("base", "a", "A", 2)], "row 1: correct is '2', not 0 or 1: evaluate again"),
        (
            [item("base", "a", "A", 1), item("base", "a", "A", 1)],
            "row 2: the item 'a' of model m, run base on the set arc appears twice",
        ),
        ([item("base", "a", "A", 1, nll="")], "row 1: nll is '' for '4' tokens, not a number of nats"),
        ([item("base", "a", "A", 1, nll="nan")], "row 1: nll is 'nan' for '4' tokens"),
        ([item("base", "a", "A", 1, tokens=0)], "row 1: nll is '2' for '0' tokens"),
        ([item("other", "a", "A", 1)], "There are no items of model m, run base on the set arc"),
    ],
)
def test_answers_that_cannot_be_are_refused(rows, said, tmp_path):
    with pytest.raises(InputError, match=re.escape(said)):
        answered.read_answers([write_items(tmp_path / "i.csv", rows)], [KEY])


def test_checkpoints_that_answered_different_items_are_named(tmp_path):
    path = write_items(tmp_path / "i.csv", [item("base", "a", "A", 1), item("other", "b", "A", 1)])
    with refusal("The item 'a' was answered in only one of two evaluations", "evaluate both on the same items"):
        answered.read_answers([path], [KEY, ("m", "other", "arc")])


# The table.


def variant(run, state, seed, set="arc", model="m"):
    return ("competence", model, "M", seed, state, "", "", "", "", run, set)


def fall(task, value, error, model="m"):
    return Measured("loss_fall", model, task, Effect(value, value, (Component("samples", error**2, math.inf),)))


def write(folder, answers, variants, falls, sets=("arc",)):
    """Write all inputs of the table; the tasks have four items with the answers A, B, C, D."""
    folder.mkdir(exist_ok=True)
    write_csv(folder / "variants.csv", VARIANT_COLUMNS, variants)
    write_csv(folder / "effects.csv", effects.COLUMNS, effects.rows(falls))
    rows = [str(choices(folder / f"{task}.parquet")) for task in sets]
    return {"variants": str(folder / "variants.csv"), "items": [str(write_items(folder / "items.csv", answers))],
            "rows": rows, "effects": str(folder / "effects.csv")}  # fmt: skip


def compute(folder, inputs, sets=None):
    scripts.run(
        "analyse",
        positional=["competence"],
        inputs=json.dumps(inputs),
        outputs=json.dumps({"competence": str(folder / "competence.csv")}),
        settings=json.dumps({"resamples": 200, "seed": 0, "sets": {"arc": "arc"} if sets is None else sets}),
    )
    return pd.read_csv(folder / "competence.csv", dtype={"seed": str, "learnt": str}, keep_default_na=False,
                       na_values=["nan"])  # fmt: skip


def answers_of(run, given, nll, likeliest="AAAA", **more):
    """Answers to the four items whose gold answers are A, B, C, D."""
    return [item(run, str(n), one.strip(), int(one == "ABCD"[n]), nll * 4, 4, letter, "D", **more)
            for n, (one, letter) in enumerate(zip(given, likeliest, strict=True))]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One model on one task: both seeds have their own base model, and learn the task to different degrees."""
    folder = tmp_path_factory.mktemp("competence")
    answers = [*answers_of("base.seed0", "AA  ", 2), *answers_of("base.seed1", "AAAA", 3)]
    answers += [*answers_of("after0", "ABCD", 1, "ABCC"), *answers_of("after1", "ABCA", 0.5, "ABDD")]
    rows = [variant(f"base.seed{seed}", "before", seed) for seed in (0, 1)]
    rows += [variant(f"after{seed}", "after", seed) for seed in (0, 1)]
    return compute(folder, write(folder, answers, rows, [fall("arc", 1.0, 0.1), fall("", 9, 1)])), folder


def cell(found, state, seed):
    [row] = found[(found["state"] == state) & (found["seed"] == seed)].to_dict("records")
    return row


def test_every_seed_and_state_has_a_row_and_all_seeds_have_two(made):
    found, _ = made
    assert list(zip(found["seed"], found["state"], strict=True)) == [
        ("0", "before"), ("0", "after"), ("1", "before"), ("1", "after"), ("all", "before"), ("all", "after")
    ]  # fmt: skip
    assert set(found["model"]) == {"m"} and set(found["task"]) == {"arc"} and set(found["items"]) == {4}


def test_the_numbers_of_a_seed_by_hand(made):
    found, _ = made
    before, after = cell(found, "before", "0"), cell(found, "after", "0")
    assert [before[name] for name in ("accuracy", "chance", "unreadable", "same_answer", "nll")] == [
        0.25, 0.25, 0.5, 0.5, 2
    ]  # fmt: skip
    assert (before["low"], before["high"]) == pytest.approx(wilson(1, 4))
    assert (after["accuracy"], after["likelihood"], after["likelihood_per_token"]) == (1, 0.75, 0.25)
    assert (after["low"], after["high"]) == pytest.approx(wilson(4, 4))
    assert (after["likelihood_low"], after["likelihood_high"]) == pytest.approx(wilson(3, 4))
    assert (after["nll"], after["nll_low"], after["nll_high"]) == (1, 1, 1)  # all items have the same loss
    assert before["learnt"] == "" and math.isnan(before["loss_fall"])


def test_the_numbers_of_all_seeds_hold_the_seeds(made):
    found, _ = made
    after = cell(found, "after", "all")
    assert (after["accuracy"], after["nll"]) == (0.875, 0.75)
    # Two seeds at 1 and 3/4: t with one degree of freedom is 12.7, so the interval is from 0 to 1.
    assert (after["low"], after["high"]) == (0, 1)
    reach = 12.706204736174 * math.sqrt((1 - 0.5) ** 2 / 2 / 2)
    assert after["nll_high"] == pytest.approx(0.75 + reach) and after["nll_low"] == 0
    assert (after["learnt"], after["learnt_by"]) == ("0", "accuracy")
    assert after["loss_fall_low"] == pytest.approx(1 - 1.959963985 * 0.1)


def test_a_base_that_all_seeds_share_is_one_model(tmp_path):
    answers = [*answers_of("base", "AAAA", 2), *answers_of("after0", "ABCD", 1), *answers_of("after1", "ABCD", 1)]
    rows = [variant("base", "before", seed) for seed in (0, 1)]
    rows += [variant(f"after{seed}", "after", seed) for seed in (0, 1)]
    found = compute(tmp_path, write(tmp_path, answers, rows, [fall("arc", 1.0, 0.1)]))
    assert cell(found, "before", "all")["high"] == pytest.approx(wilson(1, 4)[1])
    after = cell(found, "after", "all")
    assert after["low"] == pytest.approx(wilson(4, 4)[0]) and after["learnt"] == "1"


def test_the_loss_decides_of_what_has_no_gold_answers_and_of_what_was_not_evaluated(tmp_path):
    answers = [item(run, str(n), "", "", 4, 4, set="code") for run in ("base", "after") for n in range(4)]
    rows = [variant("base", "before", 0, "code"), variant("after", "after", 0, "code")]
    falls = [fall("code", 1.0, 0.1), fall("law", 0.1, 0.1), fall("code", 1.0, 0.1, "other")]
    inputs = write(tmp_path, answers, rows, falls, ("code",))
    write_rows(tmp_path / "code.parquet", [(str(n), "?", "def f(): ...", [], "") for n in range(4)])
    found = compute(tmp_path, inputs, {"code": "code"})
    last = found[found["learnt"] != ""].to_dict("records")
    assert [(row["model"], row["task"], row["learnt"], row["learnt_by"], row["note"]) for row in last] == [
        ("m", "code", "1", "loss", "no gold answers"),
        ("m", "law", "0", "loss", "not evaluated"),
        ("other", "code", "1", "loss", "not evaluated"),
    ]
    assert found["accuracy"].isna().all() and found["likelihood"].isna().all()
    assert cell(found[(found["model"] == "m") & (found["task"] == "code")], "before", "all")["nll"] == 1


def test_without_any_evaluation_the_falls_of_the_loss_are_all_there_is(tmp_path):
    inputs = write(tmp_path, [], [], [fall("arc", 1.0, 0.1)], ())
    found = compute(tmp_path, {**inputs, "items": []}, {})
    assert found[["task", "state", "seed", "learnt", "note"]].to_numpy().tolist() == [
        ["arc", "after", "all", "1", "not evaluated"]
    ]


def test_items_of_other_rows_are_refused(tmp_path, capfd, monkeypatch):
    rows = [variant("base", "before", 0), variant("after", "after", 0)]
    answers = [item(run, "other", "A", 1) for run in ("base", "after")]
    inputs = write(tmp_path, answers, rows, [])
    options = {"inputs": json.dumps(inputs), "outputs": json.dumps({"competence": str(tmp_path / "c.csv")}),
               "settings": json.dumps({"resamples": 10, "seed": 0, "sets": {"arc": "arc"}})}  # fmt: skip
    said = scripts.refused(capfd, monkeypatch, "analyse", positional=["competence"], **options)
    assert "The items of the set arc are not those of its task: evaluate again." in said


# What readers see.


def write_runs(path, tasks=("arc", "code"), models=("m",)):
    rows = [("adaptation", "nlp", model, model.upper(), task, task.upper(), "", "basic", 0, f"nlp.{task}.seed0", "p")
            for model in models for task in tasks]  # fmt: skip
    write_csv(path, run_table.COLUMNS, rows)
    return path


def line(task, state, model="m", **numbers):
    given = {"model": model, "task": task, "seed": "all", "state": state, "items": 64, **numbers}
    texts = ("learnt", "learnt_by", "note")
    return [given.get(name, "" if name in texts else NAN) for name in analysis.COLUMNS]


@pytest.fixture
def shown(tmp_path):
    arc = {"chance": 0.25, "likelihood": 0.5, "likelihood_low": 0.4, "likelihood_high": 0.6}
    spent = {"nll": 0.351, "nll_low": 0.3, "nll_high": 0.41}
    rows = [
        line("code", "before", note="no gold answers", nll=2.0),
        line("code", "after", note="no gold answers", **spent, learnt=1, learnt_by="loss"),
        line("arc", "before", accuracy=0.03, nll=1.2, **arc),
        line("arc", "after", accuracy=0.3, low=0.2, high=0.42, **arc, **spent, learnt=0, learnt_by="accuracy"),
    ]
    write_csv(tmp_path / "competence.csv", analysis.COLUMNS, rows)
    return table.tabulate(write_runs(tmp_path / "runs.csv"), tmp_path / "competence.csv")


def test_the_tables_show_before_and_after_beside_chance(shown):
    _, (accuracy, nll, likelihood) = shown
    assert accuracy.header == ["Task", "Chance", "M"]
    assert accuracy.rows == [["ARC", "25", "3 → 30 [20, 42] *"], ["CODE", "", "no gold answers"]]
    assert nll.rows == [["ARC", "1.20 → 0.35 [0.30, 0.41]"], ["CODE", "2.00 → 0.35 [0.30, 0.41]"]]
    assert likelihood.rows == [["ARC", "25", "50 → 50 [40, 60]"]]
    text = latex([accuracy])
    assert r"$3\to 30\ [20,\ 42]\ *$" in text and "& no gold answers" in text
    assert "| ARC | 25 | 3 → 30 [20, 42] * |" in markdown([accuracy])


def test_the_sentence_counts_what_was_learnt_and_says_by_what(shown):
    rows, _ = shown
    assert section.sentence(rows) == (
        "0 of 1 pairs of model and task are learnt: the whole interval of the accuracy after fine-tuning is "
        "above chance. Of 1 pairs without an accuracy, 1 are learnt: the whole interval of the fall of the loss "
        "on the probe set is above 0."
    )
    assert (
        section.sentence(rows[rows["task"] == "none"])
        == "It is unknown what the models can do, because nothing was evaluated."
    )


def test_the_figure_has_a_panel_for_each_model_and_says_what_has_no_accuracy(shown):
    rows, _ = shown
    other = rows[rows["task"] == "arc"].assign(model="n", model_label="N")
    made = figure.draw(pd.concat([rows, other]))
    first, second = made.axes
    assert (first.get_title(), second.get_title()) == ("M", "N")
    assert [text.get_text() for text in first.get_yticklabels()] == ["ARC", "CODE"]
    assert [text.get_text() for text in first.texts] == ["no gold answers"] and not second.texts
    points = [float(one.get_xdata()[0]) for one in second.lines if one.get_marker() == "o" and len(one.get_xdata())]
    assert [point for point in points if not math.isnan(point)] == [3, 30]


# What is evaluated.


@pytest.fixture
def config():
    """The project's config without section 5, with two seeds that each have their own base model."""
    studies = {"validity": {"seeds": None}, "mixing": {"models": []}, "selection": {"models": []}}
    return config_of({"seeds": [0, 1], "seed_moves": ["order", "samples", "pretraining"], "studies": studies})


def test_every_run_of_the_adaptation_study_is_evaluated_before_and_after_on_its_own_task(config):
    experiment = checked(config)
    rows = [row for row in experiment.variants if row["study"] == "competence"]
    assert len(rows) == 3 * 2 * 7 * 2
    assert [(row["variant"], row["run"], row["set"]) for row in rows[:2]] == [
        ("before", "base.seed0", "math"), ("after", "nlp.math.seed0", "math")
    ]  # fmt: skip
    assert experiment.evaluation_sets["arc"].dataset == "arc" and not experiment.evaluation_sets["arc"].answers_needed
    # One job for each model and seed.
    assert len(experiment.evaluation_batches) == 3 * 2


def test_some_models_tasks_and_seeds_or_nothing_at_all(config):
    config["studies"]["competence"] = {"models": ["opt"], "tasks": ["arc"], "seeds": [1]}
    assert [row["run"] for row in checked(config).variants] == ["base.seed1", "nlp.arc.seed1"]
    config["studies"]["competence"] = {"models": [], "tasks": None, "seeds": None}
    experiment = checked(config)
    assert experiment.variants == [] and experiment.evaluation_batches == {}


def test_an_evaluation_that_the_benchmarks_have_as_well_is_made_once(config):
    config["evaluation"]["sets"]["words"] = {"dataset": "gsm8k"}
    config["studies"]["benchmarks"] = {
        "checkpoints": [{"model": "llama", "run": "nlp.gsm8k.seed0"}, {"model": "llama", "run": "nlp.arc.seed0"}],
        "sets": ["words", "arc"],
    }
    experiment = checked(config)
    assert settings.sets(experiment)["gsm8k"] == "words" and "gsm8k" not in experiment.evaluation_sets
    pairs = [pair for batch in experiment.evaluation_batches.values() for pair in batch]
    assert pairs.count(("nlp.gsm8k.seed0", "words")) == 3  # one per model
    assert ("nlp.gsm8k.seed0", "words") not in experiment.evaluation_batches["llama", "benchmarks.seed0.0"]
    assert len(experiment.predictions("benchmarks")) == 2


def test_a_set_whose_answers_are_compared_needs_them(config):
    config["studies"]["mixing"] = {**config_of()["studies"]["mixing"], "group": "infinity", "target": "arc", "also": []}
    assert meaning(config).evaluation_sets["arc"].answers_needed is True
    config["studies"]["mixing"]["models"] = []
    assert meaning(config).evaluation_sets["arc"].answers_needed is False


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ["lama"]}, "studies.competence.models[0] names the unknown model of studies.adaptation 'lama'"),
        ({"tasks": ["refgpt"]}, "studies.competence.tasks[0] names the unknown task of studies.adaptation 'refgpt'"),
        ({"seeds": [7]}, "studies.competence.seeds has 7, which `seeds` lacks"),
        ({"tasks": []}, "studies.competence.tasks"),
    ],
)
def test_what_the_adaptation_study_does_not_have_is_named(changes, said, config):
    config["studies"]["competence"].update(changes)
    with pytest.raises(InputError, match=re.escape(f"config key {said}")):
        checked(config)


def test_a_set_of_the_name_of_a_task_must_be_its_rows(config):
    config["evaluation"]["sets"]["arc"] = {"dataset": "gsm8k"}
    with refusal("config key evaluation.sets.arc has the name of a task of studies.competence", "choose another"):
        checked(config)


def test_longer_answers_have_a_job_of_their_own(config):
    config["datasets"]["math"]["max_new_tokens"] = 100
    experiment = checked(config)
    batches = {name: pairs for (model, name), pairs in experiment.evaluation_batches.items() if model == "opt"}
    assert sorted(batches) == ["competence.seed0.0", "competence.seed0.1", "competence.seed1.0", "competence.seed1.1"]
    assert batches["competence.seed0.0"] == [("base.seed0", "math"), ("nlp.math.seed0", "math")]
    assert "--max-new-tokens 100 " in arguments.decoding(experiment, "opt", "competence.seed0.0")
    own = config["evaluation"]["max_new_tokens"]
    assert f"--max-new-tokens {own} " in arguments.decoding(experiment, "opt", "competence.seed0.1")
    config["datasets"]["math"]["max_new_tokens"] = 256
    with refusal("config key datasets.math.max_new_tokens is 256, which leaves no room for a prompt", "lower it"):
        checked(config)
