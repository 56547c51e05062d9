"""A real Slurm of two machines on this one, with pretend GPUs, for as long as tests need it.

As root, without systemd, with Debian's packages slurm-wlm and munge. Slurm's own client commands find the cluster by
/etc/slurm/slurm.conf, because the job steps of Snakemake's plugin drop SLURM_CONF; a configuration of somebody else's
that is there already is never touched.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

SITE = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue", "scancel", "scontrol")

FIRST, SECOND = "first", "second"
"""The two machines."""

SLURM_CONF = """
ClusterName=pretend
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort=26817
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=20
NodeName={first} NodeHostname=localhost NodeAddr=127.0.0.1 Port=26818 CPUs=8 RealMemory=12000 Gres=gpu:pretend:2
NodeName={second} NodeHostname=localhost NodeAddr=127.0.0.1 Port=26819 CPUs=4 RealMemory=6000
PartitionName=cpu Nodes={first},{second} Default=YES MaxTime=1-0 DefMemPerCPU=500
PartitionName=gpu Nodes={first} MaxTime=2:00:00 DefMemPerCPU=500
"""

# Character devices: with plain files Slurm would leave CUDA_VISIBLE_DEVICES unset.
GRES_CONF = """
NodeName={first} Name=gpu Type=pretend File=/dev/null
NodeName={first} Name=gpu Type=pretend File=/dev/zero
"""

CGROUP_CONF = """
ConstrainCores=no
ConstrainRAMSpace=no
ConstrainDevices=no
"""


def missing() -> str | None:
    """Why the cluster cannot be started here, if it cannot."""
    if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"Slurm is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "starting Slurm takes root"
    if there := [name for name in FILES if os.path.lexists(SITE / name)]:
        return f"{SITE / there[0]} is there: its Slurm is left alone (remove it if a test left it when it was killed)"
    return None


def start(folder: Path) -> None:
    """Start the cluster's daemons, with all that they write below `folder`, and wait until it takes jobs."""
    (folder / "state").mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    SITE.mkdir(exist_ok=True)
    for name, text in zip(FILES, (SLURM_CONF, GRES_CONF, CGROUP_CONF), strict=True):
        (folder / name).write_text(text.format(folder=folder, first=FIRST, second=SECOND))
        (SITE / name).symlink_to(folder / name)
    own = {name: folder / f"munge.{name}" for name in ("socket", "log", "seed")}
    options = [f"--{name if name == 'socket' else f'{name}-file'}={path}" for name, path in own.items()]
    run("munged", "--force", f"--key-file={key}", f"--pid-file={folder}/munged.pid", *options)
    run("slurmctld", "-c")
    for node in (FIRST, SECOND):
        run("slurmd", "-N", node)
    wait_until(lambda: set(output("sinfo", "-h", "-N", "-o", "%T").split()) == {"idle"}, "Slurm takes jobs")


def stop(folder: Path) -> None:
    """Cancel what still runs, end the daemons, as far as they were started, and leave /etc/slurm as it was."""
    subprocess.run(["scancel", "--user=root"], check=False)
    wait_until(lambda: not output("squeue", "-h"), "all jobs have ended")
    for name in (f"slurmd.{FIRST}", f"slurmd.{SECOND}", "slurmctld", "munged"):
        if (file := folder / f"{name}.pid").exists():
            pid = int(file.read_text())
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"{name} has ended")
    for name in FILES:
        (SITE / name).unlink(missing_ok=True)


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True)


def output(*command: str) -> str:
    """What a command prints; nothing where it fails, as it does while the controller starts."""
    return subprocess.run(command, capture_output=True, text=True).stdout


def wait_until(happened, what: str, seconds: float = 60) -> None:
    """Wait for something, and fail with its name if it does not happen."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain until {what}")
        time.sleep(0.05)
