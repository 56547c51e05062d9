"""What a config means: its checks, its runs and the paths of what they make. Imported by rules/common.smk.

Everything here works on the plain dictionary that Snakemake reads from config.yaml and its overlays; nothing needs more
than the standard library, PyYAML and jsonschema, so that a dry-run stays quick.
"""

import csv
import difflib
import glob
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from headpatterns.errors import InputError
from headpatterns.files import atomic_path

SCHEMA = Path(__file__).resolve().parent.parent / "config" / "schema.yaml"
GENERATORS = (
    "math", "gsm8k", "codesearchnet", "sgsm", "hellaswag", "winogrande", "arc", "infinity_instruct", "mathbench",
    "refgpt", "mmlu",
)  # fmt: skip
ADAPTERS = (*GENERATORS, "generic")
RUN_TABLE = (
    "study", "group", "model", "model_label", "task", "task_label", "family", "role", "seed", "run", "patterns",
)  # fmt: skip

Config = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A fine-tuning: a base model, a task with the group that sets its size, and a seed."""

    model: str
    group: str
    task: str
    seed: int

    @property
    def name(self) -> str:
        """The run's name below its model, such as `nlp.gsm8k.seed0`."""
        return f"{self.group}.{self.task}.seed{self.seed}"


def parse_run(name: str) -> tuple[str, str, int]:
    """Group, task and seed of a run's name."""
    group, task, seed = name.split(".")
    return group, task, int(seed.removeprefix("seed"))


def put_python_first() -> None:
    """Let `python` in a rule's command be the Python that runs Snakemake, whether or not its environment is active."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


# Checks ---------------------------------------------------------------------------------------------------------------


def check(config: Config, rules: Iterable[str]) -> None:
    """Refuse a config that the workflow cannot run, with the key's path and the nearest valid name.

    `rules` are the names that `resources` may mention.
    """
    _check_schema(config)
    for problem in _problems(config, list(rules)):
        raise InputError(f"config key {problem}")


def _check_schema(config: Config) -> None:
    validator = jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    # The deepest error says most; its siblings are mostly consequences.
    errors = sorted(validator.iter_errors(config), key=lambda error: (-len(error.absolute_path), str(error.path)))
    if errors:
        raise InputError(f"config key {_sentence(errors[0])}")


def _sentence(error: jsonschema.ValidationError) -> str:
    path = _path(error.absolute_path) or "(top level)"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        where = f"{path}.{unknown}" if error.absolute_path else unknown
        return f"{where} is unknown{_nearest(unknown, known)}."
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{path} lacks '{missing}': add it."
    if "propertyNames" in error.absolute_schema_path:
        return f"{path} has the name '{error.instance}': use lower-case letters, digits, - and _."
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"{path} is {error.instance!r}: it must be of type {' or '.join(wanted)}."
    return f"{path}: {error.message}."


def _path(parts: Iterable[str | int]) -> str:
    """A key's path as one would write it: `models.llama.source`, `seeds[0]`."""
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in parts))


def _nearest(name: str, valid: Iterable[str]) -> str:
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; valid are: {', '.join(valid) or 'none'}"


def _unknown(path: str, kind: str, name: str, valid: Iterable[str]) -> Iterator[str]:
    if name not in valid:
        yield f"{path} names the unknown {kind} '{name}'{_nearest(name, valid)}."


def _problems(config: Config, rules: list[str]) -> Iterator[str]:
    """Everything that the schema cannot say, the first problem first."""
    yield from _unknown("prompt_template", "template", config["prompt_template"], config["templates"])
    for name, template in config["templates"].items():
        if template.count("{instruction}") != 1:
            yield f"templates.{name} must contain {{instruction}} exactly once."
    for name, model in config["models"].items():
        yield from _model_problems(config, f"models.{name}.source", model["source"])
    for name, dataset in config["datasets"].items():
        yield from _unknown(f"datasets.{name}.adapter", "adapter", dataset["adapter"], ADAPTERS)
        for split in ("train", "probe"):
            for place, source in enumerate(dataset.get(split, [])):
                yield from _rows_problems(f"datasets.{name}.{split}[{place}]", source)
    for name, group in config["task_groups"].items():
        yield from _group_problems(config, f"task_groups.{name}", group)
    for name, study in config["studies"].items():
        for place, model in enumerate(study["models"]):
            yield from _unknown(f"studies.{name}.models[{place}]", "model", model, config["models"])
        groups = study.get("groups", [study.get("group")])
        for group in groups:
            yield from _unknown(f"studies.{name}.group{'s' if 'groups' in study else ''}", "task group", group,
                                config["task_groups"])  # fmt: skip
            if name == "composition" and "complex" not in config["task_groups"][group]:
                yield f"task_groups.{group}.complex is missing, but studies.composition needs it: name the task."
    most = config["studies"]["dynamics"].get("changes_most")
    if most is not None:
        yield from _unknown("studies.dynamics.changes_most", "model", most, config["models"])
    recipe = config["finetuning"]
    product = recipe["per_device_batch_size"] * recipe["gradient_accumulation_steps"]
    if recipe["global_batch_size"] % product:
        yield (
            f"finetuning.global_batch_size is {recipe['global_batch_size']}, not a multiple of per_device_batch_size × "
            f"gradient_accumulation_steps = {product}."
        )
    yield from _missing_paths(config)
    for rule in config["resources"]:
        yield from _unknown(f"resources.{rule}", "rule", rule, ["default", *rules])
    if config["device"] == "cpu" and any(size.get("gpu") for size in config["resources"].values()):
        yield "resources asks for GPUs, but device is cpu: set device to cuda or gpu to 0."


def _model_problems(config: Config, path: str, source: dict[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in ("pretraining", "path", "hub", "model") if kind in source]
    if len(kinds) != 1:
        yield f"{path} must have exactly one of pretraining, path, hub and model."
        return
    companions = {"pretraining": {"step"}, "path": set(), "hub": {"revision"}, "model": {"run"}}[kinds[0]]
    yield from _companion_problems(path, kinds[0], companions, set(source))
    if kinds == ["model"]:
        yield from _earlier_run_problems(config, path, source)
    if kinds == ["pretraining"]:
        yield from _unknown(f"{path}.pretraining", "pretraining run", source["pretraining"], config["pretraining"])
        run = config["pretraining"][source["pretraining"]]
        steps = sorted({step for step in run["checkpoint_steps"] if step < run["steps"]} | {run["steps"]})
        if source["step"] not in steps:
            yield f"{path}.step is {source['step']}, but pretraining.{source['pretraining']} keeps the steps {steps}."


def _earlier_run_problems(config: Config, path: str, source: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(f"{path}.model", "model", source["model"], config["models"])
    group, task, _ = parse_run(source["run"])
    yield from _unknown(f"{path}.run", "task group", group, config["task_groups"])
    yield from _unknown(f"{path}.run", "task of its group", task, config["task_groups"][group]["tasks"])
    seen = [source["model"]]
    while (earlier := config["models"].get(seen[-1], {"source": {}})["source"].get("model")) is not None:
        if earlier in seen:
            yield f"{path}.model leads back to itself ({' → '.join([*seen, earlier])}): start from another."
            return
        seen.append(earlier)


def _rows_problems(path: str, source: dict[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in ("embedded", "path", "hub") if kind in source]
    if len(kinds) != 1:
        yield f"{path} must have exactly one of embedded, path and hub."
        return
    companions = {"embedded": {"file"}, "path": set(), "hub": {"split", "revision"}}[kinds[0]]
    optional = {"name"} if kinds == ["hub"] else set()
    yield from _companion_problems(path, kinds[0], companions, set(source) - optional)
    if kinds == ["embedded"]:
        yield from _unknown(f"{path}.embedded", "generator", source["embedded"], GENERATORS)


def _missing_paths(config: Config) -> Iterator[str]:
    """Paths that lead nowhere, of the models and datasets that some study selects: others may lie on other machines."""
    for model in dict.fromkeys(run.model for run in runs(config)):
        source = config["models"][model]["source"]
        if "path" in source:
            folder = Path(expand(source["path"], f"models.{model}.source.path"))
            if not (folder / "config.json").is_file():
                yield f"models.{model}.source.path is {folder}, which holds no model (no config.json): mend the path."
    for task in dict.fromkeys(run.task for run in runs(config)):
        for split in ("train", "probe"):
            for place, source in enumerate(config["datasets"][task].get(split, [])):
                key = f"datasets.{task}.{split}[{place}].path"
                if "path" in source and not glob.glob(path := expand(source["path"], key)):  # noqa: PTH207
                    yield f"{key} is {path}, where no file or folder is: mend the path."


def _companion_problems(path: str, kind: str, companions: set[str], given: set[str]) -> Iterator[str]:
    for key in sorted(companions - given):
        yield f"{path} lacks '{key}', which a source of the kind {kind} needs: add it."
    for key in sorted(given - companions - {kind}):
        yield f"{path}.{key} does not belong to a source of the kind {kind}: remove it."


def _group_problems(config: Config, path: str, group: dict[str, Any]) -> Iterator[str]:
    for place, task in enumerate(group["tasks"]):
        yield from _unknown(f"{path}.tasks[{place}]", "dataset", task, config["datasets"])
    for place, task in enumerate(group.get("expected_pair", [])):
        yield from _unknown(f"{path}.expected_pair[{place}]", "dataset", task, config["datasets"])
    if "complex" in group:
        yield from _unknown(f"{path}.complex", "task of the group", group["complex"], group["tasks"])
        if len(group["tasks"]) < 2:
            yield f"{path}.tasks has no task besides the complex one: add the basic tasks."


def expand(path: str, key: str) -> str:
    """A path with its environment variables and `~` filled in; an unset variable is an InputError naming `key`."""
    expanded = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - globs are no paths
    if unset := re.search(r"\$\{?(\w+)\}?", expanded):
        raise InputError(
            f"config key {key} uses the environment variable {unset[1]}, which is not set: export it or write the path."
        )
    return expanded


def state_of_folders(paths: Iterable[str]) -> str:
    """Digest of names, sizes and times of all files below those of `paths` that are folders; empty without any."""
    files = sorted(file for path in map(Path, paths) if path.is_dir() for file in path.rglob("*") if file.is_file())
    entries = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:16] if entries else ""


# Runs -----------------------------------------------------------------------------------------------------------------


def study_groups(config: Config, study: str) -> list[str]:
    """Task groups of a study."""
    chosen = config["studies"][study]
    return chosen["groups"] if "groups" in chosen else [chosen["group"]]


def study_runs(config: Config, study: str) -> list[Run]:
    """Runs of a study, in display order; expected pairs may name tasks that an overlay left out."""
    return [
        Run(model, group, task, seed)
        for group in study_groups(config, study)
        for model in config["studies"][study]["models"]
        for task in config["task_groups"][group]["tasks"]
        for seed in config["seeds"]
    ]


def runs(config: Config) -> list[Run]:
    """Every run of the experiment once, whichever studies share it."""
    return list(dict.fromkeys(run for study in config["studies"] for run in study_runs(config, study)))


def base_model(config: Config, model: str) -> str:
    """The model that a chain of earlier runs began with; a model that is no run is its own."""
    source = config["models"][model]["source"]
    return base_model(config, source["model"]) if "model" in source else model


def run_names(config: Config) -> list[str]:
    """Names of all runs, those that other models start from included."""
    earlier = [model["source"]["run"] for model in config["models"].values() if "run" in model["source"]]
    return sorted({run.name for run in runs(config)}.union(earlier))


def run_table(config: Config, pattern_folder: Any) -> list[dict[str, Any]]:
    """Rows of runs.csv; `pattern_folder` gives the path of a run's patterns on its own task's probe set."""
    return [
        {
            "study": study,
            "group": run.group,
            "model": run.model,
            "model_label": config["models"][run.model]["label"],
            "task": run.task,
            "task_label": config["datasets"][run.task]["label"],
            "family": config["datasets"][run.task].get("family", ""),
            "role": "complex" if config["task_groups"][run.group].get("complex") == run.task else "basic",
            "seed": run.seed,
            "run": run.name,
            "patterns": pattern_folder(run),
        }
        for study in config["studies"]
        for run in study_runs(config, study)
    ]


def write_run_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write runs.csv."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, RUN_TABLE)
        writer.writeheader()
        writer.writerows(rows)


def digest(config: Config) -> str:
    """Fingerprint of a whole config, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def expected_pairs(config: Config) -> list[str]:
    """`GROUP=a+b` for each group of the composition study whose expected pair is among its tasks."""
    groups = {group: config["task_groups"][group] for group in study_groups(config, "composition")}
    return [
        f"{name}={'+'.join(task for task in group['tasks'] if task in group['expected_pair'])}"
        for name, group in groups.items()
        if set(group.get("expected_pair", [])) <= set(group["tasks"]) - {group["complex"]} and "expected_pair" in group
    ]


def size(config: Config, rule: str) -> dict[str, int]:
    """Threads, mem_mb, runtime and gpu of a rule."""
    return {**config["resources"]["default"], **config["resources"].get(rule, {})}
