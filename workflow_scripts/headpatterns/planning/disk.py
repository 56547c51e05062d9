"""What an experiment will take of the disk and the network, from the sizes of its models and data and its config."""

import heapq
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from headpatterns.cluster import resources
from headpatterns.errors import InputError
from headpatterns.experiment import arguments, needed
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.jobs import Job
from headpatterns.experiment.runs import Run
from headpatterns.experiment.sources import AfterRun
from headpatterns.planning import courses, estimates, formulas, text
from headpatterns.planning.courses import Course
from headpatterns.planning.sizes import TEXT_BYTES, Samples, Sizes
from headpatterns.studies.selection import settings as selection
from headpatterns.studies.trained_heads import settings as trained_heads
from headpatterns.studies.transfer import settings as transfer
from headpatterns.studies.transplant import settings as transplant

KEPT, TEMPORARY = "kept", "temporary"
ARROW_BYTES = 8
"""Bytes of a token in tokenized shards: input_ids and labels, both int32."""

READ_BY = {
    "transfer_losses": transfer.runs_of,
    "transplant_heads": transplant.runs_of,
    "choose_heads": trained_heads.whole_of,
}
"""Rules that read the final checkpoints of several runs of a model and seed, with what says which."""

READINGS = 3
"""Reductions of Eq. 2, in each of which ablations keep the patterns that they are compared with."""


class Part(NamedTuple):
    """What lies on the disk, whether it stays, how its bytes are estimated, and these."""

    what: str
    stays: str
    formula: str
    bytes: float


def parts(sizes: Sizes, planned: Collection[Job]) -> list[Part]:
    """What the given jobs put on the disk, as far as sizes are known; the sum is the peak."""
    found = [*_staying(sizes, planned), *_passing(sizes, planned)]
    return [part for part in found if part.bytes]


def _staying(sizes: Sizes, planned: Collection[Job]) -> Iterator[Part]:
    """What is there at the end."""

    def part(what: str, formula: str, rule: str, size: Callable[[Sizes, Job], float]) -> Part:
        return Part(what, KEPT, formula, sum(size(sizes, job) for job in planned if job.rule == rule))

    finetuning = sizes.config.finetuning
    weights = _weights(sizes.experiment)
    yield part("models of the hub", "their files", "fetch_model", _model_folder)
    yield part("adapters of the hub", "their files", "fetch_adapter", _adapter_folder)
    yield part("models from GGUF", "parameters × 4", "convert_gguf", _model_folder)
    yield part("merged adapters", "the base's files", "merge_adapter", _model_folder)
    rows = [job for job in planned if job.rule in estimates.FETCHING]
    yield Part("downloaded rows", KEPT, f"rows × tokens × {TEXT_BYTES}", _fetched_rows(sizes, rows))
    yield part("pretrained models", "checkpoints × parameters × 4", "pretrain", _pretrained)
    yield part("instructions", f"samples × tokens × {TEXT_BYTES}", "prepare_instructions", _instructions)
    yield part("tokenized shards", f"samples × tokens × {ARROW_BYTES}", "tokenize_instructions", _shards)
    formula = "checkpoints × (reductions × samples + 1) × layers × heads × 4"
    yield part("patterns", formula, "extract_patterns", _patterns)
    formula = "2 × runs × (samples × (layers × heads + groups) + other samples × 3 × layers × heads) × 4"
    yield part("ablations", formula, "ablate_heads", _ablations)
    yield part("features of candidates", _features_formula(sizes.experiment), "read_candidates", _features)
    if finetuning.keep_final_checkpoints:
        yield part("final checkpoints", f"runs × {weights}", "finetune", _last)
    if finetuning.keep_intermediate_checkpoints:
        yield part("checkpoints on the way", f"steps × {weights}", "finetune", _on_the_way)


def _weights(experiment: Experiment) -> str:
    """The formula of a checkpoint's bytes."""
    adapted = any(experiment.recipe(run.group).is_lora for run in experiment.runs)
    kind = "trained parameters" if adapted else "parameters"
    return f"{kind} × {formulas.BYTES[experiment.config.finetuning.checkpoint_dtype]}"


def _passing(sizes: Sizes, planned: Collection[Job]) -> Iterator[Part]:
    """What lies beside it at worst: the runs at work, and weights that others are yet to read.

    A run is at work until its last reader is done: fine-tunings and readers share the resource `runs_on_disk`, and a
    reader goes before another fine-tuning. Not so where a reader waits for more than this run.
    """
    experiment, finetuning = sizes.experiment, sizes.config.finetuning
    trained = [job for job in planned if job.rule == "finetune"]
    largest = heapq.nlargest(sizes.config.plan.parallel_jobs, (_at_work(sizes, job) for job in trained))
    formula = f"the {len(largest)} largest jobs: checkpoints that are removed later, and states to resume from"
    yield Part("runs at work", TEMPORARY, formula, sum(largest))
    if finetuning.keep_final_checkpoints:
        return
    formula = f"runs × {_weights(experiment)}"
    runs = {run for job in trained for run in courses.runs_of(experiment, job)}
    for what, found in (
        ("final checkpoints that are models of other runs", _started_from(experiment)),
        ("final checkpoints that wait for others", _read_together(experiment, planned)),
    ):
        yield Part(what, TEMPORARY, formula, sum(_checkpoint(sizes, run) for run in runs & found))


def peak(found: Iterable[Part]) -> float:
    """Bytes on the disk when most lies there: all that stays, and as much as can lie beside it."""
    return sum(part.bytes for part in found)


def downloads(sizes: Sizes, planned: Collection[Job]) -> Iterator[tuple[str, float | None]]:
    """Models, adapters and datasets to download that are not there yet, with their bytes."""
    models = {job.wildcards["model"] for job in planned if job.rule == "fetch_model"}
    experiment = sizes.experiment
    for name in needed.read_here(experiment.config, experiment.models, experiment.runs):
        if name in models and not sizes.fetched(name).is_dir():
            yield name, sizes.files(name)
    for name in [job.wildcards["finetuned"] for job in planned if job.rule == "fetch_adapter"]:
        if not sizes.fetched_adapter(name).is_dir():
            yield name, sizes.adapter(name)
    rows = [job for job in planned if job.rule in estimates.FETCHING]
    absent = [job for job in rows if not estimates.fetched_to(sizes.results, job).exists()]
    for dataset, share in estimates.fetched(sizes.experiment, absent).items():
        size = sizes.raw_bytes(dataset)
        yield dataset, None if size is None else share * size


def check(experiment: Experiment, results: str | Path, all_jobs: Iterable[Job], to_run: Collection[Job]) -> list[str]:
    """Refuse jobs for whose planned peak the disk has no room.

    Args:
        experiment: whose jobs these are.
        results: the experiment's folder.
        all_jobs: every job of the target; their order is that in which sizes are looked up.
        to_run: those of them that will run.

    Returns:
        What was not known, and counted as nothing: keys of the config.

    Raises:
        InputError: saying what is needed, what is free, and where.
    """
    planned = [job for job in all_jobs if job in to_run]
    if not any(job.rule == "finetune" for job in planned):
        return []
    sizes = Sizes(experiment, Path(results))
    needed = peak(parts(sizes, planned))
    for where, free in room(experiment, sizes.results):
        if needed > free:
            raise InputError(
                f"the jobs to run need up to {text.gigabytes(needed)} of disk, but {where} has "
                f"{text.gigabytes(max(0, free))} free: lower plan.parallel_jobs, set finetuning.checkpoint_dtype "
                "to bfloat16, give more disk, or set plan.check_disk to false (`snakemake plan` shows what needs "
                "how much)."
            )
    return list(sizes.missing)


def room(experiment: Experiment, results: Path) -> Iterator[tuple[str, float]]:
    """What limits the disk, in words, with the bytes that it leaves: the file system, and a quota of the config.

    The other experiments beside this one count for a quota as well.
    """
    place, free = free_space(results)
    yield f"{place}, the file system of {results},", free
    if (quota := experiment.config.plan.disk_gb) is not None:
        held = used_space(results.parent)
        yield f"{results.parent}, with {text.gigabytes(held)} of plan.disk_gb {quota:g} taken,", quota * 1e9 - held


def left(experiment: Experiment, results: Path) -> str:
    """That for a reader."""
    return "; ".join(f"{where} has {text.gigabytes(max(0, free))} free" for where, free in room(experiment, results))


def free_space(results: Path) -> tuple[Path, int]:
    """The file system that results are written to, by its mount point, and its free bytes."""
    place = results.resolve()
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


def _model_folder(sizes: Sizes, job: Job) -> float:
    return sizes.files(job.wildcards["model"]) or 0


def _adapter_folder(sizes: Sizes, job: Job) -> float:
    return sizes.adapter(job.wildcards["finetuned"]) or 0


def _last(sizes: Sizes, job: Job) -> float:
    return sum(_checkpoint(sizes, run) for run in courses.runs_of(sizes.experiment, job))


def _on_the_way(sizes: Sizes, job: Job) -> float:
    return sum(_on_its_way(sizes, run, course) for run, course in courses.courses(sizes, job))


def _checkpoint(sizes: Sizes, run: Run) -> float:
    model, _ = sizes.model(run.model)
    return courses.checkpoint_bytes(sizes.experiment, run.group, model) if model else 0


def _on_its_way(sizes: Sizes, run: Run, course: Course | None) -> float:
    return len(course.kept) * _checkpoint(sizes, run) if course else 0


def _at_work(sizes: Sizes, job: Job) -> float:
    """Bytes of a fine-tuning job that do not stay: all of its runs lie there until the last is done."""
    kept, total = sizes.config.finetuning, 0.0
    planned = courses.courses(sizes, job)
    runs = [run for run, _ in planned]
    for run, course in planned:
        model, _ = sizes.model(run.model)
        if model is None or course is None:
            continue
        recipe = sizes.experiment.recipe(run.group)
        states = formulas.states(course.steps, recipe.resume_every)
        total += states * courses.state_bytes(sizes.experiment, run.group, model)
        total += (not kept.keep_final_checkpoints) * _checkpoint(sizes, run)
        total += (not kept.keep_intermediate_checkpoints) * _on_its_way(sizes, run, course)
        if run.earlier and run.earlier not in runs and not kept.keep_final_checkpoints:
            total += _checkpoint(sizes, run.earlier)
    return total


def _started_from(experiment: Experiment) -> set[Run]:
    """Runs that models of the config are: they are needed for long."""
    sources = [model.source for model in experiment.config.models.values()]
    named = [(source.model, source.run) for source in sources if isinstance(source, AfterRun)]
    return {experiment.run_named[name] for name in named if name in experiment.run_named}


def _read_together(experiment: Experiment, planned: Iterable[Job]) -> set[Run]:
    """Runs whose last checkpoints a job reads together with those of others: the first waits for the last."""
    found: set[Run] = set()
    for job in planned:
        if job.rule == "evaluate":
            model = job.wildcards["model"]
            read = arguments.trained_runs(experiment, model, job.wildcards["batch"])
            found |= {experiment.run_named[model, run] for run in read} if len(read) > 1 else set()
        elif job.rule in resources.OF_STUDIES:
            found |= set(READ_BY[job.rule](experiment, job.wildcards["model"], int(job.wildcards["seed"])))
    return found


def _patterns(sizes: Sizes, job: Job) -> float:
    total, reductions = 0, 1 + len(sizes.config.patterns.also)
    for run, course in courses.courses(sizes, job):
        model, _ = sizes.model(run.model)
        for _, samples in sizes.probes(run):
            if model and course and samples.count is not None:
                total += (len(course.kept) + 2) * formulas.pattern_bytes(model, samples.count, reductions)
    return total


def _ablations(sizes: Sizes, job: Job) -> float:
    """Changes of the loss without each head and each group, and three patterns of others, before and after."""
    experiment, total = sizes.experiment, 0
    for run in courses.runs_of(experiment, job):
        model, _ = sizes.model(run.model)
        for _, samples in sizes.probes(run):
            if model and samples.count is not None:
                ablated, patterned = courses.ablated_samples(experiment, samples.count)
                heads, kept_groups = model.layers * model.heads, courses.groups(experiment)
                changes, kept = courses.kept_changes(experiment), READINGS + courses.scores(experiment, run.model)
                total += 2 * 4 * (ablated * (heads * changes + kept_groups) + patterned * kept * heads)
    return total


def _features_formula(experiment: Experiment) -> str:
    formula = "samples × (hidden width × 4 + 8)"
    if not selection.takes_gradients(experiment):
        return formula
    less: selection.Less = experiment.settings(selection.NAME).less
    return f"{formula}, LESS: {less.epochs} epochs × compared samples × {less.dimension} × 4"


def _features(sizes: Sizes, job: Job) -> float:
    """Hidden states and a loss of every row; of LESS a vector after each epoch of the samples that it compares.

    Those are the pools and the pseudo-private samples of all domains, which may share some.
    """
    experiment, total = sizes.experiment, 0.0
    own: selection.Settings = experiment.settings(selection.NAME)
    model, _ = sizes.model(job.wildcards["model"])
    tokenizer = needed.tokenizer_of(experiment.config, job.wildcards["model"])
    compared = selection.takes_gradients(experiment)
    for split, parts in (("train", "pseudo_private"), ("probe", "pool")):
        rows = sizes.samples(tokenizer, own.dataset, split).count
        if model is None or rows is None:
            return 0
        total += rows * (4 * model.hidden + 8)
        known = [sizes.domain(domain)[parts] for domain in own.domains] if compared else []
        total += 4 * own.less.epochs * own.less.dimension * min(rows, sum(count or 0 for count in known))
    return total


def _pretrained(sizes: Sizes, job: Job) -> float:
    experiment, name = sizes.experiment, job.wildcards["pretraining"]
    run = sizes.config.pretraining[name]
    for model in sizes.config.models:
        if estimates.is_pretrained(experiment, model, name):
            size, _ = sizes.model(model)
            return len(run.kept) * size.bytes if size else 0
    return 0


def _instructions(sizes: Sizes, job: Job) -> float:
    dataset = job.wildcards["dataset"]
    return TEXT_BYTES * sum(_tokens(sizes.samples(sizes.tokenizer, dataset, split)) for split in ("train", "probe"))


def _shards(sizes: Sizes, job: Job) -> float:
    return ARROW_BYTES * _tokens(estimates.tokenized(sizes, job))


def _tokens(samples: Samples) -> float:
    return (samples.count or 0) * (samples.tokens or 0)


def _fetched_rows(sizes: Sizes, rows: Iterable[Job]) -> float:
    found = estimates.fetched(sizes.experiment, rows)
    return sum(share * (sizes.raw_bytes(dataset) or 0) for dataset, share in found.items())
