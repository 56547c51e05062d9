"""What the jobs of an experiment will take: hours of each, from the sizes of its models and data and its config."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from headpatterns.cluster import resources as cluster
from headpatterns.data import splitting
from headpatterns.experiment import applications
from headpatterns.experiment import config as experiment
from headpatterns.experiment.applications import Config
from headpatterns.experiment.runs import Run
from headpatterns.planning import formulas as costs
from headpatterns.planning.jobs import Evaluation, Job, Runs, jobs
from headpatterns.planning.sizes import Samples, Sizes

READINGS = 3
"""Reductions of Eq. 2, in each of which ablations take the patterns that they are compared with."""


class Estimate(NamedTuple):
    """A job with what it is given and the seconds that it will take; None where a size is not known."""

    job: Job
    gpus: int
    threads: int
    seconds: float | None


class Course(NamedTuple):
    """How a run will go: its steps, the tokens that it reads, and the steps at which it keeps its weights."""

    steps: int
    tokens: float
    kept: list[int]


def estimates(config: Config, sizes: Sizes) -> list[Estimate]:
    """An estimate for every job of the experiment."""
    return [Estimate(job, gpus(config, job), threads(config, job), seconds(config, sizes, job))
            for job in jobs(config)]  # fmt: skip


def threads(config: Config, job: Job) -> int:
    """Threads of a job, on all of its machines."""
    return cluster.nodes(config, job.rule, _group(job)) * experiment.size(config, job.rule)["threads"]


def gpus(config: Config, job: Job) -> int:
    """GPUs of a job, on all of its machines."""
    return cluster.gpus(config, job.rule, _group(job)) * cluster.nodes(config, job.rule, _group(job))


def _group(job: Job) -> str | None:
    """What decides the machines of a fine-tuning."""
    return job.about.runs[0].group if job.rule == "finetune" else None


def seconds(config: Config, sizes: Sizes, job: Job) -> float | None:
    """Wall time of a job: its start and its work."""
    start = config["plan"]["start_seconds"]
    if job.rule not in WORK:
        return start["other"]
    needed = WORK[job.rule](config, sizes, job)
    return None if needed is None else needed + start["model" if job.rule in LOADING else "other"]


def course(config: Config, sizes: Sizes, run: Run, keeps_steps: bool) -> Course | None:
    """The course of a run; `keeps_steps` says whether it keeps its weights on the way."""
    recipe = experiment.recipe(config, run.group)
    samples = sizes.training_set(run)
    if samples.tokens is None or (samples.count is None and recipe["max_steps"] is None):
        return None
    micro_batch = recipe["devices"] * recipe["per_device_batch_size"]
    steps = costs.steps(
        samples.count, recipe["epochs"], recipe["max_steps"], micro_batch, recipe["gradient_accumulation_steps"]
    )
    read = recipe["epochs"] * samples.count if recipe["max_steps"] is None else steps * recipe["global_batch_size"]
    kept = costs.intermediate(recipe["checkpoint_steps"], steps) if keeps_steps else []
    return Course(steps, read * samples.tokens, kept)


def checkpoint_bytes(config: Config, model: costs.Model) -> int:
    """The weights of a fine-tuned model."""
    return model.parameters * costs.BYTES[config["finetuning"]["checkpoint_dtype"]]


def _finetune(config: Config, sizes: Sizes, job: Job) -> float | None:
    total = 0.0
    about: Runs = job.about
    recipe = experiment.recipe(config, about.runs[0].group)
    for run in about.runs:
        model, _ = sizes.model(run.model)
        samples = sizes.training_set(run)
        way = course(config, sizes, run, about.steps)
        if model is None or way is None:
            return None
        passes = costs.CHECKPOINTED if recipe["gradient_checkpointing"] else costs.TRAINING
        operations = passes * costs.forward(model, way.tokens, samples.tokens)
        dtype = "bfloat16" if recipe["precision"] == "bf16" else "float32"
        saved = (way.steps - 1) // recipe["resume_every"] if way.steps else 0
        moved = (
            model.bytes
            + (len(way.kept) + 1) * checkpoint_bytes(config, model)
            + saved * costs.state_bytes(model, recipe["engine"], recipe["precision"])
        )
        total += operations / speed(config, job, "training", dtype) + moved / _disk(config)
    return total


def _extract_patterns(config: Config, sizes: Sizes, job: Job) -> float | None:
    total, started = 0.0, set()
    about: Runs = job.about
    for run in about.runs:
        model, _ = sizes.model(run.model)
        way = course(config, sizes, run, about.steps)
        for name, samples in sizes.probes(run):
            if model is None or way is None or None in samples:
                return None
            checkpoints = len(way.kept) + 1
            # The model itself, before the run, is taken once on a probe set, whichever runs of the job start from it.
            base = name not in started
            started.add(name)
            tokens = samples.count * samples.tokens * (checkpoints + base)
            operations = costs.PATTERNS * costs.forward(model, tokens, samples.tokens)
            moved = checkpoints * checkpoint_bytes(config, model) + base * model.bytes
            total += operations / speed(config, job, "patterns", config["patterns"]["dtype"]) + moved / _disk(config)
    return total


def _ablate_heads(config: Config, sizes: Sizes, job: Job) -> float | None:
    """Two sets of samples of each run, before and after it; before, the model is loaded once for all runs of a job."""
    about: Runs = job.about
    model, _ = sizes.model(about.runs[0].model)
    probed = [samples for run in about.runs for _, samples in sizes.probes(run)]
    if model is None or any(None in samples for samples in probed):
        return None
    weights = (costs.PREFILL * ablated_settings(config, model), costs.PATTERNS * READINGS)
    operations = sum(
        2 * passes * costs.forward(model, count * samples.tokens, samples.tokens)
        for samples in probed
        for passes, count in zip(weights, ablated_samples(config, samples.count), strict=True)
    )
    moved = model.bytes + len(about.runs) * checkpoint_bytes(config, model)
    # Batches are those of patterns, filled to a token budget and padded little, not the few prompts of an evaluation's.
    return operations / speed(config, job, "patterns", config["patterns"]["dtype"]) + moved / _disk(config)


def ablated_samples(config: Config, count: int) -> tuple[int, int]:
    """Samples of a probe set of `count` whose heads are ablated, and others whose patterns are taken."""
    return splitting.two_sets(count, config["studies"]["validity"]["samples"])


def ablated_settings(config: Config, model: costs.Model) -> int:
    """Settings that a sample is read under: no head, each head, and each group of several heads ablated.

    A group of one head is a head alone, and all heads are one group, whichever way they rank.
    """
    validity, heads = config["studies"]["validity"], model.layers * model.heads
    several = set(validity["top"]) - {1}
    return 1 + heads + (2 + validity["draws"]) * len(several - {heads}) + (heads in several)


def groups(config: Config) -> int:
    """Groups that changes of the loss are kept of: the largest patterns, the smallest and random heads of each size."""
    validity = config["studies"]["validity"]
    return (2 + validity["draws"]) * len(validity["top"])


def _evaluate(config: Config, sizes: Sizes, job: Job) -> float | None:
    about: Evaluation = job.about
    model, _ = sizes.model(about.model)
    if model is None:
        return None
    runs = {run for run, _ in about.sheet}
    moved = sum(model.bytes if run == applications.BASE else checkpoint_bytes(config, model) for run in runs)
    answered = [_answer(config, job, model, sizes.evaluated(about.model, name)) for _, name in about.sheet]
    return None if None in answered else moved / _disk(config) + sum(answered)


def _answer(config: Config, job: Job, model: costs.Model, samples: Samples | None) -> float | None:
    """Seconds to read the prompts of an evaluation set and write answers of full length.

    On a GPU decoding is bound by the memory, which hands over all weights for every token of a batch.
    """
    if samples is None or None in samples:
        return None
    evaluation = config["evaluation"]
    read = costs.PREFILL * costs.forward(model, samples.count * samples.tokens, samples.tokens)
    prefill = read / speed(config, job, "prefill", evaluation["dtype"])
    written = evaluation["max_new_tokens"]
    if config["device"] == "cpu":
        decoded = costs.forward(model, samples.count * written, samples.tokens)
        return prefill + decoded / speed(config, job, "decoding", evaluation["dtype"])
    gpu = costs.GPUS[config["plan"]["gpu"]]
    weights = model.parameters * costs.BYTES[evaluation["dtype"]]
    batches = -(-samples.count // evaluation["batch_size"])
    return prefill + batches * written * weights / (gpu.bandwidth * 1e9 * config["plan"]["utilisation"]["decoding"])


def _pretrain(config: Config, sizes: Sizes, job: Job) -> float | None:
    models = [name for name in experiment.used_models(config)
              if config["models"][name]["source"].get("pretraining") == job.about]  # fmt: skip
    model, _ = sizes.model(models[0])
    if model is None:
        return None
    recipe = config["pretraining_recipe"]
    tokens = config["pretraining"][job.about]["steps"] * recipe["batch_size"] * recipe["block_size"]
    operations = costs.TRAINING * costs.forward(model, tokens, recipe["block_size"])
    return operations / speed(config, job, "training", "float32")


def _fetch_model(config: Config, sizes: Sizes, job: Job) -> float | None:
    model, _ = sizes.model(job.about)
    return None if model is None else model.bytes / (config["plan"]["download_mb_per_second"] * 1e6)


def _fetch_dataset(config: Config, sizes: Sizes, job: Job) -> float | None:
    """Of the first dataset that reads these rows; others that do read the same."""
    dataset, share = next(iter(fetched(config, [job]).items()))
    size = sizes.raw_bytes(dataset)
    return None if size is None else share * size / (config["plan"]["download_mb_per_second"] * 1e6)


def _prepare_instructions(config: Config, sizes: Sizes, job: Job) -> float | None:
    """All rows are read, however few of them are taken."""
    size = sizes.raw_bytes(job.name)
    return None if size is None else size / (config["plan"]["prepare_mb_per_second"] * 1e6)


def _tokenize_instructions(config: Config, sizes: Sizes, job: Job) -> float | None:
    samples = sizes.samples(*job.about)
    return None if None in samples else samples.count * samples.tokens / config["plan"]["tokenize_tokens_per_second"]


WORK = {
    "fetch_dataset": _fetch_dataset,
    "prepare_instructions": _prepare_instructions,
    "tokenize_instructions": _tokenize_instructions,
    "fetch_model": _fetch_model,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "extract_patterns": _extract_patterns,
    "ablate_heads": _ablate_heads,
    "evaluate": _evaluate,
}
"""Rules whose time is more than that of a start, with the function that estimates a job's."""

LOADING = {"tokenize_instructions", "pretrain", "finetune", "extract_patterns", "ablate_heads", "evaluate"}
"""Those that load a model or a tokenizer first."""

DOWNLOADS = {"fetch_dataset", "fetch_model"}
"""Those that run beside Snakemake, never under a scheduler that ends them after `resources.RULE.runtime`."""


def fetched(config: Config, rows: Iterable[Job]) -> dict[str, float]:
    """Datasets that read rows of the hub, with the share of their sources that the given jobs fetch."""
    names = {job.name for job in rows}
    found = {}
    for dataset in experiment.used_datasets(config):
        entry = config["datasets"][dataset]
        sources = [source for split in ("train", "probe") for source in entry.get(split, [])]
        share = sum("hub" in source and experiment.hub_name(source) in names for source in sources) / len(sources)
        if share:
            found[dataset] = share
    return found


def speed(config: Config, job: Job, kind: str, dtype: str) -> float:
    """Operations a second of a job: of its GPUs at the stated utilisation, or of its threads."""
    plan = config["plan"]
    if config["device"] == "cuda":
        return max(1, gpus(config, job)) * costs.GPUS[plan["gpu"]].peak(dtype) * plan["utilisation"][kind]
    return threads(config, job) * plan["cpu_gflops"] * 1e9


def _disk(config: Config) -> float:
    """Bytes that the disk moves in a second."""
    return config["plan"]["disk_gb_per_second"] * 1e9


def by_rule(found: Iterable[Estimate]) -> dict[str, list[Estimate]]:
    """Estimates by rule, in the order of their first appearance."""
    rules: dict[str, list[Estimate]] = {}
    for estimate in found:
        rules.setdefault(estimate.job.rule, []).append(estimate)
    return rules


def hours(found: Iterable[Estimate], weight: str | None = None) -> float:
    """Hours of jobs as far as they are known, those of GPUs with the weight `gpus`, those of threads with `threads`."""
    return sum((getattr(one, weight) if weight else 1) * (one.seconds or 0) for one in found) / 3600


def row(rule: str, found: list[Estimate]) -> dict[str, Any]:
    """What the jobs of a rule will take, as a row of the plan."""
    known = [one.seconds for one in found if one.seconds is not None]
    given = sorted({one.gpus for one in found})
    return {
        "rule": rule,
        "jobs": len(found),
        "gpus_a_job": str(given[0]) if len(given) == 1 else f"{given[0]} to {given[-1]}",
        "hours": hours(found),
        "longest_job_hours": max(known, default=0) / 3600,
        "gpu_hours": hours(found, "gpus"),
        "cpu_hours": hours(found, "threads"),
        "unknown_jobs": len(found) - len(known),
    }
