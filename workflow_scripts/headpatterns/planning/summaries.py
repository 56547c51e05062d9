"""The estimates of all jobs that Snakemake lists, and their sums for each rule."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment import jobs as table
from headpatterns.experiment import needed
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.jobs import Job
from headpatterns.planning.estimates import Estimate, estimate
from headpatterns.planning.sizes import Sizes

ORDER = (
    "generate_raw_data",
    "fetch_dataset",
    "fetch_pinned",
    "prepare_instructions",
    "tokenize_instructions",
    "cut_training_set",
    "pretrain",
    "fetch_model",
    "convert_gguf",
    "fetch_adapter",
    "merge_adapter",
    "take_finetuned",
    "give_chat_template",
    "finetune",
    "extract_patterns",
    "ablate_heads",
    "read_candidates",
    "transfer_losses",
    "transplant_heads",
    "choose_heads",
    "trained_losses",
    "split_domain",
    "mix_basic_tasks",
    "select_samples",
    "evaluate",
)
"""Rules that may have several jobs, in the order of the workflow; the others follow by name."""


def read_jobs(experiment: Experiment, path: Path) -> list[Job]:
    """The table of all jobs that Snakemake has made of an experiment.

    Raises:
        InputError: it cannot be read, or has jobs of another config.
    """
    found = table.read(path)
    known: dict[str, Mapping[str, Any]] = {
        "model": experiment.config.models | experiment.config.finetuned,
        "finetuned": experiment.config.finetuned,
        "dataset": experiment.config.datasets,
        "pretraining": experiment.config.pretraining,
        "rows": needed.hub_rows(experiment.config),
        "pinned": dict.fromkeys(needed.pinned(experiment.config)),
    }
    for job in found:
        strange = [value for name, value in job.wildcards.items() if value not in known.get(name, {value})]
        strange += [job.batch] * (job.batch not in {"", *experiment.batches})
        if job.rule == "evaluate" and (job.wildcards["model"], job.wildcards["batch"]) not in (
            experiment.evaluation_batches
        ):
            strange.append(job.wildcards["batch"])
        if strange:
            raise InputError(
                f"{path} has a job of {job.rule} for {strange[0]!r}, which is not in the config: make the table "
                "again with this config (`snakemake plan`)."
            )
    return found


def estimates(sizes: Sizes, jobs: Iterable[Job]) -> list[Estimate]:
    """An estimate for each of some jobs, in the order of the workflow."""
    places = {rule: place for place, rule in enumerate(ORDER)}
    ordered = sorted(jobs, key=lambda job: (places.get(job.rule, len(ORDER)), job.rule, job.name))
    return [estimate(sizes, job) for job in ordered]


def by_rule(found: Iterable[Estimate]) -> dict[str, list[Estimate]]:
    """Estimates by rule, in the order of their first appearance."""
    rules: dict[str, list[Estimate]] = {}
    for one in found:
        rules.setdefault(one.job.rule, []).append(one)
    return rules


def hours(found: Iterable[Estimate], weight: str | None = None) -> float:
    """Known hours of jobs; with the weight `gpus` they are GPU-hours, and with `threads` thread-hours."""
    return sum((getattr(one, weight) if weight else 1) * (one.seconds or 0.0) for one in found) / 3600


def row(rule: str, found: Sequence[Estimate]) -> dict[str, Any]:
    """The estimate for all jobs of a rule, as a row of the plan."""
    known = [one.seconds for one in found if one.seconds is not None]
    given = sorted({one.gpus for one in found})
    return {
        "rule": rule,
        "jobs": len(found),
        "gpus_a_job": str(given[0]) if len(given) == 1 else f"{given[0]} to {given[-1]}",
        "hours": hours(found),
        "longest_job_hours": max(known, default=0.0) / 3600,
        "gpu_hours": hours(found, "gpus"),
        "cpu_hours": hours(found, "threads"),
        "unknown_jobs": len(found) - len(known),
    }
