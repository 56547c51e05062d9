"""Jobs that Slurm ends before they are done: when they have ended, what the next attempt asks for, and what is said."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from headpatterns.cluster.refusals import PROFILE

SHORT_OF = {"TIMEOUT": "runtime", "OUT_OF_MEMORY": "mem_mb", "FAILED": "mem_mb"}
"""What a job was short of, by its last state. A job that the kernel kills for its memory has failed."""

WHY = {
    "BOOT_FAIL": "got a node that did not start",
    "CANCELLED": "was cancelled, by scancel or by the site",
    "DEADLINE": "missed its deadline",
    "FAILED": "failed",
    "NODE_FAIL": "lost its node",
    "OUT_OF_MEMORY": "used more than its {mem_mb} MB of memory",
    "PREEMPTED": "was preempted, and Slurm does not queue it again",
    "TIMEOUT": "was not finished after its {runtime} minutes",
}
"""States of Slurm in which a job has ended before it was done."""

UNITS = {"mem_mb": "MB", "runtime": "minutes"}
"""Of what a job may be short of."""

KEPT = {
    "extract_patterns": "continues with the samples that are missing",
    "finetune": "continues from its last state",
    "pretrain": "continues from its last state",
}
"""What a rule's next attempt makes of what the last one left."""

Key = tuple[str, ...]
"""Name of a rule and values of its wildcards."""


class Lost(NamedTuple):
    """A job that was lost.

    Attributes:
        rule: its rule; those made for each batch count as `finetune`, `extract_patterns` and `ablate_heads`.
        name: what tells it from the rule's other jobs, maybe nothing.
        number: of the job at Slurm.
        state: the state in which Slurm says that it ended.
        asked: what it had asked for: `mem_mb`, `runtime` in minutes.
        then: what the next attempt asks for; None where there is none.
        logs: where to read what happened.
        gpu: whether it asked for one.
    """

    rule: str
    name: str
    number: str
    state: str
    asked: Mapping[str, int]
    then: Mapping[str, int] | None
    logs: tuple[str, ...] = ()
    gpu: bool = False


@dataclass
class Shortages:
    """How often each job of this Snakemake was lost, and for want of what."""

    counted: Counter[tuple[Key, str]] = field(default_factory=Counter)

    def count(self, key: Key, state: str) -> None:
        """Note that a job has ended in a state of `WHY`."""
        if state in SHORT_OF:
            self.counted[key, SHORT_OF[state]] += 1

    def times(self, key: Key, resource: str) -> int:
        """How many times as much of a resource its next attempt asks for as its first."""
        return 1 + self.counted[key, resource]


def settled(said: Mapping[str, str], listed: Mapping[str, str]) -> dict[str, str]:
    """States of jobs, in one word each, and none of `WHY` before the job has ended.

    The accounting database says that a job is cancelled, and by whom, while its last processes still write; and that it
    is preempted or has lost its node, where Slurm has queued it again.

    Args:
        said: state of each job as sacct or squeue gives it.
        listed: state of each job that has not ended (`site.queued`).
    """
    words = {number: (state.split() or [state])[0] for number, state in said.items()}
    return {number: listed.get(number, word) if word in WHY else word for number, word in words.items()}


def sentence(lost: Lost) -> str:
    """What is said of a lost job: which one, why, what happens to it now, and else what to do."""
    why = WHY[lost.state].format(**lost.asked)
    head = f"{_named(lost.rule, lost.name, lost.number)} {why} ({lost.state})"
    if lost.state in ("FAILED", "OUT_OF_MEMORY") and lost.logs:
        head += f", see {' and '.join(lost.logs)}"
    return f"{head}: {_what_now(lost)}."


def queued_again(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    """The jobs that have run, and that Slurm itself has queued once more, by their states at two looks."""
    waiting = ("PENDING", "CONFIGURING")
    return {number for number, state in now.items() if state == "PENDING" and before.get(number, state) not in waiting}


def sentence_on_requeue(rule: str, name: str, number: str) -> str:
    """What is said of such a job."""
    kept = KEPT.get(rule, "starts over")
    return f"{_named(rule, name, number)} was preempted or lost its node: Slurm has queued it again, and it {kept}."


def _named(rule: str, name: str, number: str) -> str:
    return f"{' '.join(filter(None, [rule, name]))} (Slurm job {number})"


def _what_now(lost: Lost) -> str:
    short_of, kept = SHORT_OF.get(lost.state, ""), KEPT.get(lost.rule, "starts over")
    if lost.then is not None:
        more = short_of and lost.then[short_of] > lost.asked[short_of]
        return f"it is submitted again{f' with {lost.then[short_of]} {UNITS[short_of]}' if more else ''}, and {kept}"
    return f"{_advice(lost)}start Snakemake again; it {kept}"


def _advice(lost: Lost) -> str:
    """What to change before Snakemake is started again."""
    if lost.state == "TIMEOUT":
        partition = f"{'gpu' if lost.gpu else 'cpu'}_partition to one with more time in {PROFILE}"
        return f"raise resources.{lost.rule}.runtime in the config, or set {partition}, and "
    if lost.state == "OUT_OF_MEMORY":
        return f"raise resources.{lost.rule}.mem_mb in the config, and "
    return "fix the problem that it shows, and " if lost.state == "FAILED" else ""
