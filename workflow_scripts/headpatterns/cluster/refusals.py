"""Jobs that a cluster, or this machine, cannot run: one sentence before anything is submitted."""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from headpatterns.cluster import site
from headpatterns.cluster.requests import Request
from headpatterns.cluster.site import Machines
from headpatterns.errors import InputError

PROFILE = "slurm/config.yaml"
"""The profile of Snakemake in which a user fills in account and partitions."""


def check(asked: Iterable[Request], configured: bool, status_command: str) -> None:
    """Refuse jobs that this cluster cannot run.

    Args:
        asked: requests of the jobs.
        configured: whether the config says where jobs are submitted.
        status_command: the command that Snakemake's Slurm plugin uses for the states of jobs (`sacct` or `squeue`).

    Raises:
        InputError: a request, an account or the profile does not fit the site, or Slurm does not answer.
    """
    if not configured:
        raise InputError(
            "jobs go to Slurm, but the config names no account and no partitions: use --profile slurm, without "
            f"--config, which replaces what {PROFILE} says (write your keys into a file for --configfile)."
        )
    for command in ("sbatch", "sinfo", "scontrol"):
        if shutil.which(command) is None:
            raise InputError(f"jobs go to Slurm, but this machine has no {command}: start Snakemake on a login node.")
    asked = sorted(set(asked))
    _check_accounts(list(dict.fromkeys(request.account for request in asked)), status_command)
    for request in asked:
        _check_granted(request)
        _check_partitions(request)


def check_queue(folder: str, name: str, comments: Collection[str]) -> None:
    """Refuse jobs that another Snakemake has submitted and that still run: both would write the same files.

    Args:
        folder: working folder of Snakemake.
        name: start of the names of this experiment's jobs, before the identifier of a Snakemake.
        comments: comments of the jobs to be submitted, with rule and wildcards.

    Raises:
        InputError: there are such jobs, or Slurm does not answer.
    """
    here = Path(folder).resolve()
    left = [
        job
        for job in site.queued()
        if job.name[: -site.IDENTIFIER] == name and job.comment in comments and Path(job.folder).resolve() == here
    ]
    if left:
        numbers = " ".join(job.number for job in left)
        shown = ", ".join(f"{job.number} ({job.comment.removeprefix('rule_')}, {job.state})" for job in left)
        raise InputError(
            f"Slurm still has jobs of an earlier Snakemake that make the same files: {shown}. Wait until they "
            f"end, or run `scancel {numbers}`, and start again when `squeue --me` lists none of them."
        )


def check_without(asked: Iterable[Request], here: int | None) -> None:
    """Refuse jobs that only a cluster can run, and jobs that would get fewer GPUs than they need.

    Args:
        asked: requests of the jobs.
        here: GPUs of this machine; None if they do not matter.

    Raises:
        InputError: a job needs several machines, or more GPUs.
    """
    asked = sorted(set(asked))
    for request in asked:
        if request.nodes > 1:
            raise InputError(
                f"{request.settings.nodes_key} is {request.nodes}, but this is one machine: set it to 1, or use "
                "--profile slurm."
            )
        _check_granted(request)
    for request in asked:
        if here is not None:
            _check_left(request, here, f"this machine shows {here}: use --profile slurm")


def _check_granted(request: Request) -> None:
    """Refuse a job whose request exceeds `--resources`, because Snakemake reduces the request silently."""
    _check_left(request, request.gpus, f"`--resources gpu={request.gpus}` leaves too few for it: raise that number")


def _check_left(request: Request, left: int, why: str) -> None:
    needed = request.settings.gpus
    if left < needed:
        fix = f"lower {request.settings.gpus_key}" if left else "set device to cpu"
        raise InputError(f"{request.rule} needs {_counted(needed, 'GPUs')}, but {why}, or {fix} in the config.")


def _check_accounts(accounts: list[str], status_command: str) -> None:
    if site.keeps_accounts(site.output("scontrol", "show", "config")):
        for account in accounts:
            _check_account(account)
        return
    if status_command == "sacct":
        raise InputError(f"this Slurm keeps no accounts for sacct: write `slurm-status-command: squeue` in {PROFILE}.")
    if any(accounts):
        raise InputError(f"this Slurm keeps no accounts: set `account` in {PROFILE} to an empty text.")


def _check_account(account: str) -> None:
    """Refuse an empty account, because the account whose hours are used must be stated rather than a default."""
    own = site.own_accounts()
    yours = f"; yours are {', '.join(own)}" if own else ""
    if not account:
        raise InputError(f"this site needs an account for each job: set `account` in {PROFILE}{yours}.")
    if own and account.lower() not in own:
        raise InputError(f"you have no Slurm account '{account}': fix `account` in {PROFILE}{yours}.")


def _check_partitions(request: Request) -> None:
    """Check that all of several partitions exist and that one of them fits."""
    there = site.by_partition(request.partition)
    for name, own in there.items():
        if not own:
            known = ", ".join(dict.fromkeys(group.partition for group in site.machines()))
            named = f"is no partition '{name}'" if name else "is no default partition"
            key = _partition_key(request)
            raise InputError(f"there {named} for {request.rule}: name one of {known} as `{key}` in {PROFILE}.")
    misfits = [said for own in there.values() if (said := _misfit(request, own))]
    if len(misfits) == len(there):
        raise InputError(misfits[0])


def _misfit(request: Request, there: list[Machines]) -> str | None:
    """The first thing that no machine of a partition has."""
    return _time_misfit(request, there) or _type_misfit(request, there) or _size_misfit(request, there)


def _time_misfit(request: Request, there: list[Machines]) -> str | None:
    limit = there[0].minutes
    if limit is None or request.runtime <= limit:
        return None
    return (
        f"{request.rule} asks for {request.runtime} minutes, but the partition '{there[0].partition}' allows at "
        f"most {limit}: lower resources.{request.rule}.runtime {_or_another_partition(request)}."
    )


def _type_misfit(request: Request, there: list[Machines]) -> str | None:
    types = sorted({name for group in there for name in group.gpus})
    if not request.gpu_type or request.gpu_type in types:
        return None
    return (
        f"the partition '{there[0].partition}' has no GPUs of the type '{request.gpu_type}' "
        f"(it has {', '.join(filter(None, types)) or 'no types'}): fix `gpu_type` in {PROFILE}."
    )


class _Demand(NamedTuple):
    """An amount of a resource on each machine, the amount that machines have, and the config key of the amount."""

    wanted: int
    units: str
    available: Callable[[Machines], int]
    key: str


def _demands(request: Request) -> Iterator[_Demand]:
    units = f"{request.gpu_type} GPUs".lstrip()
    own = f"resources.{request.rule}"
    yield _Demand(request.gpus, units, lambda group: _gpus_there(request.gpu_type, group), request.settings.gpus_key)
    yield _Demand(request.mem_mb, "MB of memory", lambda group: group.mem_mb, f"{own}.mem_mb")
    yield _Demand(request.cpus, "CPUs", lambda group: group.cpus, f"{own}.threads")


def _size_misfit(request: Request, there: list[Machines]) -> str | None:
    """The first resource of which no machine has enough, among machines with enough of the earlier resources."""
    partition, fix, those = there[0].partition, _or_another_partition(request), ""
    for demand in _demands(request):
        most = max(map(demand.available, there))
        if demand.wanted > most:
            return (
                f"{request.rule} asks for {_counted(demand.wanted, demand.units)} on a node, but the nodes of the "
                f"partition '{partition}'{those} have at most {_counted(most, demand.units)}: lower {demand.key} {fix}."
            )
        left = [group for group in there if demand.available(group) >= demand.wanted]
        if len(left) < len(there):
            those += f"{' and' if those else ' with'} {_counted(demand.wanted, demand.units)}"
        there = left
    count = sum(group.nodes for group in there)
    if request.nodes <= count:
        return None
    return (
        f"{request.rule} asks for {request.nodes} nodes, but the partition '{partition}' has {count} that fit: "
        f"lower {request.settings.nodes_key} {fix}."
    )


def _or_another_partition(request: Request) -> str:
    return f"in the config, or name another {_partition_key(request)} in {PROFILE}"


def _partition_key(request: Request) -> str:
    return "gpu_partition" if request.gpus else "cpu_partition"


def _counted(count: int, units: str) -> str:
    return f"{count} {units.removesuffix('s') if count == 1 else units}"


def _gpus_there(gpu_type: str, group: Machines) -> int:
    return group.gpus.get(gpu_type, 0) if gpu_type else sum(group.gpus.values())
