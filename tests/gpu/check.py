"""Check and measure on one GPU what the tests cannot without it, in less than eight minutes.

    python tests/gpu/check.py [--output gpu-check]
    python tests/gpu/check.py --device cpu --small

1. benchmarks/attribution.py and benchmarks/finetuning.py, in bfloat16 and float32, on random weights.
2. kernels.py: the fused kernel against the block-wise path and eager attention.
3. samples.py: samples alone and together, padded and in another order.
4. A small experiment through Snakemake, to table1, figure1 and figure5.

Each part is a process with a time limit, and one that fails or takes too long keeps no other from its turn. The output
folder gets check.json and check.md, a log of each part, and what it wrote. The exit status is 1 where anything failed.
Without a GPU, `--small` goes the same ways in about two minutes; of the benchmarks it takes one dtype each.
"""

import argparse
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import outcomes
from outcomes import FAILED, MEASURED, PASSED, Row

from headpatterns.errors import InputError
from headpatterns.io import remove

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
ALTOGETHER = 460
"""Seconds of all parts; the shares below add up to it."""

GRACE = 5
"""Seconds that a part has to stop its own processes."""

ERRORS = {"float32": 1e-3, "bfloat16": 0.15}
"""What patterns may differ from eager attention, as benchmarks/attribution.py has it, through 16 layers."""

TARGETS = {"table1": "tables/table1.csv", "figure1": "figures/figure1.png", "figure5": "figures/figure5.png"}
"""What the experiment makes, below its results."""

KEPT = ("tables", "figures", "logs", "benchmarks")
"""Folders of the experiment's results that the output folder gets."""

MACHINE = """import platform, sys, torch
name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
print(name if sys.argv[1] == "cuda" else platform.processor() or platform.machine(), torch.__version__, sep="\\n")"""


class Part(NamedTuple):
    """A process of the check.

    Attributes:
        name: of the part, and of its log.
        command: what is run, after the Python that runs this.
        share: seconds that it may take; what parts before it have left of theirs comes on top.
        rows: reads what it has written.
        folder: where it runs.
    """

    name: str
    command: list[str]
    share: float
    rows: Callable[[], list[Row]]
    folder: Path = PROJECT


def main(arguments: argparse.Namespace) -> int:
    """Run all parts and write the table; the exit status."""
    output = arguments.output.resolve()
    if output.exists() and not (output / outcomes.TABLE).is_file():
        raise InputError(f"{output} is not from an earlier check: give another --output, for this one is replaced.")
    about = described(arguments.device)
    remove(output)
    output.mkdir(parents=True)
    started = time.monotonic()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        copy = copied(Path(temporary) / "project")
        parts = [*benchmarks(arguments, output), *scripts(arguments, output), experiment(arguments, output, copy)]
        for number, part in enumerate(parts, start=1):
            left = ALTOGETHER - (time.monotonic() - started)
            limit = left - sum(later.share for later in parts[number:])
            found = run(part, limit, environment(arguments, temporary), output)
            rows += found
            print(f"{part.name}: {found[-1].outcome}, {found[-1].note or f'{found[-1].value:.0f} s'}", flush=True)
            outcomes.write(output, about, rows)
    about |= {"seconds": round(time.monotonic() - started)}
    print(f"\n{outcomes.write(output, about, rows)}\nWritten to {output}")
    return int(outcomes.failed(rows))


def described(device: str) -> dict[str, object]:
    """The machine, in words.

    Raises:
        InputError: a GPU is asked for, and torch sees none.
    """
    # In a process of its own: one that has asked for a GPU holds memory there.
    found = subprocess.run([sys.executable, "-c", MACHINE, device], capture_output=True, text=True, check=True)
    name, version = found.stdout.splitlines()
    if not name:
        raise InputError("torch sees no GPU here: run this on a machine with one, or with --device cpu --small.")
    return {"machine": name, "torch": version, "python": sys.version.split()[0]}


def environment(arguments: argparse.Namespace, temporary: str) -> dict[str, str]:
    """Of every part: this project's modules, no network, and Triton's interpreter where there is no GPU."""
    paths = [PROJECT / "workflow_scripts", PROJECT / "benchmarks", PROJECT / "tests/support", HERE]
    made = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "HF_HUB_OFFLINE": "1", "TMPDIR": temporary}
    return made | ({"TRITON_INTERPRET": "1"} if arguments.device == "cpu" else {})


def benchmarks(arguments: argparse.Namespace, output: Path) -> list[Part]:
    """Part 1, a process for each benchmark and dtype."""
    device = ["--device", arguments.device, "--architecture", "small" if arguments.small else "llama-3.2-1b"]
    attribution = ["--rows", "3", "--padding", "256"] if arguments.small else ["--rows", "32", "--limit", "30"]
    finetuning = ["--steps", "3", "--warmup", "1", "--batch-size", "2", "--accumulation", "1"]
    finetuning = finetuning if arguments.small else ["--steps", "10"]
    parts = []
    for dtype, share in [("float32", 90)] if arguments.small else [("bfloat16", 90), ("float32", 85)]:
        name = f"attribution-{dtype}"
        words = ["benchmarks/attribution.py", *device, "--dtype", dtype, "--repeats", "1", *attribution]
        rows = functools.partial(outcomes.attribution_rows, name, output / name / "attribution.csv", ERRORS[dtype])
        parts.append(Part(name, [*words, "--output", str(output / name)], share, rows))
    for precision in ["bf16"] if arguments.small else ["bf16", "fp32"]:
        name = f"finetuning-{precision}"
        words = ["benchmarks/finetuning.py", *device, "--engines", "pytorch", "--precision", precision, *finetuning]
        rows = functools.partial(outcomes.finetuning_rows, name, output / name / "finetuning.csv")
        parts.append(Part(name, [*words, "--output", str(output / name / "finetuning")], 60, rows))
    return parts


def scripts(arguments: argparse.Namespace, output: Path) -> list[Part]:
    """Parts 2 and 3."""
    parts = []
    for name, share in (("kernels", 45), ("samples", 25)):
        result = output / f"{name}.json"
        words = [str(HERE / f"{name}.py"), "--device", arguments.device, "--result", str(result)]
        words += ["--small"] if arguments.small else []
        parts.append(Part(name, words, share, functools.partial(outcomes.script_rows, name, result)))
    return parts


def copied(target: Path) -> Path:
    """A copy of the project without results or environments, so that everything in it is made."""
    left_out = (".git", ".venv*", ".snakemake", "__pycache__", "*.egg-info", ".*_cache", "results", "gpu-check")
    shutil.copytree(PROJECT, target, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    return target


def experiment(arguments: argparse.Namespace, output: Path, copy: Path) -> Part:
    """Part 4, in the copy; the overlay that takes a GPU is left out where there is none."""
    words = ["-m", "snakemake", *TARGETS, "--cores", str(min(os.cpu_count() or 1, 8)), "--resources", "gpu=1"]
    words += ["--configfile", "tests/config/tiny.yaml"]
    words += ["tests/gpu/cuda.yaml"] if arguments.device == "cuda" else []
    return Part("experiment", words, 95, functools.partial(made, copy / "results/tiny", output / "experiment"), copy)


def made(results: Path, kept: Path) -> list[Row]:
    """Whether the targets are there, and what the jobs on the GPU took; keeps what a reader may want."""
    for folder in KEPT:
        if (results / folder).is_dir():
            shutil.copytree(results / folder, kept / folder)
    rows = []
    for name, path in TARGETS.items():
        there = (results / path).is_file() and (results / path).stat().st_size > 0
        rows.append(Row("experiment", name, PASSED if there else FAILED, note="" if there else f"no {path}"))
    for path in sorted(results.glob("benchmarks/*/*.tsv")):
        if path.parent.name in ("pretrain", "finetune", "extract_patterns"):
            seconds = float(path.read_text().splitlines()[1].split("\t")[0])
            rows.append(Row("experiment", f"{path.parent.name} {path.stem}", MEASURED, seconds, unit="s"))
    return rows


def run(part: Part, limit: float, variables: Mapping[str, str], output: Path) -> list[Row]:
    """What a part found, with how it ended as the last row."""
    if limit <= GRACE:
        return [Row(part.name, "ended", FAILED, note="not started: no time was left")]
    started = time.monotonic()
    with (output / f"{part.name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, *part.command],
            cwd=part.folder,
            env=dict(variables),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        note = waited(process, limit - GRACE)
    try:
        rows = part.rows()
    except (InputError, OSError, ValueError, KeyError, TypeError) as error:
        # What a part that failed has left may be anything.
        rows, note = [], note or f"its results cannot be read: {error}"
    ended = Row(part.name, "ended", FAILED if note else PASSED, time.monotonic() - started, limit, "s", note)
    return [*rows, ended]


def waited(process: subprocess.Popen[bytes], limit: float) -> str:
    """Why a process did not end well within `limit` seconds, empty where it did; nothing of it is left."""
    try:
        status = process.wait(limit)
        return f"ended with {status}: see its log" if status else ""
    except subprocess.TimeoutExpired:
        signalled(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        return f"longer than {limit:.0f} s"
    finally:
        signalled(process, signal.SIGKILL)
        process.wait()


def signalled(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and all that it started: they are a group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="(cuda)")
    made.add_argument("--small", action="store_true", help="small models and few samples, to try this script")
    made.add_argument(
        "--output", type=Path, default=PROJECT / "gpu-check", help="folder, which is replaced (gpu-check)"
    )
    return made


if __name__ == "__main__":
    try:
        sys.exit(main(parser().parse_args()))
    except InputError as error:
        print(f"check.py: {error}", file=sys.stderr)
        sys.exit(2)
