"""Jobs that Slurm ends before they finish: whether they have ended, the request of the next attempt, and messages."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from headpatterns.cluster.refusals import PROFILE

SHORT_OF = {"TIMEOUT": "runtime", "OUT_OF_MEMORY": "mem_mb", "FAILED": "mem_mb"}
"""The resource that a job lacked, by its last state. A job that the kernel kills for its memory has failed."""

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
"""States of Slurm in which a job has ended before it finished."""

UNITS = {"mem_mb": "MB", "runtime": "minutes"}
"""Units of the resources that a job may lack."""

KEPT = {
    "extract_patterns": "continues with the samples that are missing",
    "finetune": "continues from its last state",
    "pretrain": "continues from its last state",
}
"""How a rule's next attempt uses the files of the last one."""

Key = tuple[str, ...]
"""Name of a rule and values of its wildcards."""


class Lost(NamedTuple):
    """A job that was lost.

    Attributes:
        rule: its rule; those made for each batch count as `finetune`, `extract_patterns` and `ablate_heads`.
        name: distinguishes it from the rule's other jobs; may be empty.
        number: of the job at Slurm.
        state: its last state according to Slurm.
        asked: its request: `mem_mb`, `runtime` in minutes.
        then: the request of the next attempt; None if there is none.
        logs: paths of its logs.
        gpu: whether it requested a GPU.
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
    """How often each job of this Snakemake was lost, and which resource it lacked."""

    counted: Counter[tuple[Key, str]] = field(default_factory=Counter)

    def count(self, key: Key, state: str) -> None:
        """Record that a job has ended in a state of `WHY`."""
        if state in SHORT_OF:
            self.counted[key, SHORT_OF[state]] += 1

    def times(self, key: Key, resource: str) -> int:
        """The factor of a resource in the next attempt, relative to the first."""
        return 1 + self.counted[key, resource]


def settled(said: Mapping[str, str], listed: Mapping[str, str]) -> dict[str, str]:
    """States of jobs, in one word each; states of `WHY` appear only after a job has ended.

    The accounting database reports a job as cancelled, and by whom, while its last processes still write. It also
    reports it as preempted or without its node when Slurm has queued it again.

    Args:
        said: state of each job from sacct or squeue.
        listed: state of each job that has not ended (`site.queued`).
    """
    words = {number: (state.split() or [state])[0] for number, state in said.items()}
    return {number: listed.get(number, word) if word in WHY else word for number, word in words.items()}


def sentence(lost: Lost) -> str:
    """The message about a lost job: which one, why, what happens now, or what to do."""
    why = WHY[lost.state].format(**lost.asked)
    head = f"{_named(lost.rule, lost.name, lost.number)} {why} ({lost.state})"
    if lost.state in ("FAILED", "OUT_OF_MEMORY") and lost.logs:
        head += f", see {' and '.join(lost.logs)}"
    return f"{head}: {_what_now(lost)}."


def queued_again(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    """The jobs that have run and that Slurm itself has queued again, from their states at two times."""
    waiting = ("PENDING", "CONFIGURING")
    return {number for number, state in now.items() if state == "PENDING" and before.get(number, state) not in waiting}


def sentence_on_requeue(rule: str, name: str, number: str) -> str:
    """The message about a job that Slurm queued again."""
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
