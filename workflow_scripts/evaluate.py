"""Evaluate checkpoints: greedy answers with OpenCompass, and likelihoods of gold responses and options.

Runs with the interpreter of envs/opencompass.txt. Each checkpoint is loaded once for all its sets.
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.evaluation import options, run


def main(arguments: argparse.Namespace) -> None:
    """Run the evaluations that the options name."""
    command_line.check_counts(arguments, "batch_size", "token_budget", "max_new_tokens", "max_length", "threads")
    data = arguments.opencompass_data
    settings = run.Settings(
        opencompass_data=data and data.absolute(),
        batch_size=arguments.batch_size,
        token_budget=arguments.token_budget,
        max_new_tokens=arguments.max_new_tokens,
        max_length=arguments.max_length,
        device=arguments.device,
        dtype=arguments.dtype,
        threads=arguments.threads,
        work_folder=arguments.work_folder.absolute(),
    )
    request = run.Request(arguments.model, arguments.evaluate, options.asked(arguments), arguments.builtin)
    run.evaluate(request, settings, arguments.output.absolute(), arguments.items_output.absolute())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    add = p.add_argument
    add("--model", required=True, help="the model's name, written into the tables")
    add(
        "--evaluate",
        nargs=3,
        action="append",
        required=True,
        metavar=("RUN", "FOLDER", "SET"),
        help="evaluate the checkpoint folder of a run on a set; the tables keep this order",
    )
    options.add(p)
    add(
        "--builtin",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "CONFIG"),
        help="a built-in evaluation set of OpenCompass, such as ARC_c/ARC_c_gen_1e0de5",
    )
    add("--opencompass-data", type=Path, help="folder whose `data/` has OpenCompass's own datasets")
    add("--batch-size", type=int, default=8, help="prompts per batch")
    add(
        "--token-budget",
        type=int,
        default=8192,
        help="tokens per batch when likelihoods are computed, padding included",
    )
    add("--max-new-tokens", type=int, default=256, help="largest number of tokens in an answer")
    add(
        "--max-length",
        type=int,
        help="largest number of tokens in prompt and answer together, if smaller than the model's positions",
    )
    add("--device", default="cpu", help="cpu or cuda")
    add("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    add("--threads", type=int, default=1, help="processor threads")
    add(
        "--work-folder",
        type=Path,
        required=True,
        help="folder of OpenCompass's files; emptied first, removed on success",
    )
    add("--output", type=Path, required=True, help="CSV of scores, one row for each run and set")
    add(
        "--items-output",
        type=Path,
        required=True,
        help="prediction for every item, the answer that was read from it, and likelihoods",
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
