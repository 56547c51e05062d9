"""Mix the basic tasks that explain the change of a complex one into training sets for a first stage of SFT (§5.1)."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies import commands
from headpatterns.studies.mixing import mixture
from headpatterns.studies.reading import Reading


def main(arguments: argparse.Namespace) -> None:
    """Fit Eq. 3, keep the best tasks, and write the training set of each variant (Eq. 4)."""
    mixture.mix(
        mixture.Order(
            model=arguments.model,
            seed=arguments.seed,
            target=arguments.target,
            candidates=command_line.paths_by_name(arguments.candidate, "--candidate", "TASK=PATH"),
            training_sets=command_line.paths_by_name(arguments.training_set, "--training-set", "TASK=PATH"),
            training_rows=command_line.paths_by_name(arguments.training_rows, "--training-rows", "TASK=PATH"),
            test=arguments.test,
            instructions=arguments.instructions,
            keep=arguments.keep,
            random_draws=arguments.random_draws,
            further=arguments.further,
            grid=arguments.grid,
            parts=arguments.parts,
            reading=Reading.of(commands.parsed(arguments.reading, "--reading")),
            resamples=arguments.resamples,
            bootstrap_seed=arguments.bootstrap_seed,
            output=arguments.output,
        )
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--model", required=True, help="name of the model, as the tables show it")
    p.add_argument(
        "--seed",
        type=int,
        required=True,
        help="training seed; it is also the seed of the random shares and of the order",
    )
    p.add_argument("--target", type=Path, required=True, help="patterns of the run on the complex task's own data")
    for option, value, what in (
        ("--candidate", "FOLDER", "patterns of the run on a basic task; one for each task, in display order"),
        ("--training-set", "CSV", "training set (dataset, id) of that run; a mixture takes its first rows"),
        ("--training-rows", "PARQUET", "rows of that training set: parquet with id, prompt, choices"),
    ):
        p.add_argument(option, action="append", required=True, metavar=f"TASK={value}", help=what)
    p.add_argument(
        "--test", type=Path, required=True, help="parquet of the complex task's test items, which mixtures leave out"
    )
    p.add_argument("--instructions", type=int, required=True, help="number of instructions N in a mixture")
    p.add_argument("--keep", type=int, default=2, help="number of basic tasks in a mixture")
    p.add_argument("--random-draws", type=int, default=3, help="number of mixtures of the same tasks in random shares")
    p.add_argument(
        "--further", nargs="+", default=[], choices=mixture.FURTHER, help="further mixtures, of all candidates"
    )
    p.add_argument("--grid", type=int, default=0, help="steps of a grid of shares of the tasks that are kept")
    p.add_argument("--parts", nargs="+", default=[], help="candidates that the complex task is made of, if known")
    p.add_argument(
        "--reading", default="{}", help="JSON object: how patterns are read, with keys of the config's `analysis`"
    )
    p.add_argument("--resamples", type=int, default=1000, help="number of bootstrap replicates of the probe set")
    p.add_argument("--bootstrap-seed", type=int, default=0, help="seed of the bootstrap")
    p.add_argument(
        "--output", type=Path, required=True, help="folder to write, with coefficients, mixtures and training sets"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
