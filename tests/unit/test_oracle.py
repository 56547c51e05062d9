"""Section 5 with a known truth: the oracle's runs and samples, whether the parts are kept, and refusals."""

import re

import evaluation_tables as made
import numpy as np
import pytest
import scripts
from experiments import ONE_SEED, checked, config_of, experiment_of, meaning
from test_evaluations import mixing, read, row
from test_experiment import assign, complaint
from test_gains import outcome
from test_mixing import TEST, make, mix, plant, spread, table

from headpatterns.errors import InputError
from headpatterns.experiment import arguments
from headpatterns.experiment.runs import MixtureSet
from headpatterns.io import read_csv
from headpatterns.planning.sizes import Sizes
from headpatterns.statistics.accuracy import NLL, Outcome, gain, gain_over_draws, mean, ranked, spread_of_gain
from headpatterns.statistics.accuracy import difference as gained
from headpatterns.studies.mixing import effects as mixing_effects
from headpatterns.studies.mixing import parts, proportions
from headpatterns.studies.mixing import settings as of_mixing
from headpatterns.studies.selection import settings as of_selection

RELATED = {"maths": ["formal_logic"], "physics": ["astronomy", "college_chemistry"]}
KNOWN = {
    "studies": {
        "mixing": {"models": ["llama"], "parts": ["gsm8k", "refgpt"]},
        "selection": {
            "models": ["llama"],
            "domains": ["maths", "physics"],
            "budgets": [25, 40],
            "related": RELATED,
        },
    }
}
UNKNOWN = {"studies": {"mixing": {"parts": None}, "selection": {"related": None}}}


@pytest.fixture
def config():
    """The project's config, with the truth of both studies."""
    return config_of(ONE_SEED, KNOWN)


# Runs and what is evaluated


def test_the_oracle_has_runs_and_variants_of_its_own(config):
    unknown = config_of(ONE_SEED, KNOWN, UNKNOWN)
    more = set(checked(config).runs) - set(meaning(unknown).runs)
    assert {run.name for run in more} == {
        "mixing.oracle-basic.seed0",
        "mixing.oracle.seed0",
        *(f"selection.{domain}-oracle-{budget}.seed0" for domain in ("maths", "physics") for budget in (25, 40)),
    }
    assert {run.name for run in set(meaning(unknown).runs)} < {run.name for run in checked(config).runs}
    evaluated = [line for line in meaning(config).variants if line["variant"] == "oracle"]
    assert [(line["study"], line["budget"], line["domain"], line["draw"]) for line in evaluated] == [
        ("mixing", "", "", ""),
        *(("selection", budget, domain, "") for domain in ("maths", "physics") for budget in (25, 40)),
    ]


def test_the_oracle_mixture_may_come_from_the_parts_alone(config):
    experiment = meaning(config)
    *_, oracle = of_mixing.mixtures(experiment)
    assert oracle == MixtureSet("oracle", None, ("gsm8k", "refgpt"), config["studies"]["mixing"]["instructions"])
    run = next(run for run in experiment.runs if run.task == "oracle-basic")
    assert run.training_set.datasets == (("gsm8k", "train"), ("refgpt", "train"))
    assert experiment.paths.training_set(run) == "results/mini/mixtures/llama/seed0/oracle-basic.csv"
    assert next(run for run in experiment.runs if run.task == "oracle").earlier == run
    assert "--parts gsm8k refgpt" in arguments.options(of_mixing.arguments(experiment))


def test_the_plan_counts_the_runs_of_the_oracle(config, tmp_path):
    experiment = checked(config)
    sizes = Sizes(experiment, tmp_path)
    named = {run.name: run for run in experiment.runs}
    assert sizes.training_set(named["mixing.oracle-basic.seed0"]).count == config["studies"]["mixing"]["instructions"]
    assert (
        sizes.training_set(named["mixing.oracle.seed0"]).count == config["datasets"]["mathbench"]["sampling"]["train"]
    )
    assert sizes.training_set(named["selection.physics-oracle-40.seed0"]).count == 40
    trained = [run for batch in experiment.batches.values() for of in batch.takers for run in batch.of(*of)]
    assert sum("oracle" in run.task for run in trained) == 2 + 4


def test_related_tags_reach_the_split_of_their_domain(config):
    experiment = meaning(config)
    said = arguments.tags(experiment, "physics")
    assert said.endswith("conceptual_physics --related astronomy college_chemistry")
    assert "related" not in arguments.tags(experiment_of(UNKNOWN), "physics")
    one = of_selection.rankings(experiment)[0]
    assert one["related"] == "results/mini/domains/maths/related.csv"
    assert one["drawn"][-1] == "results/mini/selections/llama/maths.seed0/random9-40.csv"
    assert of_selection.rankings(experiment_of(UNKNOWN)) == []


@pytest.mark.parametrize(
    "overlays", [["config/paper.yaml"], ["config/paper.yaml", "config/desk.yaml"], ["tests/config/real.yaml"]]
)
def test_of_real_data_nobody_knows_the_truth(overlays):
    experiment = experiment_of(KNOWN, *overlays)
    assert experiment.settings("mixing").parts is None and experiment.settings("selection").related is None
    assert not any("oracle" in run.task for run in experiment.runs)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"studies.mixing.parts": ["gsm8k", "refgtp"]},
            r"mixing\.parts\[1\] names the unknown candidate 'refgtp'; did",
        ),
        ({"studies.mixing.parts": ["sgsm"]}, r"mixing\.parts\[0\] names the unknown candidate 'sgsm'"),
        ({"studies.mixing.parts": ["gsm8k", "gsm8k"]}, r"studies\.mixing\.parts names gsm8k twice: name it once"),
        ({"studies.mixing.parts": []}, r"studies\.mixing\.parts"),
        (
            {"studies.selection.related.physics": ["astronomy", "college_physics"]},
            r"selection\.related\.physics names 'college_physics', a tag of the domain itself: name tags outside of it",
        ),
        (
            {"studies.selection.related": {"maths": ["x"]}},
            r"related lacks the domain 'physics': add its related tags, or",
        ),
        ({"studies.selection.related.law": ["x"]}, r"related\.law names the unknown domain 'law'"),
        ({"studies.selection.related.maths": []}, r"studies\.selection\.related\.maths"),
    ],
)
def test_a_truth_that_cannot_be_is_refused(config, changes, sentence):
    for path, value in changes.items():
        assign(config, path, value)
    assert re.search(sentence, complaint(config))


def test_the_truth_of_a_study_that_is_left_out_may_be_anything(config):
    for study in ("mixing", "selection"):
        config["studies"][study]["models"] = []
    config["studies"]["mixing"]["parts"] = ["other"]
    config["studies"]["selection"]["related"] = {"other": ["x"]}
    assert not [run for run in checked(config).runs if "oracle" in run.task]


# The mixture


def test_the_oracle_has_equal_shares_of_its_parts(tmp_path):
    options = make(tmp_path, {"a": 3.0, "c": 1.0}, instructions=41, parts=["c", "b"])
    folder = mix(options)
    numbers = [one for one in table(folder / "mixtures.csv") if one["variant"] == "oracle"]
    assert [(one["task"], one["share"], one["instructions"]) for one in numbers] == [
        ("c", "0.5", "21"),
        ("b", "0.5", "20"),
    ]
    chosen = [(one["dataset"], one["id"]) for one in table(folder / "oracle-basic.csv")]
    heads = [("c-data", f"c{n}") for n in range(21)] + [("b-data", f"b{n}") for n in range(20)]
    assert chosen == proportions.mixed(heads, 0)
    without = mix(options | {"parts": None, "output": tmp_path / "without"})
    assert not (without / "oracle-basic.csv").exists()
    for name in ("coefficients.csv", "ours-basic.csv", "random1-basic.csv"):
        assert (without / name).read_bytes() == (folder / name).read_bytes()


def test_test_items_are_left_out_of_the_oracle_too(tmp_path):
    options = make(tmp_path, {"a": 3.0, "c": 1.0}, parts=["b"], instructions=5)
    plant(tmp_path, "b", {1: TEST[3]})
    chosen = {one["id"] for one in table(mix(options) / "oracle-basic.csv")}
    assert chosen == {"b0", "b2", "b3", "b4", "b5"}


def test_an_oracle_that_cannot_be_made_is_refused(tmp_path, capfd, monkeypatch):
    options = make(tmp_path, {"a": 3.0, "c": 1.0}, parts=["b"], instructions=81, random_draws=0)
    said = scripts.refused(capfd, monkeypatch, "mix_basic_tasks", **spread(options))
    assert "The mixture oracle takes 81 instructions of b, but its training set has 80 that are not test items" in said
    with pytest.raises(InputError, match="--parts names d, which is not a candidate"):
        mix(options | {"parts": ["d"]})


# Are the parts kept?


def test_precision_of_the_kept_tasks_by_hand():
    mixture = [("m", "0", task, *[""] * (len(proportions.COEFFICIENT_COLUMNS) - 3)) for task in "abcde"]
    picks = [
        ("m", "0", "change", "a+b", "0.6", "1", ""),
        ("m", "0", "change", "a+c", "0.3", "0", ""),
        ("m", "0", "change", "c", "0.06", "0", ""),
        ("m", "0", "change", "", "0.04", "0", ""),
        ("m", "0", "base", "c+d", "1", "1", ""),
    ]
    first, second = parts.rows(mixture, picks, ["a", "b"])
    named = dict(zip(parts.COLUMNS, first, strict=True))
    assert [named[name] for name in ("model", "seed", "of", "tasks", "parts", "kept", "hits", "value")] == [
        "m", "0", "change", 5, 2, 2, 2, 1.0,
    ]  # fmt: skip
    assert named["resampled"] == pytest.approx(0.6 * 1 + 0.3 * 0.5)
    assert (named["low"], named["high"]) == (0, 1)
    assert named["expected"] == 2 / 5 and named["p_value"] == pytest.approx(1 / 10)
    named = dict(zip(parts.COLUMNS, second, strict=True))
    assert (named["value"], named["resampled"], named["low"], named["high"], named["p_value"]) == (0, 0, 0, 0, 1)
    assert parts.rows(mixture, picks, []) == []


def test_random_pairs_have_on_average_what_is_expected():
    generator = np.random.default_rng(0)
    pairs = ["+".join(generator.permutation(list("abcdefg"))[:2]) for _ in range(4000)]
    assert np.mean([parts.precision(pair, ["a", "b", "c"])[2] for pair in pairs]) == pytest.approx(3 / 7, abs=0.015)


# Tables 2 and 3


def test_the_oracle_has_rows_and_differences_of_its_own(tmp_path):
    rows = made.variants(oracle=True)
    made.write(tmp_path, rows, made.generated(rows))
    made.analyse("mixing", tmp_path, parts=made.PARTS)
    made.analyse("selection", tmp_path)
    found = read(tmp_path / "mixing.csv")
    assert found[found["model"] == "llama"]["variant"].tolist() == ["base", "sft", "random", "ours", "oracle"]
    differences = read(tmp_path / "mixing_differences.csv")
    own = differences[(differences["model"] == "llama") & (differences["better"] == "oracle")]
    assert own["worse"].tolist() == ["sft", "ours", "random"]
    for _, one in own.iterrows():
        value = {name: row(found, model="llama", variant=name)["value"] for name in ("oracle", one["worse"])}
        assert one["value"] == pytest.approx(value["oracle"] - value[one["worse"]])
        assert one["varies"] == "seeds; items" and one["low"] <= one["value"] <= one["high"]
    selected = read(tmp_path / "selection_differences.csv")
    first = selected[(selected["model"] == "llama") & (selected["domain"] == "all") & (selected["budget"] == "100")]
    assert first[["better", "worse"]].to_numpy().tolist() == [
        *(["pattern", other] for other in ("random", "base", "bm25", "base-pattern", "nearest")),
        ["oracle", "random"],
        ["oracle", "pattern"],
    ]
    made.write_table(tmp_path, 2, tmp_path / "table2")
    assert "| Model | Base | SFT | Random | Ours | Oracle |" in (tmp_path / "table2.md").read_text()
    made.write_table(tmp_path, 3, tmp_path / "table3")
    assert " | oracle | " in (tmp_path / "table3.md").read_text()
    kept = read_csv(tmp_path / "mixture_parts.csv", ())
    # The parts are math and arc, out of math, refgpt and arc. The changes keep one part, the base patterns both.
    assert {(one["of"], one["hits"], one["resampled"]) for one in kept} == {
        ("change", "1", "0.6"), ("base", "2", "0.6"), ("partialled", "1", "0.6"),
    }  # fmt: skip
    names = {one.name for one in mixing_effects.measure(tmp_path / "variants.csv", made.items(tmp_path), 50, 0)}
    assert {"oracle_minus_sft", "oracle_minus_ours_nll", "oracle_minus_random"} <= names


def losses(answers, name="set"):
    """The outcome of losses in nats per token by (seed, draw)."""
    found = outcome(answers, name)
    return Outcome(found.runs, found.seeds, found.values, found.weights, NLL)


def test_of_losses_less_is_better():
    ours = losses({("0", ""): [0.5, 1.0, 0.0, 0.5]})
    drawn = losses({("0", "0"): [1.0, 1.0, 1.0, 1.0], ("0", "1"): [0.5, 0.5, 0.0, 0.5], ("0", "2"): [2.0, 0, 0, 0]})
    assert mean([ours])[0] == 0.5
    effect = gain_over_draws([ours], [drawn])
    assert effect.plain == pytest.approx((1 + 0.375 + 0.5) / 3 - 0.5)
    assert gained([ours], [drawn])[0] == pytest.approx(effect.plain)
    assert effect.limits == (-np.inf, np.inf)
    (one,) = ranked([ours], [drawn])
    # One draw has a lower loss and one the same.
    assert (one.value, one.rank, one.p_value) == (0.5, 2.5, 3 / 4)
    assert (effect.p_above, effect.p_below) == (3 / 4, 3 / 4)
    assert spread_of_gain([ours], [drawn]) == pytest.approx(np.std([1, 0.375, 0.5], ddof=1))


def test_the_spread_of_a_gain_pairs_runs_of_one_seed():
    ours = outcome({("0", ""): [1, 1], ("1", ""): [0, 1]})
    drawn = outcome({("0", "0"): [0, 0], ("0", "1"): [1, 0], ("1", "0"): [0, 0], ("1", "1"): [0, 1]})
    assert spread_of_gain([ours], [drawn]) == pytest.approx(np.std([1, 0.5, 0.5, 0], ddof=1))
    single = outcome({("0", ""): [1, 1]})
    assert np.isnan(spread_of_gain([single], [single]))


def test_a_gain_in_losses_has_the_error_of_its_items():
    better, worse = losses({("0", ""): [0.25, 0.5, 1, 0.25]}), losses({("0", ""): [0.5, 0.5, 3, 1.25]})
    effect = gain([better], [worse])
    assert effect.plain == pytest.approx(np.mean([0.25, 0, 2, 1]))
    assert effect.components[0].variance == pytest.approx(1.08**2 * np.var([0.25, 0, 2, 1]) / 4, rel=0.1)


def test_losses_are_means_of_nats_a_token(tmp_path):
    rows = [mixing("base", "base"), mixing("sft", "tuned")]
    given = {rows[0].evaluation: [2.0, 1.0, 4.0], rows[1].evaluation: [1.0, 0.5, 1.5]}
    made.write(tmp_path, rows, {one.evaluation: [1, 0, 0] for one in rows}, losses=given)
    made.analyse("mixing", tmp_path)
    found = read(tmp_path / "mixing.csv", "nll").set_index("variant")
    assert found["value"].to_dict() == {"base": pytest.approx(7 / 3), "sft": 1.0}
    assert (found["low"] >= 0).all() and (found["high"] > 1).all()
    assert row(read(tmp_path / "mixing_differences.csv", "nll"), better="sft")["value"] == pytest.approx(4 / 3)
    assert row(read(tmp_path / "mixing_differences.csv"), better="sft")["value"] == 0


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("nll", "", "row 2: nll is '', not a number of 0 or more: evaluate again"),
        ("nll", "-0.5", "row 2: nll is '-0.5', not a number"),
        ("nll", "nan", "row 2: nll is 'nan', not a number"),
        ("tokens", "0", "row 2: tokens is '0', not a whole number of 1 or more: evaluate again"),
        ("tokens", "2.5", "row 2: tokens is '2.5', not a whole number"),
    ],
)
def test_items_without_a_loss_are_refused(tmp_path, column, value, sentence):
    rows = [mixing("base", "base"), mixing("sft", "tuned")]
    made.write(tmp_path, rows, {one.evaluation: [1, 0] for one in rows})
    (path,) = made.items(tmp_path)
    lines = read_csv(path, ())
    lines[1][column] = value
    path.write_text(",".join(lines[0]) + "\n" + "".join(f"{','.join(map(quoted, one.values()))}\n" for one in lines))
    with pytest.raises(InputError, match=sentence):
        made.analyse("mixing", tmp_path)


def quoted(text):
    return '"' + text.replace('"', '""') + '"'
