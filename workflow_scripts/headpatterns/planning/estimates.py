"""What the jobs of an experiment will take: hours of each, from the sizes of its models and data and its config.

Which jobs there are, Snakemake says; how long a job takes, the function of its rule in `WORK`.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from headpatterns.cluster import resources
from headpatterns.data import adapters, splitting
from headpatterns.experiment import needed
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.gpus import GPUS
from headpatterns.experiment.jobs import Job
from headpatterns.experiment.runs import HEADS, Run
from headpatterns.experiment.sources import Pretrained, RowsOnHub, RowSource, RowsPinned
from headpatterns.planning import courses, formulas
from headpatterns.planning.courses import checkpoint_bytes, read_bytes
from headpatterns.planning.sizes import Samples, Sizes
from headpatterns.studies.selection import settings as selection
from headpatterns.studies.trained_heads import settings as trained_heads
from headpatterns.studies.transfer import settings as transfer
from headpatterns.studies.transplant import settings as transplant

FETCHING = {"fetch_dataset": "rows", "fetch_pinned": "pinned"}
"""Rules that download rows, with the wildcard that says which."""

OPTIONS = 4
"""Assumed of a question with options."""


class Estimate(NamedTuple):
    """A job with what it is given and the seconds that it will take; None where a size is not known."""

    job: Job
    gpus: int
    threads: int
    seconds: float | None


def estimate(sizes: Sizes, job: Job) -> Estimate:
    """The estimate of one job."""
    return Estimate(job, gpus(sizes.experiment, job), threads(sizes.experiment, job), seconds(sizes, job))


def threads(experiment: Experiment, job: Job) -> int:
    """Threads of a job, on all of its machines."""
    return _nodes(experiment, job) * resources.threads(experiment, job.rule)


def gpus(experiment: Experiment, job: Job) -> int:
    """GPUs of a job, on all of its machines."""
    return _nodes(experiment, job) * resources.gpus(experiment, job.rule, _group(experiment, job))


def _nodes(experiment: Experiment, job: Job) -> int:
    return resources.nodes(experiment, job.rule, _group(experiment, job))


def _group(experiment: Experiment, job: Job) -> str | None:
    """What decides the machines of a fine-tuning."""
    return experiment.batches[job.batch].group if job.rule == "finetune" else None


def seconds(sizes: Sizes, job: Job) -> float | None:
    """Wall time of a job: its start and its work."""
    start = sizes.config.plan.start_seconds
    if job.rule not in WORK:
        return start.other
    work = WORK[job.rule](sizes, job)
    return None if work is None else work + (start.model if job.rule in LOADING else start.other)


def speed(experiment: Experiment, job: Job, utilisation: float, dtype: str) -> float:
    """Operations a second of a job: of its GPUs at the stated utilisation, or of its threads."""
    plan = experiment.config.plan
    if experiment.config.device == "cuda":
        return max(1, gpus(experiment, job)) * GPUS[plan.gpu].peak(dtype) * utilisation
    return threads(experiment, job) * plan.cpu_gflops * 1e9


def _pattern_speed(experiment: Experiment, job: Job) -> float:
    """Operations a second of a job that takes patterns or losses, or ablates or moves heads."""
    config = experiment.config
    return speed(experiment, job, config.plan.utilisation.patterns, config.patterns.dtype)


def _disk(experiment: Experiment) -> float:
    """Bytes that the disk moves in a second."""
    return experiment.config.plan.disk_gb_per_second * 1e9


def _finetune(sizes: Sizes, job: Job) -> float | None:
    total, experiment, share = 0.0, sizes.experiment, sizes.config.plan.utilisation
    for run, course in courses.courses(sizes, job):
        model, _ = sizes.model(run.model)
        length = sizes.training_set(run).tokens
        if model is None or course is None or length is None:
            return None
        recipe = experiment.recipe(run.group)
        operations = courses.operations(experiment, run.group, model, course.tokens, length)
        dtype = "bfloat16" if recipe.precision == "bf16" else "float32"
        saved = (course.steps - 1) // recipe.resume_every if course.steps else 0
        moved = (
            model.bytes
            + (len(course.kept) + 1) * checkpoint_bytes(experiment, run.group, model)
            + saved * courses.state_bytes(experiment, run.group, model)
        )
        total += operations / speed(experiment, job, share.training, dtype) + moved / _disk(experiment)
    return total


def _extract_patterns(sizes: Sizes, job: Job) -> float | None:
    total, started, experiment = 0.0, set(), sizes.experiment
    rate = _pattern_speed(experiment, job)
    for run, course in courses.courses(sizes, job):
        model, _ = sizes.model(run.model)
        for name, samples in sizes.probes(run):
            if model is None or course is None or samples.known is None:
                return None
            count, length = samples.known
            checkpoints = len(course.kept) + 1
            # The model itself, before the run, is taken once on a probe set, whichever runs of the job start from it.
            base = name not in started
            started.add(name)
            operations = formulas.PATTERNS * formulas.forward(model, count * length * (checkpoints + base), length)
            moved = checkpoints * read_bytes(experiment, run.group, model) + base * model.bytes
            total += operations / rate + moved / _disk(experiment)
    return total


def _probed(sizes: Sizes, runs: Iterable[Run]) -> list[tuple[int, float]] | None:
    """Samples and tokens a sample of the probe sets of some runs; None where one is not known."""
    found = [samples.known for run in runs for _, samples in sizes.probes(run)]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else None


def _ablate_heads(sizes: Sizes, job: Job) -> float | None:
    """Two sets of samples of each run, before and after it; before, the model is loaded once for all runs of a job."""
    experiment = sizes.experiment
    runs = courses.runs_of(experiment, job)
    model, _ = sizes.model(runs[0].model)
    probed = _probed(sizes, runs)
    if model is None or probed is None:
        return None
    read, differentiated = courses.further_settings(experiment, model)
    weights = (
        formulas.PREFILL * (courses.ablated_settings(experiment, model) + read) + formulas.PATTERNS * differentiated,
        formulas.PATTERNS * (1 + courses.scored_settings(experiment, model, runs[0].model)),
    )
    operations = 0.0
    for samples, length in probed:
        for passes, count in zip(weights, courses.ablated_samples(experiment, samples), strict=True):
            operations += 2 * passes * formulas.forward(model, count * length, length)
    moved = model.bytes + len(runs) * read_bytes(experiment, runs[0].group, model)
    # Batches are those of patterns, filled to a token budget and padded little, not the few prompts of an evaluation's.
    return operations / _pattern_speed(experiment, job) + moved / _disk(experiment)


def _read_candidates(sizes: Sizes, job: Job) -> float | None:
    """Both splits of the dataset, once with the prompts and once without them, which is counted as the same."""
    experiment = sizes.experiment
    model, _ = sizes.model(job.wildcards["model"])
    if model is None:
        return None
    total = model.bytes / _disk(experiment)
    tokenizer = needed.tokenizer_of(experiment.config, job.wildcards["model"])
    for split in ("train", "probe"):
        known = sizes.samples(tokenizer, experiment.settings("selection").dataset, split).known
        if known is None:
            return None
        operations = 2 * formulas.PREFILL * formulas.forward(model, known[0] * known[1], known[1])
        share = experiment.config.plan.utilisation.prefill
        total += operations / speed(experiment, job, share, experiment.config.patterns.dtype)
        if split == "probe" and selection.takes_gradients(experiment):  # those of targets are few
            total += _gradients(sizes, job, model, known)
    return total


def _gradients(sizes: Sizes, job: Job, model: formulas.Model, samples: tuple[int, float]) -> float:
    """LESS after every epoch of its warm-up: passes as those of patterns, and the projection of adapters' gradients.

    The warm-up takes as many passes over its samples. Adapters on attention alone are counted; on all modules thrice
    as many weights.
    """
    experiment = sizes.experiment
    own: selection.Less = experiment.settings(selection.NAME).less
    count, length = samples
    passes = own.epochs * (1 + own.warm_up) * formulas.PATTERNS
    operations = passes * formulas.forward(model, count * length, length)
    share = 3 if own.lora.target_modules == "all-linear" else 1
    weights = 4 * own.lora.rank * (model.width + model.hidden) * model.layers * share
    operations += own.epochs * count * 2 * weights * own.dimension
    return operations / _pattern_speed(experiment, job)


def _transfer_losses(sizes: Sizes, job: Job) -> float | None:
    """A forward pass over the probe set of every task, under the model and under each of its runs."""
    experiment, name = sizes.experiment, job.wildcards["model"]
    model, _ = sizes.model(name)
    runs = transfer.runs_of(experiment, name, int(job.wildcards["seed"]))
    probed = _probed(sizes, runs)
    if model is None or probed is None:
        return None
    passes = (1 + len(runs)) * formulas.PREFILL
    operations = sum(passes * formulas.forward(model, count * length, length) for count, length in probed)
    moved = model.bytes + sum(read_bytes(experiment, run.group, model) for run in runs)
    return operations / _pattern_speed(experiment, job) + moved / _disk(experiment)


def _transplant_heads(sizes: Sizes, job: Job) -> float | None:
    """The measured samples of each run, with every choice of heads moved in either direction."""
    experiment, name = sizes.experiment, job.wildcards["model"]
    runs, settings = (
        transplant.runs_of(experiment, name, int(job.wildcards["seed"])),
        experiment.settings(transplant.NAME),
    )
    choices = 2 + (len(settings.rankings) + settings.draws) * len(settings.sizes)
    return _losses(sizes, job, runs, settings.samples, 2 * choices, with_base=True)


def _choose_heads(sizes: Sizes, job: Job) -> float | None:
    """The measured samples of each run under the model and under the run."""
    experiment, name = sizes.experiment, job.wildcards["model"]
    runs, settings = trained_heads.whole_of(experiment, name, int(job.wildcards["seed"])), experiment.settings(HEADS)
    return _losses(sizes, job, runs, settings.samples, 2, with_base=True)


def _trained_losses(sizes: Sizes, job: Job) -> float | None:
    """The measured samples of each run under it."""
    runs = courses.runs_of(sizes.experiment, job)
    return _losses(sizes, job, runs, sizes.experiment.settings(HEADS).samples, 1, with_base=False)


def _losses(sizes: Sizes, job: Job, runs: Sequence[Run], most: int, passes: int, *, with_base: bool) -> float | None:
    """Forward passes over at most `most` measured samples for each run; `with_base` reads the model as well."""
    experiment = sizes.experiment
    model, _ = sizes.model(runs[0].model)
    tokenizer = needed.tokenizer_of(experiment.config, runs[0].model)
    operations = 0.0
    if model is None:
        return None
    for run in runs:
        known = sizes.samples(tokenizer, run.training_set.datasets[0][0], "probe").known
        if known is None:
            return None
        _, count = splitting.two_sets(known[0], most)
        operations += passes * formulas.PREFILL * formulas.forward(model, count * known[1], known[1])
    moved = with_base * model.bytes + sum(read_bytes(experiment, run.group, model) for run in runs)
    return operations / _pattern_speed(experiment, job) + moved / _disk(experiment)


def _evaluate(sizes: Sizes, job: Job) -> float | None:
    experiment, name = sizes.experiment, job.wildcards["model"]
    pairs = experiment.evaluation_batches[name, job.wildcards["batch"]]
    model, _ = sizes.model(name)
    if model is None:
        return None
    runs = {run for run, _ in pairs}
    moved = sum(
        model.bytes
        if (name, run) in experiment.bases
        else read_bytes(experiment, experiment.run_named[name, run].group, model)
        for run in runs
    )
    written = experiment.answer_tokens(pairs[0][1])
    answered = [
        _answer(experiment, job, model, sizes.evaluated(name, items), _texts(experiment, items), written)
        for _, items in pairs
    ]
    known = [one for one in answered if one is not None]
    return moved / _disk(experiment) + sum(known) if len(known) == len(answered) else None


def _texts(experiment: Experiment, items: str) -> int:
    """Passes over each item of an evaluation set: one to answer it, and those of responses, which differ by options.

    The gold response is one of the options. Options of one letter share a pass.
    """
    name = experiment.evaluation_sets[items].dataset
    if not name:
        return 1
    dataset = experiment.config.datasets[name]
    form = adapters.resolve_options(dataset.adapter, dataset.options).get("response", "letter")
    return 2 if form == "letter" else 1 + OPTIONS


def _answer(
    experiment: Experiment, job: Job, model: formulas.Model, samples: Samples | None, texts: int, written: int
) -> float | None:
    """Seconds to read the prompts of an evaluation set so often, and write answers of full length, `written` tokens.

    On a GPU decoding is bound by the memory, which hands over all weights for every token of a batch.
    """
    if samples is None or samples.known is None:
        return None
    (count, length), evaluation = samples.known, experiment.config.evaluation
    plan, share = experiment.config.plan, experiment.config.plan.utilisation
    length *= 1 + evaluation.shots
    read = formulas.PREFILL * formulas.forward(model, texts * count * length, length)
    prefill = read / speed(experiment, job, share.prefill, evaluation.dtype)
    if experiment.config.device == "cpu":
        decoded = formulas.forward(model, count * written, length)
        return prefill + decoded / speed(experiment, job, share.decoding, evaluation.dtype)
    weights = model.parameters * formulas.BYTES[evaluation.dtype]
    steps = -(-count // evaluation.batch_size) * written
    return prefill + steps * weights / (GPUS[plan.gpu].bandwidth * 1e9 * share.decoding)


def _pretrain(sizes: Sizes, job: Job) -> float | None:
    experiment, config, share = sizes.experiment, sizes.config, sizes.config.plan.utilisation
    name = job.wildcards["pretraining"]
    model, _ = sizes.model(next(model for model in experiment.models if is_pretrained(experiment, model, name)))
    if model is None:
        return None
    recipe = config.pretraining_recipe
    length = min(config.embedded.tokens, recipe.block_size)
    tokens = config.pretraining[name].steps * recipe.batch_size * length
    operations = formulas.TRAINING * formulas.forward(model, tokens, length)
    return operations / speed(experiment, job, share.training, "float32")


def is_pretrained(experiment: Experiment, model: str, name: str) -> bool:
    """Whether a model is a checkpoint of a pretraining run."""
    source = experiment.config.models[model].source
    return isinstance(source, Pretrained) and source.pretraining == name


def _download(sizes: Sizes, size: int | None) -> float | None:
    return None if size is None else size / (sizes.config.plan.download_mb_per_second * 1e6)


def _fetch_model(sizes: Sizes, job: Job) -> float | None:
    return _download(sizes, sizes.files(job.wildcards["model"]))


def _fetch_adapter(sizes: Sizes, job: Job) -> float | None:
    return _download(sizes, sizes.adapter(job.wildcards["finetuned"]))


def _convert_gguf(sizes: Sizes, job: Job) -> float | None:
    """The folder is written, and read again to be checked; the file itself is smaller than both."""
    size = sizes.files(job.wildcards["model"])
    return None if size is None else 2 * size / _disk(sizes.experiment)


def _take_finetuned(sizes: Sizes, job: Job) -> float | None:
    """Every byte of its files is read, for their checksum."""
    size = sizes.files(job.wildcards["finetuned"])
    return None if size is None else size / _disk(sizes.experiment)


def _fetch_rows(sizes: Sizes, job: Job) -> float | None:
    """Of the first dataset that reads these rows; others that do read the same."""
    dataset, share = next(iter(fetched(sizes.experiment, [job]).items()))
    size = sizes.raw_bytes(dataset)
    return None if size is None else share * size / (sizes.config.plan.download_mb_per_second * 1e6)


def fetched_to(results: Path, job: Job) -> Path:
    """What a job makes that downloads rows."""
    names = job.wildcards
    return results / "raw" / (f"hub/{names['rows']}.parquet" if "rows" in names else f"pinned/{names['pinned']}")


def fetched(experiment: Experiment, rows: Iterable[Job]) -> dict[str, float]:
    """Datasets that read downloaded rows, with the share of their sources that the given jobs fetch."""
    names = {(rule, job.wildcards[wildcard]) for job in rows for rule, wildcard in FETCHING.items() if rule == job.rule}
    found = {}
    for dataset in experiment.datasets:
        entry = experiment.config.datasets[dataset]
        sources = [*entry.train, *entry.probe]
        share = sum(_fetched_by(source) in names for source in sources) / len(sources)
        if share:
            found[dataset] = share
    return found


def _fetched_by(source: RowSource) -> tuple[str, str] | None:
    """The rule that fetches a source of rows, and its wildcard; None of rows that are not downloaded."""
    match source:
        case RowsOnHub():
            return "fetch_dataset", source.file
        case RowsPinned():
            return "fetch_pinned", source.pinned
    return None


def _prepare_instructions(sizes: Sizes, job: Job) -> float | None:
    """All rows are read, however few of them are taken."""
    size = sizes.raw_bytes(job.wildcards["dataset"])
    return None if size is None else size / (sizes.config.plan.prepare_mb_per_second * 1e6)


def _tokenize_instructions(sizes: Sizes, job: Job) -> float | None:
    known = tokenized(sizes, job).known
    return None if known is None else known[0] * known[1] / sizes.config.plan.tokenize_tokens_per_second


def tokenized(sizes: Sizes, job: Job) -> Samples:
    """What a job makes tokens of."""
    return sizes.samples(*(job.wildcards[name] for name in ("tokenizer", "dataset", "split")))


WORK: dict[str, Callable[[Sizes, Job], float | None]] = {
    "fetch_dataset": _fetch_rows,
    "fetch_pinned": _fetch_rows,
    "prepare_instructions": _prepare_instructions,
    "tokenize_instructions": _tokenize_instructions,
    "fetch_model": _fetch_model,
    "fetch_adapter": _fetch_adapter,
    "convert_gguf": _convert_gguf,
    "merge_adapter": _convert_gguf,
    "take_finetuned": _take_finetuned,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "extract_patterns": _extract_patterns,
    "ablate_heads": _ablate_heads,
    "read_candidates": _read_candidates,
    "transfer_losses": _transfer_losses,
    "transplant_heads": _transplant_heads,
    "choose_heads": _choose_heads,
    "trained_losses": _trained_losses,
    "evaluate": _evaluate,
}
"""Rules whose time is more than that of a start, with the function that estimates a job's."""

LOADING = {
    "tokenize_instructions",
    "check_lengths",
    "convert_gguf",
    "merge_adapter",
    "take_finetuned",
    "give_chat_template",
    "pretrain",
    "finetune",
    "extract_patterns",
    "ablate_heads",
    "read_candidates",
    "transfer_losses",
    "transplant_heads",
    "choose_heads",
    "trained_losses",
    "evaluate",
}
"""Those that load a model or a tokenizer first."""

DOWNLOADS = {"fetch_model", "fetch_adapter", *FETCHING}
"""Those that run beside Snakemake, never under a scheduler that ends them after `resources.RULE.runtime`."""
