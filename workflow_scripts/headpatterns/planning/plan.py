"""The plan of an experiment: jobs, hours, disk and downloads before it starts, with the formulas behind them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headpatterns.experiment import needed, written
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.gpus import GPUS
from headpatterns.experiment.jobs import Job
from headpatterns.experiment.runs import HEADS, SELECTION
from headpatterns.experiment.schema import Config
from headpatterns.io import atomic_path, write_csv
from headpatterns.planning import courses, disk, formulas, summaries, text
from headpatterns.planning.estimates import DOWNLOADS, WORK, Estimate
from headpatterns.planning.explanation import explained
from headpatterns.planning.sizes import Sizes
from headpatterns.studies import load_studies

COLUMNS = ("rule", "jobs", "gpus_a_job", "hours", "longest_job_hours", "gpu_hours", "cpu_hours", "unknown_jobs")


def write(config: Path, jobs: Path, results: Path, output: Path) -> None:
    """Estimate, write OUTPUT.csv and OUTPUT.md, and print everything except the formulas.

    Args:
        config: the experiment's config, all overlays merged.
        jobs: the table of its jobs that Snakemake has made.
        results: the experiment's folder, which need not exist yet.
        output: path of the two files without suffix.

    Raises:
        InputError: config or jobs cannot be read.
    """
    experiment = Experiment(written.read_config(config), load_studies())
    sizes = Sizes(experiment, results)
    found = summaries.estimates(sizes, summaries.read_jobs(experiment, jobs))
    planned = [one.job for one in found]
    rows = [summaries.row(rule, of_rule) for rule, of_rule in summaries.by_rule(found).items()]
    write_csv(output.with_suffix(".csv"), COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    summary = [
        f"# Plan of the experiment {experiment.config.experiment}",
        described(experiment.config),
        *jobs_section(rows, summaries.row("sum", found)),
        *memory_section(sizes, found),
        *disk_section(sizes, planned),
        *download_section(sizes, planned),
        *notes(sizes, found),
    ]
    basis = [*sizes_section(sizes), *explained(experiment.config.plan)]
    with atomic_path(output.with_suffix(".md")) as temporary:
        temporary.write_text("\n\n".join([*summary, *basis]) + "\n", encoding="utf-8")
    print("\n\n".join(summary))
    print(f"\nThe sizes and formulas behind these figures: {output.with_suffix('.md')}")


def described(config: Config) -> str:
    """The device for which the hours are estimated."""
    plan = config.plan
    if config.device == "cpu":
        return f"Estimated for processors that do {plan.cpu_gflops:g} billion operations per second and thread."
    gpu = GPUS[plan.gpu]
    return (
        f"Estimated for GPUs of the type {plan.gpu}: {gpu.bf16:g} TFLOP/s in bfloat16, {gpu.fp32:g} in float32, "
        f"{gpu.memory:g} GB, {gpu.bandwidth:g} GB/s."
    )


def jobs_section(rows: Sequence[dict[str, Any]], total: dict[str, Any]) -> Iterator[str]:
    """A table by rule; rules whose jobs only start and end share one row."""
    yield "## Jobs"
    long = [row for row in rows if row["jobs"] > 1 or row["unknown_jobs"] or row["rule"] in WORK]
    short = [row for row in rows if row not in long]
    others = {
        "rule": f"{len(short)} other rules",
        "gpus_a_job": "0",
        **{name: sum(row[name] for row in short) for name in ("jobs", "hours", "gpu_hours", "cpu_hours")},
        "unknown_jobs": 0,
        "longest_job_hours": max((row["longest_job_hours"] for row in short), default=0.0),
    }
    shown = [*long, *([others] if short else []), {**total, "gpus_a_job": ""}]
    headers = ["rule", "jobs", "GPUs a job", "time of all", "longest", "GPU-hours", "CPU-hours"]
    yield text.table(headers, [
        [row["rule"], row["jobs"], row["gpus_a_job"],
         *map(text.duration, (row["hours"], row["longest_job_hours"])),
         *map(text.hours, (row["gpu_hours"], row["cpu_hours"]))] if row["unknown_jobs"] < row["jobs"] else
        [row["rule"], row["jobs"], row["gpus_a_job"], *"????"] for row in shown
    ])  # fmt: skip


def disk_section(sizes: Sizes, planned: Sequence[Job]) -> Iterator[str]:
    """The largest use of the disk."""
    parts = disk.parts(sizes, planned)
    peak, used = disk.peak(parts), disk.used_space(sizes.results)
    yield f"## Disk, with the checkpoints of {sizes.config.plan.parallel_jobs} fine-tuning jobs at once"
    rows = [[*part[:3], text.gigabytes(part.bytes)] for part in parts]
    yield text.table(
        ["what", "stays", "estimated as", "size"], [*rows, ["peak", "", "sum", text.gigabytes(peak)]], texts=3
    )
    yield (
        f"{sizes.results} takes {text.gigabytes(used)} now; {disk.left(sizes.experiment, sizes.results)}. Figures, "
        "logs and tables come on top: some tens of megabytes."
    )


def download_section(sizes: Sizes, planned: Sequence[Job]) -> Iterator[str]:
    """The downloads that are still to be done."""
    found = dict(disk.downloads(sizes, planned))
    if not found:
        return
    total = sum(size or 0 for size in found.values())
    seconds = total / (sizes.config.plan.download_mb_per_second * 1e6)
    listed = ", ".join(f"{name} {'?' if size is None else text.gigabytes(size)}" for name, size in found.items())
    yield "## Downloads"
    yield f"{text.gigabytes(total)}, {text.duration(seconds / 3600)}: {listed}."


def notes(sizes: Sizes, found: Sequence[Estimate]) -> Iterator[str]:
    """Unknown numbers, and parts of the plan that will not work."""
    lines = [f"Not known, and counted as 0: {key}; {fix}." for key, fix in sizes.missing.items()]
    for rule, of_rule in summaries.by_rule(found).items():
        unknown = sum(one.seconds is None for one in of_rule)
        if unknown:
            lines.append(f"The hours of {unknown} of {len(of_rule)} jobs of {rule} are not known.")
        longest = max((one.seconds or 0 for one in of_rule), default=0) / 60
        asked = sizes.config.size(rule)["runtime"]
        if longest > asked and rule not in DOWNLOADS:
            lines.append(
                f"A job of {rule} takes up to {longest:.0f} minutes, and resources.{rule}.runtime asks for {asked}: "
                "raise it."
            )
    lines += steps_that_never_come(sizes)
    if sizes.config.device == "cuda":
        lines += memory(sizes, found)
    if lines:
        yield "## What to check"
        yield "\n".join(f"- {line}" for line in lines)


def steps_that_never_come(sizes: Sizes) -> Iterator[str]:
    """Checkpoint steps beyond the end of a run whose intermediate patterns are read, by task group."""
    ends: dict[str, int] = {}
    for run in sizes.experiment.runs_with_steps:
        course = courses.course(sizes, run, True)
        if course:
            ends[run.group] = min(course.steps, ends.get(run.group, course.steps))
    for group, end in sorted(ends.items()):
        late = [step for step in sorted(sizes.config.finetuning.checkpoint_steps) if step > end]
        if late:
            yield (
                f"finetuning.checkpoint_steps has {', '.join(map(str, late))}, but runs of the group {group} end "
                f"after {end} steps: remove the later steps, or train longer."
            )


def memory_section(sizes: Sizes, found: Sequence[Estimate]) -> Iterator[str]:
    """The memory that work with models needs on GPUs."""
    if sizes.config.device != "cuda":
        return
    yield "## Memory of each GPU, before activations"
    rows = [[what, text.gigabytes(size)] for (what, _), size in _needed_bytes(sizes, found).items()]
    yield text.table(["what", "size"], rows)


def _needed_bytes(sizes: Sizes, found: Sequence[Estimate]) -> dict[tuple[str, str], float]:
    """Bytes on each GPU by the kind of work and the way to need fewer."""
    return {(what, fix): size for one in found for what, size, fix in _held(sizes, one.job)}


def memory(sizes: Sizes, found: Sequence[Estimate]) -> list[str]:
    """Work that needs more memory than a GPU has, even before activations."""
    name = sizes.config.plan.gpu
    return [
        (
            f"{what} takes {size / 1e9:.0f} GB of memory on each GPU before activations, but {name} has "
            f"{GPUS[name].memory:g} GB: {fix}."
        )
        for (what, fix), size in _needed_bytes(sizes, found).items()
        if size > GPUS[name].memory * 1e9
    ]


def _held(sizes: Sizes, job: Job) -> Iterator[tuple[str, float, str]]:
    """The work of a job with its model, the bytes that it needs on a GPU, and the way to need fewer."""
    config = sizes.config
    dtypes = {
        "extract_patterns": ("patterns", "Taking the patterns of", config.patterns.dtype),
        "ablate_heads": ("patterns", "Ablating the heads of", config.patterns.dtype),
        "transfer_losses": ("patterns", "Taking the losses of", config.patterns.dtype),
        "transplant_heads": ("patterns", "Moving the heads of", config.patterns.dtype),
        "choose_heads": ("patterns", "Choosing heads of", config.patterns.dtype),
        "trained_losses": ("patterns", "Taking the losses of", config.patterns.dtype),
        "evaluate": ("evaluation", "Evaluating", config.evaluation.dtype),
    }
    if job.rule not in {"finetune", *dtypes}:
        return
    name = job.wildcards["model"]
    model, _ = sizes.model(name)
    if model is None:
        return
    if job.rule == "finetune":
        group = sizes.experiment.batches[job.batch].group
        recipe, trained = sizes.experiment.recipe(group), courses.trained(sizes.experiment, group, model)
        given = recipe.engine, recipe.precision, recipe.optimizer, recipe.devices
        if recipe.is_lora:
            started = courses.runs_of(sizes.experiment, job)
            if any(needed.starts_from_adapters(config, run) for run in started):  # merged into it in float32
                model = replace(model, bytes=formulas.BYTES["float32"] * model.parameters)
            held = formulas.gpu_adapter_bytes(model, trained, *given)
            yield f"Training adapters of {name}", held, "use a larger GPU, or precision bf16"
            return
        if group == HEADS:
            yield f"Training heads of {name} alone", formulas.gpu_heads_bytes(model), "use a larger GPU"
            return
        held = formulas.gpu_training_bytes(model, *given)
        fix = "use more devices, optimizer adamw_offloaded, or method lora"
        yield f"Training {name} on {recipe.devices} GPUs", held, fix
        return
    section, does, dtype = dtypes[job.rule]
    fix = f"set {section}.dtype to bfloat16" if dtype == "float32" else "use a larger GPU"
    models = 1 + (job.rule in {"choose_heads", "transplant_heads"})  # the base and a run, side by side
    yield f"{does} {name} in {dtype}", models * model.parameters * formulas.BYTES[dtype], fix


def sizes_section(sizes: Sizes) -> Iterator[str]:
    """The models and datasets, and the sources of their sizes."""
    experiment = sizes.experiment
    yield "## Sizes"
    models = []
    for name in experiment.models:
        model, source = sizes.model(name)
        figures = (
            (f"{model.parameters:,}", model.layers, model.heads, model.width, model.hidden, f"{model.bytes:,}")
            if model
            else ()
        )
        models.append([name, source, *(figures or ["?"] * 6)])
    yield text.table(["model", "source", "parameters", "layers", "heads", "width", "hidden", "bytes"], models, texts=2)
    yield text.table(
        ["dataset", "tokenizer", "source", "train", "probe", "tokens a sample"], _dataset_rows(sizes), texts=3
    )
    selection = experiment.settings(SELECTION)
    if domains := selection.models and selection.domains:
        parts = {domain: sizes.domain(domain) for domain in domains}
        yield text.table(
            ["domain", *next(iter(parts.values()))], [[name, *part.values()] for name, part in parts.items()]
        )


def _dataset_rows(sizes: Sizes) -> list[list[str]]:
    """A row for each dataset, or for each group of tokenizers with the same lengths."""
    experiment = sizes.experiment
    tokenizers = list(dict.fromkeys(needed.tokenizer_of(experiment.config, model) for model in experiment.models))
    seen: dict[tuple[str, ...], list[str]] = {}
    for dataset in experiment.datasets:
        for tokenizer in tokenizers:
            train, probe = (sizes.samples(tokenizer, dataset, split) for split in ("train", "probe"))
            numbers = ["?" if value is None else f"{value:,.0f}" for value in (train.count, probe.count, train.tokens)]
            seen.setdefault((dataset, train.source, *numbers), []).append(tokenizer)
    return [
        [dataset, "every" if by == tokenizers else ", ".join(by), *others] for (dataset, *others), by in seen.items()
    ]
