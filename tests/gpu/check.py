"""Check and measure on one GPU what the tests cannot check without it, in less than eight minutes.

    python tests/gpu/check.py [--output gpu-check]
    python tests/gpu/check.py --device cpu --small

1. kernels.py: compares the fused kernel with the block-wise path and eager attention, and measures the bf16 peak.
2. architectures.py: compares patterns and losses of more than ten architectures with eager attention, in float32 and
   bfloat16.
3. samples.py: compares samples alone and together, padded and in another order.
4. halving.py: lets memory run out in a batch.
5. devices.py: fine-tunes with two processes and ZeRO-2, if there are two GPUs.
6. A small experiment with Snakemake, up to table1, figure1 and figure5.
7. benchmarks/attribution.py and benchmarks/finetuning.py in bfloat16, on random weights in the shape of Llama-3-8B.
   Fine-tuning uses only a few layers, because AdamW of all layers in float32 does not fit on one GPU. If less than
   60 GB of the GPU are free, both have the shape of Llama-3.2-1B.

Each part is a process with a time limit. If a part fails or takes too long, the other parts still run. The output
folder gets check.json and check.md, and the log and the results of each part. The exit status is 1 if anything failed.
Nothing is installed or downloaded; a part is skipped if a package that it needs is missing. Without a GPU, `--small`
takes the same steps in about two minutes.
"""

import argparse
import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
PATHS = [str(PROJECT / folder) for folder in ("workflow_scripts", "benchmarks", "tests/support", "tests/gpu")]
sys.path += PATHS  # any Python that has the packages works, even if this project is not installed

import common  # noqa: E402
import outcomes  # noqa: E402
from outcomes import FAILED, MEASURED, PASSED, SKIPPED, Row  # noqa: E402

from headpatterns.errors import InputError  # noqa: E402
from headpatterns.io import remove  # noqa: E402

ALTOGETHER = 460
"""Seconds for all parts together; the shares below add up to it."""

GRACE = 5
"""Seconds that a part has to stop its own processes."""

ERRORS = {"float32": 1e-3, "bfloat16": 0.15}
"""Largest error of patterns against eager attention through 32 layers, as benchmarks/attribution.py computes it."""

SHAPE, LESS, ROOM = "llama-3-8b", "llama-3.2-1b", 60
"""The shape of the models in the benchmarks, and a smaller shape if the GPU has fewer free GB than `ROOM`."""

LAYERS = 8
"""Layers of Llama-3-8B in fine-tuning: 2.8 billion parameters, which take 45 GB at 16 bytes each."""

TARGETS = {"table1": "tables/table1.csv", "figure1": "figures/figure1.png", "figure5": "figures/figure5.png"}
"""Targets of the experiment, and the files that it makes for them below its results."""

SCRIPTS = {"kernels": 40, "architectures": 45, "samples": 25, "halving": 20, "devices": 40}
"""Scripts of this folder, and their shares of the time."""

KEPT = ("tables", "figures", "logs", "benchmarks")
"""Folders of the experiment's results that are copied to the output folder."""

MACHINE = """import platform, sys, torch, transformers
there = sys.argv[1] == "cuda" and torch.cuda.is_available()
name = torch.cuda.get_device_name() if there else "" if sys.argv[1] == "cuda" else platform.machine()
print(name, torch.__version__, transformers.__version__, torch.cuda.mem_get_info()[0] if there else 0, sep="\\n")"""


class Part(NamedTuple):
    """A process of the check.

    Attributes:
        name: name of the part and of its log.
        command: arguments of the Python interpreter that runs this script.
        share: seconds that it may take, in addition to what earlier parts have left of their shares.
        rows: reads the results of the part.
        folder: where it runs.
        needs: a module; if it is not installed, the part is skipped.
    """

    name: str
    command: list[str]
    share: float
    rows: Callable[[], list[Row]]
    folder: Path = PROJECT
    needs: str = "torch"


def main(arguments: argparse.Namespace) -> int:
    """Run all parts and write the table; returns the exit status."""
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
        chosen = architecture(arguments.small, about["free GB"])
        parts = [*scripts(arguments, output), experiment(arguments, output, copy)]
        parts += [attribution(arguments, output, chosen), finetuning(arguments, output, chosen)]
        for number, part in enumerate(parts, start=1):
            left = ALTOGETHER - (time.monotonic() - started)
            limit = left - sum(later.share for later in parts[number:])
            found = run(part, limit, environment(arguments, temporary), output)
            rows += found
            print(f"{part.name}: {found[-1].outcome}, {found[-1].note or f'{found[-1].value:.0f} s'}", flush=True)
            outcomes.write(output, about, rows)
    rows += outcomes.of_measured_peak(rows)
    about |= {"seconds": round(time.monotonic() - started)}
    print(f"\n{outcomes.write(output, about, rows)}\nWritten to {output}")
    return int(outcomes.failed(rows))


def described(device: str) -> dict[str, Any]:
    """A description of the machine.

    Raises:
        InputError: torch or transformers cannot be imported, or a GPU is requested and torch sees none.
    """
    # This runs in a separate process, because a process that has used a GPU keeps some of its memory.
    found = subprocess.run([sys.executable, "-c", MACHINE, device], capture_output=True, text=True)
    if found.returncode:
        raise InputError("torch and transformers cannot be imported here: install envs/workflow.txt first.")
    name, torch, transformers, free = found.stdout.splitlines()
    if not name:
        raise InputError("torch sees no GPU here: run this on a machine with one, or with --device cpu --small.")
    versions = {"torch": torch, "transformers": transformers, "python": sys.version.split()[0]}
    return {"machine": name, **versions, "free GB": round(int(free) / 1e9)}


def environment(arguments: argparse.Namespace, temporary: str) -> dict[str, str]:
    """Environment variables of every part: this project's modules, no network, and Triton's interpreter on a CPU."""
    made = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "HF_HUB_OFFLINE": "1", "TMPDIR": temporary}
    return made | ({"TRITON_INTERPRET": "1"} if arguments.device == "cpu" else {})


def architecture(small: bool, free: float) -> str:
    """The architecture of the benchmarks, by the GB that are free on the GPU."""
    return "small" if small else SHAPE if free >= ROOM else LESS


def attribution(arguments: argparse.Namespace, output: Path, chosen: str) -> Part:
    """The patterns of part 7; with `--small` in float32, because CPUs are made for it."""
    dtype = "float32" if arguments.small else "bfloat16"
    name = f"attribution {chosen}"
    words = ["--rows", "3", "--padding", "256"] if arguments.small else ["--rows", "32", "--limit", "45"]
    words += ["--architecture", chosen, "--device", arguments.device, "--dtype", dtype, "--repeats", "1"]
    rows = functools.partial(outcomes.attribution_rows, name, output / "attribution/attribution.csv", ERRORS[dtype])
    return Part(name, ["benchmarks/attribution.py", *words, "--output", str(output / "attribution")], 130, rows)


def finetuning(arguments: argparse.Namespace, output: Path, chosen: str) -> Part:
    """The fine-tuning of part 7; for Llama-3-8B it uses a few layers, and estimates the speed of all layers."""
    small = ["--steps", "3", "--warmup", "1", "--batch-size", "2", "--accumulation", "1"]
    words = small if arguments.small else ["--steps", "10"]
    words += ["--architecture", chosen, "--device", arguments.device, "--engines", "pytorch"]
    path, name = output / "finetuning/finetuning.csv", f"finetuning {chosen}"
    rows = functools.partial(outcomes.finetuning_rows, name, path)
    if chosen == SHAPE:
        name, words = f"{name}, {LAYERS} layers", [*words, "--layers", str(LAYERS)]
        whole = common.ARCHITECTURES[SHAPE]["num_hidden_layers"]
        times = multiplied(SHAPE, whole) / multiplied(SHAPE, LAYERS)
        rows = functools.partial(outcomes.scaled_rows, name, path, times, whole)
    return Part(name, ["benchmarks/finetuning.py", *words, "--output", str(path.with_suffix(""))], 80, rows)


def multiplied(name: str, layers: int) -> int:
    """Number of weights of a Llama that multiply each token: in `layers` layers and in the output projection."""
    shape = common.ARCHITECTURES[name]
    width, heads = shape["hidden_size"], shape["num_attention_heads"]
    attention = 2 * width**2 * (heads + shape["num_key_value_heads"]) // heads
    return layers * (attention + 3 * width * shape["intermediate_size"]) + width * shape["vocab_size"]


def scripts(arguments: argparse.Namespace, output: Path) -> list[Part]:
    """Parts 1 to 5."""
    parts = []
    for name, share in SCRIPTS.items():
        result = output / f"{name}.json"
        words = [str(HERE / f"{name}.py"), "--device", arguments.device, "--result", str(result)]
        words += ["--small"] if arguments.small else []
        rows = functools.partial(outcomes.script_rows, name, result)
        parts.append(Part(name, words, share, rows, needs="deepspeed" if name == "devices" else "torch"))
    return parts


def copied(target: Path) -> Path:
    """Copy the project without results and environments, so that the experiment makes everything itself."""
    left_out = (".git", ".venv*", ".snakemake", "__pycache__", "*.egg-info", ".*_cache", "results", "gpu-check")
    shutil.copytree(PROJECT, target, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    return target


def experiment(arguments: argparse.Namespace, output: Path, copy: Path) -> Part:
    """Part 6, in the copy of the project; the overlay that uses a GPU is left out if there is none."""
    words = ["-m", "snakemake", *TARGETS, "--cores", str(min(os.cpu_count() or 1, 8)), "--resources", "gpu=1"]
    words += ["--configfile", "tests/config/tiny.yaml"]
    words += ["tests/gpu/cuda.yaml"] if arguments.device == "cuda" else []
    rows = functools.partial(made, copy / "results/tiny", output / "experiment")
    return Part("experiment", words, 80, rows, copy, needs="snakemake")


def made(results: Path, kept: Path) -> list[Row]:
    """Rows that say whether the targets exist and how long the GPU jobs took; copies the folders in `KEPT`."""
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
    """The rows of a part; the last row says how the part ended."""
    if importlib.util.find_spec(part.needs) is None:
        return [Row(part.name, "ended", SKIPPED, note=f"{part.needs} is not installed")]
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
        # A part that failed may leave any kind of result.
        rows, note = [], note or f"its results cannot be read: {error}"
    ended = Row(part.name, "ended", FAILED if note else PASSED, time.monotonic() - started, limit, "s", note)
    return [*rows, ended]


def waited(process: subprocess.Popen[bytes], limit: float) -> str:
    """Why a process did not succeed within `limit` seconds, or an empty text; ends all processes of its group."""
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
    """Send a signal to a process and all processes that it started: they are a separate group."""
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
