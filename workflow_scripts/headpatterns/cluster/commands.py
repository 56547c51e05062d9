"""The start of a job's command: free GPUs of a machine, torchrun, or srun over several machines."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headpatterns.cluster import resources

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

SCRIPTS = "workflow_scripts"

EVENTS = "HEADPATTERNS_TENSORBOARD"
"""Environment variable with the folder below which fine-tunings write event files of TensorBoard."""


def put_python_first() -> None:
    """Make `python` in a rule's command the Python that runs Snakemake, even if its environment is not active."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def on_gpus(experiment: "Experiment", rule: str, group: str = "") -> str:
    """The prefix of a command that needs GPUs: it takes free GPUs of this machine if no scheduler assigns them."""
    if experiment.config.device == "cpu":
        return ""
    return f"python {SCRIPTS}/take_gpus.py --count {resources.gpus(experiment, rule, group)} -- "


def launcher(experiment: "Experiment", group: str) -> str:
    """The launcher of finetune.py for the runs of a group: Python itself, or torchrun for several processes.

    With several machines, srun starts a torchrun on each, and the processes connect on the first. Its variables are for
    the shell on each machine, so they are quoted; "$@" stands for the script and its options.
    """
    recipe = experiment.recipe(group)
    processes, nodes = recipe.devices // recipe.nodes, recipe.nodes
    taken = on_gpus(experiment, "finetune", group)
    if recipe.devices == 1 and recipe.engine == "pytorch":
        return f"{taken}python"
    torchrun = f"python {SCRIPTS}/launch.py --nproc-per-node {processes}"
    if nodes == 1:
        return f"{taken}{torchrun} --standalone"
    place = "$SLURM_LAUNCH_NODE_IPADDR:$((20000 + SLURM_JOB_ID % 20000))"
    hosts = "is_host=$((SLURM_NODEID == 0)),read_timeout=600"  # seconds, because torch may load slowly on some machines
    meet = f"--nnodes {nodes} --rdzv-backend c10d --rdzv-id $SLURM_JOB_ID --rdzv-endpoint {place} --rdzv-conf {hosts}"
    return (
        f"srun --nodes {nodes} --ntasks {nodes} --ntasks-per-node 1"
        f" --cpus-per-task {resources.threads(experiment, 'finetune')}"
        f" --kill-on-bad-exit=1 bash -c 'exec {torchrun} {meet} \"$@\"' torchrun"
    )


def watched(experiment: "Experiment") -> str:
    """The prefix of a fine-tuning whose curve can be watched: the folder of its event files, next to the logs.

    It is a part of the launcher, which is a resource, so a change of it does not make jobs run again.
    """
    return f"env {EVENTS}={experiment.paths.root}/logs/tensorboard " if experiment.config.tensorboard else ""


def extractor(experiment: "Experiment") -> str:
    """The start of an extraction: the script alone, or with torchrun if several GPUs share the samples."""
    count, script = resources.sharing(experiment), f"{SCRIPTS}/extract_patterns.py"
    several = f"python {SCRIPTS}/launch.py --standalone --nproc-per-node {count} {script} --devices {count}"
    return f"{on_gpus(experiment, 'extract_patterns')}{several if count > 1 else f'python {script}'}"
