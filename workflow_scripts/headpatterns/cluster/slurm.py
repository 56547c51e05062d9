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

from headpatterns.errors import InputError
from headpatterns.experiment import config as experiment
from headpatterns.experiment.config import Config

PROFILE = "slurm/config.yaml"

SEVERAL_RUNS = ("finetune", "extract_patterns", "ablate_heads")
"""Rules of which there is one a batch of runs, named `{rule}_{batch}`."""

ON_A_GPU = ("extract_patterns", "ablate_heads", "evaluate", "pretrain")
"""Rules that compute on a GPU where device is cuda, whatever `resources` says, besides finetune."""


def configured(config: Config) -> bool:
    """Whether the config says where jobs are submitted: empty text, as the profile has it, is an answer as well."""
    return any(config["cluster"][key] is not None for key in ("account", "cpu_partition", "gpu_partition"))


def nodes(config: Config, rule: str, group: str | None) -> int:
    """Machines of a job; only the runs of a task group or an application of section 5 may be spread over several."""
    return experiment.recipe(config, group)["nodes"] if rule == "finetune" else 1


def gpus(config: Config, rule: str, group: str | None = None) -> int:
    """GPUs of a job on each of its machines; a fine-tuning has one for each process."""
    if rule == "finetune" and config["device"] == "cuda":
        recipe = experiment.recipe(config, group)
        return recipe["devices"] // recipe["nodes"]
    least = 1 if rule in ON_A_GPU and config["device"] == "cuda" else 0
    return max(least, experiment.size(config, rule)["gpu"])


def sharing(config: Config) -> int:
    """Processes that share an extraction, one a GPU that it computes on; a processor has one, whatever it asks for."""
    return gpus(config, "extract_patterns") if config["device"] == "cuda" else 1


def resources(config: Config, rule: str, group: str | None = None) -> dict[str, Any]:
    """What Snakemake's resources say of a rule: memory in MB, minutes, GPUs; on a cluster account and partition too.

    A retry asks for as many times the memory and minutes as the job has had attempts, up to what its partition has.
    """
    size, site = experiment.size(config, rule), config["cluster"]
    count, machines = gpus(config, rule, group), nodes(config, rule, group)
    partition = (site["gpu_partition"] if count else site["cpu_partition"]) or ""
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
    """What a job asks for: machines, and of each of them GPUs, CPUs and memory in MB; minutes.

    `group` is that of the runs of a fine-tuning, and empty elsewhere; `partition` may be several, between commas.
    """

    rule: str
    group: str
    partition: str
    account: str
    nodes: int
    gpus: int
    gpu_type: str
    cpus: int
    mem_mb: int
    runtime: int

    @classmethod
    def of(cls, job: Any, config: Config, group: str = "") -> "Request":
        """The request of a job of Snakemake, but for threads, which a dry-run scales down to one."""
        asked = job.resources
        machines = asked.get("nodes", 1)
        _, *named, count = asked.get("gres", f"gpu:{asked.get('gpu', 0)}").split(":")
        kind = next((rule for rule in SEVERAL_RUNS if job.rule.name.startswith(f"{rule}_")), job.rule.name)
        return cls(
            rule=kind,
            group=group,
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
    alike: Counter[Request] = Counter()
    for request, count in asked.items():
        alike[request._replace(group="")] += count
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
        for request, count in sorted(alike.items())
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


def check(asked: Iterable[Request], config: Config, status_command: str) -> None:
    """Refuse what this cluster cannot run, in one sentence; `status_command` is what the Slurm plugin polls with."""
    if not configured(config):
        raise InputError(
            f"jobs go to Slurm, but the config says nothing of account and partitions: use --profile slurm, and not "
            f"--config, which takes the place of what {PROFILE} says (put your keys into a file for --configfile)."
        )
    for command in ("sbatch", "sinfo", "scontrol"):
        if shutil.which(command) is None:
            raise InputError(f"jobs go to Slurm, but there is no {command} on this machine: start on a login node.")
    asked = sorted(set(asked))
    accounts = dict.fromkeys(request.account for request in asked)
    accounting = keeps_accounts(_output("scontrol", "show", "config"))
    if not accounting and status_command == "sacct":
        raise InputError(f"this Slurm keeps no accounts for sacct: write `slurm-status-command: squeue` in {PROFILE}.")
    if not accounting and any(accounts):
        raise InputError(f"this Slurm keeps no accounts: leave `account` in {PROFILE} empty.")
    for account in accounts if accounting else ():
        _check_account(account)
    for request in asked:
        _check_granted(request, config)
        _check_request(request, config, machines())


def check_without(asked: Iterable[Request], config: Config, here: int | None) -> None:
    """Refuse what only a cluster can run, or more GPUs than a job would get; `here` counts those of this machine."""
    asked = sorted(set(asked))
    for request in asked:
        if request.nodes > 1:
            key = _recipe_key(config, request.group, "nodes")
            raise InputError(f"{key} is {request.nodes}, but this is one machine: set it to 1, or use --profile slurm.")
        _check_granted(request, config)
    for request in asked:
        if here is not None:
            _check_left(request, config, here, f"this machine shows {here}: use --profile slurm")


def keeps_accounts(settings: str) -> bool:
    """Whether a site has an accounting database, from what `scontrol show config` prints."""
    kind = re.search(r"^AccountingStorageType\s*=\s*(\S+)", settings, re.MULTILINE)
    return kind is not None and kind[1].rpartition("/")[2] not in ("none", "(null)")  # none is that of old versions


def _check_account(account: str) -> None:
    """An empty account would be the user's default one: whose hours are spent is better said than found out."""
    command = ("sacctmgr", "-n", "-P", "show", "associations", f"user={getpass.getuser()}", "format=account")
    try:
        own = sorted(set(_output(*command).split()))
    except InputError:  # a site may keep it from its users: sbatch will tell
        own = []
    yours = f"; yours are {', '.join(own)}" if own else ""
    if not account:
        raise InputError(f"this site accounts for jobs: fill in `account` in {PROFILE}{yours}.")
    if own and account.lower() not in own:
        raise InputError(f"you have no Slurm account '{account}': fix `account` in {PROFILE}{yours}.")


def _check_granted(request: Request, config: Config) -> None:
    """Snakemake cuts what a job asks for down to `--resources`, without a word."""
    _check_left(request, config, request.gpus, f"`--resources gpu={request.gpus}` leaves it too few: raise that")


def _check_left(request: Request, config: Config, left: int, why: str) -> None:
    needed = gpus(config, request.rule, request.group)
    if config["device"] == "cuda" and left < needed:
        fix = f"lower {_gpu_key(config, request)}" if left else "set device to cpu"
        raise InputError(f"{request.rule} needs {_counted(needed, 'GPUs')}, but {why}, or {fix} in the config.")


def _check_request(request: Request, config: Config, site: list[Machines]) -> None:
    """Of several partitions one has to fit, but all have to be there."""
    there = {name: _of_partition(name, site) for name in _names(request.partition)}
    for name, own in there.items():
        if not own:
            known = ", ".join(dict.fromkeys(group.partition for group in site))
            named = f"is no partition '{name}'" if name else "is no default partition"
            key = _partition_key(request)
            raise InputError(f"there {named} for {request.rule}: name one of {known} as `{key}` in {PROFILE}.")
    misfits = [_misfit(request, config, own) for own in there.values()]
    if all(misfits):
        raise InputError(misfits[0])


def _misfit(request: Request, config: Config, there: list[Machines]) -> str | None:
    """The first thing that no machine of a partition has: those that have it go on to the next."""
    partition, limit = there[0].partition, there[0].minutes
    fix = f"in the config, or name another {_partition_key(request)} in {PROFILE}"
    if limit is not None and request.runtime > limit:
        return (
            f"{request.rule} asks for {request.runtime} minutes, but the partition '{partition}' gives {limit} at "
            f"most: lower resources.{request.rule}.runtime {fix}."
        )
    types = sorted({name for group in there for name in group.gpus})
    if request.gpu_type and request.gpu_type not in types:
        return (
            f"the partition '{partition}' has no GPUs of the type '{request.gpu_type}' "
            f"(it has {', '.join(filter(None, types)) or 'no types'}): fix `gpu_type` in {PROFILE}."
        )
    those = ""
    for wanted, units, own, setting in (
        (
            request.gpus,
            f"{request.gpu_type} GPUs".lstrip(),
            functools.partial(_gpus_there, request.gpu_type),
            _gpu_key(config, request),
        ),
        (request.mem_mb, "MB of memory", lambda group: group.mem_mb, f"resources.{request.rule}.mem_mb"),
        (request.cpus, "CPUs", lambda group: group.cpus, f"resources.{request.rule}.threads"),
    ):
        most = max(map(own, there))
        if wanted > most:
            return (
                f"{request.rule} asks for {_counted(wanted, units)} on a node, but the nodes of the partition "
                f"'{partition}'{those} have at most {_counted(most, units)}: lower {setting} {fix}."
            )
        left = [group for group in there if own(group) >= wanted]
        if len(left) < len(there):
            those += f"{' and' if those else ' with'} {_counted(wanted, units)}"
        there = left
    if request.nodes > (count := sum(group.count for group in there)):
        return (
            f"{request.rule} asks for {request.nodes} nodes, but the partition '{partition}' has {count} such: lower "
            f"{_recipe_key(config, request.group, 'nodes')} {fix}."
        )
    return None


def _partition_key(request: Request) -> str:
    return "gpu_partition" if request.gpus else "cpu_partition"


def _gpu_key(config: Config, request: Request) -> str:
    """What says how many GPUs a job has on a node."""
    if request.rule != "finetune" or config["device"] != "cuda":
        return f"resources.{request.rule}.gpu"
    return _recipe_key(config, request.group, "devices") + " per node" * (request.nodes > 1)


def _recipe_key(config: Config, group: str, name: str) -> str:
    """Where a key of the recipe of a group is stated: an application of section 5 may have its own."""
    own = name in config["studies"].get(group, {}).get("finetuning", {})
    return f"studies.{group}.finetuning.{name}" if own else f"finetuning.{name}"


def _counted(count: int, units: str) -> str:
    return f"{count} {units.removesuffix('s') if count == 1 else units}"


def _gpus_there(gpu_type: str, group: Machines) -> int:
    return group.gpus.get(gpu_type, 0) if gpu_type else sum(group.gpus.values())


def _names(partition: str) -> list[str]:
    """Partitions between commas; the empty name is the site's default."""
    return [name.strip() for name in partition.split(",")]


def _of_partition(partition: str, site: list[Machines]) -> list[Machines]:
    return [group for group in site if (group.partition == partition if partition else group.default)]


def _most(partition: str) -> dict[str, int]:
    """Memory and minutes that no machine of the partitions exceeds, as far as Slurm tells."""
    try:
        there = [group for name in _names(partition) for group in _of_partition(name, machines())]
    except InputError:
        return {}
    limits = [group.minutes for group in there if group.minutes is not None]
    return {
        **({"mem_mb": max(group.mem_mb for group in there)} if there else {}),
        **({"runtime": max(limits)} if limits else {}),
    }


@functools.cache
def machines() -> list[Machines]:
    """What sinfo tells of the cluster, hidden partitions included."""
    rows = _output("sinfo", "--all", "--noheader", "--exact", "--format=%P|%l|%m|%c|%G|%D")
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
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"Slurm's {command[0]} cannot be run ({error.strerror}): start on a login node.") from error
    if answer.returncode:
        said = " ".join(answer.stderr.split()) or f"status {answer.returncode}"
        raise InputError(f"Slurm does not answer: `{' '.join(command)}` says '{said}'; try again when it does.")
    return answer.stdout
