"""Scores and the analyses of Tables 2 and 3: hand-made answers with known means, differences and pairing; refusals."""

import dataclasses
import math

import evaluation_tables as made
import numpy as np
import pandas as pd
import pytest
import scripts

from headpatterns.errors import InputError
from headpatterns.evaluation.intervals import wilson
from headpatterns.experiment import variants as evaluations
from headpatterns.experiment.variants import Variant
from headpatterns.io import read_csv, write_csv
from headpatterns.statistics import estimate_and_interval, probe_weights
from headpatterns.statistics.accuracy import Outcome, difference, mean, spread

OUTPUTS = {
    "mixing.csv": "model,measure,variant,items,value,low,high,spread",
    "mixing_differences.csv": "model,measure,better,worse,value,low,high,spread,varies",
    "mixture_parts.csv": "model,seed,of,tasks,parts,kept,hits,value,resampled,low,high,expected,p_value",
    "mixture.csv": (
        "model,seed,task,beta,low,high,r2,kept,share,instructions,plain,"
        "beta_base,kept_base,beta_partialled,kept_partialled"
    ),
    "selection.csv": "model,measure,domain,variant,budget,items,value,low,high,spread",
    "selection_differences.csv": "model,measure,domain,budget,better,worse,value,low,high,spread,varies",
}


def analyse(study, folder, **more):
    made.analyse(study, folder, **more)


def read(path, measure="accuracy"):
    """A table, or its rows of one measure if it has several."""
    table = pd.read_csv(path, dtype={"budget": str}, keep_default_na=False, na_values=["nan"])
    return table[table["measure"] == measure] if "measure" in table else table


def row(table, **wanted):
    found = table
    for name, value in wanted.items():
        found = found[found[name] == value]
    assert len(found) == 1, (wanted, len(found))
    return found.iloc[0]


def mixing(kind, run, seed="0", draw="", model="m", items="set"):
    return Variant("mixing", model, "", seed, kind, draw, "", "", "", run, items)


def selection(kind, domain, run, budget="", seed="0", draw="", model="m"):
    return Variant("selection", model, "", seed, kind, draw, budget, domain, "", run, f"set-{domain}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    rows = made.variants()
    folder = made.write(tmp_path_factory.mktemp("whole"), rows, made.generated(rows))
    analyse("mixing", folder, parts=made.PARTS)
    analyse("selection", folder)
    return folder


@pytest.mark.parametrize(
    ("correct", "items"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (17, 40), (812, 1319), (2.5, 7.5)]
)
def test_wilson_ends_are_the_shares_that_the_score_test_just_admits(correct, items):
    for confidence, z in ((0.95, 1.959963984540054), (0.5, 0.6744897501960817)):
        ends = np.array(wilson(correct, items, confidence))
        np.testing.assert_allclose((correct / items - ends) ** 2, z**2 * ends * (1 - ends) / items, atol=1e-14)
    low, high = wilson(correct, items)
    assert 0 <= low <= correct / items <= high <= 1
    assert (low == 0) == (correct == 0) and (high == 1) == (correct == items)


def test_wilson_without_items_is_undefined():
    assert all(map(math.isnan, wilson(0, 0)))


@pytest.mark.parametrize("name", OUTPUTS)
def test_tables_have_the_columns_of_the_contract(whole, name):
    assert (whole / name).read_text().splitlines()[0] == OUTPUTS[name]
    table = read(whole / name)
    if name != "mixture.csv":
        assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
        assert table["value"].abs().max() <= 1
    if "measure" in table:
        assert len(read(whole / name, "nll")) == len(table) > 0


def test_tables_are_complete_and_in_order(whole):
    table = read(whole / "mixing.csv")
    assert table["variant"].tolist() == ["base", "sft", "random", "ours"] * 2
    assert table["model"].tolist() == ["llama"] * 4 + ["gemma"] * 4
    assert set(table["items"]) == {60}
    table = read(whole / "selection.csv")
    assert table["domain"].unique().tolist() == ["all", "maths", "law"]
    first = table.head(11)
    assert list(zip(first["variant"], first["budget"], strict=True)) == [
        ("base", ""),
        *((variant, n) for n in ("100", "300") for variant in ("pattern", "random", "base-pattern", "nearest", "bm25")),
    ]
    assert first["items"].tolist() == [120] * 11
    table = read(whole / "selection_differences.csv")
    assert len(table) == 2 * 3 * 2 * 5


def test_the_coefficients_of_all_models_and_seeds_are_in_one_table(whole):
    table = pd.read_csv(whole / "mixture.csv")
    assert len(table) == 12 and not table.duplicated(["model", "seed", "task"]).any()
    assert row(table, model="gemma", seed=1, task="arc")["beta"] == -0.1234


def test_same_input_gives_the_same_bytes_in_whichever_order_files_and_items_come(whole, tmp_path):
    rows = made.variants()
    correct = made.generated(rows)
    made.write(tmp_path, rows, dict(reversed(correct.items())))
    for path in tmp_path.glob("evaluations/*/*.items.csv"):
        found = read_csv(path, evaluations.ITEM_COLUMNS)
        write_csv(path, list(found[0]), [list(line.values()) for line in reversed(found)])
    items = made.items(tmp_path)[::-1]
    analyse("mixing", tmp_path, items=items, parts=made.PARTS)
    analyse("selection", tmp_path, items=items)
    for name in OUTPUTS:
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_another_seed_moves_the_intervals_alone(whole, tmp_path):
    analyse("mixing", whole, seed=4, output=tmp_path)
    one, two = read(whole / "mixing.csv"), read(tmp_path / "mixing.csv")
    assert (one["value"] == two["value"]).all() and (one["low"] != two["low"]).any()


def test_means_differences_and_spread_by_hand(tmp_path):
    """Seed 0 has one draw, seed 1 has two: each seed counts one half."""
    rows = [
        *(mixing("base", "base", seed) for seed in "01"),
        *(mixing("sft", f"sft{seed}", seed) for seed in "01"),
        mixing("random", "r00", "0", "0"),
        mixing("random", "r10", "1", "0"),
        mixing("random", "r11", "1", "1"),
    ]
    correct = {
        ("m", "base", "set"): [0, 0, 0, 1],
        ("m", "sft0", "set"): [1, 0, 0, 1],
        ("m", "sft1", "set"): [1, 1, 0, 1],
        ("m", "r00", "set"): [0, 0, 0, 0],
        ("m", "r10", "set"): [1, 1, 1, 1],
        ("m", "r11", "set"): [1, 1, 0, 0],
    }
    analyse("mixing", made.write(tmp_path, rows, correct))
    table = read(tmp_path / "mixing.csv").set_index("variant")
    assert table["value"].to_dict() == {"base": 0.25, "sft": 0.625, "random": 0.375}
    assert set(table["items"]) == {4}
    # The base model is one run, although it stands for both seeds.
    assert math.isnan(table.loc["base", "spread"])
    assert table.loc["sft", "spread"] == pytest.approx(np.std([0.5, 0.75], ddof=1))
    assert table.loc["random", "spread"] == pytest.approx(np.std([0, 1, 0.5], ddof=1))
    differences = read(tmp_path / "mixing_differences.csv")
    assert differences[["better", "worse", "value"]].to_numpy().tolist() == [["sft", "base", 0.375]]


def test_domains_count_alike_and_are_resampled_one_by_one(tmp_path):
    rows = [
        variant
        for domain in ("a", "b")
        for variant in (
            selection("base", domain, "base"),
            selection("pattern", domain, f"{domain}-p", "10"),
            selection("random", domain, f"{domain}-r0", "10", draw="0"),
            selection("random", domain, f"{domain}-r1", "10", draw="1"),
        )
    ]
    correct = {
        ("m", "base", "set-a"): [0] * 10,
        ("m", "base", "set-b"): [1] * 2,
        ("m", "a-p", "set-a"): [1] * 10,
        ("m", "b-p", "set-b"): [1] * 2,
        ("m", "a-r0", "set-a"): [1] * 5 + [0] * 5,
        ("m", "b-r0", "set-b"): [1, 0],
        ("m", "a-r1", "set-a"): [0] * 10,
        ("m", "b-r1", "set-b"): [1, 1],
    }
    analyse("selection", made.write(tmp_path, rows, correct))
    table = read(tmp_path / "selection.csv")
    base = row(table, domain="all", variant="base")
    # All items of a domain have the same answer, so resampling within domains changes nothing.
    assert (base["value"], base["low"], base["high"], base["items"]) == (0.5, 0.5, 0.5, 12)
    random = row(table, domain="all", variant="random")
    assert random["value"] == (0.25 + 0.75) / 2
    assert random["spread"] == pytest.approx(np.std([(0.5 + 0.5) / 2, (0 + 1) / 2], ddof=1))
    differences = read(tmp_path / "selection_differences.csv")
    assert row(differences, domain="all", worse="base")["value"] == 0.5
    assert row(differences, domain="b", worse="base")["value"] == 0
    assert row(differences, domain="a", worse="random")["value"] == 0.75


def test_runs_that_differ_in_nothing_differ_by_exactly_0(tmp_path):
    answers = {name: np.random.default_rng(len(name)).integers(0, 2, 37).tolist() for name in ("set-a", "set-bc")}
    rows, correct = [], {}
    for domain in ("a", "bc"):
        for seed in "012":
            kinds = [("base", "", ""), ("pattern", "9", ""), *(("random", "9", draw) for draw in "01234")]
            for kind, budget, draw in kinds:
                rows.append(selection(kind, domain, f"{domain}-{kind}{draw}-{seed}", budget, seed, draw))
                correct[rows[-1].evaluation] = answers[rows[-1].set]
    analyse("selection", made.write(tmp_path, rows, correct))
    table = read_csv(tmp_path / "selection_differences.csv", ("value", "low", "high"))
    assert len(table) == 2 * 6
    assert all((line["value"], line["low"], line["high"]) == ("0", "0", "0") for line in table)
    assert set(read(tmp_path / "selection.csv")["spread"][1:3]) == {0}


def outcome(name, correct, resamples=500, seed=0):
    weights = probe_weights(len(correct), name, resamples, seed)
    return Outcome(("run",), ("0",), np.array([correct], float), weights)


def test_a_shared_draw_of_items_makes_the_interval_of_a_difference_narrower():
    """One variant solves all items of the other and a few more, so the shared items cancel."""
    worse = np.arange(200) % 2
    better = worse.copy()
    better[:20] = 1
    one, two, apart = outcome("set", better), outcome("set", worse), outcome("another", worse)
    paired = estimate_and_interval(difference([one], [two]))
    independent = estimate_and_interval(mean([one]) - mean([apart]))
    assert paired[0] == pytest.approx(0.05) and independent[0] == pytest.approx(0.05)
    assert paired[2] - paired[1] < 0.5 * (independent[2] - independent[1])
    assert paired[1] > 0 > independent[1]


def test_a_difference_is_that_of_the_replicates_and_rounding_makes_none():
    one, two = outcome("set", [1, 0, 1, 1, 0, 0, 1, 1, 0, 0]), outcome("set", [0, 1, 1, 0, 1, 1, 0, 1, 1, 0])
    assert difference([one], [two]) == pytest.approx(mean([one]) - mean([two]), abs=3e-12)
    # If as many items are won as lost, the floating-point sum is seldom exactly 0.
    replicates = difference([one], [two])
    assert (np.abs(replicates[np.abs(replicates) < 1e-9]) == 0).all() and (replicates == 0).any()


def test_the_spread_of_one_run_is_undefined():
    assert math.isnan(spread([outcome("set", [1, 0])]))


def test_the_draw_of_a_set_does_not_depend_on_what_else_is_analysed(whole, tmp_path):
    rows = [variant for variant in made.variants() if variant.model == "gemma" and variant.study == "mixing"]
    everything = made.generated(made.variants())
    made.write(tmp_path, rows, {variant.evaluation: everything[variant.evaluation] for variant in rows})
    analyse("mixing", tmp_path)
    alone = (tmp_path / "mixing.csv").read_text().splitlines()[1:]
    assert alone == [line for line in (whole / "mixing.csv").read_text().splitlines() if line.startswith("gemma")]


def test_scores_join_every_variant_with_its_evaluation(whole, tmp_path):
    batches = sorted(whole.glob("evaluations/*/batch.csv"))
    scripts.run("collect_scores", variants=whole / "variants.csv", scores=batches, output=tmp_path / "scores.csv")
    rows = read_csv(tmp_path / "scores.csv", (*evaluations.COLUMNS, *evaluations.NUMBERS))
    variants = evaluations.read_variants(whole / "variants.csv")
    assert [tuple(line.values())[:11] for line in rows] == [dataclasses.astuple(variant) for variant in variants]
    correct = made.generated(made.variants())
    for line, variant in zip(rows, variants, strict=True):
        marks = correct[variant.evaluation]
        assert (line["items"], line["correct"]) == (str(len(marks)), str(sum(marks)))
        assert float(line["accuracy"]) == pytest.approx(sum(marks) / len(marks))
        assert int(line["unparsed"]) == (len(marks) - sum(marks)) // 2 and line["cut"] == "1"


BASE = ("m", "base", "set")
UNKNOWN = ("", "", "")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "There is no evaluation of model m, run base on the set set"),
        (
            [(("m", "base", "set"), [1]), (("m", "base", "set"), [0])],
            "both evaluate model m, run base on the set set",
        ),
        ([(*BASE, 0, 0, 0, 0, "nan", "nan", "nan", *UNKNOWN)], "row 1: no item was evaluated"),
        ([(*BASE, 4, 5, 0, 0, 1.2, 1, 1, *UNKNOWN)], "row 1: correct is 5 of 4 items"),
        ([(*BASE, 4, 3, "x", 0, 1, 1, 1, *UNKNOWN)], "row 1: unparsed is 'x', which is not a whole number"),
    ],
)
def test_scores_that_are_missing_repeated_or_impossible_are_refused(rows, message, tmp_path, capfd, monkeypatch):
    lines = [line if len(line) > 2 else made.score(*line) for line in rows]
    write_csv(tmp_path / "batch.csv", evaluations.SCORE_COLUMNS, lines)
    given = {"variants": made.write_variants(tmp_path / "variants.csv", [mixing("base", "base")])}
    given |= {"scores": [tmp_path / "batch.csv"], "output": tmp_path / "scores.csv"}
    assert message in scripts.refused(capfd, monkeypatch, "collect_scores", **given)
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"study": "chess"}, "unknown study 'chess': use one of competence, mixing, selection, benchmarks"),
        (
            {"variant": "pattern"},
            "of the study mixing: use base, sft, random, uniform, size-proportional, grid",
        ),
        ({"variant": "grid"}, "the column 'draw' is empty"),
        ({"run": ""}, "the column 'run' is empty"),
        ({"seed": ""}, "the column 'seed' is empty"),
        ({"seed": "one"}, "the seed 'one' is not a whole number"),
        ({"variant": "random"}, "the column 'draw' is empty"),
        ({"budget": "100"}, "budget is '100', but this variant has no budget"),
        ({"draw": "0"}, "draw is '0', but this variant has no draw"),
        ({"study": "selection", "variant": "pattern", "domain": "a"}, "the column 'budget' is empty"),
        ({"study": "selection", "variant": "base"}, "the column 'domain' is empty"),
        (
            {"study": "selection", "variant": "base", "domain": "all"},
            "the domain has the name of the mean over domains, 'all'",
        ),
        ({}, "row 2 repeats row 1"),
        ({"run": "another"}, "row 2 repeats row 1"),
    ],
)
def test_a_row_of_variants_that_makes_no_sense_is_refused(changed, message, tmp_path):
    row = mixing("base", "base")
    path = made.write_variants(tmp_path / "variants.csv", [row, dataclasses.replace(row, **changed)])
    with pytest.raises(InputError, match=message) as refusal:
        evaluations.read_variants(path)
    assert "variants.csv, row 2" in str(refusal.value)


def test_variants_without_the_study_are_refused(tmp_path):
    path = made.write_variants(tmp_path / "variants.csv", [mixing("base", "base")])
    with pytest.raises(InputError, match="no row of the study 'selection'"):
        evaluations.read_variants(path, "selection")


TWO = (mixing("base", "base"), mixing("sft", "tuned"))
IN_A = (selection("base", "a", "base"), selection("pattern", "a", "p", "9"))


@pytest.mark.parametrize(
    ("study", "rows", "changed", "message"),
    [
        ("mixing", TWO, {("m", "tuned", "set"): None}, "There are no items of model m, run tuned on the set set"),
        ("mixing", TWO, {("m", "tuned", "set"): [1, 0]}, "The item 'set-2' was answered in only one of two evaluations "
         "(model m, run base on the set set; model m, run tuned on the set set)"),
        ("mixing", TWO, {("m", "tuned", "set"): [1, 0, 2]}, "correct is '2', not 0 or 1"),
        ("mixing", (*TWO, mixing("ours", "o", items="more")), {},
         "The study 'mixing' is evaluated on two sets, set and more"),
        ("mixing", (*TWO, mixing("base", "base", "1")), {},
         "'base' and 'sft' of the model m have different training seeds (0, 1; 0)"),
        ("selection", (*IN_A, selection("base", "b", "base")), {},
         "The variant 'pattern 9' of the model m does not have the same seeds and draws in the domains 'a' and 'b'"),
        ("selection", (*IN_A, selection("random", "a", "r", "9", draw="0"), selection("base", "b", "base"),
                       selection("pattern", "b", "p", "9"), selection("random", "b", "r", "9", draw="1")), {},
         "The variant 'random 9' of the model m does not have the same seeds and draws"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(study, rows, changed, message, tmp_path):
    correct = {variant.evaluation: [1, 0, 1] for variant in rows} | changed
    made.write(tmp_path, list(rows), {key: marks for key, marks in correct.items() if marks})
    with pytest.raises(InputError) as refusal:
        analyse(study, tmp_path)
    assert message in str(refusal.value)


def test_an_item_that_stands_there_twice_is_refused(tmp_path):
    made.write(tmp_path, list(TWO), {variant.evaluation: [1, 0] for variant in TWO}, lambda name, item: "same")
    with pytest.raises(InputError, match=r"batch\.items\.csv, row 2: the item 'same' of model m, run base"):
        analyse("mixing", tmp_path)


def test_coefficients_given_twice_are_refused(whole, tmp_path):
    files = sorted(whole.glob("mixtures/llama/seed0/coefficients.csv"))
    with pytest.raises(InputError, match="model llama, seed 0, task math appears twice"):
        analyse("mixing", whole, coefficients=files * 2, output=tmp_path)


def test_counts_that_an_evaluator_does_not_say_stay_empty(tmp_path):
    write_csv(tmp_path / "batch.csv", evaluations.SCORE_COLUMNS, [(*BASE, 4, "", "", 0, 0.6, "nan", "nan", *UNKNOWN)])
    given = {"variants": made.write_variants(tmp_path / "variants.csv", [mixing("base", "base")])}
    scripts.run("collect_scores", **given, scores=[tmp_path / "batch.csv"], output=tmp_path / "scores.csv")
    (line,) = read_csv(tmp_path / "scores.csv", evaluations.NUMBERS)
    assert [line[name] for name in evaluations.NUMBERS] == ["4", "", "", "0", "0.6", "nan", "nan", *UNKNOWN]
