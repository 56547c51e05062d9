"""Kills an experiment again and again, at moments that are drawn from a seed, and restarts it each time.

    python tests/support/kills.py --kills 300 --seed 1

runs the experiment of tests/config/kills.yaml once without a kill. It then runs the experiment as often as this number
of kills requires. Each run must end with the same files.
"""

import argparse
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from project import copy_to
from same_files import differences

CONFIG = ("--configfile", "tests/config/tiny.yaml", "tests/config/kills.yaml")
RESULTS = Path("results/kills")
ALL = ("all", "--cores", "8", *CONFIG)
"""More jobs at a time than the machine may have cores, so that a kill of all jobs hits more rules."""

TARGETS = ("job", "snakemake", "group")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LOOK = 0.03
"""Seconds between two looks at the processes."""

SETTLED = 1.0
"""Seconds without a change of the running jobs after which Snakemake waits for the held ones."""

LATEST = 0.9
"""Latest share of a job's usual work at which it is held; later, a slightly shorter job would already have ended."""

STUCK = 300
"""Seconds without a job after which Snakemake is taken to hang."""

OF_THOSE_HIT = 0.1
"""Share of the jobs of rules hit before that trigger a kill while more kills are needed."""

OF_ONE = 30
"""The least number of kills in one experiment, if so many are left."""


@dataclass(frozen=True)
class Job:
    """A running job: its process, its rule, and the name of its log below logs/ without the suffix."""

    process: psutil.Process
    rule: str
    stem: str


@dataclass(frozen=True)
class Kill:
    """A kill: its target, its signal, and the rules whose jobs it ended."""

    target: str
    signal: signal.Signals
    hit: frozenset[str]


@dataclass
class Plan:
    """What must still be killed, chosen by draws from a seed.

    Attributes:
        rules: the rules of which no job has been ended so far.
        draw: the seeded random generator.
        least: the least number of kills, even if that kills jobs of rules that were hit before.
        kills: the kills so far.
        ways: the pairs of target and signal that come next; each comes once before any comes again.
    """

    rules: set[str]
    draw: random.Random
    least: int
    kills: list[Kill] = field(default_factory=list)
    ways: list[tuple[str, signal.Signals]] = field(default_factory=list)

    def wants(self, rule: str) -> bool:
        """Whether a job of this rule should trigger a kill; if the rule was hit before, only some of its jobs do."""
        return rule in self.rules or (len(self.kills) < self.least and self.draw.random() < OF_THOSE_HIT)

    def way(self, held: bool) -> tuple[str, signal.Signals]:
        """The next target and signal: if jobs are held, preferably one that ends jobs, else one that spares them.

        After enough kills, the target is the process group, which hits the most jobs.
        """
        if len(self.kills) >= self.least:
            return "group", self.draw.choice(SIGNALS)
        if not self.ways:
            self.ways = list(itertools.product(TARGETS, SIGNALS))
            self.draw.shuffle(self.ways)
        chosen = next((way for way in self.ways if spares_jobs(*way) != held), self.ways[0])
        self.ways.remove(chosen)
        return chosen


def spares_jobs(target: str, number: signal.Signals) -> bool:
    """Whether jobs run to their end: Snakemake waits for them if only Snakemake gets the signal and can catch it."""
    return target == "snakemake" and number != signal.SIGKILL


@dataclass
class Start:
    """One start of Snakemake.

    Attributes:
        process: Snakemake itself.
        due: CPU seconds after which a job is due for a kill, by job; a job's process has an id and a start time.
        held: the suspended jobs that are due and wait for a kill.
    """

    process: subprocess.Popen[bytes]
    due: dict[Job, float] = field(default_factory=dict)
    held: list[Job] = field(default_factory=list)


def start(folder: Path, log: Path, *more: str) -> Start:
    """Start the experiment in a copy of the project, as the README says, in its own process group.

    SIGINT ends it even if this program runs in the background, where a shell makes programs ignore SIGINT.
    """
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *ALL, *more],
            cwd=folder,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    return Start(process)


def children(process: int) -> Iterator[int]:
    """The ids of all descendants of a process, from the cheapest source that Linux has."""
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from children(child)


def jobs_of(snakemake: int) -> list[Job]:
    """The running jobs that a Snakemake process has started, in the order of the names of their logs."""
    found = [job for child in children(snakemake) if (job := as_job(child)) and work_of(job) is not None]
    return sorted(found, key=lambda job: (job.stem, job.process.pid))


def as_job(process: int) -> Job | None:
    """The job that a process runs, or None."""
    try:
        found = psutil.Process(process)
        words = found.cmdline()
    except psutil.Error:
        return None
    if len(words) < 2 or not Path(words[0]).name.startswith("python"):
        return None
    if "--allowed-rules" in words:  # a rule with Python code runs in its own Snakemake process
        rule = words[words.index("--allowed-rules") + 1]
        return Job(found, rule, rule)
    if "--log" not in words or not words[1].startswith("workflow_scripts/"):
        return None
    stem = words[words.index("--log") + 1].removeprefix(f"{RESULTS}/logs/").removesuffix(".log")
    return Job(found, stem.split("/")[0], stem)


def work_of(job: Job) -> float | None:
    """CPU seconds that a job has used; None if it has ended."""
    try:
        ended = job.process.status() == psutil.STATUS_ZOMBIE
        return None if ended else sum(job.process.cpu_times()[:2])
    except psutil.Error:
        return None


def undisturbed(folder: Path, log: Path) -> dict[str, float]:
    """Run the experiment without a kill; returns the CPU seconds of its jobs, by the names of their logs.

    The duration of a job depends on what else the machine does. Its CPU time depends much less on that.
    """
    snakemake, taken = start(folder, log).process, {}
    while snakemake.poll() is None:
        for job in jobs_of(snakemake.pid):
            taken[job.stem] = max(taken.get(job.stem, 0.0), work_of(job) or 0.0)
        time.sleep(LOOK)
    assert snakemake.returncode == 0, log.read_text()[-20_000:]
    return taken


def rules_run(output: str) -> set[str]:
    """The rules that ran in a whole run; rules that differ only in their batch of runs have one name."""
    names = set(re.findall(r"^(?:local)?rule ([\w-]+):", output, re.MULTILINE)) - {"all"}
    return {re.sub(r"^(finetune|extract_patterns|ablate_heads|trained_losses)_.*", r"\1", name) for name in names}


def name_of(rule: str, output: str) -> str:
    """The name that the output has for a rule of `rules_run`; if the rule has batches, the name of one batch."""
    found = re.search(rf"^(?:local)?rule ({rule}(?:_[\w-]+)?):", output, re.MULTILINE)
    assert found, rule
    return found[1]


def caught(run: Start, plan: Plan, usual: Mapping[str, float]) -> Job | None:
    """Wait for the moment of a kill, and hold jobs for it; returns a job to kill, or None if Snakemake ends before.

    A job of a rule that was never hit is held after a share of its work, which is drawn from the seed. The moment comes
    when only held jobs are left. While more kills are needed, it also comes after such a share of a job whose rule was
    hit before.
    """
    at_work: list[Job] = []
    seen = changed = time.monotonic()
    while run.process.poll() is None:
        before, at_work, now = at_work, jobs_of(run.process.pid), time.monotonic()
        seen = now if at_work else seen
        changed = now if at_work != before else changed
        if now - seen > STUCK:
            os.killpg(run.process.pid, signal.SIGKILL)
            raise AssertionError(f"no job has run for {STUCK} seconds, and Snakemake has not ended")
        for job in at_work:
            if job not in run.due:
                share = plan.draw.uniform(0, LATEST) if plan.wants(job.rule) else float("inf")
                run.due[job] = share * usual.get(job.stem, 0.0)
            if job in run.held or (work_of(job) or 0.0) < run.due[job]:
                continue
            if job.rule not in plan.rules:
                if len(plan.kills) < plan.least:
                    return job
                continue
            with suppress(psutil.NoSuchProcess):
                job.process.suspend()
                run.held.append(job)
        run.held = [job for job in run.held if job in at_work]
        if run.held and len(run.held) == len(at_work) and now - changed > SETTLED:
            return plan.draw.choice(run.held)
        time.sleep(LOOK)
    return None


def strike(run: Start, job: Job, plan: Plan) -> Kill:
    """Send a signal to the job, to Snakemake, or to the process group; jobs that it reaches are no longer held."""
    target, number = plan.way(bool(run.held))
    at_work = jobs_of(run.process.pid)
    reached = (
        [one for one in at_work if one == job] if target == "job" else [] if spares_jobs(target, number) else at_work
    )
    with suppress(psutil.NoSuchProcess):
        if target == "job":
            job.process.send_signal(number)
        else:
            (os.killpg if target == "group" else os.kill)(run.process.pid, number)
    for one in reached:
        with suppress(psutil.NoSuchProcess):
            one.process.resume()
    run.held = [one for one in run.held if one not in reached]
    if target != "job" and reached:
        run.process.wait(STUCK)
    hit = frozenset(one.rule for one in reached)
    plan.rules -= hit
    plan.kills.append(Kill(target, number, hit))
    return plan.kills[-1]


def disturbed(folder: Path, plan: Plan, usual: Mapping[str, float], log: Path) -> None:
    """Kill the experiment while it runs, until it is complete, every rule was hit and there were enough kills.

    At the end, rules whose jobs were too quick to be hit run once more. If more kills are needed, another rule runs.

    Raises:
        AssertionError: it failed without a kill.
    """
    again: list[str] = []
    while True:
        run, before = start(folder, log, *again), len(plan.kills)
        while job := caught(run, plan, usual):
            kill = strike(run, job, plan)
            with log.open("a") as file:
                print(f"\n== {len(plan.kills)}: {kill.target} {kill.signal.name}, {sorted(kill.hit)}", file=file)
        said = log.read_text()
        assert run.process.returncode == 0 or len(plan.kills) > before, said[-20_000:]
        if run.process.returncode == 0:
            if not plan.rules and len(plan.kills) >= plan.least:
                return
            plan.rules = plan.rules or {plan.draw.choice(sorted(rules_run(said)))}
            # A rule that was killed is forced again: its output is gone, and perhaps no other job needs it.
            again = ["--forcerun", *(name_of(rule, said) for rule in sorted(plan.rules))]


def main(arguments: argparse.Namespace) -> int:
    """Run the experiment without kills, then with kills; returns how many files differ."""
    work = Path(tempfile.mkdtemp(prefix="kills-", dir=arguments.folder))
    print(f"in {work}", flush=True)
    reference, log = copy_to(work / "reference"), work / "reference.log"
    usual = undisturbed(reference, log)
    every = rules_run(log.read_text())
    left, found, seed = arguments.kills, 0, arguments.seed
    while left > 0:
        folder, log = copy_to(work / f"killed{seed}"), work / f"killed{seed}.log"
        plan = Plan(set(every), random.Random(seed), min(left, OF_ONE))
        disturbed(folder, plan, usual, log)
        different = differences(reference / RESULTS, folder / RESULTS)
        print(f"seed {seed}: {len(plan.kills)} kills, {len(different)} differences", *different, sep="\n", flush=True)
        left, found, seed = left - len(plan.kills), found + len(different), seed + 1
        if not different:
            shutil.rmtree(folder)
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--kills", type=int, default=300, help="kills in all")
    made.add_argument("--seed", type=int, default=0, help="of the draws; a further experiment takes the next one")
    made.add_argument("--folder", type=Path, help="where copies of the project are made, if not among temporary files")
    return made


if __name__ == "__main__":
    sys.exit(bool(main(parser().parse_args())))
