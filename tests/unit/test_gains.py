"""Effects of Tables 2 and 3: gains by hand with seeds, draws and items in their error, ranks, the choice of a pair."""

import json
import math
from pathlib import Path

import evaluation_tables as made
import numpy as np
import pytest
import scripts
from test_evaluations import mixing, selection
from test_mixing import make, mix, spread

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.statistics import probe_weights
from headpatterns.statistics.accuracy import Outcome, gain, ranked
from headpatterns.statistics.bootstrap import STRETCH
from headpatterns.studies.mixing import effects as mixing_effects
from headpatterns.studies.mixing import proportions
from headpatterns.studies.mixing.mixture import fit
from headpatterns.studies.reading import Reading
from headpatterns.studies.selection import effects as selection_effects


def outcome(answers, name="set", resamples=2000):
    """Answers by (seed, draw), all on one set."""
    correct = np.array(list(answers.values()), float)
    runs = tuple(f"{seed}-{draw}" for seed, draw in answers)
    return Outcome(
        runs, tuple(seed for seed, _ in answers), correct, probe_weights(correct.shape[1], name, resamples, 0)
    )


# Gains


def test_a_gain_over_random_draws_of_one_seed_by_hand():
    ours = outcome({("0", ""): [1, 1, 1, 0, 1, 1, 0, 1]})
    drawn = outcome({("0", "0"): [1, 1, 0, 0, 0, 1, 0, 1], ("0", "1"): [1, 0, 0, 0, 0, 0, 0, 1]})
    effect = gain([ours], [drawn])
    assert effect.plain == 0.75 - (0.5 + 0.25) / 2
    items, draws = effect.components
    assert (items.source, items.df) == ("items", math.inf) and (draws.source, draws.df) == ("draws", 1)
    # The variance of 0.5 and 0.25, for the mean of two draws plus the single run that is compared with them.
    assert draws.variance == pytest.approx((0.25**2 / 2) * (1 / 2 + 1))
    # Per item, ours gains 0, .5, 1, 0, 1, .5, 0, 0; their resampled mean has the variance of these gains over 8.
    assert items.variance == pytest.approx(STRETCH**2 * np.var([0, 0.5, 1, 0, 1, 0.5, 0, 0]) / 8, rel=0.1)


def test_with_several_seeds_their_differences_hold_the_draws():
    ours = outcome({("0", ""): [1, 1, 1, 1], ("1", ""): [1, 1, 0, 0]})
    drawn = outcome({
        **{("0", draw): marks for draw, marks in {"0": [1, 0, 0, 0], "1": [1, 1, 0, 0]}.items()},
        **{("1", draw): marks for draw, marks in {"0": [1, 1, 0, 0], "1": [0, 0, 0, 0]}.items()},
    })  # fmt: skip
    effect = gain([ours], [drawn])
    by_seed = [1 - 0.375, 0.5 - 0.25]
    assert effect.plain == pytest.approx(np.mean(by_seed))
    seeds, items = effect.components
    assert (seeds.source, seeds.df, items.source) == ("seeds", 1, "items")
    assert seeds.variance == pytest.approx(np.var(by_seed, ddof=1) / 2)


def test_a_gain_is_the_mean_over_sets_that_count_alike():
    better = [outcome({("0", ""): [1, 1]}, "a"), outcome({("0", ""): [1, 0, 0, 0, 0]}, "b")]
    worse = [outcome({("0", ""): [0, 0]}, "a"), outcome({("0", ""): [0, 0, 0, 0, 0]}, "b")]
    effect = gain(better, worse)
    assert effect.plain == pytest.approx((1 + 0.2) / 2)
    assert effect.varies == ("items",)
    assert effect.components[0].variance == pytest.approx(STRETCH**2 * 0.2 * 0.8 / 5 / 4, rel=0.1)


@pytest.mark.parametrize("count", [1, 3])
def test_gains_err_about_as_often_as_they_say(count):
    """Without a true gain, the 95 % interval excludes 0 in about one of twenty trials."""
    generator = np.random.default_rng(5)
    names = tuple("012"[:count])
    seeds = tuple(np.repeat(names, 4).tolist())
    outside = []
    for _ in range(400):
        hardness = generator.uniform(0.2, 0.8, 150)
        luck = generator.normal(0, 0.1, (count, 5))  # by how much a training run is better or worse
        answers = (generator.uniform(size=(count, 5, 150)) < np.clip(hardness + luck[..., None], 0, 1)).astype(float)
        weights = probe_weights(150, "set", 100, 0)
        ours = Outcome(names, names, answers[:, 0], weights)
        drawn = Outcome(seeds, seeds, answers[:, 1:].reshape(-1, 150), weights)
        low, high = gain([ours], [drawn]).interval()
        outside.append(not low <= 0 <= high)
    assert np.mean(outside) <= 0.1


# Ranks


def test_ranks_among_draws_by_hand():
    ours = outcome({("0", ""): [1, 1, 1, 0], ("1", ""): [1, 0, 0, 0]})
    drawn = outcome({
        ("0", "0"): [1, 1, 1, 1], ("0", "1"): [1, 1, 0, 1], ("0", "2"): [0, 0, 0, 0],
        ("1", "0"): [0, 0, 0, 0], ("1", "1"): [0, 0, 0, 0], ("1", "2"): [0, 0, 0, 0],
    })  # fmt: skip
    first, second = ranked([ours], [drawn])
    # One draw is better, one equally good: places 2 and 3 are shared.
    assert (first.seed, first.draws, first.value, first.rank, first.p_value) == ("0", 3, 0.75, 2.5, 3 / 4)
    assert first.mean == pytest.approx((1 + 0.75 + 0) / 3)
    assert (second.rank, second.p_value) == (1, 1 / 4)


def test_ranks_of_the_mean_over_sets():
    ours = [outcome({("0", ""): [1]}, "a"), outcome({("0", ""): [0, 0]}, "b")]
    drawn = [outcome({("0", "0"): [0], ("0", "1"): [1]}, "a"), outcome({("0", "0"): [1, 1], ("0", "1"): [1, 1]}, "b")]
    (only,) = ranked(ours, drawn)
    # Means over sets: 0.5 against 0.5 and 1.
    assert (only.value, only.rank, only.p_value) == (0.5, 2.5, 1)


# Tables 2 and 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    rows = made.variants()
    folder = made.write(tmp_path_factory.mktemp("gains"), rows, made.generated(rows))
    for study in ("mixing", "selection"):
        made.analyse(study, folder)
    return folder


def test_ranks_and_picks_are_tables_of_their_own(whole):
    rows = read_csv(whole / "mixing_ranks.csv", ())
    assert ",".join(rows[0]) == "model,measure,seed,draws,value,draws_mean,rank,p_value"
    assert [(row["model"], row["measure"], row["seed"], row["draws"]) for row in rows] == [
        (model, measure, seed, "3") for model in ("llama", "gemma") for measure in ("accuracy", "nll") for seed in "01"
    ]
    assert {row["p_value"] for row in rows} == {"0.25"}, "ours is generated to be better than all draws"
    rows = read_csv(whole / "selection_ranks.csv", ())
    assert ",".join(rows[0]) == "model,measure,domain,budget,seed,draws,value,draws_mean,rank,p_value"
    assert len(rows) == 2 * 2 * 3 * 2 * 2 and rows[0]["domain"] == "all"
    rows = read_csv(whole / "mixture_picks.csv", ())
    assert ",".join(rows[0]) == "model,seed,of,tasks,share,kept,chance"
    assert len(rows) == 2 * 2 * 9


def test_the_effects_of_table_2_are_the_differences_of_its_accuracies(whole):
    found = mixing_effects.measure(whole / "variants.csv", made.items(whole), 200, 3)
    names = ("ours_minus_sft", "ours_minus_random", "sft_minus_base", "random_minus_sft")
    assert [(one.name, one.about) for one in found if one.model == "llama"] == [
        (f"{name}{measure}", "") for measure in ("", "_nll") for name in names
    ]
    values = {
        (row["model"], row["measure"], row["variant"]): float(row["value"])
        for row in read_csv(whole / "mixing.csv", ())
    }
    for one in found:
        measure, sign = ("nll", -1) if one.name.endswith("_nll") else ("accuracy", 1)
        better, worse = one.name.removesuffix("_nll").split("_minus_")
        gained = sign * (values[one.model, measure, better] - values[one.model, measure, worse])
        assert one.effect.plain == pytest.approx(gained)
        assert one.effect.varies == ("seeds", "items")
        # Ours is better than all three draws with both seeds: one of sixteen pairs of ranks.
        drawn = worse == "random"
        exact = pytest.approx((1 / 16, 1) if drawn else (math.nan,) * 2, nan_ok=True)
        assert (one.effect.p_above, one.effect.p_below) == exact
        assert one.effect.p_least == pytest.approx(1 / 16 if drawn else math.nan, nan_ok=True)


def test_a_variant_that_is_missing_has_no_effect(tmp_path):
    rows = [mixing("base", "base"), mixing("sft", "sft"), mixing("ours", "ours")]
    folder = made.write(tmp_path, rows, {row.evaluation: [1, 0] for row in rows})
    found = mixing_effects.measure(folder / "variants.csv", made.items(folder), 50, 0)
    assert [one.name for one in found if "nll" not in one.name] == ["ours_minus_sft", "sft_minus_base"]
    made.analyse("mixing", folder)
    assert read_csv(folder / "mixing_ranks.csv", ()) == []


def test_the_effects_of_table_3_by_hand(tmp_path):
    answers = {
        "a": {"base": [0, 0, 0, 0], "pattern5": [1, 0, 0, 0], "pattern20": [1, 1, 1, 0], "random5": [0, 1, 0, 0],
              "random20": [1, 1, 0, 0]},
        "b": {"base": [1, 0], "pattern5": [1, 0], "pattern20": [1, 1], "random5": [0, 0], "random20": [1, 0]},
    }  # fmt: skip
    rows, correct = [], {}
    for domain, own in answers.items():
        for name, marks in own.items():
            kind = name.rstrip("0123456789")
            budget, draw = name.removeprefix(kind), "0" if kind == "random" else ""
            rows.append(selection(kind, domain, f"{domain}-{name}", budget, draw=draw))
            correct[rows[-1].evaluation] = marks
    folder = made.write(tmp_path, rows, correct)
    found = selection_effects.measure(folder / "variants.csv", made.items(folder), 50, 0)
    # The losses of these answers are 1.25 minus their marks, so that both measures have the same gains.
    assert {(f"{one.name}_nll", one.about): pytest.approx(one.effect.plain) for one in found[:5]} == {
        (one.name, one.about): one.effect.plain for one in found[5:]
    }
    assert {(one.name, one.about): pytest.approx(one.effect.plain) for one in found[:5]} == {
        ("pattern_minus_random", "5"): (0 + 0.5) / 2,
        ("pattern_minus_base", "5"): (0.25 + 0) / 2,
        ("pattern_minus_random", "20"): (0.25 + 0.5) / 2,
        ("pattern_minus_base", "20"): (0.75 + 0.5) / 2,
        ("grows_with_budget", ""): (0.5 + 0.5) / 2,
    }
    assert {one.effect.varies for one in found} == {("items",)}


def test_one_budget_cannot_grow(tmp_path):
    rows = [
        selection("base", "a", "base"),
        selection("pattern", "a", "p", "9"),
        selection("random", "a", "r", "9", draw="0"),
    ]
    folder = made.write(tmp_path, rows, {row.evaluation: [1, 0] for row in rows})
    found = selection_effects.measure(folder / "variants.csv", made.items(folder), 50, 0)
    assert [one.name for one in found[:2]] == ["pattern_minus_random", "pattern_minus_base"]
    assert [one.name for one in found[2:]] == ["pattern_minus_random_nll", "pattern_minus_base_nll"]


# Which tasks are kept


def test_picks_by_hand():
    beta = np.array([[9, 9, 9], [3, 2, 1], [1, 2, 3], [3, 2, -1], [-1, -1, 1], [-1, -1, -1], [2, np.nan, 1]], float)
    assert proportions.picks(beta, 2) == {
        (0, 1): pytest.approx(2 / 6),
        (0, 2): pytest.approx(1 / 6),
        (1, 2): pytest.approx(1 / 6),
        (): pytest.approx(1 / 6),
        (2,): pytest.approx(1 / 6),
    }
    assert proportions.chance(7, 2) == 1 / 21 and proportions.chance(2, 3) == 1


def given_to_fit(options):
    candidates = dict(word.split("=", 1) for word in options["candidate"])
    return {"model": "llama", "seed": 0, "target": str(options["target"]), "candidates": candidates}


def test_the_files_of_a_mixture_say_how_certain_its_choice_is(tmp_path):
    options = make(tmp_path, {"a": 3.0, "b": 1.0, "c": 1.8}, noise=0.9, resamples=200)
    folder = mix(options)
    rows = read_csv(folder / "picks.csv", ())
    of_changes = {row["tasks"]: row for row in rows if row["of"] == "change"}
    assert {"a+b", "a+c", "b+c"} <= set(of_changes)
    assert sum(float(row["share"]) for row in of_changes.values()) == pytest.approx(1)
    assert [tasks for tasks, row in of_changes.items() if row["kept"] == "1"] == ["a+c"]
    assert {float(row["chance"]) for row in rows} == {0.3333333333}
    assert 0.5 < float(of_changes["a+c"]["share"]) < 1
    found = mixing_effects.measure_choice([given_to_fit(options)], 2, ["c", "a"], 200, 0, Reading())
    ((name, model, about, effect),) = found
    assert (name, model, about) == ("kept_pair", "llama", "")
    share = float(of_changes["a+c"]["share"])
    assert effect.estimate == pytest.approx(share - 1 / 3) and effect.plain == pytest.approx(1 - 1 / 3)
    assert effect.components[0].variance == pytest.approx(share * (1 - share) * 200 / 199)
    assert mixing_effects.measure_choice([given_to_fit(options)], 2, [], 200, 0, Reading()) == []


def test_coefficients_of_the_controls_stand_beside_those_of_the_mixture(tmp_path):
    options = make(tmp_path, {"a": 3.0, "c": 1.0})
    rows = read_csv(mix(options) / "coefficients.csv", ())
    folders = [options["target"], *(word.split("=", 1)[1] for word in options["candidate"])]
    before, after = (
        [np.load(f"{folder}/step-{step}.samples.npy").astype(float).mean(axis=0).ravel() for folder in folders]
        for step in (0, 10)
    )
    change = [b - a for a, b in zip(before, after, strict=True)]
    left = [c - (c @ b) / (b @ b) * b for b, c in zip(before, change, strict=True)]
    for column, (target, *basic) in {"base": before, "partialled": left}.items():
        expected = np.linalg.lstsq(np.stack(basic, axis=1), target)[0]
        np.testing.assert_allclose([float(row[f"beta_{column}"]) for row in rows], expected, rtol=1e-6)
        order = sorted((task for task in range(3) if expected[task] > 0), key=lambda task: -expected[task])[:2]
        assert [row[f"kept_{column}"] == "1" for row in rows] == [task in order for task in range(3)]


def test_the_error_of_a_choice_holds_the_seeds():
    one, two = np.array([1, 1, 1, 1, 1]), np.array([1, 1, 0, 0, 1])
    effect = mixing_effects.choice([one.astype(float), two.astype(float)], chance=0.1)
    assert effect.estimate == pytest.approx(0.75 - 0.1) and effect.plain == pytest.approx(0.9)
    seeds, samples = effect.components
    assert seeds.variance == pytest.approx(np.var([1, 0.5], ddof=1) / 2) and seeds.df == 1
    assert samples.variance == pytest.approx(np.var([1, 0.5, 0.5, 1], ddof=1))
    assert (effect.p_above, effect.p_least, effect.interval()[1]) == (0.1, 0.1, 0.9)
    missed = mixing_effects.choice([one.astype(float), 1.0 - one], chance=0.1)
    assert (missed.p_above, missed.p_below) == (1, 1)


def test_how_patterns_are_read_changes_the_fit(tmp_path):
    options = make(tmp_path, {"a": 3.0, "c": 1.0})
    given = given_to_fit(options)
    plain = fit(options["target"], {task: Path(path) for task, path in given["candidates"].items()}, 10, 0, Reading())
    rated = fit(options["target"], {task: Path(path) for task, path in given["candidates"].items()}, 10, 0,
                Reading(change="rate"))  # fmt: skip
    assert set(plain) == {"change", "base", "partialled"}
    assert np.abs(plain["change"][0][0] - rated["change"][0][0]).max() > 0.01
    np.testing.assert_array_equal(plain["base"][0], rated["base"][0])


def test_a_reading_that_cannot_be_is_refused_before_anything_is_read(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 1.0}, reading=json.dumps({"change": "ratio"}))
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert "the reading of patterns has change 'ratio': give one of difference, rate, log_ratio." in said
    with pytest.raises(InputError, match="a reading of patterns has no key 'norm'"):
        mix(options | {"reading": '{"norm": 1}'})
    assert not options["output"].exists()
