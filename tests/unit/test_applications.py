"""The parts of the applications of section 5: runs, training sets, jobs, and the evaluated variants."""

import csv
import re
from collections import Counter

import pytest
from experiments import ONE_SEED, checked, config_of, meaning
from test_experiment import assign, complaint, section_4

from headpatterns.experiment import tables
from headpatterns.experiment.runs import AfterMixture, MixtureSet, Run, SelectedSet, TargetSet, of_task
from headpatterns.studies.mixing import settings as mixing
from headpatterns.studies.selection import settings as selection


@pytest.fixture
def config():
    """The project's config with small studies of section 5."""
    made = config_of(ONE_SEED)
    made["studies"]["mixing"] |= {"models": ["llama-weak", "llama"], "random_draws": 2}
    made["studies"]["selection"] |= {"models": ["llama"], "budgets": [25, 40], "random_draws": 2}
    made["studies"]["selection"]["methods"] = ["pattern", "bm25"]
    checked(made)
    return made


def test_candidates_are_the_basic_tasks_and_those_named_besides(config):
    assert mixing.candidates(meaning(config)) == [
        *("math", "gsm8k", "codesearchnet", "hellaswag", "winogrande", "arc"),
        "refgpt",
    ]


def test_runs_that_coincide_exist_once(config):
    """The candidate runs of the strongest model exist in section 4, except the run of the task in `also`."""
    experiment = meaning(config)
    shared, applied = set(section_4(experiment)), [*mixing.runs(experiment), *selection.runs(experiment)]
    own = {run for run in applied if run.model == "llama"} - shared
    assert of_task("llama", "nlp", "gsm8k", 0) in shared & set(applied)
    assert Counter(run.group for run in own) == {"nlp": 1, "mixing": 1 + 2 * 4, "selection": 2 * (1 + 2 * 5)}
    assert len(experiment.runs) == len(set(experiment.runs))


def test_a_model_that_is_only_evaluated_brings_the_run_it_starts_from(config):
    config["models"]["second"] = {"label": "x", "source": {"model": "opt", "run": "infinity.infinity-law.seed0"}}
    config["evaluation"]["sets"]["words"] = {"dataset": "gsm8k"}
    config["studies"]["benchmarks"] = {"checkpoints": [{"model": "second", "run": "base"}], "sets": ["words"]}
    assert of_task("opt", "infinity", "infinity-law", 0) in checked(config).runs


def test_training_on_the_target_starts_from_its_mixture():
    target, mixture = TargetSet("mathbench"), MixtureSet("random", 1, ("math", "arc"), 20)
    assert Run("m", AfterMixture(mixture, target), 3).earlier == Run("m", mixture, 3)
    assert Run("m", AfterMixture(mixture, target), 3).name == "mixing.random1.seed3"
    assert Run("m", mixture, 3).name == "mixing.random1-basic.seed3"
    assert MixtureSet("ours", None, (), 1).task == "ours-basic"
    for training_set in (target, mixture, of_task("m", "nlp", "math", 3).training_set):
        assert Run("m", training_set, 3).earlier is None


def test_a_domain_whose_name_begins_anothers(config):
    config["domains"]["maths-pure"] = {"label": "Pure", "tags": ["abstract_algebra"]}
    config["studies"]["selection"]["domains"] = ["maths", "maths-pure"]
    config["studies"]["selection"]["related"]["maths-pure"] = ["formal_logic"]
    experiment = checked(config)
    for domain in ("maths", "maths-pure"):
        for choice in selection.choices(experiment, domain):
            run = Run("llama", choice, 0)
            folder = f"results/mini/selections/llama/{domain}.seed0"
            assert experiment.paths.training_set(run) == f"{folder}/{choice.choice}.csv"
            assert run.name == f"selection.{domain}-{choice.choice}.seed0"


def test_every_needed_run_is_in_one_batch_and_no_other_run_is(config):
    config["seeds"] = [0, 4]
    config["models"]["later"] = {"label": "x", "source": {"model": "gemma", "run": "nlp.arc.seed9"}}
    config["studies"]["adaptation"]["models"].append("later")
    for size in (1, 3, 100):
        config["finetuning"]["runs_per_job"] = size
        experiment = meaning(config)
        batches = experiment.batches
        made = [run for batch in batches.values() for model, seed in batch.takers for run in batch.of(model, seed)]
        assert Counter(made) == Counter(experiment.runs)
        assert all(len(batch.training_sets) <= size for batch in batches.values())


def test_no_batch_holds_a_run_that_depends_on_the_patterns_of_another(config):
    config["finetuning"]["runs_per_job"] = 100
    for batch in meaning(config).batches.values():
        model, seed = next(iter(batch.takers))
        assert len({run.is_first_stage for run in batch.of(model, seed)}) == 1


def test_an_added_seed_leaves_the_batches_of_single_runs_alone(config):
    config["finetuning"]["runs_per_job"] = 1
    before = {name: batch.training_sets for name, batch in meaning(config).batches.items()}
    config["seeds"] = [0, 1]
    assert {name: batch.training_sets for name, batch in meaning(config).batches.items()} == before


def shared(config):
    """By model and name of a run: all training sets of its job, and whether the job keeps intermediate checkpoints."""
    return {
        (model, run.name): (batch.training_sets, batch.steps)
        for batch in meaning(config).batches.values()
        for model, seed in batch.takers
        for run in batch.of(model, seed)
    }


@pytest.mark.parametrize(
    "without",
    [
        {"mixing": {"models": []}},
        {"selection": {"models": []}},
        {"selection": {"domains": ["physics"]}},
        {"adaptation": {"models": ["llama", "gemma"]}, "validity": {"models": ["llama"]}},
        {"composition": {"groups": ["nlp"]}},
        {"composition": {"models": []}},
        {"validity": {"tasks": ["arc"]}},
    ],
)
def test_a_study_more_or_less_leaves_the_jobs_of_the_others_alone(config, without):
    """Four studies use opt and a second model, and the mixtures take tasks beyond those of their group."""
    config["models"]["second"] = {**config["models"]["gemma"], "label": "Second"}
    for study in ("adaptation", "composition", "mixing", "selection"):
        config["studies"][study]["models"] = ["llama", "opt", "second"]
    config["studies"]["dynamics"] |= {"models": ["llama"], "changes_most": None}
    config["studies"]["mixing"]["group"] = "nlp"
    with_all = shared(config)
    for study, settings in without.items():
        config["studies"][study] |= settings
    fewer = shared(config)
    assert fewer and all(with_all[run] == beside for run, beside in fewer.items() if run in with_all)
    assert any(len(sets) > 1 for sets, _ in fewer.values())


def test_the_test_items_are_not_probed(config):
    """D_T and a pseudo-private set are probed on their own instances; the latter is also probed on the pool."""
    assert TargetSet("mathbench").probe_sets == ("training",)
    probe_model = selection.probe_model_run(meaning(config), "llama", "maths", 0)
    assert probe_model.training_set.probe_sets == ("training", "mmlu")
    assert SelectedSet("maths", "mmlu", "pattern", None, 25).probe_sets == ()
    assert of_task("llama", "nlp", "refgpt", 0).training_set.probe_sets == ("refgpt",)


def test_what_is_evaluated(config, tmp_path):
    config["seeds"], config["seed_moves"] = [0, 1], ["order", "samples", "pretraining"]
    config["evaluation"]["sets"]["words"] = {"dataset": "gsm8k"}
    config["studies"]["benchmarks"] = {
        "checkpoints": [{"model": "opt", "run": "base"}, {"model": "opt", "run": "nlp.arc.seed1"}],
        "sets": ["words", "mathbench"],
    }
    tables.write_variant_table(tmp_path / "variants.csv", checked(config).variants)
    with (tmp_path / "variants.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert ",".join(read[0]) == "study,model,model_label,seed,variant,draw,budget,domain,domain_label,run,set"
    assert Counter(row["study"] for row in read) == {
        "competence": 2 * 3 * 2 * 7,
        "mixing": 2 * 2 * (2 + 4),
        "selection": 2 * 2 * (1 + 2 * 5),
        "benchmarks": 4,
    }
    mixing = [(row["variant"], row["draw"], row["run"]) for row in read if row["study"] == "mixing"][:6]
    assert mixing == [
        ("base", "", "base.seed0"),
        ("sft", "", "mixing.target.seed0"),
        ("ours", "", "mixing.ours.seed0"),
        ("random", "0", "mixing.random0.seed0"),
        ("random", "1", "mixing.random1.seed0"),
        ("oracle", "", "mixing.oracle.seed0"),
    ]
    physics = [row for row in read if row["domain"] == "physics" and row["seed"] == "1"]
    assert {row["set"] for row in physics} == {"mmlu-physics"}
    assert {row["domain_label"] for row in physics} == {"Physics"}
    assert "selection.physics-random1-40.seed1" in {row["run"] for row in physics}


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_every_pair_is_in_one_evaluation_batch(config, size):
    config["seeds"] = [0, 1]
    config["evaluation"]["checkpoints_per_job"] = size
    experiment = meaning(config)
    batches = experiment.evaluation_batches
    pairs = [(model, *pair) for (model, _), listed in batches.items() for pair in listed]
    assert set(pairs) == {(row["model"], row["run"], row["set"]) for row in experiment.variants}
    assert max(Counter(pairs).values()) == 1
    assert all(len(listed) <= size for listed in batches.values())
    for (_, batch), listed in batches.items():
        seed = batch.split(".")[1]
        assert {run.split(".")[-1] for run, _ in listed} <= {seed, "base"}


def test_an_added_seed_leaves_the_evaluation_batches_alone(config):
    before = meaning(config).evaluation_batches
    config["seeds"] = [0, 1]
    after = meaning(config).evaluation_batches
    assert {key: after[key] for key in before} == before


def test_studies_without_models_are_left_out(config):
    for name in ("competence", "mixing", "selection"):
        config["studies"][name]["models"] = []
    experiment = checked(config)
    assert mixing.runs(experiment) == selection.runs(experiment) == []
    assert experiment.variants == []
    assert set(experiment.runs) == set(section_4(experiment))
    assert not {"mathbench", "refgpt", "mmlu"} & set(experiment.datasets)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"studies.mixing.models": ["lama"]}, r"studies\.mixing\.models\[0\] names the unknown model 'lama'; did you"),
        ({"studies.mixing.target": "mathbank"}, "studies.mixing.target names the unknown dataset 'mathbank'; did you"),
        ({"studies.mixing.target": "arc"}, "studies.mixing.target is 'arc', which is a candidate as well"),
        ({"studies.mixing.also": ["arc"]}, "names 'arc', which is a task of the group 'nlp' already"),
        ({"studies.mixing.group": "nlps"}, "studies.mixing.group names the unknown task group 'nlps'; did you mean"),
        ({"studies.mixing.instructions": 0}, "studies.mixing.instructions: 0 is less than the minimum of 1"),
        ({"studies.selection.domains": ["math"]}, "names the unknown domain 'math'; did you mean 'maths'"),
        ({"studies.selection.budgets": [0]}, r"studies\.selection\.budgets\[0\]: 0 is less than the minimum"),
        ({"studies.selection.methods": ["bm25"]}, "studies.selection.methods lacks 'pattern', which the others are"),
        ({"studies.selection.finetuning.precision": "bf16"}, "studies.selection.finetuning.precision is unknown"),
        (
            {"studies.mixing.finetuning.global_batch_size": 32},
            "studies.mixing.finetuning.global_batch_size is 32, but devices 1 ×",
        ),
        (
            {"studies.benchmarks": {"checkpoints": [], "sets": ["arcs"]}},
            r"studies\.benchmarks\.sets\[0\] names the unknown evaluation set 'arcs'",
        ),
        (
            {"studies.benchmarks.checkpoints": [{"model": "llama", "run": "mixing.our.seed0"}]},
            r"checkpoints\[0\]\.run names the unknown run of this model 'mixing\.our\.seed0'; did you",
        ),
        (
            {"studies.benchmarks.checkpoints": [{"model": "llama", "run": "nlp.gsm8.seed0"}]},
            r"checkpoints\[0\]\.run names the unknown task of its group 'gsm8'; did you mean 'gsm8k'",
        ),
        (
            {"studies.benchmarks.checkpoints": [{"model": "llama", "run": "final"}]},
            r"checkpoints\[0\]\.run is 'final': write the name of a run",
        ),
        ({"evaluation.sets.mathbench": {"dataset": "arc"}}, r"evaluation\.sets\.mathbench has the name of a set of"),
        ({"evaluation.sets.x": {"dataset": "ark"}}, r"evaluation\.sets\.x\.dataset names the unknown dataset 'ark'"),
        (
            {
                "evaluation.sets.x": {"opencompass": "ARC_c/ARC_c_gen_1e0de5"},
                "studies.benchmarks": {"checkpoints": [{"model": "opt", "run": "base"}], "sets": ["x"]},
            },
            "evaluation.opencompass_data is null, but an evaluation set is a configuration of OpenCompass",
        ),
        ({"evaluation.max_new_tokens": 256}, "evaluation.max_new_tokens is 256, which leaves no room for a prompt"),
        ({"evaluation.sets.x": {}}, r"evaluation\.sets\.x"),
        (
            {"evaluation.sets.mmlu-physics": {"dataset": "arc"}},
            r"evaluation\.sets\.mmlu-physics has the name of a set of",
        ),
        (
            {
                "domains.maths-base": {"label": "x", "tags": ["a"]},
                "studies.selection.domains": ["maths", "maths-base"],
                "studies.selection.methods": ["pattern", "base-pattern"],
            },
            "has 'maths' and 'maths-base', whose runs cannot be told apart: rename one",
        ),
        (
            {"domains.all": {"label": "x", "tags": ["a"]}, "studies.selection.domains": ["all"]},
            r"domains\.all has the name of the mean over domains",
        ),
        ({"studies.selection.budgets": [7, 50]}, r"studies\.selection\.budgets has 7, less than one step of global"),
        ({"studies.mixing.instructions": 7}, r"studies\.mixing\.instructions has 7, less than one step of global"),
        (
            {"studies.benchmarks": {"checkpoints": [{"model": "opt", "run": "base"}], "sets": []}},
            r"studies\.benchmarks has only sets or only checkpoints",
        ),
        (
            {"studies.benchmarks.checkpoints": [{"model": "opt", "run": "base"}, {"model": "opt", "run": "base"}]},
            r"studies\.benchmarks\.checkpoints names base of opt twice: name it once",
        ),
        ({"task_groups.mixing": {"tasks": ["arc"]}}, r"task_groups\.mixing has the name of the runs of"),
        ({"embedded.sizes.mmlus": {"train": 3}}, r"embedded\.sizes\.mmlus names the unknown generator 'mmlus'; did"),
        ({"datasets.mmlu.sampling.probes": 3}, r"datasets\.mmlu\.sampling\.probes is unknown; did you mean 'probe'"),
    ],
)
def test_what_is_refused(config, changes, sentence):
    for path, value in changes.items():
        assign(config, path, value)
    assert re.search(sentence, complaint(config))


def test_composition_of_no_model_needs_no_complex_task(config):
    """Without the study, runs that only its groups need are not trained, and a group may lack a complex task."""
    for group in config["task_groups"].values():
        del group["complex"], group["expected_pair"]
    config["studies"]["composition"]["models"] = []
    assert {run.group for run in meaning(config).runs} == {"nlp", "mixing", "selection"}
    assert checked(config).runs
