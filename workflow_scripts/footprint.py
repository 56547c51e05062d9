"""What an experiment will take of the disk and the network, from the sizes of its models and data and its config."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import applications
import experiment
import planning
import tables
from applications import Config
from headpatterns import costs
from headpatterns.errors import InputError
from jobs import Job, Runs, jobs
from runs import Run
from sizes import Samples, Sizes

KEPT, TEMPORARY = "kept", "temporary"
TEXT_BYTES = 4
"""Bytes of a token in raw rows and instructions: about four characters."""
ARROW_BYTES = 8
"""Bytes of a token in tokenized shards: input_ids and labels, both int32."""


class Part(NamedTuple):
    """What lies on the disk, whether it stays, how its bytes are reckoned, and these."""

    what: str
    stays: str
    formula: str
    bytes: float


def parts(config: Config, sizes: Sizes, planned: list[Job]) -> list[Part]:
    """What the given jobs put on the disk, as far as sizes are known; the sum is the peak."""
    found = [*_staying(config, sizes, planned), *_passing(config, sizes, planned)]
    return [part for part in found if part.bytes]


def _staying(config: Config, sizes: Sizes, planned: list[Job]) -> Iterator[Part]:
    """What is there at the end."""

    def part(what: str, formula: str, rule: str, size: Callable[[Config, Sizes, Job], float]) -> Part:
        return Part(what, KEPT, formula, sum(size(config, sizes, job) for job in planned if job.rule == rule))

    finetuning = config["finetuning"]
    number = costs.BYTES[finetuning["checkpoint_dtype"]]
    yield part("models of the hub", "their files", "fetch_model", _fetched_model)
    rows = [job for job in planned if job.rule == "fetch_dataset"]
    yield Part("rows of the hub", KEPT, f"rows × tokens × {TEXT_BYTES}", _fetched_rows(config, sizes, rows))
    yield part("pretrained models", "checkpoints × parameters × 4", "pretrain", _pretrained)
    yield part("instructions", f"samples × tokens × {TEXT_BYTES}", "prepare_instructions", _instructions)
    yield part("tokenized shards", f"samples × tokens × {ARROW_BYTES}", "tokenize_instructions", _shards)
    yield part("patterns", "checkpoints × (samples + 1) × layers × heads × 4", "extract_patterns", _patterns)
    if finetuning["keep_final_checkpoints"]:
        yield part("last checkpoints", f"runs × parameters × {number}", "finetune", _last)
    if finetuning["keep_intermediate_checkpoints"]:
        yield part("checkpoints on the way", f"steps × parameters × {number}", "finetune", _on_the_way)


def _passing(config: Config, sizes: Sizes, planned: list[Job]) -> Iterator[Part]:
    """What lies beside it at worst: the runs at work, and weights that others are yet to read."""
    trained = [job for job in planned if job.rule == "finetune"]
    at_once = config["plan"]["parallel_jobs"]
    largest = max((_at_work(config, sizes, job) for job in trained), default=0)
    formula = f"{at_once} × the largest job: its checkpoints that do not stay, and its states to resume from"
    yield Part("runs at work", TEMPORARY, formula, at_once * largest)
    if config["finetuning"]["keep_final_checkpoints"]:
        return
    number = costs.BYTES[config["finetuning"]["checkpoint_dtype"]]
    waited_for = sum(_checkpoint(config, sizes, run) for run in _started_from(config, trained))
    formula = f"runs × parameters × {number}"
    yield Part("last checkpoints that are models of other runs", TEMPORARY, formula, waited_for)
    # Of the checkpoints that an evaluation reads at once, all but the one that is being trained.
    waiting = max((len(_finals(job)) - 1 for job in planned if job.rule == "evaluate" and _finals(job)), default=0)
    model = max((_checkpoint(config, sizes, run) for job in trained for run in job.about.runs), default=0)
    formula = f"{at_once} × {waiting} × parameters × {number}"
    yield Part("last checkpoints that wait for an evaluation", TEMPORARY, formula, at_once * waiting * model)


def peak(found: Iterable[Part]) -> float:
    """Bytes on the disk when most lies there: all that stays, and as much as can lie beside it."""
    return sum(part.bytes for part in found)


def downloads(config: Config, sizes: Sizes) -> Iterator[tuple[str, float | None]]:
    """Models and datasets of the hub that are not there yet, with their bytes."""
    planned = jobs(config)
    for job in planned:
        if job.rule == "fetch_model" and not sizes.fetched(job.about).is_dir():
            model, _ = sizes.model(job.about)
            yield job.about, model and model.bytes
    rows = [job for job in planned if job.rule == "fetch_dataset"]
    absent = [job for job in rows if not (sizes.results / "raw" / "hub" / f"{job.name}.parquet").is_file()]
    for dataset, share in _datasets(config, absent).items():
        size = _whole_rows(config, sizes, dataset)
        yield dataset, None if size is None else share * size


def check(config: Config, results: Path, benchmarks: set[str]) -> None:
    """Refuse jobs, known by their benchmark files, for whose planned peak the disk has no room.

    Raises:
        InputError: saying what is needed, what is free, and where.
    """
    planned = [job for job in jobs(config) if f"{results}/benchmarks/{job.benchmark}" in benchmarks]
    if not any(job.rule == "finetune" for job in planned):
        return
    needed = peak(parts(config, Sizes(config, results), planned))
    place, free = free_space(results)
    if needed > free:
        raise InputError(
            f"the jobs to run need up to {tables.gigabytes(needed)} of disk, but {place}, where {results} lies, has "
            f"{tables.gigabytes(free)} free: lower plan.parallel_jobs, set finetuning.checkpoint_dtype to bfloat16, "
            "give more disk, or set plan.check_disk to false (`snakemake plan` shows what takes how much)."
        )


def free_space(results: Path) -> tuple[Path, int]:
    """The file system that results are written to, by its mount point, and its free bytes."""
    place = Path(results).resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    while not place.is_mount():
        place = place.parent
    return place, free


def used_space(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(place) / name).st_size
            except OSError:  # removed by a job meanwhile
                continue
    return total


def _fetched_model(config: Config, sizes: Sizes, job: Job) -> float:
    model, _ = sizes.model(job.about)
    return model.bytes if model else 0


def _last(config: Config, sizes: Sizes, job: Job) -> float:
    return sum(_checkpoint(config, sizes, run) for run in job.about.runs)


def _on_the_way(config: Config, sizes: Sizes, job: Job) -> float:
    return sum(_on_its_way(config, sizes, run, job.about) for run in job.about.runs)


def _checkpoint(config: Config, sizes: Sizes, run: Run) -> float:
    model, _ = sizes.model(run.model)
    return planning.checkpoint_bytes(config, model) if model else 0


def _on_its_way(config: Config, sizes: Sizes, run: Run, about: Runs) -> float:
    way = planning.course(config, sizes, run, about.steps)
    return len(way.kept) * _checkpoint(config, sizes, run) if way else 0


def _at_work(config: Config, sizes: Sizes, job: Job) -> float:
    """Bytes of a fine-tuning job that do not stay: all of its runs lie there until the last is done."""
    kept, total = config["finetuning"], 0.0
    for run in job.about.runs:
        model, _ = sizes.model(run.model)
        way = planning.course(config, sizes, run, job.about.steps)
        if model is None or way is None:
            continue
        recipe = experiment.recipe(config, run.group)
        total += costs.states(way.steps, recipe["resume_every"]) * costs.state_bytes(
            model, recipe["engine"], recipe["precision"]
        )
        total += (not kept["keep_final_checkpoints"]) * _checkpoint(config, sizes, run)
        total += (not kept["keep_intermediate_checkpoints"]) * _on_its_way(config, sizes, run, job.about)
        earlier = applications.earlier(run)
        if earlier and earlier not in job.about.runs and not kept["keep_final_checkpoints"]:
            total += _checkpoint(config, sizes, earlier)
    return total


def _started_from(config: Config, trained: list[Job]) -> list[Run]:
    """Runs that models of the config are, and that are trained here: they are needed for long."""
    sources = [model["source"] for model in config["models"].values()]
    named = {Run.named(source["model"], source["run"]) for source in sources if "model" in source}
    return [run for job in trained for run in job.about.runs if run in named]


def _finals(job: Job) -> set[str]:
    """Runs whose last checkpoint an evaluation reads."""
    return {run for run, _ in job.about.sheet} - {applications.BASE}


def _patterns(config: Config, sizes: Sizes, job: Job) -> float:
    total = 0
    for run in job.about.runs:
        model, _ = sizes.model(run.model)
        way = planning.course(config, sizes, run, job.about.steps)
        for _, samples in sizes.probes(run):
            if model and way and samples.count is not None:
                total += (len(way.kept) + 2) * costs.pattern_bytes(model, samples.count)
    return total


def _pretrained(config: Config, sizes: Sizes, job: Job) -> float:
    for name, model in config["models"].items():
        if model["source"].get("pretraining") == job.about:
            run = config["pretraining"][job.about]
            size, _ = sizes.model(name)
            return (len(costs.intermediate(run["checkpoint_steps"], run["steps"])) + 1) * size.bytes if size else 0
    return 0


def _instructions(config: Config, sizes: Sizes, job: Job) -> float:
    tokenizer = experiment.tokenizer_of(config, experiment.used_models(config)[0])
    return TEXT_BYTES * sum(_tokens(sizes.samples(tokenizer, job.name, split))
                                        for split in ("train", "probe"))  # fmt: skip


def _shards(config: Config, sizes: Sizes, job: Job) -> float:
    return ARROW_BYTES * _tokens(sizes.samples(*job.about))


def _tokens(samples: Samples) -> float:
    return (samples.count or 0) * (samples.tokens or 0)


def _datasets(config: Config, rows: list[Job]) -> dict[str, float]:
    """Datasets that read rows of the hub, with the share of their sources that are among the given ones."""
    names = {job.name for job in rows}
    found = {}
    for dataset in experiment.used_datasets(config):
        entry = config["datasets"][dataset]
        sources = [source for split in ("train", "probe") for source in entry.get(split, [])]
        share = sum("hub" in source and experiment.hub_name(source) in names for source in sources) / len(sources)
        if share:
            found[dataset] = share
    return found


def _whole_rows(config: Config, sizes: Sizes, dataset: str) -> float | None:
    """Bytes of all rows of a dataset, before sampling."""
    size = config["datasets"][dataset].get("size")
    if size is None:
        sizes.missing[f"datasets.{dataset}.size"] = None
        return None
    return TEXT_BYTES * size["tokens"] * (size["train"] + size.get("probe", 0))


def _fetched_rows(config: Config, sizes: Sizes, rows: list[Job]) -> float:
    return sum(share * (_whole_rows(config, sizes, dataset) or 0) for dataset, share in _datasets(config, rows).items())
