"""Activation patterns of a model, or of every checkpoint of runs, on the samples of a file.

For one model, `--output OUT.npy` writes OUT.npy [layers, heads], OUT.samples.npy [samples, layers, heads] in the
file's order, and OUT.json. With `--run` and `--output-folder`, the model is step 0 and each checkpoint of the run
follows as step-{step}; several runs of one model take as many files and folders. Finished samples are kept on disk: an
interrupted extraction goes on with those that are missing. With `--devices N`, N processes under launch.py share them.
"""

import argparse
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns import cli as command_line
from headpatterns.data import training_sets
from headpatterns.errors import InputError, Interrupted
from headpatterns.io import IDENTITY, atomic_path, open_unfinished, remove, unfinished, write_json

if TYPE_CHECKING:
    import numpy as np

    from headpatterns.data.tokens import TokenizedSample

EVERY_SAMPLE = "all"


def main(arguments: argparse.Namespace) -> None:
    """Tokenize the files once, then extract the patterns of each model in turn."""
    check(arguments)

    from headpatterns.data import samples
    from headpatterns.models import loading as models

    models.check_folder(arguments.model)
    among = arguments.among or [EVERY_SAMPLE] * len(arguments.data)
    probes = list(zip(arguments.data, among, strict=True))
    rows = {probe: chosen(samples.read(probe[0]), *probe) for probe in dict.fromkeys(probes)}

    import torch

    from headpatterns.processes import group as processes

    torch.set_num_threads(processes.own_threads(arguments.threads))
    models.check_device(arguments.device)
    tokenizer = models.load_tokenizer(arguments.model)
    prepared = {}
    for (data, ids), selected in rows.items():
        tokenized, skipped = samples.tokenized(
            tokenizer, selected, arguments.max_length, data, skip=arguments.skip_truncated
        )
        about = {"data": str(data), "data_sha256": samples.digest(data), "among": ids, "skipped": skipped}
        prepared[data, ids] = tokenized, about
    with processes.joined(arguments.devices, arguments.device, "pytorch"), ExitStack() as locks:
        for output in [arguments.output] if arguments.output else arguments.output_folder:
            workplace = unfinished(output)
            lock = workplace.with_name(f"{workplace.name}.lock")
            locks.enter_context(processes.nobody_else(lock, str(output), "extracting"))
        if arguments.output:
            extract_model(*prepared[probes[0]], arguments)
            return
        starting: dict[str, Path] = {}
        for run, probe, folder in zip(arguments.run, probes, arguments.output_folder, strict=True):
            extract_run(run, *prepared[probe], arguments, folder, starting)
        # Only now: what a failed job has put out, Snakemake removes.
        for folder in arguments.output_folder if processes.is_first() else ():
            remove(unfinished(folder) / IDENTITY)
            remove(folder)
            unfinished(folder).rename(folder)


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that do not fit together, before anything is read."""
    for_runs = [arguments.run, arguments.output_folder]
    if not all(for_runs) if not arguments.output else any([*for_runs, arguments.among]):
        raise InputError("give either --output, or --run together with --output-folder.")
    command_line.check_counts(arguments, "max_length", "threads", "devices")
    command_line.check_token_budget(arguments)
    if arguments.output and arguments.output.suffix != ".npy":
        raise InputError(f"--output {arguments.output} must end in .npy.")
    units = arguments.run or [arguments.output]
    others = [arguments.data, arguments.output_folder or units, arguments.among or units]
    if any(len(listed) != len(units) for listed in others):
        raise InputError("give as many --data, --output-folder and --among as --run, or one --data for --output.")


def chosen(rows: list[dict[str, str]], data: Path, among: str) -> list[dict[str, str]]:
    """The rows whose ids a training set lists, in the file's order; `all` takes every row."""
    if among == EVERY_SAMPLE:
        return rows
    wanted = {id for _, id in training_sets.read(Path(among))}
    if missing := sorted(wanted - {row["id"] for row in rows}):
        raise InputError(f"{among} lists the sample '{missing[0]}', which {data} lacks: make the training set again.")
    if not wanted:
        raise InputError(f"{among} lists no sample: check the data behind it.")
    return [row for row in rows if row["id"] in wanted]


def identity(
    tokenized: list["TokenizedSample"], about: dict[str, Any], arguments: argparse.Namespace, *model: Path
) -> str:
    """Fingerprint of what patterns are taken of, `model` being files, by which versions and on which kind of device.

    Threads, which of several GPUs and how many of them change patterns by rounding alone: an extraction may go on with
    others.
    """
    import torch

    from headpatterns import provenance

    ids = "\n".join(sample.id for sample in tokenized)
    options = [arguments.reduction, str(arguments.max_length), arguments.dtype, torch.device(arguments.device).type]
    versions = json.dumps(provenance.versions())
    return provenance.fingerprint(*model, provenance.fingerprint(about["data_sha256"], ids, *options, versions))


def extract_model(tokenized: list["TokenizedSample"], about: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Extract the patterns of one model; an interrupted job goes on where it was."""
    from headpatterns.models import loading as models
    from headpatterns.processes import group as processes

    output, workplace = arguments.output, unfinished(arguments.output)
    if processes.is_first():
        open_unfinished(output, identity(tokenized, about, arguments, *models.files(arguments.model)))
    processes.wait_for_all()
    complete = False
    try:
        extract(arguments.model, tokenized, about, arguments, output, workplace / "parts")
        complete = True
    finally:
        # After a failure of this process others may still write there.
        alone = processes.count() == 1
        if processes.is_first() and (complete or alone) and not (workplace / "parts").is_dir():
            remove(workplace)


def extract_run(
    run: Path,
    tokenized: list["TokenizedSample"],
    about: dict[str, Any],
    arguments: argparse.Namespace,
    output_folder: Path,
    starting: dict[str, Path],
) -> None:
    """Extract the patterns of the model and of every checkpoint of its run; an interrupted job goes on where it was.

    `starting` remembers where the patterns of the model itself lie, by the samples they were taken on: runs of one
    model on one probe set share them.
    """
    from headpatterns.models import loading as models
    from headpatterns.models.checkpoints import checkpoints
    from headpatterns.processes import group as processes

    folders = checkpoints(run)
    samples, workplace = identity(tokenized, about, arguments), unfinished(output_folder)
    if processes.is_first():
        # run.json knows the model, the data and the recipe that the checkpoints come from.
        open_unfinished(output_folder, identity(tokenized, about, arguments, run / "run.json"))
    for step, folder in {0: arguments.model, **folders}.items():
        if processes.of_first((workplace / f"step-{step}.json").is_file()):
            continue
        if step == 0 and samples in starting:
            for suffix in (".npy", ".samples.npy", ".json") if processes.is_first() else ():
                shutil.copy2(starting[samples] / f"step-0{suffix}", workplace / f"step-0{suffix}")
            continue
        output = workplace / f"step-{step}.npy"
        extract(folder, tokenized, {**about, "step": step}, arguments, output, workplace / f"step-{step}.parts")
        models.free_memory(arguments.device)
    starting.setdefault(samples, workplace)


def extract(
    folder: Path,
    tokenized: list["TokenizedSample"],
    about: dict[str, Any],
    arguments: argparse.Namespace,
    output: Path,
    parts: Path,
) -> None:
    """Write the three files of one model. What is finished lies in the folder `parts` until then.

    Of several processes each computes its share of the batches, and the first puts them together.

    Raises:
        Interrupted: SIGTERM came; what is finished is there.
    """
    import numpy as np

    from headpatterns.attribution import extraction
    from headpatterns.attribution.parts import Parts
    from headpatterns.models import loading as models
    from headpatterns.processes import group as processes

    started = time.perf_counter()
    model = models.load_model(folder, arguments.dtype, str(processes.own_device(arguments.device)))
    kept = Parts(parts, arguments.save_seconds)
    rank, several = int(os.environ.get("RANK", 0)), processes.count() > 1

    budget = arguments.token_budget

    def stop_if_asked() -> None:
        if stopped():
            sentence = f"interrupted by SIGTERM: {len(kept.done)} samples of {folder} are kept, run it again to go on."
            raise Interrupted(sentence)

    def agree(found: int) -> int:
        nonlocal budget
        stop_if_asked()
        budget = processes.least(found)
        return budget

    def keep(indices: list[int], values: np.ndarray, losses: np.ndarray) -> None:
        kept.keep(indices, values, losses)
        print(f"{f'process {rank}, ' * several}{folder}: {len(kept.done)}/{len(tokenized)} samples", flush=True)
        stop_if_asked()

    with stoppable(several) as stopped:
        try:
            extraction.extract(
                model,
                tokenized,
                keep,
                reduction=arguments.reduction,
                token_budget=arguments.token_budget,
                done=kept.done,
                agree=agree,
                share=(rank, processes.count()),
            )
        finally:
            kept.write()
        processes.wait_for_all()
    stop_if_asked()
    if processes.is_first():
        if several:
            kept = Parts(parts, arguments.save_seconds)
        found, taken = kept.together(len(tokenized)), time.perf_counter() - started
        write(folder, tokenized, {**about, "token_budget": budget}, arguments, output, *found, taken)
        remove(parts)


@contextmanager
def stoppable(several: bool) -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM ends nothing by itself; what is yielded says whether it came.

    Each of several processes stops by itself. When one has failed, the launcher sends SIGTERM to the others, which must
    not be ended by it while they write down why they fail in turn: they never obey it again.
    """
    came: list[int] = []
    earlier = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    signal.siginterrupt(signal.SIGTERM, False)  # libraries need not cope with interrupted system calls
    failed = True
    try:
        yield lambda: bool(came)
        failed = False
    finally:
        if not (several and failed):
            signal.signal(signal.SIGTERM, earlier)


def write(
    folder: Path,
    tokenized: list["TokenizedSample"],
    about: dict[str, Any],
    arguments: argparse.Namespace,
    output: Path,
    values: "np.ndarray",
    losses: "np.ndarray",
    seconds: float,
) -> None:
    """Write mean, values and their provenance."""
    import numpy as np

    from headpatterns import provenance
    from headpatterns.attribution import Patterns

    patterns = Patterns(values, losses)
    details = {
        "model": str(folder),
        **about,
        "reduction": arguments.reduction,
        "max_length": arguments.max_length,
        "dtype": arguments.dtype,
        "device": arguments.device,
        "devices": arguments.devices,
        "layers": values.shape[1],
        "heads": values.shape[2],
        "samples": len(tokenized),
        "truncated": sum(sample.truncated for sample in tokenized),
        "tokens": sum(len(sample.input_ids) for sample in tokenized),
        "response_tokens": sum(sample.response_tokens for sample in tokenized),
        "seconds": round(seconds, 3),
        **provenance.environment(),
        "ids": [sample.id for sample in tokenized],
        "losses": losses.tolist(),
    }
    # The JSON is removed first and written last: where it lies, the arrays beside it are whole and belong to it.
    remove(output.with_suffix(".json"))
    for path, array in {output.with_suffix(".samples.npy"): values, output: patterns.mean}.items():
        with atomic_path(path) as temporary:
            np.save(temporary, array)
    write_json(output.with_suffix(".json"), details)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument(
        "--data", type=Path, nargs="+", required=True, help="jsonl or parquet with prompt, response, optionally id"
    )
    made.add_argument("--output", type=Path, help="OUT.npy, for one model")
    made.add_argument("--run", type=Path, nargs="+", help="folder of a run that started from the model")
    made.add_argument("--output-folder", type=Path, nargs="+", help="folder for the patterns of model and run")
    made.add_argument(
        "--among",
        nargs="+",
        help=f"for each run, a training set (CSV) whose samples alone are taken, or {EVERY_SAMPLE}",
    )
    made.add_argument(
        "--reduction", default="abs_of_sum", choices=["abs_of_sum", "sum_of_abs", "abs_per_position"], help="Eq. 2"
    )
    made.add_argument("--max-length", type=int, default=1024, help="tokens at which a sample is cut")
    command_line.add_token_budget(made)
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")
    made.add_argument("--devices", type=int, default=1, help="processes that share the samples, one a device")
    made.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    made.add_argument("--threads", type=int, default=1, help="processor threads, of all processes together")
    made.add_argument(
        "--save-seconds", type=float, default=60, help="seconds after which finished samples are put on disk"
    )
    made.add_argument(
        "--skip-truncated",
        action="store_true",
        help="leave out samples whose response lies beyond the maximum length instead of stopping",
    )
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
