"""What a config means, and what is said of a config that cannot be run."""

import copy
import csv
import re
from collections import Counter

import pytest
from project import config_in
from refusals import assert_refusal
from scripts import FOLDER

from headpatterns.errors import InputError
from headpatterns.experiment import checks as config_checks
from headpatterns.experiment import config as experiment
from headpatterns.experiment.runs import Run

RULES = ["finetune", "extract_patterns", "ablate_heads", "pretrain"]


def config_of_the_project():
    return config_in("config.yaml")


@pytest.fixture
def config():
    return config_of_the_project()


def assign(config, path, value):
    """Set `a.b[0].c`; `...` removes the key."""
    *parents, last = [int(word) if word.isdigit() else word for word in re.findall(r"[^.\[\]]+", path)]
    place = config
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value


def without_applications(config):
    """Leave out the studies of section 5."""
    for name in ("mixing", "selection"):
        config["studies"][name]["models"] = []


def complaint(config):
    """The sentence about a config."""
    with pytest.raises(InputError) as refused:
        config_checks.check(config, RULES)
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


def test_the_config_of_the_project_passes(config):
    before = copy.deepcopy(config)
    config_checks.check(config, RULES)
    assert config == before


PATH = {"path": "/nowhere/*.jsonl"}
HUB = {"hub": "org/name", "split": "train", "revision": "abc"}


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        # Keys and types.
        ({"finetunning": {}}, "finetunning", "did you mean 'finetuning'?"),
        ({"weather": 1}, "weather", "valid are: experiment, seeds"),
        ({"finetuning.learning_rat": 1.0}, "finetuning.learning_rat", "did you mean 'learning_rate'?"),
        ({"models.llama.source.steps": 700}, "models.llama.source.steps", "did you mean 'step'?"),
        ({"studies.dynamic": {}}, "studies.dynamic", "did you mean 'dynamics'?"),
        ({"finetuning.learning_rate": "1e-3"}, "finetuning.learning_rate", ("'1e-3'", "number", "write 1.0e-3")),
        ({"seeds": 0}, "seeds", ("0", "array")),
        ({"seeds": [0, "one"]}, "seeds[1]", ("'one'", "integer")),
        ({"finetuning.max_steps": 0}, "finetuning.max_steps", ("0", "minimum of 1")),
        ({"finetuning.precision": "fp64"}, "finetuning.precision", ("'fp64'", "['fp32', 'bf16']")),
        ({"studies.adaptation.models": []}, "studies.adaptation.models", ("[]", "non-empty")),
        ({"sampling.probe": ...}, "sampling", "lacks 'probe': add it"),
        ({"analysis": ...}, "(top level)", "lacks 'analysis': add it"),
        ({"models.Llama 3": {"label": "x", "source": {}}}, "models", ("'Llama 3'", "use lower-case letters")),
        # Names.
        ({"prompt_template": "alpacca"}, "prompt_template", ("'alpacca'", "did you mean alpaca?")),
        (
            {"prompt_template": "{instruction} {instruction}"},
            "prompt_template",
            "contains {instruction} 2 times",
        ),
        ({"datasets.gsm8k.options": {"keep_marks": True}}, "datasets.gsm8k.options", "keep_marks"),
        (
            {"datasets.gsm8k.train": [{"path": str(FOLDER)}]},
            "datasets.gsm8k",
            "mixes the embedded experiment's rows with",
        ),
        ({"models.embedded": {"label": "x", "source": {"path": "x"}}}, "models.embedded", "name that is taken"),
        (
            {"task_groups.nlp.expected_pair": ["gsm8k", "sgsm"]},
            "task_groups.nlp.expected_pair",
            "names the complex task",
        ),
        ({"finetuning.checkpoint_steps": [2, 65]}, "finetuning.checkpoint_steps", ("65", "max_steps 40")),
        ({"tokenization.max_length": 600}, "tokenization.max_length", ("600", "models.llama has 512 positions")),
        (
            {"studies.adaptation.models[1]": "gema"},
            "studies.adaptation.models[1]",
            ("unknown model 'gema'", "did you mean 'gemma'?"),
        ),
        (
            {"task_groups.nlp.tasks[1]": "gsm8"},
            "task_groups.nlp.tasks[1]",
            ("unknown dataset 'gsm8'", "did you mean 'gsm8k'?"),
        ),
        (
            {"task_groups.nlp.expected_pair[0]": "gsm8"},
            "task_groups.nlp.expected_pair[0]",
            ("unknown dataset 'gsm8'", "did you mean 'gsm8k'?"),
        ),
        (
            {"datasets.gsm8k.adapter": "gsm8"},
            "datasets.gsm8k.adapter",
            ("unknown adapter 'gsm8'", "did you mean 'gsm8k'?"),
        ),
        (
            {"studies.adaptation.group": "npl"},
            "studies.adaptation.group",
            ("unknown task group 'npl'", "did you mean 'nlp'?"),
        ),
        (
            {"studies.composition.groups[1]": "infinite"},
            "studies.composition.groups",
            ("unknown task group 'infinite'", "did you mean 'infinity'?"),
        ),
        (
            {"studies.dynamics.changes_most": "op"},
            "studies.dynamics.changes_most",
            ("unknown model of the study 'op'", "did you mean 'opt'?"),
        ),
        (
            {"task_groups.nlp.complex": "hellaswg"},
            "task_groups.nlp.complex",
            ("unknown task of the group 'hellaswg'", "did you mean 'hellaswag'?"),
        ),
        (
            {"task_groups.nlp.complex": "infinity-law"},
            "task_groups.nlp.complex",
            ("unknown task of the group 'infinity-law'", "valid are: math, gsm8k"),
        ),
        ({"task_groups.nlp.complex": ...}, "task_groups.nlp.complex", ("missing", "studies.composition needs it")),
        ({"task_groups.nlp.tasks": ["sgsm"]}, "task_groups.nlp.tasks", "no task besides the complex one"),
        ({"resources.finetun": {}}, "resources.finetun", ("unknown rule 'finetun'", "did you mean 'finetune'?")),
        # Sources of models.
        ({"models.llama.source": {}}, "models.llama.source", "exactly one of pretraining, path, hub and model"),
        (
            {"models.llama.source.path": "x"},
            "models.llama.source",
            ("exactly one of pretraining, path, hub and model", "it has pretraining"),
        ),
        (
            {"models.llama.source.pretraining": "lama"},
            "models.llama.source.pretraining",
            ("unknown pretraining run 'lama'", "did you mean 'llama'?"),
        ),
        (
            {"models.llama.source.step": 123},
            "models.llama.source.step",
            ("123", "pretraining.llama", "[100, 200, 400]"),
        ),
        (
            {"pretraining.llama.checkpoint_steps": [200, 100, 900], "models.llama.source.step": 900},
            "models.llama.source.step",
            ("900", "pretraining.llama", "[100, 200, 400]"),
        ),
        ({"models.llama.source.step": ...}, "models.llama.source", ("lacks 'step'", "kind pretraining needs")),
        ({"models.llama.source": {"hub": "a/b"}}, "models.llama.source", ("lacks 'revision'", "kind hub")),
        (
            {"models.llama.source": {"hub": "a/b", "revision": "c", "step": 3}},
            "models.llama.source.step",
            ("kind hub", "remove it"),
        ),
        ({"models.llama.source": {"hub": "llama", "revision": "c"}}, "models.llama.source.hub", "'llama'"),
        (
            {"models.llama.source": {"path": "/nowhere"}},
            "models.llama.source.path",
            ("/nowhere", "no model (no config.json)", "fix the path"),
        ),
        (
            {"models.llama.source": {"path": "$NOT_SET/x"}},
            "models.llama.source.path",
            "environment variable NOT_SET, which is not set",
        ),
        (
            {"models.llama.source": {"model": "gema", "run": "nlp.gsm8k.seed0"}},
            "models.llama.source.model",
            ("unknown model 'gema'", "did you mean 'gemma'?"),
        ),
        (
            {"models.llama.source": {"model": "gemma", "run": "npl.gsm8k.seed0"}},
            "models.llama.source.run",
            ("unknown task group 'npl'", "did you mean 'nlp'?"),
        ),
        (
            {"models.llama.source": {"model": "gemma", "run": "nlp.gsm8.seed0"}},
            "models.llama.source.run",
            ("unknown task of its group 'gsm8'", "did you mean 'gsm8k'?"),
        ),
        (
            {"models.llama.source": {"model": "gemma", "run": "gsm8k"}},
            "models.llama.source.run",
            ("'gsm8k'", "GROUP.TASK.seedN"),
        ),
        ({"models.llama.source": {"model": "gemma"}}, "models.llama.source", ("lacks 'run'", "kind model")),
        (
            {
                "models.llama.source": {"model": "opt", "run": "nlp.gsm8k.seed0"},
                "models.opt.source": {"model": "llama", "run": "nlp.arc.seed0"},
            },
            "models.llama.source.model",
            ("(opt → llama → opt)", "start from another"),
        ),
        (
            {
                "models.llama.source": {"model": "opt", "run": "nlp.gsm8k.seed0"},
                "models.opt.source": {"model": "lama", "run": "nlp.arc.seed0"},
            },
            "models.opt.source.model",
            ("unknown model 'lama'", "did you mean 'llama'?"),
        ),
        # Sources of rows.
        ({"datasets.arc.train[0]": {}}, "datasets.arc.train[0]", "exactly one of embedded, path and hub"),
        (
            {"datasets.arc.train[0]": {**HUB, **PATH}},
            "datasets.arc.train[0]",
            ("exactly one of embedded, path and hub", "it has path and hub"),
        ),
        (
            {"datasets.arc.probe[0].embedded": "ark"},
            "datasets.arc.probe[0].embedded",
            ("unknown generator 'ark'", "did you mean 'arc'?"),
        ),
        ({"datasets.arc.train[0].file": ...}, "datasets.arc.train[0]", ("lacks 'file'", "kind embedded")),
        (
            {"datasets.arc.train[0]": {"hub": "org/name", "split": "train"}},
            "datasets.arc.train[0]",
            ("lacks 'revision'", "kind hub", "add it"),
        ),
        (
            {"datasets.arc.train[0].revision": "abc"},
            "datasets.arc.train[0].revision",
            ("kind embedded", "remove it"),
        ),
        (
            {"datasets.arc.train[0]": {"path": "/nowhere/*.jsonl"}},
            "datasets.arc.train[0].path",
            ("/nowhere/*.jsonl", "fix the path"),
        ),
        (
            {"datasets.arc.probe[0]": {"path": "${NOT_SET}/x.jsonl"}},
            "datasets.arc.probe[0].path",
            ("environment variable NOT_SET", "export it"),
        ),
        # Sizes.
        (
            {"finetuning.global_batch_size": 24},
            "finetuning.global_batch_size",
            ("24", "devices 1 × per_device_batch_size"),
        ),
        ({"finetuning.nodes": 2}, "finetuning.devices", ("1", "2 nodes cannot share equally")),
        ({"finetuning.optimizer": "adamw_offloaded"}, "finetuning.optimizer", ("adamw_offloaded", "needs engine")),
        ({"resources.extract_patterns": {"gpu": 1}}, "resources", ("GPUs", "device is cpu")),
        ({"resources.finetune.gpu": 1}, "resources.finetune.gpu", "finetuning.devices says how many"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_sentence_with_the_keys_path(config, changes, key, hint):
    for path, value in changes.items():
        assign(config, path, value)
    assert_refusal(complaint(config), f"config key {key}", hint)


def test_what_an_overlay_may_say(config, tmp_path, monkeypatch):
    """Sources of every kind, environment variables, globs; paths of what no study selects are not looked at."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"max_position_embeddings": 256}')
    (tmp_path / "model" / "tokenizer.json").touch()
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.jsonl").touch()
    monkeypatch.setenv("MY_DATA", str(tmp_path))
    config["models"]["own"] = {"label": "Own", "source": {"path": "$MY_DATA/model"}}
    config["models"]["hub"] = {"label": "Hub", "source": {"hub": "org/name", "revision": "abc"}}
    config["models"]["elsewhere"] = {"label": "Elsewhere", "source": {"path": "$NOT_SET/model"}}
    config["datasets"]["arc"]["train"] = [{"path": "${MY_DATA}/rows/*.jsonl"}, {"path": "$MY_DATA/rows"}]
    config["datasets"]["arc"]["probe"] = [{**HUB, "name": "main"}, HUB]
    config["datasets"]["elsewhere"] = {"label": "Elsewhere", "adapter": "gsm8k", "train": [{"path": "/nowhere"}]}
    config["studies"]["adaptation"]["models"] = ["own", "hub"]
    config["task_groups"]["nlp"]["tasks"] = ["arc", "sgsm"]  # the expected pair is not among them
    config |= {"seeds": [3, 1], "device": "cuda"}
    config["resources"]["extract_patterns"] = {"gpu": 1}
    config_checks.check(config, RULES)
    assert experiment.expand("${MY_DATA}/x", "key") == f"{tmp_path}/x"
    assert not any(pair.startswith("nlp=") for pair in experiment.expected_pairs(config))


def test_every_run_is_listed_once(config):
    runs = experiment.runs(config)
    assert max(Counter(runs).values()) == 1
    groups = config["task_groups"]
    wanted = {(model, "nlp", task) for model in ("llama", "gemma", "opt") for task in groups["nlp"]["tasks"]}
    wanted |= {("llama", "infinity", task) for task in groups["infinity"]["tasks"]}
    assert {(run.model, run.group, run.task) for run in runs} == wanted
    assert len(runs) == 3 * 7 + 7
    config["studies"]["dynamics"]["models"] = ["llama-weak"]
    assert len(experiment.runs(config)) == 3 * 7 + 7 + 7


def test_a_model_after_an_earlier_run(config):
    config["models"]["two"] = {"label": "x", "source": {"model": "gemma", "run": "nlp.arc.seed5"}}
    config["models"]["three"] = {"label": "x", "source": {"model": "two", "run": "nlp.math.seed0"}}
    config_checks.check(config, RULES)
    assert experiment.base_model(config, "three") == "gemma"
    assert experiment.base_model(config, "opt") == "opt"
    without_applications(config)
    assert experiment.needed_runs(config) == experiment.runs(config)
    config["studies"]["adaptation"]["models"] = ["three"]
    earlier = set(experiment.needed_runs(config)) - set(experiment.runs(config))
    assert earlier == {Run("two", "nlp", "math", 0), Run("gemma", "nlp", "arc", 5)}


def test_seeds_multiply_runs(config):
    single = experiment.runs(config)
    config["seeds"] = [4, 2]
    runs = experiment.runs(config)
    assert len(runs) == 2 * len(single)
    assert Counter(run.seed for run in runs) == {4: len(single), 2: len(single)}
    assert [run.seed for run in runs[:4]] == [4, 2, 4, 2]


def test_the_name_of_a_run_says_what_it_is(config):
    names = [(run.model, run.name) for run in experiment.runs(config)]
    assert len(set(names)) == len(names)
    assert names[0] == ("llama", "nlp.math.seed0")
    for run in experiment.runs(config):
        assert Run.named(run.model, run.name) == run
    assert Run.named("m", "infinity.infinity-reasoning_2.seed17") == Run("m", "infinity", "infinity-reasoning_2", 17)


def test_the_run_table(config, tmp_path):
    config["seeds"] = [0, 1]
    config["studies"]["adaptation"]["models"] = ["opt", "llama"]
    rows = experiment.run_table(config, lambda run: f"patterns/{run.model}/{run.name}/{run.task}")
    experiment.write_run_table(tmp_path / "runs.csv", rows)
    with (tmp_path / "runs.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == (
        ["study", "group", "model", "model_label", "task", "task_label", "family", "role", "seed", "run", "patterns"]
    )
    assert read[0] == {
        "study": "adaptation",
        "group": "nlp",
        "model": "opt",
        "model_label": "OPT (mini)",
        "task": "math",
        "task_label": "MATH",
        "family": "maths and code",
        "role": "basic",
        "seed": "0",
        "run": "nlp.math.seed0",
        "patterns": "patterns/opt/nlp.math.seed0/math",
    }
    studies = list(dict.fromkeys(row["study"] for row in read))
    assert studies == ["adaptation", "composition", "dynamics"]
    assert Counter(row["study"] for row in read) == {
        "adaptation": 2 * 7 * 2,
        "composition": 14 * 2,
        "dynamics": 3 * 7 * 2,
    }
    adaptation = [row for row in read if row["study"] == "adaptation"]
    assert list(dict.fromkeys(row["model"] for row in adaptation)) == ["opt", "llama"]
    assert list(dict.fromkeys(row["task"] for row in adaptation)) == config["task_groups"]["nlp"]["tasks"]
    complex_tasks = {(row["group"], row["task"]) for row in read if row["role"] == "complex"}
    assert complex_tasks == {("nlp", "sgsm"), ("infinity", "infinity-reasoning-programming")}
    assert all(row["family"] == "" for row in read if row["group"] == "infinity")


def test_expected_pairs_in_the_order_of_the_tasks(config):
    assert experiment.expected_pairs(config) == [
        "nlp=gsm8k+codesearchnet",
        "infinity=infinity-reasoning+infinity-programming",
    ]
    config["task_groups"]["nlp"]["expected_pair"].reverse()
    assert experiment.expected_pairs(config)[0] == "nlp=gsm8k+codesearchnet"
    del config["task_groups"]["infinity"]["expected_pair"]
    assert len(experiment.expected_pairs(config)) == 1


def test_sizes_fall_back_to_the_default(config):
    config["resources"] = {
        "default": {"threads": 1, "mem_mb": 2000, "runtime": 20, "gpu": 0},
        "finetune": {"mem_mb": 9000},
    }
    assert experiment.size(config, "finetune") == {"threads": 1, "mem_mb": 9000, "runtime": 20, "gpu": 0}
    assert experiment.size(config, "pretrain") == config["resources"]["default"]


def test_the_digest_follows_content_alone(config):
    shuffled = dict(reversed(config_of_the_project().items()))
    assert experiment.digest(config) == experiment.digest(shuffled)
    config["analysis"]["seed"] += 1
    assert experiment.digest(config) != experiment.digest(shuffled)
    elsewhere = {**config, "cluster": {**config["cluster"], "account": "mine"}, "plan": {}}
    assert experiment.digest(config) == experiment.digest(elsewhere)


def test_the_state_of_folders_changes_with_their_files(tmp_path):
    (tmp_path / "rows" / "deep").mkdir(parents=True)
    file = tmp_path / "rows" / "deep" / "a.json"
    file.write_text("1")
    states = [experiment.state_of_folders([tmp_path / "rows"])]
    assert experiment.state_of_folders([tmp_path / "rows"]) == states[0]
    file.write_text("12")
    states.append(experiment.state_of_folders([tmp_path / "rows"]))
    (tmp_path / "rows" / "b.json").touch()
    states.append(experiment.state_of_folders([tmp_path / "rows"]))
    assert len(set(states)) == 3
    assert experiment.state_of_folders([file]) == experiment.state_of_folders([]) == ""
