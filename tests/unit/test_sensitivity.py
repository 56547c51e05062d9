"""Verdicts under every way to read patterns, for patterns whose level follows the loss, and the figure of verdicts."""

import csv
import json
from collections import Counter

import numpy as np
import pandas as pd
import pattern_files
import pytest
import scripts

from headpatterns.claims import competence
from headpatterns.experiment import run_table
from headpatterns.io import write_csv
from headpatterns.presentation.inputs import RunTable
from headpatterns.studies import memory
from headpatterns.studies.memory import remembered, remembered_of_one_reading, remembering
from headpatterns.studies.reading import Reading
from headpatterns.studies.sensitivity import analysis, figure

TASKS = ("gsm8k", "arc", "math")
USUAL = {"reduction": "abs_of_sum", "normalisation": "none", "weighting": "samples", "change": "difference",
         "intercept": False}  # fmt: skip


def write_runs(folder):
    """Write runs of one model in which loss and level of every head fall to 30 %, but its `sum_of_abs` doubles."""
    generator, rows = np.random.default_rng(0), []
    for task in TASKS:
        base = generator.lognormal(0, 0.5, (12, 2, 3))
        losses = generator.uniform(1, 2, 12)
        for seed in (0, 1):
            place = folder / "patterns" / f"nlp.{task}.seed{seed}" / task
            noise = np.exp(generator.normal(0, 0.01, (2, 3)))
            pattern_files.save(place, 0, base, also={"sum_of_abs": base}, losses=losses.tolist())
            after = {"sum_of_abs": 2 * base * noise}
            pattern_files.save(place, 9, 0.3 * base * noise, also=after, losses=(0.3 * losses).tolist())
            rows.append(("adaptation", "nlp", "llama", "Llama", task, task.upper(), "", "basic", seed,
                         f"nlp.{task}.seed{seed}", place))  # fmt: skip
    write_csv(folder / "runs.csv", run_table.COLUMNS, rows)
    write_csv(folder / "competence.csv", competence.COLUMNS, [])
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = write_runs(tmp_path_factory.mktemp("sensitivity"))
    effects = [{"name": "adaptation", "inputs": {"runs": str(folder / "runs.csv")},
                "settings": {"resamples": 9999999, "seed": 0}}]  # fmt: skip
    settings = {"effects": effects, "usual": USUAL, "reductions": ["abs_of_sum", "sum_of_abs"], "stands_for": {},
                "resamples": 40}  # fmt: skip
    scripts.run(
        "analyse",
        positional=["sensitivity"],
        inputs=json.dumps({"competence": str(folder / "competence.csv")}),
        outputs=json.dumps({"verdicts": str(folder / "sensitivity.csv"), "summary": str(folder / "summary.csv")}),
        settings=json.dumps(settings),
    )
    return folder


def read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_level_follows_the_loss_and_its_verdict_the_way_to_read_it(made):
    rows = [row for row in read(made / "sensitivity.csv") if row["claim"] == "level_rises"]
    found = {tuple(row[name] for name in analysis.FIELDS): (float(row["estimate"]), row["verdict"]) for row in rows}
    assert len(found) == len(rows) == 2 * 3 * 2  # reductions, normalisations, weightings; Eq. 3 does not matter
    expected = {
        ("abs_of_sum", "none"): (np.log(0.3), "reversed"),
        ("abs_of_sum", "loss"): (0, "negligible"),
        ("abs_of_sum", "sum"): (0, "negligible"),
        ("sum_of_abs", "none"): (np.log(2), "holds"),
        ("sum_of_abs", "loss"): (np.log(2 / 0.3), "holds"),
        ("sum_of_abs", "sum"): (0, "negligible"),
    }
    for (reduction, normalisation), (value, verdict) in expected.items():
        for weighting in ("samples", "batches_of_four"):
            estimate, said = found[reduction, normalisation, weighting, "", ""]
            assert (estimate, said) == (pytest.approx(value, abs=0.03), verdict)


def test_the_usual_way_is_marked_and_those_that_agree_with_it_are_counted(made):
    rows = read(made / "sensitivity.csv")
    usual = [row for row in rows if row["claim"] == "level_rises" and row["usual"] == "1"]
    assert [[row[name] for name in analysis.FIELDS] for row in usual] == [["abs_of_sum", "none", "samples", "", ""]]
    assert rows[0]["usual"] == "1"
    [line] = [row for row in read(made / "summary.csv") if row["claim"] == "level_rises"]
    assert (line["model"], line["verdict"], line["ways"], line["alike"]) == ("llama", "reversed", "12", "2")


def test_numbers_are_those_of_the_single_measurement(made, tmp_path):
    """Results that are kept in memory between the ways do not change the numbers."""
    reading = {"reduction": "sum_of_abs", "normalisation": "loss", "weighting": "batches_of_four"}
    scripts.run(
        "measure",
        positional=["adaptation"],
        inputs=json.dumps({"runs": str(made / "runs.csv")}),
        settings=json.dumps({"resamples": 40, "seed": 0}),
        reading=json.dumps(reading),
        output=tmp_path / "e.csv",
    )
    own = {row["effect"]: (row["estimate"], row["low"], row["high"]) for row in read(tmp_path / "e.csv")}
    for row in read(made / "sensitivity.csv"):
        if {name: row[name] for name in reading} == reading and row["claim"] in ("gini_falls", "level_rises"):
            effect = {"gini_falls": "gini_change", "level_rises": "level_change"}[row["claim"]]
            assert (row["estimate"], row["low"], row["high"]) == own[effect]


def test_models_that_are_not_asked_for_are_left_out_but_not_comparisons():
    columns = [("level_rises", "a", "", "x"), ("level_rises", "b", "", "x"), ("between", "", "", "x")]
    rows = [(*key, *[""] * 3, 0, 0, 0, verdict, 1) for *key, verdict in columns]
    assert [line[:3] for line in analysis.summary(rows)] == [tuple(one[:3]) for one in columns]


def test_a_combination_is_made_of_what_matters_the_usual_first():
    found = list(analysis.ways(("change", "intercept"), {**USUAL, "change": "rate"}, ["abs_of_sum"]))
    assert len(found) == 6 and found[0] == {"change": "rate", "intercept": False}
    assert all(set(way) == {"change", "intercept"} for way in found)


# What is kept in memory.


def test_small_results_are_kept_as_long_as_the_block_lasts():
    calls = Counter()

    @remembered
    def double(number, *, of="x"):
        calls[number, of] += 1
        return 2 * number

    assert double(1) == double(1) == 2 and calls[1, "x"] == 2
    with remembering():
        assert double(1) == double(1) == 2 and double(1, of="y") == 2
    assert calls == {(1, "x"): 3, (1, "y"): 1}
    double(1)
    assert calls[1, "x"] == 4 and memory._memory.get() is None


def test_large_results_are_kept_for_one_reading_whatever_eq_3_makes_of_it():
    calls = []

    @remembered_of_one_reading
    def load(name, reading):
        calls.append((name, reading.normalisation))
        return name

    with remembering():
        for change in ("difference", "rate"):
            load("a", Reading(change=change, intercept=change == "rate"))
        load("b", Reading())
        assert calls == [("a", "none"), ("b", "none")]
        load("a", Reading(normalisation="loss"))
        load("a", Reading())
    assert calls[2:] == [("a", "loss"), ("a", "none")]


def test_a_failure_forgets_as_well():
    with pytest.raises(ValueError, match="so"), remembering():
        raise ValueError("so")
    assert memory._memory.get() is None


# The figure.


def rows_of(ways, claims=("level_rises",), fields=2):
    verdicts = list(figure.COLOURS)
    return pd.DataFrame(
        [
            {"claim": claim, "model": "llama", "about": "", "verdict": verdicts[(way + place) % 5], "usual": "0",
             **{name: f"{name}{way}" if at < fields else "" for at, name in enumerate(figure.FIELDS)}}
            for place, claim in enumerate(claims)
            for way in range(ways)
        ]
    )  # fmt: skip


LABELS = RunTable("runs.csv", pd.DataFrame({"model": ["llama"], "model_label": ["Llama & co"]}))


def test_claims_that_depend_on_the_same_choices_share_a_panel_and_many_ways_are_split():
    rows = pd.concat([rows_of(3, ("a", "b")), rows_of(40, ("c",), fields=5)])
    first, second, third = figure.split(rows)
    assert first.shape == (2, 3) and second.shape == (1, figure.MOST) and third.shape == (1, 40 - figure.MOST)
    assert list(first.iloc[0]) == list(figure.COLOURS)[:3] and list(first.iloc[1]) == list(figure.COLOURS)[1:4]


def test_every_verdict_has_its_letter_and_every_row_its_name_and_share():
    rows = rows_of(5)
    summary = pd.DataFrame([("level_rises", "llama", "", "holds", "5", "2")], columns=figure.SUMMARY_TEXT)
    drawn = figure.draw(LABELS, rows, summary)
    [axes] = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["level rises, Llama & co"]
    assert next(label.get_text() for label in axes.get_xticklabels()) == "reduction0 · normalisation0"
    assert [text.get_text() for text in axes.texts] == ["2 of 5"]
    assert [len(letters.get_offsets()) for letters in axes.collections] == [1] * 5
    assert {text.get_text() for text in drawn.texts} >= set(figure.COLOURS)


def test_the_colours_of_verdicts_differ_in_grey_too():
    from matplotlib.colors import to_rgb

    grey = sorted(float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114))) for colour, _, _ in figure.COLOURS.values())
    assert min(np.diff(grey)) > 0.07
