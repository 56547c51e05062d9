"""Select training samples from a pool by their similarity to pseudo-private ones (Table 3, Eq. 5)."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies import commands
from headpatterns.studies.reading import Reading
from headpatterns.studies.selection import select


def main(arguments: argparse.Namespace) -> None:
    """Rank the pool by every method, cut the rankings at the budgets and write everything into the output folder."""
    select.select(
        select.Order(
            dataset=arguments.dataset,
            domain=arguments.domain,
            seed=arguments.seed,
            pool=arguments.pool,
            pool_patterns=arguments.pool_patterns,
            pseudo_private_patterns=arguments.pseudo_private_patterns,
            instructions=arguments.instructions,
            pseudo_private=arguments.pseudo_private,
            methods=arguments.methods,
            candidates=arguments.candidates,
            tags=arguments.tags,
            budgets=arguments.budgets,
            random_draws=arguments.random_draws,
            related=arguments.related,
            reading=Reading.of(commands.parsed(arguments.reading, "--reading")),
            output=arguments.output,
        )
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--dataset", required=True, help="name of the dataset")
    made.add_argument("--domain", required=True, help="name of the domain")
    made.add_argument("--seed", type=int, required=True, help="seed of the random draws")
    made.add_argument("--pool", type=Path, required=True, help="CSV of the pool (dataset, id)")
    made.add_argument("--pool-patterns", type=Path, required=True, help="patterns on the dataset's probe rows")
    made.add_argument("--pseudo-private-patterns", type=Path, required=True, help="patterns on the training samples")
    made.add_argument("--instructions", type=Path, required=True, help="parquet with the pool's prompts")
    made.add_argument("--pseudo-private", type=Path, required=True, help="parquet with the pseudo-private prompts")
    made.add_argument(
        "--methods", nargs="+", default=list(select.METHODS[:4]), choices=select.METHODS, help="ways to rank the pool"
    )
    made.add_argument("--candidates", type=Path, help="candidates as the base model reads them, for ifd, rds and less")
    made.add_argument("--tags", nargs="+", default=[], help="tags of the domain, for the method less")
    made.add_argument("--budgets", type=int, nargs="+", required=True, help="budgets: numbers of samples to select")
    made.add_argument("--random-draws", type=int, required=True, help="number of random selections of each size")
    made.add_argument("--related", type=Path, help="CSV of the pool's truly related samples, if they are known")
    made.add_argument(
        "--reading", default="{}", help="JSON object: how patterns are read, with keys of the config's `analysis`"
    )
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
