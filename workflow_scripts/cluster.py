"""What jobs ask a Slurm cluster for, and whether it can give that: a sentence before anything is submitted.

Plain local runs need `resources` and `gpus` alone, which say what a rule asks for anywhere.
"""

import functools
import getpass
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import experiment
from experiment import Config
from headpatterns.errors import InputError

PROFILE = "slurm/config.yaml"
SEVERAL_RUNS = ("finetune", "extract_patterns")
"""Rules of which there is one a batch of runs, named `{rule}_{batch}`."""


def configured(config: Config) -> bool:
    """Whether the config says where jobs are submitted: empty text, the site's default, is an answer as well."""
    return any(config["cluster"][key] is not None for key in ("account", "cpu_partition", "gpu_partition"))


def nodes(config: Config, rule: str, group: str | None) -> int:
    """Machines of a job; only the runs of a task group or an application of section 5 may be spread over several."""
    return experiment.recipe(config, group)["nodes"] if rule == "finetune" else 1


def gpus(config: Config, rule: str, group: str | None = None) -> int:
    """GPUs of a job on each of its machines; a fine-tuning has one for each process."""
    if rule == "finetune" and config["device"] == "cuda":
        recipe = experiment.recipe(config, group)
        return recipe["devices"] // recipe["nodes"]
    return experiment.size(config, rule)["gpu"]


def resources(config: Config, rule: str, group: str | None = None) -> dict[str, Any]:
    """What Snakemake's resources say of a rule: memory in MB, minutes, GPUs; on a cluster account and partition too.

    A retry asks for as many times the memory and minutes as the job has had attempts, up to what its partition has.
    """
    size, site = experiment.size(config, rule), config["cluster"]
    count, machines = gpus(config, rule, group), nodes(config, rule, group)
    partition = site["gpu_partition"] if count else site["cpu_partition"]
    most = functools.partial(_most, partition) if configured(config) else dict
    asked = {name: _grown(name, size[name], most) for name in ("mem_mb", "runtime")}
    asked |= {"slurm_account": site["account"], "slurm_partition": partition}
    if count and (machines > 1 or site["gpus_as"] == "gres") and configured(config):
        # A plain number of GPUs is that of all machines, over which Slurm may spread it unequally.
        asked["gres"] = ":".join(["gpu", *filter(None, [site["gpu_type"]]), str(count)])
    elif count:
        asked |= {"gpu": count, "gpu_model": site["gpu_type"]}
    if count or machines > 1:
        asked["nodes"] = machines
    if machines > 1:
        # What the Slurm plugin wants of a job that spreads itself over its machines, here through torchrun.
        asked |= {"mpi": "srun", "tasks": machines, "tasks_per_gpu": 0}
    return {name: value for name, value in asked.items() if value not in (None, "")}


def _grown(name: str, first: int, most: Callable[[], dict[str, int]]) -> Callable[..., int]:
    def asked(wildcards: Any, attempt: int) -> int:
        if attempt == 1:
            return first
        return max(first, min(first * attempt, most().get(name, first * attempt)))

    return asked


class Request(NamedTuple):
    """What a job asks for: machines, and of each of them GPUs, CPUs and memory in MB; minutes."""

    rule: str
    partition: str
    account: str
    nodes: int
    gpus: int
    gpu_type: str
    cpus: int
    mem_mb: int
    runtime: int

    @classmethod
    def of(cls, job: Any, config: Config) -> "Request":
        """The request of a job of Snakemake, but for threads, which a dry-run scales down to one."""
        asked = job.resources
        machines = asked.get("nodes", 1)
        _, *named, count = asked.get("gres", f"gpu:{asked.get('gpu', 0)}").split(":")
        kind = next((rule for rule in SEVERAL_RUNS if job.rule.name.startswith(f"{rule}_")), job.rule.name)
        return cls(
            rule=kind,
            partition=str(asked.get("slurm_partition", "")),
            account=str(asked.get("slurm_account", "")),
            nodes=machines,
            gpus=int(count),
            gpu_type=named[0] if named else asked.get("gpu_model", ""),
            cpus=experiment.size(config, kind)["threads"],
            mem_mb=asked.get("mem_mb", 0),
            runtime=asked.get("runtime", 0),
        )


def table(asked: Counter[Request]) -> str:
    """The requests of GPU jobs, with the number of jobs that make them; empty without any."""
    head = ("rule", "jobs", "nodes", "GPUs/node", "CPUs/node", "memory/node", "time", "partition")
    rows = [
        (
            request.rule,
            str(count),
            str(request.nodes),
            f"{request.gpus} {request.gpu_type}".strip(),
            str(request.cpus),
            f"{request.mem_mb / 1000:g} GB",
            f"{request.runtime // 60}:{request.runtime % 60:02} h",
            request.partition or "(default)",
        )
        for request, count in sorted(asked.items())
        if request.gpus
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [head, *rows]]
    return "\n".join(["GPU jobs ask Slurm for:", *lines]) if rows else ""


class Machines(NamedTuple):
    """Machines of a partition that are alike; minutes is None where the partition knows no limit."""

    partition: str
    default: bool
    minutes: int | None
    mem_mb: int
    cpus: int
    gpus: dict[str, int]
    count: int


def check(asked: Iterable[Request], status_command: str) -> None:
    """Refuse what this cluster cannot run, in one sentence; `status_command` is what the Slurm plugin polls with."""
    for command in ("sbatch", "sinfo", "scontrol"):
        if shutil.which(command) is None:
            raise InputError(f"jobs go to Slurm, but there is no {command} on this machine: start on a login node.")
    accounting = "accounting_storage/none" not in _output("scontrol", "show", "config")
    if not accounting and status_command == "sacct":
        raise InputError(f"this Slurm keeps no accounts for sacct: write `slurm-status-command: squeue` in {PROFILE}.")
    asked = sorted(set(asked))
    if accounting:
        for account in dict.fromkeys(request.account for request in asked):
            _check_account(account)
    for request in asked:
        _check_request(request, machines())


def check_without(asked: Iterable[Request]) -> None:
    """Refuse what only a cluster can run."""
    if (most := max((request.nodes for request in asked), default=1)) > 1:
        raise InputError(f"finetuning.nodes is {most}, but this is one machine: set it to 1, or use --profile slurm.")


def _check_account(account: str) -> None:
    command = ("sacctmgr", "-n", "-P", "show", "associations", f"user={getpass.getuser()}", "format=account")
    try:
        own = sorted(set(_output(*command).split()))
    except InputError:  # a site may keep it from its users: sbatch will tell
        return
    if not account:
        raise InputError(f"this site accounts for jobs: fill in `account` in {PROFILE}{_yours(own)}.")
    if own and account.lower() not in own:
        raise InputError(f"you have no Slurm account '{account}': mend `account` in {PROFILE}{_yours(own)}.")


def _yours(accounts: list[str]) -> str:
    return f"; yours are {', '.join(accounts)}" if accounts else ""


def _check_request(request: Request, site: list[Machines]) -> None:
    """The first thing that no machine of the partition has: those that have it go on to the next."""
    key = "gpu_partition" if request.gpus else "cpu_partition"
    there = _of_partition(request.partition, site)
    if not there:
        known = ", ".join(dict.fromkeys(group.partition for group in site))
        named = f"is no partition '{request.partition}'" if request.partition else "is no default partition"
        raise InputError(f"there {named} for {request.rule}: name one of {known} as `{key}` in {PROFILE}.")
    partition = there[0].partition
    limit = there[0].minutes
    if limit is not None and request.runtime > limit:
        raise InputError(
            f"{request.rule} asks for {request.runtime} minutes, but the partition '{partition}' gives {limit} at "
            f"most: lower resources.{request.rule}.runtime in the config, or name another {key} in {PROFILE}."
        )
    if request.gpu_type:
        types = sorted({name for group in there for name in group.gpus})
        there = [group for group in there if request.gpu_type in group.gpus]
        if not there:
            raise InputError(
                f"the partition '{partition}' has no GPUs of the type '{request.gpu_type}' "
                f"(it has {', '.join(filter(None, types)) or 'no types'}): mend `gpu_type` in {PROFILE}."
            )
    own_gpus = "finetuning.devices per node" if request.rule == "finetune" else f"resources.{request.rule}.gpu"
    for wanted, unit, own, setting in (
        (request.gpus, "GPUs", functools.partial(_gpus_there, request.gpu_type), own_gpus),
        (request.mem_mb, "MB of memory", lambda group: group.mem_mb, f"resources.{request.rule}.mem_mb"),
        (request.cpus, "CPUs", lambda group: group.cpus, f"resources.{request.rule}.threads"),
    ):
        most = max(map(own, there))
        if wanted > most:
            raise InputError(
                f"{request.rule} asks for {wanted} {unit} on a node, but no node of the partition '{partition}' that "
                f"has the rest has more than {most}: lower {setting} in the config, or name another {key} in {PROFILE}."
            )
        there = [group for group in there if own(group) >= wanted]
    if request.nodes > (count := sum(group.count for group in there)):
        raise InputError(
            f"{request.rule} asks for {request.nodes} nodes, but the partition '{partition}' has {count} such: lower "
            "finetuning.nodes in the config."
        )


def _gpus_there(gpu_type: str, group: Machines) -> int:
    return group.gpus.get(gpu_type, 0) if gpu_type else sum(group.gpus.values())


def _of_partition(partition: str, site: list[Machines]) -> list[Machines]:
    return [group for group in site if (group.partition == partition if partition else group.default)]


def _most(partition: str) -> dict[str, int]:
    """Memory and minutes that no machine of a partition exceeds, as far as Slurm tells."""
    try:
        there = _of_partition(partition, machines())
    except InputError:
        return {}
    limits = [group.minutes for group in there if group.minutes is not None]
    return {
        **({"mem_mb": max(group.mem_mb for group in there)} if there else {}),
        **({"runtime": max(limits)} if limits else {}),
    }


@functools.cache
def machines() -> list[Machines]:
    """What sinfo tells of the cluster."""
    rows = _output("sinfo", "--noheader", "--exact", "--format=%P|%l|%m|%c|%G|%D")
    return [_machines(*row.split("|")) for row in rows.splitlines()]


def _machines(partition: str, limit: str, memory: str, cpus: str, gres: str, count: str) -> Machines:
    found: Counter[str] = Counter()
    for entry in re.sub(r"\([^)]*\)", "", gres).split(","):  # gpu:2, gpu:a100:8(S:0-1)
        name, *kind, number = entry.split(":") if ":" in entry else (entry, "0")
        if name == "gpu":
            found["".join(kind)] += int(number)
    own = partition.removesuffix("*")
    return Machines(own, own != partition, _minutes(limit), int(memory), int(cpus), dict(found), int(count))


def _minutes(limit: str) -> int | None:
    """Minutes of Slurm's [days-][hours:]minutes:seconds; None where it knows no limit."""
    if not (parts := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)):
        return None
    days, hours, minutes, _ = (int(part or 0) for part in parts.groups())
    return (days * 24 + hours) * 60 + minutes


def _output(*command: str) -> str:
    """What a command of Slurm prints."""
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        said = " ".join(answer.stderr.split()) or f"status {answer.returncode}"
        raise InputError(f"Slurm does not answer: `{' '.join(command)}` says '{said}'; try again when it does.")
    return answer.stdout
