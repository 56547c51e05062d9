"""A real Slurm with two machines on this one and with pretend GPUs, which runs only while tests need it.

It needs root and Debian's packages slurm-wlm and munge, but not systemd. Slurm's own client commands find the cluster
by /etc/slurm/slurm.conf, because the job steps of Snakemake's plugin drop SLURM_CONF. A configuration of another Slurm
that already exists is never touched. If killed tests leave a cluster behind, the next tests end and remove it.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SITE = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue", "scancel", "scontrol")

FIRST, SECOND = "first", "second"
"""The two machines."""

MARK = "# Made by the tests of headpatterns, which keep its Slurm in "
"""The start of every file in /etc/slurm; the name of the folder follows."""

LOCK = Path(tempfile.gettempdir()) / "headpatterns-slurm.lock"
"""Held while the cluster runs, because all tests of a machine share one cluster."""

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
ReturnToService=1
MinJobAge=3600
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
KillWait=20
NodeName={first} NodeHostname=localhost NodeAddr=127.0.0.1 Port=26818 CPUs=8 RealMemory=12000 Gres=gpu:pretend:2
NodeName={second} NodeHostname=localhost NodeAddr=127.0.0.1 Port=26819 CPUs=4 RealMemory=6000
PartitionName=cpu Nodes={first},{second} Default=YES MaxTime=1-0 DefMemPerCPU=500
PartitionName=gpu Nodes={first} MaxTime=2:00:00 DefMemPerCPU=500
PartitionName=urgent Nodes={first} PriorityTier=2
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
    """The reason why the cluster cannot be started here, or None."""
    if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"Slurm is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "starting Slurm takes root"
    if others := [path for path in there() if made_for(path) is None]:
        return f"{others[0]} is there: its Slurm is left alone"
    return None


def there() -> list[Path]:
    """Configuration files that already exist."""
    return [SITE / name for name in FILES if os.path.lexists(SITE / name)]


def made_for(path: Path) -> Path | None:
    """The folder of the tests' Slurm that a configuration file belongs to; None for any other file."""
    first = path.read_text().partition("\n")[0] if path.is_file() else ""
    return Path(first.removeprefix(MARK)) if first.startswith(MARK) else None


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Run the cluster inside the block, ready to take jobs; its daemons write below `folder`.

    Other tests on this machine that need a cluster wait for their turn.
    """
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in {made_for(path) for path in there()}:
            stop(left)
        try:
            start(folder)
            yield
        finally:
            stop(folder)


def start(folder: Path) -> None:
    """Start the cluster's daemons and wait until it takes jobs."""
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    SITE.mkdir(exist_ok=True)
    for name, text in zip(FILES, (SLURM_CONF, GRES_CONF, CGROUP_CONF), strict=True):
        (SITE / name).write_text(f"{MARK}{folder}\n{text.format(folder=folder, first=FIRST, second=SECOND)}")
    own = {name: folder / f"munge.{name}" for name in ("socket", "log", "seed")}
    options = [f"--{name if name == 'socket' else f'{name}-file'}={path}" for name, path in own.items()]
    run("munged", "--force", f"--key-file={key}", f"--pid-file={folder}/munged.pid", *options)
    run("slurmctld", "-c")
    for node in (FIRST, SECOND):
        run("slurmd", "-N", node)
    wait_until(lambda: set(output("sinfo", "-h", "-N", "-o", "%T").split()) == {"idle"}, "Slurm takes jobs")


def stop(folder: Path) -> None:
    """Cancel jobs that still run, end the daemons that were started, and remove the files from /etc/slurm."""
    if alive(folder, "slurmctld"):
        subprocess.run(["scancel", "--user=root"], check=False)
        wait_until(lambda: not output("squeue", "-h"), "all jobs have ended")
    for name in (f"slurmd.{FIRST}", f"slurmd.{SECOND}", "slurmctld", "munged"):
        end(folder, name)
    for name in FILES:
        (SITE / name).unlink(missing_ok=True)


def end(folder: Path, name: str) -> None:
    """End a daemon, if it runs."""
    if pid := alive(folder, name):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: alive(folder, name) is None, f"{name} has ended")


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """End the cluster's controller inside the block, so that Slurm does not answer; the jobs are kept."""
    folder = made_for(SITE / "slurm.conf")
    end(folder, "slurmctld")
    try:
        yield
    finally:
        run("slurmctld")
        wait_until(lambda: output("sinfo", "-h"), "the controller answers")


def alive(folder: Path, name: str) -> int | None:
    """The process id of a daemon, from its file `name`.pid; None if it has ended, even if it is still a zombie."""
    file = folder / f"{name}.pid"
    pid = file.read_text().strip() if file.exists() else ""
    command = Path(f"/proc/{pid}/cmdline")
    runs = pid and command.exists() and command.read_bytes().startswith(name.partition(".")[0].encode())
    return int(pid) if runs else None


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True)


def output(*command: str) -> str:
    """The output of a command; empty if the command fails, as it does while the controller starts."""
    return subprocess.run(command, capture_output=True, text=True).stdout


def wait_until(happened, what: str, seconds: float = 300) -> None:
    """Wait for something, and fail with its name if it does not happen."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain until {what}")
        time.sleep(0.05)
