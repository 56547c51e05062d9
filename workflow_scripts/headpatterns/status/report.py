"""The progress of a run: jobs by rule, running jobs with their times, failed jobs with reasons, and the time to go."""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.cluster import site
from headpatterns.errors import InputError
from headpatterns.experiment import timings
from headpatterns.experiment.experiment import Experiment
from headpatterns.io import write_json
from headpatterns.planning import summaries, text
from headpatterns.planning.estimates import Estimate
from headpatterns.planning.sizes import Sizes
from headpatterns.status import ahead, journal
from headpatterns.status.journal import AT_ONCE, DONE, FAILED, LEFT, RUNNING, Listed, Run
from headpatterns.studies import load_studies

QUEUED = "queued"
"""The state of a job that was submitted to a cluster and waits there."""

PATIENCE = 20.0
"""Seconds that Slurm has to list its jobs."""

SHOWN_LINES = 5
"""Last lines of the log of a job that failed."""


@dataclass(frozen=True)
class Standing:
    """A job of a run with its current state.

    Attributes:
        listed: the job.
        state: `DONE`, `RUNNING`, `QUEUED`, `FAILED` or `LEFT`.
        since: when it reached that state, None if the run does not know. For a job that runs at Slurm, it is the start
            on its node, and for one that waits there, the time of its submission.
        estimate: of the whole job.
        seconds: remaining seconds, None if they are not known; 0 if it is finished.
    """

    listed: Listed
    state: str
    since: float | None
    estimate: Estimate
    seconds: float | None


def write(results: Path) -> None:
    """Print the progress of the last run of an experiment, and write it to status.json in the experiment's folder.

    Raises:
        InputError: no run was started, or its files cannot be read.
    """
    run, now = journal.read(results / journal.FILE), time.time()
    experiment = Experiment(run.config, load_studies())
    places = {one.job: one for one in run.listed}
    estimates = summaries.estimates(Sizes(experiment, results), places)
    taken = {
        (job.rule, job.name): timings.seconds(measured)
        for job, measured in timings.measured(results / "benchmarks", places)
        if run.state(places[job]) == DONE
    }
    pace = ahead.pace(estimates, taken)
    queue = at_slurm(experiment.config.experiment) if run.goes_on and AT_ONCE in run.capacity else {}
    jobs = [standing(run, places[one.job], one, pace, now, queue) for one in estimates]
    seconds = to_go(run, jobs)
    print("\n\n".join(sections(experiment.config.experiment, run, jobs, seconds, pace, now, queue is None)))
    write_json(results / "status.json", as_data(run, jobs, seconds, queue is None))


def at_slurm(experiment: str) -> Mapping[str, site.Queued] | None:
    """Jobs of the experiment that were submitted to Slurm from this folder, by comment; None if it does not answer."""
    try:
        found = site.queued(PATIENCE)
    except InputError as error:
        print(error, file=sys.stderr)
        return None
    here = str(Path.cwd())
    return {job.comment: job for job in found if job.folder == here and job.name.startswith(f"{experiment}_")}


def standing(
    run: Run, listed: Listed, estimate: Estimate, pace: ahead.Pace, now: float, queue: Mapping[str, site.Queued] | None
) -> Standing:
    """The current state of a job; a running job takes the rest of its estimated time, at least 0.

    Args:
        queue: jobs at Slurm by comment, with the start of running ones. A job that is not listed was not submitted, or
            has just ended. If it is None, submitted jobs count as running since now.
    """
    state, job = run.state(listed), listed.job
    since = run.changes[listed.number][1] if listed.number in run.changes else None
    if state == DONE:
        return Standing(listed, state, since, estimate, 0.0)
    seconds = None if estimate.seconds is None else estimate.seconds * pace.of(job.rule)
    if state != RUNNING or since is None or queue is None:
        return Standing(listed, state, since, estimate, seconds)
    known = queue.get(site.comment("_".join(filter(None, [job.rule, job.batch])), job.wildcards.values()))
    if known and known.state == "PENDING":
        return Standing(listed, QUEUED, since, estimate, seconds)
    if known and known.seconds is not None:
        since = now - known.seconds
    return Standing(listed, state, since, estimate, None if seconds is None else max(0.0, seconds - (now - since)))


def to_go(run: Run, jobs: Sequence[Standing]) -> float:
    """Seconds until all unfinished jobs are finished, with the run's shared resources; unknown times count as 0."""
    tasks = [
        ahead.Task(
            one.listed.number,
            one.seconds or 0.0,
            {"cores": one.estimate.threads, "gpus": one.estimate.gpus, AT_ONCE: 1},
            frozenset(one.listed.needs),
            one.state in (RUNNING, QUEUED),
        )
        for one in jobs
        if one.state != DONE
    ]
    return ahead.makespan(tasks, run.capacity)


def sections(
    name: str,
    run: Run,
    jobs: Sequence[Standing],
    seconds: float,
    pace: ahead.Pace,
    now: float,
    is_silent: bool = False,
) -> Iterator[str]:
    """All printed sections; `is_silent` if Slurm was asked and did not answer."""
    yield f"# Status of the experiment {name}"
    yield headline(run, now)
    yield table(jobs, run)
    if running := [one for one in jobs if one.state == RUNNING]:
        yield "## Running"
        rows = [[called(one), age(one, now), last_line(one)] for one in running]
        yield text.table(["job", "since its submission" if is_silent else "for", "last line of its log"], rows, texts=3)
    if failed := [one for one in jobs if one.state == FAILED]:
        yield "## Failed"
        yield "\n\n".join(map(failure, failed))
    if any(one.state != DONE for one in jobs):
        yield "## Time to go"
        yield " ".join(outlook(run, jobs, seconds, pace, is_silent))
    else:
        yield "Every job is done."


def headline(run: Run, now: float) -> str:
    """Whether the run is active, and since when."""
    process = f"process {run.process['pid']} on {run.process['host']}"
    begun = f"Started {clock(run.started)} ({process})"
    if run.ended is not None:
        return f"{begun}, ended {clock(run.ended)}."
    if not run.goes_on:
        return f"{begun}, and killed after {clock(run.told)}: the same command continues from there."
    there = "" if run.is_here else ", which cannot be checked from here; its last message was at " + clock(run.told)
    return f"{begun}, at work for {text.duration((now - run.started) / 3600)} on {shared(run)}{there}."


def shared(run: Run) -> str:
    """The shared resources of its jobs, in words."""
    if AT_ONCE in run.capacity:
        at_once = run.capacity[AT_ONCE]
        return f"a cluster, with {f'at most {at_once}' if at_once < sys.maxsize else 'any number of'} jobs at once"
    cores, gpus = run.capacity["cores"], run.capacity.get("gpus")
    return f"{cores} core{'s' * (cores != 1)}" + (f" and {gpus} GPU{'s' * (gpus != 1)}" if gpus is not None else "")


def table(jobs: Sequence[Standing], run: Run) -> str:
    """A row for each rule with unfinished jobs, one for the other rules, and the sum."""
    states = [DONE, RUNNING, *([QUEUED] if AT_ONCE in run.capacity else []), FAILED, LEFT]
    rules: dict[str, list[Standing]] = {}
    for one in jobs:
        rules.setdefault(one.listed.job.rule, []).append(one)
    shown = {rule: own for rule, own in rules.items() if any(one.state != DONE for one in own)}
    others = [one for rule, own in rules.items() if rule not in shown for one in own]
    if others:
        shown = {f"{len(rules) - len(shown)} other rules": others, **shown}
    rows = [_row(rule, own, states) for rule, own in [*shown.items(), ("sum", list(jobs))]]
    return text.table(["rule", *states, "work to go"], rows)


def _row(rule: str, jobs: Sequence[Standing], states: Sequence[str]) -> list[Any]:
    counts = Counter(one.state for one in jobs)
    known = [one.seconds for one in jobs if one.seconds is not None]
    work = text.duration(sum(known) / 3600) if len(known) == len(jobs) else "?"
    return [rule, *(counts[state] or "" for state in states), work if counts[DONE] < len(jobs) else ""]


def outlook(run: Run, jobs: Sequence[Standing], seconds: float, pace: ahead.Pace, is_silent: bool) -> Iterator[str]:
    """The time to go, and its basis."""
    yield f"About {text.duration(seconds / 3600)} on {shared(run)}" + (
        "." if run.goes_on else ", once the run is started."
    )
    known = {one.listed.job.rule for one in jobs if one.state != DONE} & set(pace.of_rules)
    if pace.jobs:
        yield (
            f"This is the plan's estimate, corrected by what {pace.jobs} finished jobs took: by the ratio of each "
            f"rule for {', '.join(sorted(known)) or 'no rule'}, and by {pace.overall:.2g}, the ratio of all jobs, "
            "for the others."
        )
    else:
        yield "This is the plan's estimate without a correction, because no job with a benchmark is finished."
    if unknown := sorted({one.listed.job.rule for one in jobs if one.seconds is None}):
        yield f"Not known, and counted as 0: jobs of {', '.join(unknown)}."
    if AT_ONCE in run.capacity:
        yield "It does not include waiting in the cluster's queue."
    if is_silent:
        yield "Slurm did not answer: jobs that wait there count as running, and each counts as just begun."


def called(one: Standing) -> str:
    """A job by rule and name."""
    return " ".join(filter(None, [one.listed.job.rule, one.listed.job.name]))


def age(one: Standing, now: float) -> str:
    """How long a job has been in its state."""
    return text.duration((now - one.since) / 3600) if one.since is not None else "?"


def lines_of(log: str) -> list[str]:
    """The last lines of a log that are not empty; of a line that was overwritten, the last text."""
    path = Path(log)
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**14))
        told = file.read().decode(errors="replace")
    found = [re.split(r"\r", line.rstrip("\r"))[-1].rstrip() for line in told.split("\n")]
    return [line for line in found if line][-SHOWN_LINES:]


def last_line(one: Standing) -> str:
    """The last line of a job's log, shortened and escaped for a table."""
    return (lines_of(one.listed.log) or [""])[-1][:80].replace("|", "\\|")


def failure(one: Standing) -> str:
    """A job that failed, with the end of its log."""
    told = lines_of(one.listed.log) or ["(its log is empty)"]
    at = f", {clock(one.since)}" if one.since is not None else ""
    return "\n".join([f"{called(one)}{at}; {one.listed.log} ends with", "", *(f"    {line}" for line in told)])


def clock(seconds: float) -> str:
    """A time of day for a reader."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def as_data(run: Run, jobs: Sequence[Standing], seconds: float, is_silent: bool) -> dict[str, Any]:
    """The contents of status.json; times are seconds since 1970."""
    return {
        "at_work": run.goes_on,
        "started": run.started,
        "ended": run.ended,
        "process": dict(run.process),
        "capacity": dict(run.capacity),
        "seconds_to_go": seconds,
        "slurm_is_silent": is_silent,
        "jobs": [
            {
                "rule": one.listed.job.rule,
                "name": one.listed.job.name,
                "state": one.state,
                "since": one.since,
                "seconds_to_go": one.seconds,
                "log": one.listed.log,
            }
            for one in jobs
        ],
    }
