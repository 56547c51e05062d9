"""Experiments that train adapters: recipes of task groups, what jobs depend on, and what the plan shows."""

import json

import pytest
from experiments import ONE_SEED, checked, config_of, experiment_of
from refusals import assert_refusal
from test_experiment import complaint
from test_plan import NOWHERE, job_of, plan

from headpatterns.experiment import arguments, needed
from headpatterns.experiment.runs import of_task
from headpatterns.planning import courses, disk, estimates
from headpatterns.planning.sizes import Sizes
from headpatterns.training.recipe import KEYS, Lora, Recipe

BOTH = {
    "finetuning": {"lora": {"rank": 8}},
    "task_groups": {
        "adapted": {
            "tasks": ["gsm8k", "codesearchnet", "sgsm"],
            "complex": "sgsm",
            "samples": 1000,
            "finetuning": {"method": "lora", "learning_rate": 0.04, "lora": {"alpha": 12}},
        }
    },
    "studies": {"composition": {"groups": ["nlp", "adapted"]}},
}
"""The tasks of one group are trained both ways. The rank holds for the whole experiment, and alpha for the group."""
PAPER = ("config/paper.yaml", "config/paper-lora.yaml", ONE_SEED)


@pytest.fixture(scope="module")
def both():
    return checked(config_of(ONE_SEED, BOTH))


def recipe_of(experiment, *run):
    return json.loads(arguments.finetuning_recipe(experiment, [of_task(*run)]))


def test_the_recipe_of_a_run_that_trains_all_weights_is_what_it_was(both):
    """Settings of adapters do not change it, so no existing run is made again."""
    plain = experiment_of(ONE_SEED)
    run = ("llama", "nlp", "gsm8k", 0)
    assert recipe_of(both, *run) == recipe_of(plain, *run)
    assert set(recipe_of(plain, *run)) == set(KEYS) - {"lora"}


def test_the_same_tasks_are_trained_both_ways(both):
    whole, adapted = (recipe_of(both, "llama", group, "gsm8k", 0) for group in ("nlp", "adapted"))
    assert adapted == {
        **whole,
        "checkpoint_steps": [],  # the study composition reads no intermediate checkpoint
        "learning_rate": 0.04,
        "lora": {"rank": 8, "alpha": 12, "dropout": 0.0, "target_modules": "all-linear"},
    }
    assert Recipe.from_json(json.dumps(adapted)).lora == Lora(rank=8, alpha=12.0)
    names = {run.name for run in both.runs}
    assert {"nlp.gsm8k.seed0", "adapted.gsm8k.seed0", "adapted.sgsm.seed0"} <= names
    told = arguments.provenance(both)
    assert told["finetuning of adapted"] == BOTH["task_groups"]["adapted"]["finetuning"]
    assert not [key for key in arguments.provenance(experiment_of(ONE_SEED)) if key.startswith("finetuning of")]


@pytest.mark.parametrize(
    ("own", "key", "hint"),
    [
        ({"global_batch_size": 3}, "task_groups.nlp.finetuning.global_batch_size", "make the two agree"),
        ({"method": "qlora"}, "task_groups.nlp.finetuning.method", "not one of ['full', 'lora']"),
        ({"lora": {"ranks": 4}}, "task_groups.nlp.finetuning.lora.ranks", "did you mean"),
        ({"lora": {"dropout": 1.0}}, "task_groups.nlp.finetuning.lora.dropout", "maximum of 1"),
        ({"lora": {"target_modules": []}}, "task_groups.nlp.finetuning.lora.target_modules", "all-linear"),
    ],
    ids=str,
)
def test_what_a_group_cannot_say_is_refused_by_its_key(own, key, hint):
    assert_refusal(complaint(config_of({"task_groups": {"nlp": {"finetuning": own}}})), key, hint)


def test_readers_of_adapters_depend_on_what_these_are_merged_into():
    """They also depend on an earlier run, whose weights may be removed. Readers of whole models need nothing else."""
    overlay = {"studies": {"mixing": {"finetuning": {"method": "lora"}}}}
    experiment = experiment_of(ONE_SEED, BOTH, overlay)
    paths = experiment.paths
    assert paths.merged_into(of_task("llama", "nlp", "gsm8k", 0)) == []
    base = paths.model_input("llama", 0)
    assert paths.merged_into(of_task("llama", "adapted", "gsm8k", 0)) == base
    after = next(run for run in experiment.runs if run.earlier)
    assert paths.merged_into(after) == [*paths.model_input(after.model, 0), f"{paths.checkpoints(after.earlier)}/final"]


@pytest.mark.parametrize(("group", "below"), [("nlp", False), ("adapted", True)])
def test_a_model_that_is_a_run_with_adapters_needs_its_base_as_well(group, below):
    source = {"model": "llama", "run": f"{group}.gsm8k.seed0"}
    experiment = experiment_of(ONE_SEED, BOTH, {"models": {"after": {"label": "After", "source": source}}})
    final = experiment.paths.checkpoints(of_task("llama", group, "gsm8k", 0)) + "/final"
    assert experiment.paths.model_input("after", 0) == [final, *(experiment.paths.model_input("llama", 0) * below)]


def test_a_run_that_was_trained_elsewhere_is_a_whole_model_beside_adapters():
    given = {"finetuned": {"sft": {"label": "SFT", "base": "llama", "source": {"path": "/given/sft"}}}}
    experiment = experiment_of(ONE_SEED, {"finetuning": {"method": "lora"}}, given)
    run = needed.elsewhere(experiment.config, "sft")
    assert experiment.paths.merged_into(run) == []
    model, _ = Sizes(experiment, NOWHERE).model("llama")
    assert courses.read_bytes(experiment, run.group, model) == model.parameters * 4
    assert courses.checkpoint_bytes(experiment, "nlp", model) < model.parameters * 4


def test_the_plan_counts_adapters_and_the_models_below_them():
    whole, adapted = experiment_of("config/paper.yaml", ONE_SEED), experiment_of(*PAPER)
    run = ("llama3-8b", "nlp.sgsm.seed0")
    model, _ = Sizes(adapted, NOWHERE).model("llama3-8b")
    kept = courses.checkpoint_bytes(adapted, "nlp", model)
    assert kept < courses.checkpoint_bytes(whole, "nlp", model) / 100
    assert courses.read_bytes(adapted, "nlp", model) == kept + model.bytes
    assert courses.read_bytes(whole, "nlp", model) == courses.checkpoint_bytes(whole, "nlp", model)
    job = job_of("finetune", adapted, *run)
    stored = {part.what: part for part in disk.parts(Sizes(adapted, NOWHERE), [job])}
    assert stored["final checkpoints"].formula == "runs × trained parameters × 4"
    assert stored["final checkpoints"].bytes == kept
    assert estimates.seconds(Sizes(adapted, NOWHERE), job) > 0


def test_adapters_below_adapters_are_counted_in_float32(tmp_path):
    """In bfloat16, a weight may round to the same value with and without the adapters."""
    later = {"label": "Later", "source": {"model": "llama3-8b", "run": "nlp.math.seed0"}}
    studies = {"adaptation": {"models": ["later"]}}
    experiment = experiment_of(*PAPER, {"models": {"later": later}, "studies": studies})
    jobs = [job_of("finetune", experiment, name, "nlp.sgsm.seed0") for name in ("llama3-8b", "later")]
    _, text = plan(experiment, jobs, tmp_path)
    assert "| Training adapters of llama3-8b | 17.1 GB |" in text
    assert "| Training adapters of later     | 33.1 GB |" in text


def test_the_papers_model_fits_on_one_gpu_of_24_gb(tmp_path):
    """The count leaves out activations, whose memory the plan does not know."""
    small = {"plan": {"gpu": "A10"}, "patterns": {"dtype": "bfloat16"}}
    experiment = experiment_of(*PAPER, small)
    jobs = [job_of(rule, experiment, "llama3-8b", "nlp.sgsm.seed0") for rule in ("finetune", "extract_patterns")]
    _, text = plan(experiment, jobs, tmp_path)
    assert "before activations, but A10" not in text
    assert "| Training adapters of llama3-8b               | 17.1 GB |" in text
    _, text = plan(experiment_of(*PAPER, {**small, "patterns": {"dtype": "float32"}}), jobs, tmp_path)
    assert (
        "Taking the patterns of llama3-8b in float32 takes 32 GB of memory on each GPU before activations, but A10 has"
        in text
    )
