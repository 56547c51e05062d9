"""What a training seed moves, the paths that depend on it, and the seeds of each study."""

import json
from collections import Counter

import pytest
from experiments import ONE_SEED, checked, config_of, meaning
from refusals import assert_refusal

from headpatterns.errors import InputError
from headpatterns.experiment import arguments, needed
from headpatterns.experiment.runs import of_task
from headpatterns.studies.mixing import settings as mixing
from headpatterns.studies.selection import settings as selection

EVERYTHING = ["order", "samples", "pretraining"]
RESULTS = "results/mini"


@pytest.fixture
def config():
    made = config_of(ONE_SEED)
    made["seeds"] = [0, 1, 2]
    made["models"]["own"] = {"label": "Own", "source": {"hub": "org/own", "revision": "abc"}}
    made["studies"]["adaptation"]["models"] = ["llama", "own"]
    return made


def moving(config, *moves):
    config["seed_moves"] = list(moves)
    return checked(config)


def complaint(config):
    with pytest.raises(InputError) as refused:
        checked(config)
    return str(refused.value)


@pytest.mark.parametrize("moves", [EVERYTHING, ["pretraining", "order"], ["pretraining"]])
def test_a_base_model_for_each_seed(config, moves):
    config["studies"]["adaptation"]["models"] = ["llama"]
    paths = moving(config, *moves).paths
    assert paths.model("llama", 2) == f"{RESULTS}/pretraining/llama/seed2/final"
    step = config["models"]["llama-weak"]["source"]["step"]
    assert paths.model("llama-weak", 2) == f"{RESULTS}/pretraining/llama/seed2/intermediate/step-{step}"
    assert paths.model_input("llama-weak", 1) == [f"{RESULTS}/pretraining/llama/seed1"]
    assert paths.pretraining("{pretraining}", "{seed}") == f"{RESULTS}/pretraining/{{pretraining}}/seed{{seed}}"
    assert paths.tokenizer_input("embedded") == [f"{RESULTS}/pretraining/tokenizer"]


@pytest.mark.parametrize("moves", [["order"], ["samples"], ["order", "samples"]])
def test_one_base_model_where_no_seed_moves_it(config, moves):
    experiment = moving(config, *moves)
    for seed in (0, 1, 2):
        assert experiment.paths.model("llama", seed) == f"{RESULTS}/pretraining/llama/final"
        assert experiment.paths.pretraining("llama", seed) == f"{RESULTS}/pretraining/llama"
        assert needed.base_name(experiment.config, "llama", seed) == "base"
    assert experiment.bases["llama", "base"] == 0
    assert "{seed}" not in experiment.paths.pretraining("{pretraining}", "{seed}")


def test_other_models_have_one_base_for_all_seeds(config):
    experiment = moving(config, *EVERYTHING)
    assert {experiment.paths.model("own", seed) for seed in (0, 1, 2)} == {f"{RESULTS}/models/own"}
    assert needed.base_name(experiment.config, "own", 2) == "base"
    assert [name for model, name in experiment.bases if model == "own"] == ["base"]


def test_a_run_starts_from_the_base_of_its_seed(config):
    experiment = moving(config, *EVERYTHING)
    starts = [experiment.paths.starting_model(of_task("llama", "nlp", "arc", seed)) for seed in (0, 2)]
    assert starts == [f"{RESULTS}/pretraining/llama/seed{seed}/final" for seed in (0, 2)]
    mixed = mixing.prepared_run(experiment, "llama", mixing.mixtures(experiment)[0], 2)
    assert experiment.paths.starting_model(mixed) == f"{RESULTS}/checkpoints/llama/mixing.ours-basic.seed2/final"


def test_a_model_after_a_run_is_one_for_all_seeds(config):
    """Its source names the seed of that run, and the run starts from the base of this seed."""
    source = {"model": "llama", "run": "nlp.arc.seed1"}
    config["models"]["later"] = {"label": "x", "source": source}
    config["studies"]["adaptation"]["models"] = ["later"]
    experiment = moving(config, *EVERYTHING)
    later = f"{RESULTS}/checkpoints/llama/nlp.arc.seed1/final"
    assert {experiment.paths.starting_model(of_task("later", "nlp", "math", seed)) for seed in (0, 1, 2)} == {later}
    assert experiment.paths.starting_model(of_task("llama", "nlp", "arc", 1)).endswith("pretraining/llama/seed1/final")
    assert needed.base_name(experiment.config, "later", 2) == "base"


def recipes(experiment, seed):
    """Seeds of the trainer, of the pretraining, and of the draw of the samples."""
    run = of_task("llama", "nlp", "arc", seed)
    trained = json.loads(arguments.finetuning_recipe(experiment, [run]))
    pretrained = json.loads(arguments.pretraining_recipe(experiment, "llama", seed))
    return trained["seed"], pretrained["seed"], experiment.paths.cut(run).seed


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        (EVERYTHING, (2, 7 + 2, 2)),
        (["order"], (2, 7, 0)),
        (["samples"], (0, 7, 2)),
        (["order", "pretraining"], (2, 7 + 2, 0)),
        (["samples", "order"], (2, 7, 2)),
    ],
)
def test_what_a_seed_does_not_move_is_as_with_seed_0(config, moves, expected):
    config["pretraining_recipe"]["seed"] = 7
    experiment = moving(config, *moves)
    assert recipes(experiment, 2) == expected
    assert recipes(experiment, 0) == (0, 7, 0)


def test_seeds_that_move_no_samples_share_a_training_set(config):
    folder = f"{RESULTS}/training_sets/embedded"
    run = of_task("llama", "nlp", "arc", 2)
    assert moving(config, "order").paths.training_set(run) == f"{folder}/nlp.arc.seed0.csv"
    assert moving(config, "order", "samples").paths.training_set(run) == f"{folder}/nlp.arc.seed2.csv"
    experiment = moving(config, "order")
    probe_model = selection.probe_model_run(experiment, "llama", "maths", 2)
    assert experiment.paths.training_set(probe_model) == f"{folder}/selection.maths-pseudo-private.seed0.csv"
    chosen = mixing.mixtures(experiment)[0]
    mixed = mixing.prepared_run(experiment, "llama", chosen, 2)
    assert experiment.paths.training_set(mixed.earlier) == f"{RESULTS}/mixtures/llama/seed2/ours-basic.csv"


def test_a_task_group_may_limit_its_training_sets(config):
    config["task_groups"]["nlp"]["samples"] = 500
    config["task_groups"]["infinity"]["samples"] = None
    experiment = checked(config)
    assert arguments.cut(experiment, of_task("llama", "nlp", "arc", 2)) == "--most 500 --seed 2"
    assert arguments.cut(experiment, of_task("llama", "infinity", "infinity-law", 1)) == "--seed 1"


def test_the_base_is_evaluated_once_for_each_that_there_is(config):
    config["studies"]["mixing"]["models"] = ["llama"]
    config["studies"]["selection"]["models"] = config["studies"]["competence"]["models"] = []
    for moves, wanted in ((EVERYTHING, ["base.seed0", "base.seed1", "base.seed2"]), (["order"], ["base"] * 3)):
        experiment = moving(config, *moves)
        rows = [row for row in experiment.variants if row["variant"] == "base"]
        assert [row["run"] for row in rows] == wanted
        pairs = [run for pairs in experiment.evaluation_batches.values() for run, _ in pairs if run.startswith("base")]
        assert pairs == list(dict.fromkeys(wanted))
    experiment = moving(config, *EVERYTHING)
    assert experiment.evaluated("llama", "base.seed1") == f"{RESULTS}/pretraining/llama/seed1/final"
    assert experiment.evaluated("llama", "mixing.ours.seed1") == f"{RESULTS}/checkpoints/llama/mixing.ours.seed1/final"
    batch = "mixing.seed1.0"
    assert "base.seed1" in dict(experiment.evaluation_batches["llama", batch])
    assert arguments.trained_runs(experiment, "llama", batch)[0] == "mixing.target.seed1"
    assert f"base.seed1 {RESULTS}/pretraining/llama/seed1/final" in arguments.evaluation(experiment, "llama", batch)


def benchmarked(config, *runs):
    config["evaluation"]["sets"]["words"] = {"dataset": "gsm8k"}
    checkpoints = [{"model": model, "run": run} for model, run in runs]
    config["studies"]["benchmarks"] = {"checkpoints": checkpoints, "sets": ["words"]}
    return config


def test_benchmarks_name_the_base_of_a_seed(config):
    config["seed_moves"] = EVERYTHING
    experiment = checked(benchmarked(config, ("llama", "base"), ("llama", "base.seed2"), ("own", "base")))
    rows = [row for row in experiment.variants if row["study"] == "benchmarks"]
    assert [(row["run"], row["seed"]) for row in rows] == [("base.seed0", 0), ("base.seed2", 2), ("base", 0)]
    assert benchmarked(config, ("llama", "base.seed7")) and assert_refused(
        config, "studies.benchmarks.checkpoints[0].run", "unknown base of this model 'base.seed7'"
    )
    assert benchmarked(config, ("own", "base.seed1")) and assert_refused(
        config, "studies.benchmarks.checkpoints[0].run", ("base.seed1", "valid are: base.")
    )
    assert benchmarked(config, ("llama", "base"), ("llama", "base.seed0")) and assert_refused(
        config, "studies.benchmarks.checkpoints[1].run", "listed already as base: remove it"
    )


def assert_refused(config, key, hint):
    assert_refusal(complaint(config), f"config key {key}", hint)
    return True


def test_a_study_may_have_fewer_seeds(config):
    config["studies"]["mixing"]["seeds"] = [0]
    config["studies"]["selection"]["seeds"] = [0, 2]
    config["studies"]["validity"]["seeds"] = [1]
    config["studies"]["competence"]["seeds"] = [2]
    config["studies"]["composition"]["seeds"] = [2, 1]
    experiment = checked(config)
    of = {study.name: Counter(run.seed for run in study.runs(experiment)) for study in experiment.studies}
    assert {name: sorted(seeds) for name, seeds in of.items() if seeds} == {
        "adaptation": [0, 1, 2],
        "composition": [1, 2],
        "dynamics": [0, 1, 2],
        "validity": [1],
        "mixing": [0],
        "selection": [0, 2],
    }
    seeds = {(row["study"], row["seed"]) for row in experiment.variants}
    assert seeds == {("competence", 2), ("mixing", 0), ("selection", 0), ("selection", 2)}
    assert next(run.seed for run in experiment.runs if run.group == "infinity") == 2


@pytest.mark.parametrize(
    ("study", "seeds", "hint"),
    [
        ("mixing", [3], ("has 3, which `seeds` lacks", "add it there")),
        ("dynamics", [0, 5], ("has 5, which `seeds` lacks", "remove it here")),
        ("validity", [4], "has 4, which `seeds` lacks"),
        ("selection", [], ("[]", "non-empty")),
        ("composition", [1, 1], "names 1 twice"),
        ("adaptation", ["0"], ("'0'", "integer")),
        ("adaptation", 1, ("1", "array")),
    ],
)
def test_seeds_of_a_study_that_cannot_be(config, study, seeds, hint):
    config["studies"][study]["seeds"] = seeds
    key = f"studies.{study}.seeds" + ("[0]" if seeds == ["0"] else "")
    assert assert_refused(config, key, hint)


def test_heads_are_ablated_of_seeds_that_are_trained(config):
    config["studies"]["adaptation"]["seeds"] = [0, 1]
    config["studies"]["validity"]["seeds"] = [2]
    assert assert_refused(config, "studies.validity.seeds", ("has 2", "studies.adaptation does not train with"))


def test_seeds_that_move_nothing_are_refused(config):
    config["seed_moves"] = []
    assert assert_refused(config, "seed_moves", ("is empty, but seeds has 3", "add order"))
    config["seeds"] = [4]
    checked(config)


def test_seeds_that_move_the_pretraining_of_none_are_refused(config):
    config["seed_moves"] = ["pretraining"]
    assert assert_refused(config, "seed_moves", ("changes nothing in models.own", "add order"))
    config["studies"]["adaptation"]["models"] = ["llama"]
    checked(config)


def test_an_unknown_move_is_refused(config):
    config["seed_moves"] = ["order", "data"]
    assert assert_refused(config, "seed_moves[1]", "'data' is not one of ['order', 'samples', 'pretraining']")


def test_runs_that_differ_in_seeds_have_batches_of_their_own(config):
    """One rule makes all jobs, so no two jobs have the same output."""
    config["studies"]["mixing"]["seeds"] = [1]
    config["finetuning"]["runs_per_job"] = 100
    experiment = meaning(config)
    made = Counter(
        run for batch in experiment.batches.values() for model, seed in batch.takers for run in batch.of(model, seed)
    )
    assert made == Counter(experiment.runs)
    of_llama = [batch for batch in experiment.batches.values() if "llama" in batch.models and batch.group == "nlp"]
    assert {(len(batch.training_sets), batch.seeds, batch.steps) for batch in of_llama} == {
        (6, (0, 1, 2), True),
        (1, (0, 1, 2), True),  # SGSM, which is in no mixture
        (1, (1,), False),  # RefGPT, which is only a candidate of the mixing study
    }


def test_only_runs_that_are_read_on_the_way_keep_checkpoints_there(config):
    experiment = checked(config)
    kept = {(run.model, run.group) for run in experiment.runs_with_steps}
    assert kept == {("llama", "nlp"), ("gemma", "nlp"), ("opt", "nlp")}
    of_group = json.loads(arguments.finetuning_recipe(experiment, [of_task("llama", "infinity", "infinity-law", 0)]))
    assert of_group["checkpoint_steps"] == []
    on_the_way = json.loads(arguments.finetuning_recipe(experiment, [of_task("llama", "nlp", "arc", 0)]))
    assert on_the_way["checkpoint_steps"] == config["finetuning"]["checkpoint_steps"]
