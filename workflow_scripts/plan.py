"""What an experiment will cost before it starts: jobs, hours, disk and downloads, with the formulas behind them.

Writes OUTPUT.csv, a row for each rule, and OUTPUT.md, which says everything; the tables are printed too.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.experiment import config as experiment
from headpatterns.experiment.applications import Config
from headpatterns.io import atomic_path
from headpatterns.planning import disk as footprint
from headpatterns.planning import estimates as planning
from headpatterns.planning import formulas as costs
from headpatterns.planning import text as tables
from headpatterns.planning.jobs import Job
from headpatterns.planning.sizes import TEXT_BYTES, Sizes

COLUMNS = ("rule", "jobs", "gpus_a_job", "hours", "longest_job_hours", "gpu_hours", "cpu_hours", "unknown_jobs")


def main(arguments: argparse.Namespace) -> None:
    """Estimate, write the two files, and print what is not formulas."""
    config = experiment.read_config(arguments.config)
    sizes = Sizes(config, arguments.results)
    found = planning.estimates(config, sizes)
    rows = [planning.row(rule, of_rule) for rule, of_rule in planning.by_rule(found).items()]
    tidy.write(arguments.output.with_suffix(".csv"), COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    summary = [
        f"# Plan of the experiment {config['experiment']}",
        described(config),
        *jobs_section(rows, planning.row("sum", found)),
        *disk_section(config, sizes),
        *download_section(config, sizes),
        *notes(config, sizes, found),
    ]
    explained = [*sizes_section(config, sizes), *formulas(config)]
    with atomic_path(arguments.output.with_suffix(".md")) as temporary:
        temporary.write_text("\n\n".join([*summary, *explained]) + "\n", encoding="utf-8")
    print("\n\n".join(summary))
    print(f"\nThe sizes and formulas behind these figures: {arguments.output.with_suffix('.md')}")


def described(config: Config) -> str:
    """On which device the hours are estimated."""
    plan = config["plan"]
    if config["device"] == "cpu":
        return f"Estimated for processors that do {plan['cpu_gflops']:g} billion operations a second and thread."
    gpu = costs.GPUS[plan["gpu"]]
    return (
        f"Estimated for GPUs of the type {plan['gpu']}: {gpu.bf16:g} TFLOP/s in bfloat16, {gpu.fp32:g} in float32, "
        f"{gpu.memory:g} GB, {gpu.bandwidth:g} GB/s."
    )


def jobs_section(rows: Sequence[dict[str, Any]], total: dict[str, Any]) -> Iterator[str]:
    """A table by rule; rules that only start and end are one row."""
    yield "## Jobs"
    long = [row for row in rows if row["jobs"] > 1 or row["unknown_jobs"] or row["rule"] in planning.WORK]
    short = [row for row in rows if row not in long]
    others = {
        "rule": f"{len(short)} other rules",
        "gpus_a_job": "0",
        **{name: sum(row[name] for row in short) for name in ("jobs", "hours", "gpu_hours", "cpu_hours")},
        "unknown_jobs": 0,
        "longest_job_hours": max((row["longest_job_hours"] for row in short), default=0),
    }
    shown = [*long, others, {**total, "gpus_a_job": ""}]
    headers = ["rule", "jobs", "GPUs a job", "time of all", "longest", "GPU-hours", "CPU-hours"]
    yield tables.table(headers, [
        [row["rule"], row["jobs"], row["gpus_a_job"],
         *map(tables.duration, (row["hours"], row["longest_job_hours"])),
         *map(tables.hours, (row["gpu_hours"], row["cpu_hours"]))] if row["unknown_jobs"] < row["jobs"] else
        [row["rule"], row["jobs"], row["gpus_a_job"], *"????"] for row in shown
    ])  # fmt: skip


def disk_section(config: Config, sizes: Sizes) -> Iterator[str]:
    """What lies on the disk at its fullest."""
    parts = footprint.parts(config, sizes, [one.job for one in planning.estimates(config, sizes)])
    peak, used = footprint.peak(parts), footprint.used_space(sizes.results)
    yield f"## Disk, with the checkpoints of {config['plan']['parallel_jobs']} fine-tuning jobs at once"
    rows = [[*part[:3], tables.gigabytes(part.bytes)] for part in parts]
    yield tables.table(
        ["what", "stays", "estimated as", "size"], [*rows, ["peak", "", "sum", tables.gigabytes(peak)]], texts=3
    )
    yield (
        f"{sizes.results} holds {tables.gigabytes(used)} now; {footprint.left(config, sizes.results)}. Figures, logs "
        "and tables come on top: some tens of megabytes."
    )


def download_section(config: Config, sizes: Sizes) -> Iterator[str]:
    """What is yet to be fetched."""
    found = dict(footprint.downloads(config, sizes))
    if not found:
        return
    total = sum(size or 0 for size in found.values())
    seconds = total / (config["plan"]["download_mb_per_second"] * 1e6)
    listed = ", ".join(f"{name} {'?' if size is None else tables.gigabytes(size)}" for name, size in found.items())
    yield "## Downloads"
    yield f"{tables.gigabytes(total)}, {tables.duration(seconds / 3600)}: {listed}."


def notes(config: Config, sizes: Sizes, found: Sequence[planning.Estimate]) -> Iterator[str]:
    """What is not known, and what of the plan will not work."""
    lines = [f"Not known, and counted as nothing: {key}; {fix}." for key, fix in sizes.missing.items()]
    for rule, of_rule in planning.by_rule(found).items():
        unknown = sum(one.seconds is None for one in of_rule)
        if unknown:
            lines.append(f"The hours of {unknown} of {len(of_rule)} jobs of {rule} are not known.")
        longest = max((one.seconds or 0 for one in of_rule), default=0) / 60
        asked = experiment.size(config, rule)["runtime"]
        if longest > asked and rule not in planning.DOWNLOADS:
            lines.append(
                f"A job of {rule} takes up to {longest:.0f} minutes, and resources.{rule}.runtime asks for {asked}: "
                "raise it."
            )
    if config["device"] == "cuda":
        lines += memory(config, sizes, found)
    if lines:
        yield "## To see to"
        yield "\n".join(f"- {line}" for line in lines)


def memory(config: Config, sizes: Sizes, found: Sequence[planning.Estimate]) -> list[str]:
    """Work whose weights alone, in training with gradients and optimizer, are more than a GPU holds."""
    gpu = costs.GPUS[config["plan"]["gpu"]]
    needed = {(what, fix): size for one in found for what, size, fix in _held(config, sizes, one.job)}
    return [
        f"{what} takes {size / 1e9:.0f} GB of each GPU before activations; {config['plan']['gpu']} has {gpu.memory:g}: "
        f"{fix}."
        for (what, fix), size in needed.items()
        if size > gpu.memory * 1e9
    ]


def _held(config: Config, sizes: Sizes, job: Job) -> Iterator[tuple[str, float, str]]:
    """What a job does with each of its models, the bytes that a GPU holds for it, and how to need fewer."""
    dtypes = {
        "extract_patterns": ("patterns", "Taking the patterns of"),
        "ablate_heads": ("patterns", "Ablating the heads of"),
        "evaluate": ("evaluation", "Evaluating"),
    }
    if job.rule == "finetune":
        recipe = experiment.recipe(config, job.about.runs[0].group)
        for name in {run.model: None for run in job.about.runs}:
            if model := sizes.model(name)[0]:
                what = f"Training {name} on {recipe['devices']} GPUs"
                yield what, costs.gpu_training_bytes(model, recipe), "use more devices, or optimizer adamw_offloaded"
    elif job.rule in dtypes:
        section, does = dtypes[job.rule]
        dtype = config[section]["dtype"]
        fix = f"set {section}.dtype to bfloat16" if dtype == "float32" else "it takes a larger one"
        names = [job.about.model] if job.rule == "evaluate" else [run.model for run in job.about.runs]
        for name in dict.fromkeys(names):
            if model := sizes.model(name)[0]:
                yield f"{does} {name} in {dtype}", model.parameters * costs.BYTES[dtype], fix


def sizes_section(config: Config, sizes: Sizes) -> Iterator[str]:
    """The models and datasets, and how their sizes are known."""
    yield "## Sizes"
    models = []
    for name in experiment.used_models(config):
        model, source = sizes.model(name)
        figures = (f"{model.parameters:,}", model.layers, model.heads, model.width, f"{model.bytes:,}") if model else ()
        models.append([name, source, *(figures or ["?"] * 5)])
    yield tables.table(["model", "source", "parameters", "layers", "heads", "width", "bytes"], models, texts=2)
    tokenizers = list(dict.fromkeys(experiment.tokenizer_of(config, model) for model in experiment.used_models(config)))
    seen: dict[tuple[str, ...], list[str]] = {}
    for dataset in experiment.used_datasets(config):
        for tokenizer in tokenizers:
            train, probe = (sizes.samples(tokenizer, dataset, split) for split in ("train", "probe"))
            numbers = ["?" if value is None else f"{value:,.0f}" for value in (train.count, probe.count, train.tokens)]
            seen.setdefault((dataset, train.source, *numbers), []).append(tokenizer)
    rows = [
        [dataset, "every" if by == tokenizers else ", ".join(by), *others] for (dataset, *others), by in seen.items()
    ]
    yield tables.table(["dataset", "tokenizer", "source", "train", "probe", "tokens a sample"], rows, texts=3)
    if domains := config["studies"]["selection"]["models"] and config["studies"]["selection"]["domains"]:
        parts = {domain: sizes.domain(domain) for domain in domains}
        yield tables.table(
            ["domain", *next(iter(parts.values()))], [[name, *part.values()] for name, part in parts.items()]
        )


def formulas(config: Config) -> Iterator[str]:
    """How every figure is estimated, with the assumptions of `plan`."""
    plan = config["plan"]
    share = plan["utilisation"]
    start = plan["start_seconds"]
    yield "## Formulas"
    yield (
        "A forward pass over t tokens in samples of T takes t × (2 P + 2 × layers × width × T) operations, P the "
        "parameters, width the query heads × head size. Training takes 3 of them (6 P a token), with gradient "
        "checkpointing 4 (8 P); patterns take 2 (4 P), the weights being frozen; reading prompts takes 1 (2 P)."
    )
    yield "\n".join(
        [
            "- A run reads epochs × samples × tokens a sample, or max_steps × global_batch_size × tokens a sample. A "
            "task group's training sets are cut to the smallest. Its steps are epochs × samples / global_batch_size, "
            "each epoch rounded up; it keeps its weights at those checkpoint_steps that are smaller.",
            "- Patterns are taken of the model before the run and of each of its checkpoints, on every probe set.",
            "- Ablating heads reads the samples of `studies.validity` before a run and after it, forward alone: once "
            "with all heads, once without each, for each size of `top` in between as often as there are draws and "
            "twice more, and once without any head where `top` has that; it takes the patterns of as many other "
            "samples in three reductions.",
            "- An evaluation reads the samples' tokens as prompts, and writes max_new_tokens for each: an upper bound, "
            "as answers end earlier. Decoding reads all weights from the GPU's memory for each token of a batch.",
            "- Hours are operations / (GPUs × peak × utilisation), peak that of the GPU in bfloat16 or, for work in "
            f"float32, in float32. Utilisation: training {share['training']:g}, patterns {share['patterns']:g}, "
            f"prompts {share['prefill']:g}; decoding {share['decoding']:g} of the memory's bandwidth. Without a GPU: "
            f"operations / (threads × {plan['cpu_gflops']:g} × 10⁹).",
            f"- Rows are {TEXT_BYTES} bytes a token. All of a dataset's are read, at {plan['prepare_mb_per_second']:g} "
            f"MB/s, and those that are taken are tokenized, {plan['tokenize_tokens_per_second']:g} tokens a second for "
            "each tokenizer.",
            f"- A job starts {start['model']:g} seconds before its work where it loads a model or a tokenizer, "
            f"{start['other']:g} elsewhere; model files and checkpoints are read and written at "
            f"{plan['disk_gb_per_second']:g} GB/s, models and rows fetched at {plan['download_mb_per_second']:g} MB/s.",
            "- GPU-hours are the hours of a job × its GPUs; CPU-hours are its hours × its threads, on all of its "
            "machines. Failed and repeated attempts come on top.",
            "- A state to resume from has 12 bytes a parameter (weights and two moments in float32), with DeepSpeed 16 "
            "(20 without bf16). A run keeps the last two, written every resume_every steps, and has a third while it "
            "is written.",
            "- Last checkpoints and those on the way go, unless the config keeps them, once the patterns and scores "
            f"that need them exist. No more than {plan['parallel_jobs']} jobs train or read such checkpoints at once, "
            "readers first, so that no more fine-tuning jobs have theirs on the disk. Counted beside them, for they "
            "wait longer: last checkpoints that are models of other runs, and those that one evaluation reads together "
            "with others. Not counted: those whose reader failed, or waits for rows that are still prepared.",
        ]
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--config", type=Path, required=True, help="the experiment's config, all overlays merged")
    made.add_argument("--results", type=Path, required=True, help="the experiment's folder; it may be missing yet")
    made.add_argument("--output", type=Path, required=True, help="path of the files without .csv and .md")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
