"""The resources and jobs of a Slurm site, read from the output of its commands."""

import functools
import getpass
import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from headpatterns.errors import InputError

IDENTIFIER = 36
"""Length of the UUID at the end of a job's name, which all jobs of one Snakemake share."""


class Queued(NamedTuple):
    """A job that has not ended.

    Attributes:
        number: its number at Slurm.
        name: its name.
        comment: its rule and wildcards, written by Snakemake's plugin.
        state: its state according to Slurm.
        folder: the folder from which it was submitted.
        seconds: run time since it last started on a node, 0 while it waits; None if Slurm does not know.
    """

    number: str
    name: str
    comment: str
    state: str
    folder: str
    seconds: int | None


class Machines(NamedTuple):
    """Identical nodes of a partition, and the resources of each; minutes is None if the partition has no limit."""

    partition: str
    default: bool
    minutes: int | None
    mem_mb: int
    cpus: int
    gpus: dict[str, int]
    nodes: int


@functools.cache
def machines() -> list[Machines]:
    """The machines of the cluster according to sinfo, including hidden partitions.

    Raises:
        InputError: Slurm does not answer.
    """
    rows = output("sinfo", "--all", "--noheader", "--exact", "--format=%P|%l|%m|%c|%G|%D")
    return [parsed(row) for row in rows.splitlines()]


def parsed(row: str) -> Machines:
    """The machines in a row of sinfo: partition, time limit, MB, CPUs, generic resources and number."""
    partition, limit, memory, cpus, gres, count = row.split("|")
    found: Counter[str] = Counter()
    for entry in re.sub(r"\([^)]*\)", "", gres).split(","):  # gpu:2, gpu:a100:8(S:0-1)
        name, *kind, number = entry.split(":") if ":" in entry else (entry, "0")
        if name == "gpu":
            found["".join(kind)] += int(number)
    own, seconds = partition.removesuffix("*"), _seconds(limit)
    minutes = None if seconds is None else seconds // 60
    return Machines(own, own != partition, minutes, int(memory), int(cpus), dict(found), int(count))


def _seconds(duration: str) -> int | None:
    """Seconds of Slurm's [days-][hours:]minutes:seconds; None if it has no number."""
    if not (parts := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", duration)):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def by_partition(partition: str) -> dict[str, list[Machines]]:
    """The machines of each of several partitions, separated by commas; the empty name is the site's default.

    Raises:
        InputError: Slurm does not answer.
    """
    names = [name.strip() for name in partition.split(",")]
    return {name: [group for group in machines() if _belongs(group, name)] for name in names}


def _belongs(group: Machines, name: str) -> bool:
    return group.partition == name if name else group.default


def largest(partition: str) -> dict[str, int]:
    """The largest memory and minutes (`mem_mb`, `runtime`) of the machines of partitions, if Slurm reports them."""
    try:
        there = [group for own in by_partition(partition).values() for group in own]
    except InputError:
        return {}
    limits = [group.minutes for group in there if group.minutes is not None]
    return {
        **({"mem_mb": max(group.mem_mb for group in there)} if there else {}),
        **({"runtime": max(limits)} if limits else {}),
    }


def comment(rule: str, wildcards: Iterable[str]) -> str:
    """The comment that Snakemake's plugin gives a job; `squeue` shows it."""
    values = "_".join(wildcards).replace("/", "_")
    return f"rule_{rule}_wildcards_{values}" if values else f"rule_{rule}"


def queued(patience: float | None = None) -> list[Queued]:
    """The user's jobs that wait, run, or have processes that are ending.

    Args:
        patience: seconds after which Slurm counts as silent; None for no limit.

    Raises:
        InputError: Slurm does not answer.
    """
    command = ("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%j|%k|%T|%Z|%M")
    rows = (row.split("|") for row in output(*command, patience=patience).splitlines())
    return [
        Queued(number, name, comment, state, folder, _seconds(duration))
        for row in rows
        if len(row) == len(Queued._fields)
        for number, name, comment, state, folder, duration in [row]
    ]


def keeps_accounts(settings: str) -> bool:
    """Whether a site has an accounting database, from the output of `scontrol show config`."""
    kind = re.search(r"^AccountingStorageType\s*=\s*(\S+)", settings, re.MULTILINE)
    return kind is not None and kind[1].rpartition("/")[2] not in ("none", "(null)")  # old versions print none


def own_accounts() -> list[str]:
    """The user's accounts; empty if the site hides them from its users. Then sbatch reports a wrong account."""
    command = ("sacctmgr", "-n", "-P", "show", "associations", f"user={getpass.getuser()}", "format=account")
    try:
        return sorted(set(output(*command).split()))
    except InputError:
        return []


def output(*command: str, patience: float | None = None) -> str:
    """The output of a command of Slurm.

    Raises:
        InputError: it cannot be run, fails, or takes longer than `patience` seconds.
    """
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"Slurm does not answer: `{' '.join(command)}` takes over {error.timeout:g} seconds."
        ) from error
    except OSError as error:
        raise InputError(f"Slurm's {command[0]} cannot be run ({error.strerror}): start on a login node.") from error
    if answer.returncode:
        said = " ".join(answer.stderr.split()) or f"status {answer.returncode}"
        raise InputError(f"Slurm does not answer: `{' '.join(command)}` says '{said}'; try again when it does.")
    return answer.stdout
