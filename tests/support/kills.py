"""An experiment that is killed again and again, at moments that a seed draws, and started again each time.

    python tests/support/kills.py --kills 300 --seed 1

makes the experiment of tests/config/kills.yaml once without a disturbance, and then as often as so many kills take.
Each time it must end with the same files.
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
"""More jobs at a time than a machine may have cores: a kill of all of them hits more rules."""

TARGETS = ("job", "snakemake", "group")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LOOK = 0.03
"""Seconds between two looks at the processes."""

SETTLED = 1.0
"""Seconds without another job after which Snakemake has none to start beside those that are held."""

LATEST = 0.9
"""Share of a job's usual work at which it is held at the latest: one that takes a little less would be over by then."""

STUCK = 300
"""Seconds after which a Snakemake that does nothing hangs."""

OF_THOSE_HIT = 0.1
"""Share of the jobs of rules that were hit before which bring about a kill while more of them are asked for."""

OF_ONE = 30
"""Kills that one experiment has at least."""


@dataclass(frozen=True)
class Job:
    """A job at work: its process, its rule, and the name of its log below logs/ without the suffix."""

    process: psutil.Process
    rule: str
    stem: str


@dataclass(frozen=True)
class Kill:
    """What got which signal, and the rules whose jobs it ended."""

    target: str
    signal: signal.Signals
    hit: frozenset[str]


@dataclass
class Plan:
    """What is yet to be hit, by draws of a seed.

    Attributes:
        rules: those of which no job was ended so far.
        draw: where the seed has come to.
        least: as many kills are done in any case, of rules that were hit before as well.
        kills: those that were done.
        ways: what comes next, of every target and signal; all come before one comes again.
    """

    rules: set[str]
    draw: random.Random
    least: int
    kills: list[Kill] = field(default_factory=list)
    ways: list[tuple[str, signal.Signals]] = field(default_factory=list)

    def wants(self, rule: str) -> bool:
        """Whether a job of this rule is to bring about a kill; of one that was hit, sometimes."""
        return rule in self.rules or (len(self.kills) < self.least and self.draw.random() < OF_THOSE_HIT)

    def way(self, held: bool) -> tuple[str, signal.Signals]:
        """What gets which signal next: where jobs are held, what ends some if it is still to come, else what does not.

        Once there were enough kills, it is what hits most.
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
    """Whether jobs go on to their end: Snakemake alone waits for them where it can."""
    return target == "snakemake" and number != signal.SIGKILL


@dataclass
class Start:
    """One start of Snakemake.

    Attributes:
        process: Snakemake itself.
        due: seconds of a processor after which a job's moment has come, by its process and when that began.
        held: the jobs that wait for a kill at such a moment.
    """

    process: subprocess.Popen[bytes]
    due: dict[Job, float] = field(default_factory=dict)
    held: list[Job] = field(default_factory=list)


def start(folder: Path, log: Path, *more: str) -> Start:
    """Start the experiment in a copy of the project, as the README says, in a process group of its own.

    Ctrl-C ends it even where this program runs in the background, in which a shell lets programs ignore it.
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
    """The ids of the processes below one, read from where Linux tells them most cheaply."""
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from children(child)


def jobs_of(snakemake: int) -> list[Job]:
    """The jobs at work that a Snakemake has started, by the names of their logs."""
    found = [job for child in children(snakemake) if (job := as_job(child)) and work_of(job) is not None]
    return sorted(found, key=lambda job: (job.stem, job.process.pid))


def as_job(process: int) -> Job | None:
    """The job that a process is, if it is one."""
    try:
        found = psutil.Process(process)
        words = found.cmdline()
    except psutil.Error:
        return None
    if len(words) < 2 or not Path(words[0]).name.startswith("python"):
        return None
    if "--allowed-rules" in words:  # a rule that is Python code has a Snakemake of its own
        rule = words[words.index("--allowed-rules") + 1]
        return Job(found, rule, rule)
    if "--log" not in words or not words[1].startswith("workflow_scripts/"):
        return None
    stem = words[words.index("--log") + 1].removeprefix(f"{RESULTS}/logs/").removesuffix(".log")
    return Job(found, stem.split("/")[0], stem)


def work_of(job: Job) -> float | None:
    """Seconds of a processor that a job has taken; None where it has ended."""
    try:
        ended = job.process.status() == psutil.STATUS_ZOMBIE
        return None if ended else sum(job.process.cpu_times()[:2])
    except psutil.Error:
        return None


def undisturbed(folder: Path, log: Path) -> dict[str, float]:
    """Make the experiment without a kill; seconds of a processor that its jobs took, by the names of their logs.

    How long a job takes depends on what else the machine does; how much of a processor, much less.
    """
    snakemake, taken = start(folder, log).process, {}
    while snakemake.poll() is None:
        for job in jobs_of(snakemake.pid):
            taken[job.stem] = max(taken.get(job.stem, 0.0), work_of(job) or 0.0)
        time.sleep(LOOK)
    assert snakemake.returncode == 0, log.read_text()[-20_000:]
    return taken


def rules_run(output: str) -> set[str]:
    """The rules that a whole run was made of, those of all batches of runs under one name."""
    names = set(re.findall(r"^(?:local)?rule ([\w-]+):", output, re.MULTILINE)) - {"all"}
    return {re.sub(r"^(finetune|extract_patterns|ablate_heads|trained_losses)_.*", r"\1", name) for name in names}


def name_of(rule: str, output: str) -> str:
    """A rule by the name that `rules_run` has for it, as the output calls it: one of its batches, if it has any."""
    found = re.search(rf"^(?:local)?rule ({rule}(?:_[\w-]+)?):", output, re.MULTILINE)
    assert found, rule
    return found[1]


def caught(run: Start, plan: Plan, usual: Mapping[str, float]) -> Job | None:
    """Wait for the moment of a kill, and hold jobs for it; a job of that moment, or None where Snakemake ends before.

    A job of a rule that was never hit is held after a share of its work that the seed draws. The moment has come when
    no job is at work but these. While more kills are asked for, it also comes after such a share of one that was hit.
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
    """Send a signal to the job, or to Snakemake or all of them; those that it reaches are held no more."""
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
    """Kill the experiment on its way until it is complete, every rule was hit and there were enough kills.

    Rules whose only job was too quick are made once more in the end, and others where more kills are asked for.

    Raises:
        AssertionError: it failed of itself.
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
            # One that was killed is forced again: its output is gone, and nothing else may ask for it.
            again = ["--forcerun", *(name_of(rule, said) for rule in sorted(plan.rules))]


def main(arguments: argparse.Namespace) -> int:
    """Make the experiment without a kill, then with them; how many files differ."""
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
