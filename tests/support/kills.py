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

STUCK = 300
"""Seconds after which a Snakemake that does nothing hangs."""

OF_THOSE_HIT = 0.2
"""Share of the jobs of rules that were hit before which are killed while more kills are asked for."""


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
        least: as many kills are done in any case, of rules that were hit as well.
        kills: those that were done.
        ways: what comes next, of every target and signal; all come before one comes again.
    """

    rules: set[str]
    draw: random.Random
    least: int
    kills: list[Kill] = field(default_factory=list)
    ways: list[tuple[str, signal.Signals]] = field(default_factory=list)

    def wants(self, rule: str) -> bool:
        """Whether a job of this rule is to be killed; of one that was hit, sometimes."""
        return rule in self.rules or (len(self.kills) < self.least and self.draw.random() < OF_THOSE_HIT)

    def way(self) -> tuple[str, signal.Signals]:
        """What gets which signal next; once there were enough kills, those that hit most."""
        if len(self.kills) >= self.least:
            return "group", self.draw.choice(SIGNALS)
        if not self.ways:
            self.ways = list(itertools.product(TARGETS, SIGNALS))
            self.draw.shuffle(self.ways)
        return self.ways.pop()


def start(folder: Path, log: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start the experiment in a copy of the project, as the README says, in a process group of its own.

    Ctrl-C ends it even where this program runs in the background, in which a shell lets programs ignore it.
    """
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *ALL, *more],
            cwd=folder,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def children(process: int) -> Iterator[int]:
    """The ids of the processes below one, read from where Linux tells them most cheaply."""
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from children(child)


def jobs_of(snakemake: int) -> list[Job]:
    """The jobs that a Snakemake is running now."""
    return [job for child in children(snakemake) if (job := as_job(child))]


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
    snakemake, taken = start(folder, log), {}
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


def caught(snakemake: subprocess.Popen[bytes], plan: Plan, usual: Mapping[str, float]) -> Job | None:
    """Wait for a job that the plan wants, and for a share of its work; None where Snakemake ends before."""
    due: dict[tuple[int, float], float] = {}
    seen = time.monotonic()
    while snakemake.poll() is None:
        if time.monotonic() - seen > STUCK:
            os.killpg(snakemake.pid, signal.SIGKILL)
            raise AssertionError(f"no job has run for {STUCK} seconds, and Snakemake has not ended")
        for job in jobs_of(snakemake.pid):
            seen = time.monotonic()
            key, done = (job.process.pid, job.process.create_time()), work_of(job)
            if key not in due:
                share = plan.draw.random() if plan.wants(job.rule) else float("inf")
                due[key] = share * usual.get(job.stem, 0.0)
            if done is not None and done >= due[key]:
                return job
        time.sleep(LOOK)
    return None


def strike(snakemake: subprocess.Popen[bytes], job: Job, plan: Plan) -> Kill:
    """Send a signal to the job, or to Snakemake or all of them, the end of which is waited for."""
    target, number = plan.way()
    at_work = {one.rule for one in jobs_of(snakemake.pid) if work_of(one) is not None}
    if target == "job":
        hit = {job.rule} if work_of(job) is not None else set()
        with suppress(psutil.NoSuchProcess):
            job.process.send_signal(number)
    else:
        # Snakemake alone lets its jobs end where it can.
        hit = set() if target == "snakemake" and number != signal.SIGKILL else at_work
        (os.killpg if target == "group" else os.kill)(snakemake.pid, number)
        snakemake.wait(STUCK)
    plan.rules -= hit
    plan.kills.append(Kill(target, number, frozenset(hit)))
    return plan.kills[-1]


def disturbed(folder: Path, plan: Plan, usual: Mapping[str, float], log: Path) -> None:
    """Kill the experiment on its way until it is complete.

    A rule whose only job was too quick is made once more at the end.

    Raises:
        AssertionError: it failed of itself.
    """
    again: list[str] = []
    while True:
        snakemake, before = start(folder, log, *again), len(plan.kills)
        while job := caught(snakemake, plan, usual):
            kill = strike(snakemake, job, plan)
            with log.open("a") as file:
                print(f"\n== {len(plan.kills)}: {kill.target} {kill.signal.name}, {sorted(kill.hit)}", file=file)
        assert snakemake.returncode == 0 or len(plan.kills) > before, log.read_text()[-20_000:]
        # A forced rule that was killed is forced again: its output is gone, and nothing else may ask for it.
        if snakemake.returncode == 0:
            if not plan.rules:
                return
            again = ["--forcerun", name_of(min(plan.rules), log.read_text())]


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
        plan = Plan(set(every), random.Random(seed), left)
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
