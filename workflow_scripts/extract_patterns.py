"""Activation patterns of a model, or of every checkpoint of runs, on the samples of a file.

For one model, `--output OUT.npy` writes OUT.npy [layers, heads], OUT.samples.npy [samples, layers, heads] in the
file's order, and OUT.json. The sums of `abs_of_sum` keep their sign in OUT.samples.npy, and OUT.npy is the mean of
absolute values. Each reduction of `--also` comes from the same passes, in OUT.REDUCTION.samples.npy. With `--run` and
`--output-folder`, the model is step 0 and each checkpoint of the run follows as step-{step}; several runs of one model
take as many files and folders. Finished samples are kept on disk: an interrupted extraction continues with the missing
ones. With `--devices N`, N processes of launch.py share the samples.
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution import extract
from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.attribution.probes import EVERY_SAMPLE, Probe
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Extract the patterns of one model, or of runs."""
    check(arguments)
    among = arguments.among or [EVERY_SAMPLE] * len(arguments.data)
    probes = list(map(Probe, arguments.data, among))
    settings = extract.Settings(
        model=arguments.model,
        reduction=arguments.reduction,
        also=arguments.also,
        max_length=arguments.max_length,
        skip_truncated=arguments.skip_truncated,
        token_budget=arguments.token_budget,
        device=arguments.device,
        devices=arguments.devices,
        dtype=arguments.dtype,
        threads=arguments.threads,
        save_seconds=arguments.save_seconds,
    )
    if arguments.output:
        extract.of_model(probes[0], arguments.output, settings)
    else:
        extract.of_runs(list(map(extract.Target, arguments.run, probes, arguments.output_folder)), settings)


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that do not fit together, before anything is read.

    Raises:
        InputError: the options contradict each other.
    """
    for_runs = [arguments.run, arguments.output_folder]
    if not all(for_runs) if not arguments.output else any([*for_runs, arguments.among]):
        raise InputError("give either --output, or both --run and --output-folder.")
    command_line.check_counts(arguments, "max_length", "threads", "devices")
    command_line.check_token_budget(arguments)
    reductions = [arguments.reduction, *arguments.also]
    if repeated := [one for place, one in enumerate(reductions) if one in reductions[:place]]:
        raise InputError(f"--reduction and --also name {repeated[0]} twice: name each reduction once.")
    if arguments.output and arguments.output.suffix != ".npy":
        raise InputError(f"--output {arguments.output} must end in .npy.")
    units = arguments.run or [arguments.output]
    others = [arguments.data, arguments.output_folder or units, arguments.among or units]
    if any(len(listed) != len(units) for listed in others):
        raise InputError("give as many --data, --output-folder and --among as --run, or one --data for --output.")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="rows with prompt, response, optionally id, in any format of raw rows",
    )
    made.add_argument("--output", type=Path, help="OUT.npy, for the patterns of one model")
    made.add_argument("--run", type=Path, nargs="+", help="folder of a run that started from that model")
    made.add_argument("--output-folder", type=Path, nargs="+", help="folder for the patterns of model and run")
    made.add_argument(
        "--among",
        nargs="+",
        help=f"for each run, a training set (CSV) that selects the samples, or {EVERY_SAMPLE}",
    )
    made.add_argument("--reduction", default="abs_of_sum", choices=REDUCTIONS, help="Eq. 2")
    made.add_argument(
        "--also", nargs="+", default=[], choices=REDUCTIONS, help="further reductions, from the same passes"
    )
    made.add_argument(
        "--max-length", type=int, default=1024, help="largest number of tokens per sample; longer samples are cut"
    )
    command_line.add_token_budget(made)
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")
    made.add_argument("--devices", type=int, default=1, help="processes that share the samples, one for each device")
    made.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    made.add_argument("--threads", type=int, default=1, help="processor threads, of all processes together")
    made.add_argument(
        "--save-seconds", type=float, default=60, help="seconds after which finished samples are written to the disk"
    )
    made.add_argument(
        "--skip-truncated",
        action="store_true",
        help="leave out samples whose response is beyond the maximum length, instead of stopping",
    )
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
