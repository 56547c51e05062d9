"""Read candidates with a model: mean hidden states (RDS+), and losses of responses without their prompts (IFD).

With --less it also computes gradients of adapters (LESS) for the samples that --pools and --targets list. Then the file
of the pools' samples has the name probe, and that of the targets' samples the name train.
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.errors import InputError
from headpatterns.studies import commands
from headpatterns.studies.selection import features, gradients


def main(arguments: argparse.Namespace) -> None:
    """Read the samples of every file, and write the results of the model."""
    command_line.check_counts(arguments, "max_length", "threads", "token_budget")
    if len(arguments.name) != len(arguments.data):
        raise InputError("give as many --name as --data.")
    if bool(arguments.less) != bool(arguments.pools) or bool(arguments.less) != bool(arguments.targets):
        raise InputError("give --pools and --targets together with --less, or give none of the three.")
    if arguments.less and set(arguments.name) != {gradients.POOL, gradients.TARGETS}:
        raise InputError(f"with --less, call the files {gradients.POOL} and {gradients.TARGETS}.")
    features.write(
        arguments.model,
        dict(zip(arguments.name, arguments.data, strict=True)),
        arguments.output,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
        dtype=arguments.dtype,
        device=arguments.device,
        threads=arguments.threads,
        less=gradients.Order.of(commands.parsed(arguments.less, "--less"), arguments.pools, arguments.targets)
        if arguments.less
        else None,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument("--name", nargs="+", required=True, help="name of each file in the output")
    made.add_argument("--data", type=Path, nargs="+", required=True, help="files of rows with prompt and response")
    made.add_argument(
        "--max-length", type=int, default=1024, help="largest number of tokens per sample; longer samples are cut"
    )
    made.add_argument("--token-budget", type=int, default=8192, help="tokens per batch, padding included")
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")
    made.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    made.add_argument("--threads", type=int, default=1, help="processor threads")
    made.add_argument("--less", help="JSON object: how LESS takes gradients, with the keys of studies.selection.less")
    made.add_argument("--pools", type=Path, nargs="+", default=[], help="CSV of the pool of each domain")
    made.add_argument("--targets", type=Path, nargs="+", default=[], help="CSV of each domain's pseudo-private samples")
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
