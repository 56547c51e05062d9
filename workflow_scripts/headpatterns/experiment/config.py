"""What a config means: its runs, the run table, and where its raw rows lie. Imported by rules/common.smk.

Everything here works on the plain dictionary that Snakemake reads from config.yaml and its overlays, after
`config_checks.check` has found it sound; nothing heavy is imported, so that a dry-run stays quick.
"""

import glob
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from headpatterns import tidy
from headpatterns.data.sources import labels_file
from headpatterns.errors import InputError
from headpatterns.experiment import applications
from headpatterns.experiment import run_table as table
from headpatterns.experiment import variants as evaluations
from headpatterns.experiment.applications import Config
from headpatterns.experiment.runs import Run
from headpatterns.io import atomic_path

STUDIES = table.STUDIES
"""The studies of section 4; those of section 5 are in applications.py."""


def put_python_first() -> None:
    """Let `python` in a rule's command be the Python that runs Snakemake, whether or not its environment is active."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def expand(path: str, key: str) -> str:
    """A path with its environment variables and `~` filled in; an unset variable is an InputError naming `key`."""
    expanded = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - globs are no paths
    if unset := re.search(r"\$\{?(\w+)\}?", expanded):
        raise InputError(
            f"config key {key} uses the environment variable {unset[1]}, which is not set: export it or write the path."
        )
    return expanded


def matches(pattern: str) -> list[str]:
    """Files and folders that a glob leads to, `**` included; a plain path leads to itself."""
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns


def with_labels(paths: Iterable[str]) -> list[str]:
    """Paths of raw rows, each followed by the file of labels that is read beside it where there is one."""
    found = [(path, str(labels_file(Path(path)))) for path in paths]
    return [path for rows, labels in found for path in ((rows, labels) if Path(labels).is_file() else (rows,))]


def state_of_folders(paths: Iterable[str]) -> str:
    """Digest of names, sizes and times of all files below those of `paths` that are folders; empty without any."""
    files = sorted(file for path in map(Path, paths) if path.is_dir() for file in path.rglob("*") if file.is_file())
    entries = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:16] if entries else ""


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
    """Every run of section 4 once, whichever studies share it."""
    return list(dict.fromkeys(run for study in STUDIES for run in study_runs(config, study)))


def validity_runs(config: Config) -> list[Run]:
    """Runs of the adaptation study whose heads the validity study ablates, before and after; null takes all there."""
    validity = config["studies"]["validity"]
    models, tasks = validity["models"], validity["tasks"]
    return [
        run
        for run in study_runs(config, "adaptation")
        if (models is None or run.model in models) and (tasks is None or run.task in tasks)
    ]


def base_model(config: Config, model: str) -> str:
    """The model that a chain of earlier runs began with; a model that is no run is its own."""
    source = config["models"][model]["source"]
    return base_model(config, source["model"]) if "model" in source else model


def tokenizer_of(config: Config, model: str) -> str:
    """Name of a model's tokenizer: the embedded models share one, and a run has that of the model it began with."""
    base = base_model(config, model)
    return "embedded" if "pretraining" in config["models"][base]["source"] else base


def needed_runs(config: Config) -> list[Run]:
    """Every run of the studies, and the earlier runs that the models of these and of the evaluations start from."""
    benchmarks = [
        Run.named(checkpoint["model"], checkpoint["run"])
        for checkpoint in config["studies"][applications.BENCHMARKS]["checkpoints"]
        if checkpoint["run"] != applications.BASE
    ]
    needed = list(dict.fromkeys([*runs(config), *applications.runs(config), *benchmarks]))
    models = [*(run.model for run in needed), *(row["model"] for row in applications.variants(config))]
    for model in models:  # grows while it is walked through
        source = config["models"][model]["source"]
        if "model" in source and (earlier := Run.named(source["model"], source["run"])) not in needed:
            needed.append(earlier)
            models.append(earlier.model)
    return needed


def used_models(config: Config) -> list[str]:
    """Models that some study selects or starts from."""
    evaluated = [row["model"] for row in applications.variants(config)]
    return list(dict.fromkeys([*(run.model for run in needed_runs(config)), *evaluated]))


def used_datasets(config: Config) -> list[str]:
    """Datasets whose samples some study trains on, probes or evaluates."""
    needed = needed_runs(config)
    # A run of a task group is cut to the smallest of the group's sets.
    trained = [task for run in needed if run.group in config["task_groups"]
               for task in [*config["task_groups"][run.group]["tasks"], run.task]]  # fmt: skip
    applied = [dataset for run in needed for dataset, _ in applications.datasets(config, run)]
    sets = applications.evaluation_sets(config)
    evaluated = [sets[row["set"]].get("dataset") for row in applications.variants(config)]
    return list(dict.fromkeys(name for name in [*trained, *applied, *evaluated] if name))


def labels(config: Config) -> dict[str, str]:
    """What models and tasks are called that the run table, with section 4 alone, does not hold."""
    used = {"models": used_models(config), "datasets": used_datasets(config)}
    known = {name for run in runs(config) for name in (run.model, run.task)}
    return {name: config[kind][name]["label"] for kind, names in used.items() for name in names if name not in known}


class Batch(NamedTuple):
    """Runs that one job fine-tunes one after another: for each of them its group and task.

    Model and seed are the job's; `steps` says whether the runs keep their intermediate checkpoints for section 4.
    """

    runs: tuple[tuple[str, str], ...]
    takers: frozenset[tuple[str, int]]
    steps: bool

    def of(self, model: str, seed: int) -> list[Run]:
        """The runs of one model and seed."""
        return [Run(model, group, task, seed) for group, task in self.runs]


def batches(config: Config) -> dict[str, Batch]:
    """Batches by name. At most `finetuning.runs_per_job` runs of a group share a job.

    Runs share one only if exactly the same models and seeds need them, for a job makes all of its runs, and if none
    depends on the patterns of another.
    """
    section_4 = {(run.group, run.task) for run in runs(config)}
    takers: dict[tuple[str, bool, bool], dict[str, set[tuple[str, int]]]] = {}
    for run in needed_runs(config):
        kind = (run.group, applications.is_first_stage(run), (run.group, run.task) in section_4)
        takers.setdefault(kind, {}).setdefault(run.task, set()).add((run.model, run.seed))
    size = config["finetuning"]["runs_per_job"]
    found = {}
    for (group, _, steps), tasks in takers.items():
        shared: dict[frozenset[tuple[str, int]], list[str]] = {}
        for task, models in tasks.items():
            shared.setdefault(frozenset(models), []).append(task)
        for models, together in shared.items():
            for place in range(0, len(together), size):
                chunk = together[place : place + size]
                others = f"_and_{len(chunk) - 1}_more" if len(chunk) > 1 else ""
                found[f"{group}_{chunk[0]}{others}"] = Batch(tuple((group, task) for task in chunk), models, steps)
    return found


def ablated(config: Config, batch: Batch) -> Batch:
    """The part of a batch that the validity study selects: its runs, and the models and seeds that take them."""
    selected = validity_runs(config)
    tasks = {(run.group, run.task) for run in selected}
    return batch._replace(
        runs=tuple(run for run in batch.runs if run in tasks),
        takers=batch.takers & {(run.model, run.seed) for run in selected},
    )


def recipe(config: Config, group: str) -> dict[str, Any]:
    """How the runs of a group are fine-tuned: as all are, but for what an application of section 5 states otherwise."""
    own = config["studies"][group]["finetuning"] if group in applications.STUDIES else {}
    return {**config["finetuning"], **own}


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
        for study in STUDIES
        for run in study_runs(config, study)
    ]


def write_run_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write runs.csv."""
    _write_rows(path, table.COLUMNS, rows)


def write_variant_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write variants.csv."""
    _write_rows(path, evaluations.COLUMNS, rows)


def _write_rows(path: Path, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
    tidy.write(path, columns, [[row[column] for column in columns] for row in rows])


def write_config(path: Path, config: Config) -> None:
    """Write a config, all overlays merged, as one YAML file that runs the same experiment."""
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_config(path: Path) -> Config:
    """A config that `write_config` wrote.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"the config {path} cannot be read ({error}): write it again (`snakemake {path}`).") from error


def hub_rows(config: Config) -> dict[str, dict[str, str]]:
    """Splits of hub datasets by a name of their own, so that datasets which share one fetch it once."""
    sources = [
        source
        for dataset in config["datasets"].values()
        for split in ("train", "probe")
        for source in dataset.get(split, [])
        if "hub" in source
    ]
    return {hub_name(source): source for source in sources}


def hub_name(source: dict[str, str]) -> str:
    """File name of a split of a hub dataset."""
    parts = [source["hub"].replace("/", "--"), source.get("name", "default"), source["split"], source["revision"]]
    return ".".join(part.replace("/", "-") for part in parts)


def embedded_rows(config: Config, generator: str) -> dict[str, int]:
    """Rows that a generator of the embedded experiment writes, by train and test."""
    sizes = {key: config["embedded"][key] for key in ("train", "test")}
    return {**sizes, **config["embedded"]["sizes"].get(generator, {})}


def decisive(config: Config) -> Config:
    """A config but for where jobs are submitted and what plans assume, which no result depends on."""
    return {key: value for key, value in config.items() if key not in ("cluster", "plan")}


def digest(config: Config) -> str:
    """Fingerprint of what decides an experiment, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()[:16]


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
