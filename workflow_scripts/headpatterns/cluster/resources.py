"""The request of a rule to a scheduler: memory, minutes, threads, GPUs and machines, from the config.

Only this module of the package reads the config. Plain local runs need no other module of the package.
"""

import functools
from collections.abc import Callable
from typing import Any

from headpatterns.cluster import site
from headpatterns.cluster.requests import Request, Settings
from headpatterns.experiment import needed
from headpatterns.experiment.experiment import Experiment

SEVERAL_RUNS = ("finetune", "extract_patterns", "ablate_heads", "trained_losses")
"""Rules that exist once for each batch of runs, with the name `{rule}_{batch}`."""

OF_STUDIES = ("transfer_losses", "transplant_heads", "choose_heads")
"""Rules that belong to a study and do not exist in an experiment without it."""

Times = Callable[[Any, int, str], int]
"""The factor of a job's request relative to the first attempt, from wildcards, number of the attempt and resource."""

ON_A_GPU = (*SEVERAL_RUNS[1:], *OF_STUDIES, "read_candidates", "evaluate", "pretrain")
"""Rules that compute on a GPU if device is cuda, independent of `resources`; for finetune the recipe decides."""


def threads(experiment: Experiment, rule: str) -> int:
    """Threads of a job on each of its machines."""
    return experiment.config.size(rule)["threads"]


def nodes(experiment: Experiment, rule: str, group: str | None) -> int:
    """Machines of a job; only the runs of a task group or an application of section 5 may be spread over several."""
    return experiment.recipe(group or "").nodes if rule == "finetune" else 1


def gpus(experiment: Experiment, rule: str, group: str | None = None) -> int:
    """GPUs of a job on each of its machines; a fine-tuning has one for each process."""
    computes = experiment.config.device == "cuda"
    if rule == "finetune" and computes:
        recipe = experiment.recipe(group or "")
        return recipe.devices // recipe.nodes
    return max(int(computes and rule in ON_A_GPU), experiment.config.size(rule)["gpu"])


def sharing(experiment: Experiment) -> int:
    """Processes that share an extraction, one for each of its GPUs; on processors always one."""
    return gpus(experiment, "extract_patterns") if experiment.config.device == "cuda" else 1


def by_attempt(wildcards: Any, attempt: int, resource: str) -> int:
    """If it is not known which resource a job lacked, each attempt requests more of all resources."""
    return attempt


def resources(experiment: Experiment, rule: str, group: str | None = None, times: Times = by_attempt) -> dict[str, Any]:
    """Snakemake's resources of a rule: memory in MB, minutes, GPUs; on a cluster also account and partition.

    A retry requests `times` the memory and minutes, up to the limits of its partition. `group` is the group of the runs
    of a fine-tuning.
    """
    size, chosen = experiment.config.size(rule), experiment.config.cluster
    count, machines = gpus(experiment, rule, group), nodes(experiment, rule, group)
    on_cluster = chosen.configured
    partition = (chosen.gpu_partition if count else chosen.cpu_partition) or ""
    limits = functools.partial(site.largest, partition) if on_cluster else dict
    asked: dict[str, Any] = {name: _growing(name, size[name], limits, times) for name in ("mem_mb", "runtime")}
    asked |= {"slurm_account": chosen.account, "slurm_partition": partition}
    as_gres = on_cluster and (machines > 1 or chosen.gpus_as == "gres")
    asked |= _gpu_resources(count, chosen.gpu_type or "", as_gres)
    if count or machines > 1:
        asked["nodes"] = machines
    if machines > 1:
        # The Slurm plugin needs these for a job that distributes itself over its machines, here through torchrun.
        asked |= {"mpi": "srun", "tasks": machines, "tasks_per_gpu": 0}
    return {name: value for name, value in asked.items() if value not in (None, "")}


def _gpu_resources(count: int, gpu_type: str, as_gres: bool) -> dict[str, Any]:
    """GPUs of each machine (`gres`), or the total, which Slurm may distribute unequally over machines."""
    if not count:
        return {}
    if as_gres:
        return {"gres": ":".join(["gpu", *filter(None, [gpu_type]), str(count)])}
    return {"gpu": count, "gpu_model": gpu_type}


def _growing(name: str, first: int, limits: Callable[[], dict[str, int]], times: Times) -> Callable[..., int]:
    """The request of each attempt, as a function that Snakemake calls with its number."""

    def asked(wildcards: Any, attempt: int) -> int:
        if attempt == 1 or (wanted := first * times(wildcards, attempt, name)) == first:
            return first
        return max(first, min(wanted, limits().get(name, wanted)))

    return asked


def request(experiment: Experiment, job: Any, group: str = "") -> Request:
    """The request of a job of Snakemake; `group` is that of the runs of a fine-tuning.

    The threads are those of the config, because a dry run reduces the job's own threads to one.
    """
    name = job.rule.name
    rule = next((rule for rule in SEVERAL_RUNS if name.startswith(f"{rule}_")), name)
    machines = job.resources.get("nodes", 1)
    return Request.of(rule, job.resources, threads(experiment, rule), settings(experiment, rule, group, machines))


def settings(experiment: Experiment, rule: str, group: str, machines: int) -> Settings:
    """The settings of a job on this number of machines, and their keys in the config."""
    computes = experiment.config.device == "cuda"
    gpus_key = f"resources.{rule}.gpu"
    if rule == "finetune" and computes:
        gpus_key = _recipe_key(experiment, group, "devices") + " per node" * (machines > 1)
    return Settings(
        gpus=gpus(experiment, rule, group) if computes else 0,
        gpus_key=gpus_key,
        nodes_key=_recipe_key(experiment, group, "nodes"),
    )


def _recipe_key(experiment: Experiment, group: str, name: str) -> str:
    """The path of a key of the recipe of a group, which may have its own recipe."""
    path, own = needed.own_recipe(experiment.config, group)
    return f"{path if own and name in own.model_fields_set else 'finetuning'}.{name}"
