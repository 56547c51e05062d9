"""The request of a job to a scheduler, and the table of requests that is shown before jobs are submitted."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple


class Settings(NamedTuple):
    """The settings of a job in the config, and their keys.

    Attributes:
        gpus: GPUs on each machine that the job computes on; 0 if device is cpu.
        gpus_key: key of the config for the number of GPUs on a machine.
        nodes_key: key of the config for the number of machines.
    """

    gpus: int = 0
    gpus_key: str = ""
    nodes_key: str = ""


class Request(NamedTuple):
    """The request of a job: machines; GPUs, CPUs and memory in MB on each of them; minutes.

    `partition` may be several, separated by commas.
    """

    rule: str
    partition: str
    account: str
    nodes: int
    gpus: int
    gpu_type: str
    cpus: int
    mem_mb: int
    runtime: int
    settings: Settings = Settings()

    @classmethod
    def of(cls, rule: str, asked: Mapping[str, Any], cpus: int, settings: Settings) -> "Request":
        """The request of a job of a rule, from the resources that Snakemake has for it."""
        _, *named, count = asked.get("gres", f"gpu:{asked.get('gpu', 0)}").split(":")
        return cls(
            rule=rule,
            partition=str(asked.get("slurm_partition", "")),
            account=str(asked.get("slurm_account", "")),
            nodes=asked.get("nodes", 1),
            gpus=int(count),
            gpu_type=named[0] if named else asked.get("gpu_model", ""),
            cpus=cpus,
            mem_mb=asked.get("mem_mb", 0),
            runtime=asked.get("runtime", 0),
            settings=settings,
        )


def table(asked: Counter[Request]) -> str:
    """The requests of GPU jobs, with the number of jobs that make them; empty without any."""
    head = ("rule", "jobs", "nodes", "GPUs/node", "CPUs/node", "memory/node", "time", "partition")
    alike: Counter[Request] = Counter()
    for request, count in asked.items():
        alike[request._replace(settings=Settings())] += count
    rows = [_row(request, count) for request, count in sorted(alike.items()) if request.gpus]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [head, *rows]]
    return "\n".join(["GPU jobs ask Slurm for:", *lines]) if rows else ""


def _row(request: Request, count: int) -> tuple[str, ...]:
    return (
        request.rule,
        str(count),
        str(request.nodes),
        f"{request.gpus} {request.gpu_type}".strip(),
        str(request.cpus),
        f"{request.mem_mb / 1000:g} GB",
        f"{request.runtime // 60}:{request.runtime % 60:02} h",
        request.partition or "(default)",
    )
