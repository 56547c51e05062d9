"""What an experiment will take of the disk and the network, from the sizes of its models and data and its config."""

import heapq
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from headpatterns.errors import InputError
from headpatterns.experiment import applications
from headpatterns.experiment import config as experiment
from headpatterns.experiment.applications import Config
from headpatterns.experiment.runs import Run
from headpatterns.planning import estimates as planning
from headpatterns.planning import formulas as costs
from headpatterns.planning import text as tables
from headpatterns.planning.jobs import Job, Runs, jobs
from headpatterns.planning.sizes import TEXT_BYTES, Samples, Sizes

KEPT, TEMPORARY = "kept", "temporary"
ARROW_BYTES = 8
"""Bytes of a token in tokenized shards: input_ids and labels, both int32."""


class Part(NamedTuple):
    """What lies on the disk, whether it stays, how its bytes are estimated, and these."""

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
    formula = "2 × runs × (samples × (layers × heads + groups) + other samples × 3 × layers × heads) × 4"
    yield part("ablations", formula, "ablate_heads", _ablations)
    if finetuning["keep_final_checkpoints"]:
        yield part("last checkpoints", f"runs × parameters × {number}", "finetune", _last)
    if finetuning["keep_intermediate_checkpoints"]:
        yield part("checkpoints on the way", f"steps × parameters × {number}", "finetune", _on_the_way)


def _passing(config: Config, sizes: Sizes, planned: list[Job]) -> Iterator[Part]:
    """What lies beside it at worst: the runs at work, and weights that others are yet to read.

    A run is at work until its last reader is done: fine-tunings and readers share the resource `runs_on_disk`, and a
    reader goes before another fine-tuning. Not so where a reader waits for more than this run.
    """
    trained = [job for job in planned if job.rule == "finetune"]
    largest = heapq.nlargest(config["plan"]["parallel_jobs"], (_at_work(config, sizes, job) for job in trained))
    formula = f"the {len(largest)} largest jobs: checkpoints that do not stay, and states to resume from"
    yield Part("runs at work", TEMPORARY, formula, sum(largest))
    if config["finetuning"]["keep_final_checkpoints"]:
        return
    formula = f"runs × parameters × {costs.BYTES[config['finetuning']['checkpoint_dtype']]}"
    runs = {run for job in trained for run in job.about.runs}
    for what, found in (
        ("last checkpoints that are models of other runs", _started_from(config)),
        ("last checkpoints that wait for an evaluation", _evaluated_together(planned)),
    ):
        yield Part(what, TEMPORARY, formula, sum(_checkpoint(config, sizes, run) for run in runs & found))


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
    for dataset, share in planning.fetched(config, absent).items():
        size = sizes.raw_bytes(dataset)
        yield dataset, None if size is None else share * size


def check(config: Config, results: Path, benchmarks: set[str]) -> list[str]:
    """Refuse jobs, known by their benchmark files, for whose planned peak the disk has no room.

    Returns:
        What was not known, and counted as nothing: keys of the config.

    Raises:
        InputError: saying what is needed, what is free, and where.
    """
    planned = [job for job in jobs(config) if f"{results}/benchmarks/{job.benchmark}" in benchmarks]
    if not any(job.rule == "finetune" for job in planned):
        return []
    sizes = Sizes(config, results)
    needed = peak(parts(config, sizes, planned))
    for where, free in room(config, Path(results)):
        if needed > free:
            raise InputError(
                f"the jobs to run need up to {tables.gigabytes(needed)} of disk, but {where} has "
                f"{tables.gigabytes(max(0, free))} free: lower plan.parallel_jobs, set finetuning.checkpoint_dtype to "
                "bfloat16, give more disk, or set plan.check_disk to false (`snakemake plan` shows what takes what)."
            )
    return list(sizes.missing)


def room(config: Config, results: Path) -> Iterator[tuple[str, float]]:
    """What limits the disk, in words, with the bytes that it leaves: the file system, and a quota of the config.

    The other experiments beside this one count for a quota as well.
    """
    place, free = free_space(results)
    yield f"{place}, the file system of {results},", free
    if (quota := config["plan"]["disk_gb"]) is not None:
        held = used_space(results.parent)
        yield f"{results.parent}, with {tables.gigabytes(held)} of plan.disk_gb {quota:g} taken,", quota * 1e9 - held


def left(config: Config, results: Path) -> str:
    """That for a reader."""
    return "; ".join(f"{where} has {tables.gigabytes(max(0, free))} free" for where, free in room(config, results))


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


def _started_from(config: Config) -> set[Run]:
    """Runs that models of the config are: they are needed for long."""
    sources = [model["source"] for model in config["models"].values()]
    return {Run.named(source["model"], source["run"]) for source in sources if "model" in source}


def _evaluated_together(planned: list[Job]) -> set[Run]:
    """Runs whose last checkpoints evaluations read together with those of others: the first waits for the last."""
    found = set()
    for job in planned:
        if job.rule == "evaluate":
            read = {run for run, _ in job.about.sheet} - {applications.BASE}
            found |= {Run.named(job.about.model, run) for run in read} if len(read) > 1 else set()
    return found


def _patterns(config: Config, sizes: Sizes, job: Job) -> float:
    total = 0
    for run in job.about.runs:
        model, _ = sizes.model(run.model)
        way = planning.course(config, sizes, run, job.about.steps)
        for _, samples in sizes.probes(run):
            if model and way and samples.count is not None:
                total += (len(way.kept) + 2) * costs.pattern_bytes(model, samples.count)
    return total


def _ablations(config: Config, sizes: Sizes, job: Job) -> float:
    """Changes of the loss without each head and each group, and three patterns of others, before and after."""
    total = 0
    for run in job.about.runs:
        model, _ = sizes.model(run.model)
        [(_, samples)] = sizes.probes(run)
        if model and samples.count is not None:
            ablated, patterned = planning.ablated_samples(config, samples.count)
            heads = model.layers * model.heads
            total += 2 * 4 * (ablated * (heads + planning.groups(config)) + patterned * planning.READINGS * heads)
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


def _fetched_rows(config: Config, sizes: Sizes, rows: list[Job]) -> float:
    return sum(share * (sizes.raw_bytes(dataset) or 0) for dataset, share in planning.fetched(config, rows).items())
