"""Activation patterns of a model, or of every checkpoint of a run, on the samples of a file.

For one model, `--output OUT.npy` writes OUT.npy [layers, heads], OUT.samples.npy [samples, layers, heads] in the
file's order, and OUT.json. With `--run` and `--output-folder`, the model is step 0 and each checkpoint of the run
follows as step-{step}.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import command_line
from headpatterns.errors import InputError
from headpatterns.files import IDENTITY, atomic_path, open_unfinished, remove, write_json

if TYPE_CHECKING:
    from headpatterns.tokenization import TokenizedSample


def main(arguments: argparse.Namespace) -> None:
    """Tokenize the file once, then extract the patterns of each model in turn."""
    for_a_run = [arguments.run, arguments.output_folder]
    if not all(for_a_run) if not arguments.output else any(for_a_run):
        raise InputError("give either --output, or --run together with --output-folder.")
    for option in ("max_length", "token_budget", "threads"):
        if getattr(arguments, option) < 1:
            raise InputError(f"--{option.replace('_', '-')} is {getattr(arguments, option)}: give 1 or more.")
    if arguments.output and arguments.output.suffix != ".npy":
        raise InputError(f"--output {arguments.output} must end in .npy.")

    from headpatterns import models, samples

    models.check_folder(arguments.model)
    rows = samples.read(arguments.data)

    import torch

    torch.set_num_threads(arguments.threads)
    models.check_device(arguments.device)
    tokenizer = models.load_tokenizer(arguments.model)
    tokenized, skipped = samples.tokenized(
        tokenizer, rows, arguments.max_length, arguments.data, skip=arguments.skip_truncated
    )
    about = {"data": str(arguments.data), "data_sha256": samples.digest(arguments.data), "skipped": skipped}
    if arguments.output:
        extract(arguments.model, tokenized, arguments, about, arguments.output)
        return

    extract_run(tokenized, arguments, about)


def extract_run(tokenized: list["TokenizedSample"], arguments: argparse.Namespace, about: dict[str, Any]) -> None:
    """Write the patterns of the model and of every checkpoint of its run; an interrupted job goes on where it was."""
    from headpatterns.checkpoints import checkpoints
    from headpatterns.provenance import fingerprint

    folders = {0: arguments.model, **checkpoints(arguments.run)}
    # run.json knows the model, the data and the recipe that the checkpoints come from.
    options = [str(getattr(arguments, name)) for name in ("reduction", "max_length", "dtype", "device", "threads")]
    workplace = open_unfinished(
        arguments.output_folder, fingerprint(arguments.run / "run.json", about["data_sha256"], *options)
    )
    for step, folder in folders.items():
        if not (workplace / f"step-{step}.json").is_file():
            extract(folder, tokenized, arguments, {**about, "step": step}, workplace / f"step-{step}.npy")
    remove(workplace / IDENTITY)
    remove(arguments.output_folder)
    workplace.rename(arguments.output_folder)


def extract(
    folder: Path, tokenized: list["TokenizedSample"], arguments: argparse.Namespace, about: dict[str, Any], output: Path
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
    made.add_argument("--data", type=Path, required=True, help="jsonl or parquet with prompt, response, optionally id")
    made.add_argument("--output", type=Path, help="OUT.npy, for one model")
    made.add_argument("--run", type=Path, help="folder of a run that started from the model")
    made.add_argument("--output-folder", type=Path, help="folder for the patterns of model and run")
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
