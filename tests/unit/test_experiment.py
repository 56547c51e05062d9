"""The meaning of a config, and the errors for a config that cannot be run."""

import copy
import csv
import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from experiments import ONE_SEED, checked, config_of, meaning, stacks
from refusals import assert_refusal
from scripts import FOLDER

from headpatterns.errors import InputError
from headpatterns.experiment import checks, files, missing, needed, tables, written
from headpatterns.experiment import own as own_files
from headpatterns.experiment.own import OwnFiles
from headpatterns.experiment.runs import Run, TaskSet, of_task
from headpatterns.experiment.sources import EmbeddedRows, Pretrained
from headpatterns.io import sha256
from headpatterns.studies.composition.settings import expected_pairs
from headpatterns.training.recipe import KEYS, Recipe


@pytest.fixture
def config():
    return config_of(ONE_SEED)


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
    """The error for a config, with one line per problem."""
    with pytest.raises(InputError) as refused:
        checked(config)
    return str(refused.value)


def section_4(experiment):
    """Runs of the studies that read patterns through the run table, in display order."""
    found = [run for study in experiment.studies if study.in_run_table for run in study.runs(experiment)]
    return list(dict.fromkeys(found))


def test_the_config_of_the_project_passes(config):
    before = copy.deepcopy(config)
    checked(config)
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
        ({"studies.composition.groups": []}, "studies.composition.groups", ("[]", "non-empty")),
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
            "mixes rows of the embedded experiment with",
        ),
        ({"models.embedded": {"label": "x", "source": {"path": "x"}}}, "models.embedded", "has the name of the"),
        (
            {"task_groups.nlp.expected_pair": ["gsm8k", "sgsm"]},
            "task_groups.nlp.expected_pair",
            "names the complex task",
        ),
        (
            {"finetuning.max_steps": 150, "finetuning.checkpoint_steps": [2, 151]},
            "finetuning.checkpoint_steps",
            ("151", "max_steps 150"),
        ),
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
        ({"task_groups.nlp.tasks": ["sgsm"]}, "task_groups.nlp.tasks", "only the complex task"),
        ({"resources.finetun": {}}, "resources.finetun", ("unknown rule 'finetun'", "did you mean 'finetune'?")),
        # Sources of models.
        ({"models.llama.source": {}}, "models.llama.source", "exactly one of pretraining, path, gguf, hub and model"),
        (
            {"models.llama.source.path": "x"},
            "models.llama.source",
            ("exactly one of pretraining, path, gguf, hub and model", "it has pretraining"),
        ),
        (
            {"models.llama.source.pretraining": "lama"},
            "models.llama.source.pretraining",
            ("unknown pretraining run 'lama'", "did you mean 'llama'?"),
        ),
        (
            {"models.llama.source.step": 123},
            "models.llama.source.step",
            ("123", "pretraining.llama", "[900, 1800, 2700]"),
        ),
        (
            {"pretraining.llama.checkpoint_steps": [200, 100, 4900], "models.llama.source.step": 4900},
            "models.llama.source.step",
            ("4900", "pretraining.llama", "[100, 200, 2700]"),
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
            {"models.llama.source": {"gguf": "x.gguf", "path": "x"}},
            "models.llama.source",
            ("exactly one of pretraining, path, gguf, hub and model", "it has path and gguf"),
        ),
        (
            {"models.llama.source": {"gguf": "x.gguf", "revision": "c"}},
            "models.llama.source.revision",
            ("kind gguf", "remove it"),
        ),
        (
            {
                "models.llama.source": {"path": "/models/x"},
                "models.llama.size": {"parameters": 10**6, "layers": 2, "heads": 2, "width": 8},
            },
            "models.llama.size",
            "is set, but the files of this model are read",
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
        ({"datasets.arc.train[0]": {}}, "datasets.arc.train[0]", "exactly one of embedded, path, pinned and hub"),
        (
            {"datasets.arc.train[0]": {**HUB, **PATH}},
            "datasets.arc.train[0]",
            ("exactly one of embedded, path, pinned and hub", "it has path and hub"),
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
            {"datasets.arc.train[0]": {"pinned": "ark", "files": "ARC-Easy/train-*.parquet"}},
            "datasets.arc.train[0].pinned",
            ("unknown dataset of config/datasets.csv 'ark'", "did you mean 'arc'?"),
        ),
        (
            {"datasets.arc.train[0]": {"pinned": "arc", "files": "ARC-Easy/train.parquet"}},
            "datasets.arc.train[0].files",
            ("unknown pattern of arc in config/datasets.csv", "did you mean 'ARC-Easy/train-*.parquet'?"),
        ),
        (
            {"datasets.arc.train[0]": {"pinned": "infinity-instruct", "files": "0625/*"}},
            "datasets.arc.train[0].pinned",
            ("config/datasets.csv has no version of it", "write the version there"),
        ),
        ({"datasets.arc.train[0]": {"pinned": "arc"}}, "datasets.arc.train[0]", ("lacks 'files'", "kind pinned")),
        ({"sources": "mirrors"}, "sources", ("'mirrors'", "primary", "mirror")),
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
        # Reductions.
        (
            {"patterns.reduction": "sum_of_abs"},
            "patterns.also",
            ("names 'sum_of_abs'", "which is patterns.reduction already", "remove it"),
        ),
        ({"patterns.also": ["sum_of_abs", "sum_of_abs"]}, "patterns.also", "names sum_of_abs twice: name it once"),
        ({"patterns.also": ["mean"]}, "patterns.also[0]", ("mean", "sum_of_abs")),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_sentence_with_the_keys_path(config, changes, key, hint):
    for path, value in changes.items():
        assign(config, path, value)
    assert_refusal(complaint(config), f"config key {key}", hint)


def test_what_an_overlay_may_say(config, tmp_path, monkeypatch):
    """Sources of every kind, environment variables and globs; paths that no study selects are not checked."""
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
    config["task_groups"]["nlp"]["tasks"] = ["arc", "sgsm"]  # without the expected pair and `parts`
    config["studies"]["mixing"]["parts"] = None
    config |= {"seeds": [3, 1], "device": "cuda"}
    config["resources"]["extract_patterns"] = {"gpu": 1}
    experiment = checked(config)
    assert not any(group == "nlp" for group in expected_pairs(experiment))
    assert not missing.away(experiment)
    assert files.expand("${MY_DATA}/x") == f"{tmp_path}/x"


def test_an_overlay_may_leave_out_section_5_with_what_it_says(config):
    """A study without models keeps the candidates, related tags and sizes of the base config without a check."""
    config["task_groups"]["nlp"]["tasks"] = ["arc", "sgsm"]
    config["studies"]["selection"] |= {"domains": ["maths"], "related": {"law": ["x"]}}
    config["finetuning"] |= {"per_device_batch_size": 2, "gradient_accumulation_steps": 8, "global_batch_size": 16}
    for study in ("mixing", "selection"):
        config["studies"][study]["finetuning"] |= {"per_device_batch_size": 128, "global_batch_size": 1024}
    said = complaint(config)
    assert_refusal(said, "config key studies.mixing.parts[0]", "unknown candidate 'gsm8k'")
    assert_refusal(said, "config key studies.selection.related.law", "unknown domain 'law'")
    assert_refusal(said, "config key studies.selection.related", "lacks the domain 'maths'")
    config["studies"]["mixing"]["parts"] = config["studies"]["selection"]["related"] = None
    said = complaint(config)
    assert_refusal(said, "config key studies.mixing.instructions", ("512", "one step of global_batch_size 1024"))
    assert_refusal(said, "config key studies.selection.budgets", ("48", "one step of global_batch_size 1024"))
    for study in ("mixing", "selection"):
        config["studies"][study]["finetuning"]["global_batch_size"] = 8
    assert_refusal(complaint(config), "config key studies.mixing.finetuning.global_batch_size", ("8", "1024"))
    config["studies"]["mixing"]["parts"] = ["gsm8k", "refgpt"]
    config["studies"]["selection"]["related"] = {"law": ["x"]}
    without_applications(config)
    assert {run.group for run in checked(config).runs} == {"nlp", "infinity"}


def test_every_run_is_listed_once(config):
    runs = section_4(meaning(config))
    assert max(Counter(runs).values()) == 1
    groups = config["task_groups"]
    wanted = {(model, "nlp", task) for model in ("llama", "gemma", "opt") for task in groups["nlp"]["tasks"]}
    wanted |= {("llama", "infinity", task) for task in groups["infinity"]["tasks"]}
    assert {(run.model, run.group, run.task) for run in runs} == wanted
    assert len(runs) == 3 * 7 + 7
    config["studies"]["dynamics"]["models"] = ["llama-weak"]
    assert len(section_4(meaning(config))) == 3 * 7 + 7 + 7


def test_a_model_after_an_earlier_run(config):
    config["models"]["two"] = {"label": "x", "source": {"model": "gemma", "run": "nlp.arc.seed5"}}
    config["models"]["three"] = {"label": "x", "source": {"model": "two", "run": "nlp.math.seed0"}}
    experiment = checked(config)
    assert needed.base_model(experiment.config, "three") == "gemma"
    assert needed.base_model(experiment.config, "opt") == "opt"
    without_applications(config)
    assert meaning(config).runs == section_4(meaning(config))
    config["studies"]["adaptation"]["models"] = ["three"]
    experiment = meaning(config)
    earlier = set(experiment.runs) - set(section_4(experiment))
    assert earlier == {of_task("two", "nlp", "math", 0), of_task("gemma", "nlp", "arc", 5)}


def test_seeds_multiply_runs(config):
    single = section_4(meaning(config))
    config["seeds"] = [4, 2]
    runs = section_4(meaning(config))
    assert len(runs) == 2 * len(single)
    assert Counter(run.seed for run in runs) == {4: len(single), 2: len(single)}
    assert [run.seed for run in runs[:4]] == [4, 2, 4, 2]


def test_runs_that_decide_what_others_are_trained_on_come_first(config):
    first = sorted(run.name for run in meaning(config).first_runs)
    tasks = ["arc", "codesearchnet", "gsm8k", "hellaswag", "math", "refgpt", "winogrande"]
    probed = ["selection.biology-pseudo-private.seed0", "selection.physics-pseudo-private.seed0"]
    assert first == ["mixing.target.seed0", *(f"nlp.{task}.seed0" for task in tasks), *probed]
    config["studies"]["mixing"]["models"] = config["studies"]["selection"]["models"] = []
    assert not meaning(config).first_runs


def test_the_name_of_a_run_says_what_it_is(config):
    runs = meaning(config).runs
    names = [(run.model, run.name) for run in runs]
    assert len(set(names)) == len(names)
    assert names[0] == ("llama", "nlp.math.seed0")
    assert Run("m", TaskSet("infinity", "infinity-reasoning_2"), 17).name == "infinity.infinity-reasoning_2.seed17"


def test_the_run_table(config, tmp_path):
    config["seeds"] = [0, 1]
    config["studies"]["adaptation"]["models"] = ["opt", "llama"]
    tables.write_run_table(tmp_path / "runs.csv", tables.run_rows(meaning(config)))
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
        "patterns": "results/mini/patterns/opt/nlp.math.seed0/math",
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
    assert expected_pairs(meaning(config)) == {
        "nlp": ["gsm8k", "codesearchnet"],
        "infinity": ["infinity-reasoning", "infinity-programming"],
    }
    config["task_groups"]["nlp"]["expected_pair"].reverse()
    assert expected_pairs(meaning(config))["nlp"] == ["gsm8k", "codesearchnet"]
    del config["task_groups"]["infinity"]["expected_pair"]
    assert list(expected_pairs(meaning(config))) == ["nlp"]


def test_sizes_fall_back_to_the_default(config):
    config["resources"] = {
        "default": {"threads": 1, "mem_mb": 2000, "runtime": 20, "gpu": 0},
        "finetune": {"mem_mb": 9000},
    }
    assert meaning(config).config.size("finetune") == {"threads": 1, "mem_mb": 9000, "runtime": 20, "gpu": 0}
    assert meaning(config).config.size("pretrain") == config["resources"]["default"]


def test_the_digest_follows_content_alone(config):
    shuffled = dict(reversed(config_of(ONE_SEED).items()))
    assert written.digest(config) == written.digest(shuffled)
    config["analysis"]["seed"] += 1
    assert written.digest(config) != written.digest(shuffled)
    elsewhere = {**config, "cluster": {**config["cluster"], "account": "mine"}, "plan": {}}
    assert written.digest(config) == written.digest(elsewhere)


def test_the_state_of_paths_is_that_of_their_content(tmp_path):
    (tmp_path / "rows" / "deep").mkdir(parents=True)
    file, plain = tmp_path / "rows" / "deep" / "a.json", tmp_path / "b.jsonl"
    file.write_text("1")
    plain.write_text("1")

    def states():
        return [OwnFiles({}).state("rows", str(path)) for path in (tmp_path / "rows", plain)]

    first = states()
    told = plain.stat()
    for path in (file, plain):
        path.write_text("2")
        os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert plain.stat().st_size == told.st_size and plain.stat().st_mtime_ns == told.st_mtime_ns
    second = states()
    assert all(before != after for before, after in zip(first, second, strict=True))
    for path in (file, plain):
        path.write_text("1")
        os.utime(path)
    assert states() == first
    (tmp_path / "rows" / "c.json").touch()
    assert states()[0] != first[0] and states()[1] == first[1]
    assert OwnFiles({}).state("rows") == ""


def test_a_file_is_read_once_and_in_a_dry_run_only_if_a_job_has_read_it(tmp_path, monkeypatch):
    file = tmp_path / "a.jsonl"
    file.write_text("{}")
    read = []
    monkeypatch.setattr(own_files, "sha256", lambda path: read.append(path) or sha256(path))
    first = OwnFiles({})
    state = first.state("rows", str(file))
    seen = {"contents": {path: list(entry) for path, entry in first.contents.items()}}
    for reads in (True, False):
        assert OwnFiles(seen, lambda reads=reads: reads).state("rows", str(file)) == state
    assert len(read) == 1
    assert OwnFiles({}, lambda: False).state("rows", str(file)) != state
    assert len(read) == 1
    file.write_text("[]")
    for reads in (True, False):
        assert OwnFiles(seen, lambda reads=reads: reads).state("rows", str(file)) != state
    assert len(read) == 3


def test_a_tokenizer_has_a_state_without_the_weights(tmp_path):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")

    def states():
        return {part: OwnFiles({}).state(part, str(tmp_path)) for part in ("model", "tokenizer")}

    first = states()
    (tmp_path / "model.safetensors").write_text("[]")
    second = states()
    assert first["model"] != second["model"] and first["tokenizer"] == second["tokenizer"]
    (tmp_path / "tokenizer.json").write_text("[]")
    third = states()
    assert second["model"] != third["model"] and second["tokenizer"] != third["tokenizer"]


@pytest.mark.parametrize("name", ["rows [v2].jsonl", "rows*.jsonl", "rows {v2}.jsonl", "a 'b' #1 %20 & é.jsonl"])
def test_a_path_that_exists_is_itself_whatever_its_name(tmp_path, name):
    (tmp_path / name).touch()
    (tmp_path / "rows 2.jsonl").touch()
    assert files.matches(str(tmp_path / name)) == [str(tmp_path / name)]
    assert files.matches(str(tmp_path / "rows 2*")) == [str(tmp_path / "rows 2.jsonl")]


def test_rows_that_snakemake_cannot_name_are_known_by_their_content(tmp_path):
    plain, braced = str(tmp_path / "a.jsonl"), str(tmp_path / "a {v2}.jsonl")
    for path in (plain, braced):
        Path(path).write_text("{}")
    own = OwnFiles({})
    assert own.files("rows", str(tmp_path / "a*.jsonl")) == [plain]
    assert own.files("rows", braced) == []
    assert own.path("rows", braced) == braced
    before = own.state("rows", braced)
    Path(braced).write_text('{"more": 1}')
    assert before and OwnFiles({}).state("rows", braced) not in ("", before)
    assert not files.unnameable("a {v 2} {}.jsonl")  # these braces are no wildcards


def test_a_model_that_snakemake_cannot_name_is_refused():
    assert "read its braces as a wildcard" in OwnFiles({}).problem("model", "/models/{v2}")


@pytest.mark.parametrize("stack", stacks(), ids=" ".join)
def test_every_overlay_is_run_as_its_head_says(stack):
    """Nothing is refused; section 4 is complete or left out, and models and data from elsewhere have planned sizes."""
    experiment = meaning(config_of(*stack))
    checks.check(experiment)
    config, adaptation = experiment.config, experiment.settings("adaptation")
    tasks = config.task_groups[adaptation.group].tasks if adaptation.models else ()
    assert {run.task for run in section_4(experiment)} >= set(tasks)
    models, datasets = (
        [defined[name] for name in names]
        for defined, names in ((config.models, experiment.models), (config.datasets, experiment.datasets))
    )
    assert all(model.size or isinstance(model.source, Pretrained) for model in models)
    if "config/smollm2.yaml" not in stack:
        made = [all(isinstance(source, EmbeddedRows) for source in [*one.train, *one.probe]) for one in datasets]
        assert all(one.size or here for one, here in zip(datasets, made, strict=True))


def test_what_needs_a_login_is_an_overlay_of_its_own():
    desk = ("config/paper.yaml", "config/desk.yaml")
    free, gated = meaning(config_of(*desk)), meaning(config_of(*desk, "config/desk-gated.yaml"))
    assert set(gated.models) - set(free.models) == {"gemma-3-270m"}
    added = set(gated.datasets) - set(free.datasets)
    assert len(added) == 7 and all(name.startswith("infinity-") for name in added)
    families = [gated.config.models[name].stands_for for name in gated.settings("adaptation").models]
    assert families == ["Llama3-8B", "Gemma-7B", "OPT-6.7B"]


def test_a_recipe_is_the_section_of_the_config_and_its_seed(config):
    experiment = meaning(config)
    assert {*experiment.recipe("nlp").of_run(True), "seed"} == set(KEYS) - {"lora"}
    pretraining = experiment.config.pretraining_recipe.of_run(40, [10])
    assert set(pretraining) <= set(KEYS)
    assert Recipe.from_json(json.dumps(pretraining)).max_steps == 40
    assert experiment.recipe("nlp").of_run(False)["checkpoint_steps"] == []
    assert pretraining["padding_free"] is True
    assign(config, "pretraining_recipe.padding_free", ...)  # as in configs that were written before this key
    assert meaning(config).config.pretraining_recipe.of_run(40, [10]) == pretraining


def test_all_problems_are_listed_at_once(config):
    assign(config, "finetuning.learning_rat", 1.0)
    assign(config, "seeds", [0, "one"])
    lines = complaint(config).splitlines()
    assert len(lines) == 2
    assert_refusal(complaint(config), "finetuning.learning_rat", "learning_rate")
    assert_refusal(complaint(config), "seeds[1]", "integer")
    config = config_of()
    assign(config, "studies.adaptation.models[1]", "gema")
    assign(config, "datasets.gsm8k.adapter", "gsm8")
    assert len(complaint(config).splitlines()) == 2
    assert_refusal(complaint(config), "studies.adaptation.models[1]", "did you mean 'gemma'?")
    assert_refusal(complaint(config), "datasets.gsm8k.adapter", "did you mean 'gsm8k'?")
