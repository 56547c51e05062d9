"""Activation patterns of a model, or of every checkpoint of runs, on the samples of a file.

For one model, `--output OUT.npy` writes OUT.npy [layers, heads], OUT.samples.npy [samples, layers, heads] in the
file's order, and OUT.json. With `--run` and `--output-folder`, the model is step 0 and each checkpoint of the run
follows as step-{step}; several runs of one model take as many files and folders.
"""

import argparse
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import command_line
from headpatterns import training_sets
from headpatterns.errors import InputError
from headpatterns.files import IDENTITY, atomic_path, open_unfinished, remove, unfinished, write_json

if TYPE_CHECKING:
    from headpatterns.tokenization import TokenizedSample

EVERY_SAMPLE = "all"


def main(arguments: argparse.Namespace) -> None:
    """Tokenize the files once, then extract the patterns of each model in turn."""
    for_runs = [arguments.run, arguments.output_folder]
    if not all(for_runs) if not arguments.output else any([*for_runs, arguments.among]):
        raise InputError("give either --output, or --run together with --output-folder.")
    for option in ("max_length", "token_budget", "threads"):
        if getattr(arguments, option) < 1:
            raise InputError(f"--{option.replace('_', '-')} is {getattr(arguments, option)}: give 1 or more.")
    if arguments.output and arguments.output.suffix != ".npy":
        raise InputError(f"--output {arguments.output} must end in .npy.")
    among = arguments.among or [EVERY_SAMPLE] * len(arguments.data)
    units = len(arguments.run or [arguments.output])
    if {len(arguments.data), len(among), len(arguments.output_folder or [arguments.output])} != {units}:
        raise InputError("give as many --data, --output-folder and --among as --run, or one --data for --output.")

    from headpatterns import models, samples

    models.check_folder(arguments.model)
    probes = list(zip(arguments.data, among, strict=True))
    rows = {probe: chosen(samples.read(probe[0]), *probe) for probe in dict.fromkeys(probes)}

    import torch

    torch.set_num_threads(arguments.threads)
    models.check_device(arguments.device)
    tokenizer = models.load_tokenizer(arguments.model)
    prepared = {}
    for (data, ids), selected in rows.items():
        tokenized, skipped = samples.tokenized(
            tokenizer, selected, arguments.max_length, data, skip=arguments.skip_truncated
        )
        about = {"data": str(data), "data_sha256": samples.digest(data), "among": ids, "skipped": skipped}
        prepared[data, ids] = tokenized, about
    if arguments.output:
        extract(arguments.model, *prepared[probes[0]], arguments, arguments.output)
        return

    starting: dict[str, Path] = {}
    for run, probe, folder in zip(arguments.run, probes, arguments.output_folder, strict=True):
        extract_run(run, *prepared[probe], arguments, folder, starting)
    # Only now: what a failed job has put out, Snakemake removes.
    for folder in arguments.output_folder:
        remove(unfinished(folder) / IDENTITY)
        remove(folder)
        unfinished(folder).rename(folder)


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
    from headpatterns import models
    from headpatterns.checkpoints import checkpoints
    from headpatterns.provenance import fingerprint

    folders = checkpoints(run)
    ids = "\n".join(sample.id for sample in tokenized)
    # run.json knows the model, the data and the recipe that the checkpoints come from.
    options = [str(getattr(arguments, name)) for name in ("reduction", "max_length", "dtype", "device", "threads")]
    samples = fingerprint(about["data_sha256"], ids, *options)
    workplace = open_unfinished(output_folder, fingerprint(run / "run.json", samples))
    for step, folder in {0: arguments.model, **folders}.items():
        if (workplace / f"step-{step}.json").is_file():
            continue
        if step == 0 and samples in starting:
            for suffix in (".npy", ".samples.npy", ".json"):
                shutil.copy2(starting[samples] / f"step-0{suffix}", workplace / f"step-0{suffix}")
            continue
        extract(folder, tokenized, {**about, "step": step}, arguments, workplace / f"step-{step}.npy")
        models.free_memory(arguments.device)
    starting.setdefault(samples, workplace)


def extract(
    folder: Path, tokenized: list["TokenizedSample"], about: dict[str, Any], arguments: argparse.Namespace, output: Path
) -> None:
    """Write the three files of one model."""
    import numpy as np

    from headpatterns import models, provenance
    from headpatterns.attribution import activation_patterns

    started = time.perf_counter()
    model = models.load_model(folder, arguments.dtype, arguments.device)
    patterns = activation_patterns(
        model,
        tokenized,
        reduction=arguments.reduction,
        token_budget=arguments.token_budget,
        progress=lambda done, total: print(f"{folder}: {done}/{total} samples", flush=True),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    details = {
        "model": str(folder),
        **about,
        "reduction": arguments.reduction,
        "max_length": arguments.max_length,
        "token_budget": arguments.token_budget,
        "dtype": arguments.dtype,
        "device": arguments.device,
        "layers": patterns.values.shape[1],
        "heads": patterns.values.shape[2],
        "samples": len(tokenized),
        "truncated": sum(sample.truncated for sample in tokenized),
        "tokens": sum(len(sample.input_ids) for sample in tokenized),
        "response_tokens": sum(sample.response_tokens for sample in tokenized),
        "seconds": round(time.perf_counter() - started, 3),
        **provenance.environment(),
        "ids": [sample.id for sample in tokenized],
        "losses": patterns.losses.tolist(),
    }
    # The JSON is removed first and written last: where it lies, the arrays beside it are whole and belong to it.
    remove(output.with_suffix(".json"))
    for path, array in {output.with_suffix(".samples.npy"): patterns.values, output: patterns.mean}.items():
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
    made.add_argument("--token-budget", type=int, default=8192, help="tokens of a batch, padding included")
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    made.add_argument("--threads", type=int, default=1, help="processor threads")
    made.add_argument(
        "--skip-truncated",
        action="store_true",
        help="leave out samples whose response lies beyond the maximum length instead of stopping",
    )
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
