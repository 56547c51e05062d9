"""How far the pattern has moved from the base model's at every saved step of a fine-tuning run (Figure 5, Eq. 6)."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.attribution import files as patterns
from headpatterns.experiment import run_table
from headpatterns.statistics import estimate_and_interval, mse, pearson, probe_weights, replicate_patterns

COLUMNS = ("model", "task", "seed", "step", "statistic", "value", "low", "high")


def main(arguments: argparse.Namespace) -> None:
    """Write correlation and mean squared error with step 0 for every step of every run of the dynamics study."""
    runs = run_table.read(arguments.runs, "dynamics")
    run_table.check_patterns(runs)
    rows = []
    for run in runs:
        samples = run_table.load(run, 0)
        weights = probe_weights(len(samples), run.task, arguments.resamples, arguments.seed)
        base = replicate_patterns(samples, weights)
        for step in patterns.steps(run.patterns):
            reached = replicate_patterns(run_table.load(run, step), weights)
            for name, statistic in {"correlation": pearson, "mse": mse}.items():
                interval = estimate_and_interval(statistic(base, reached))
                rows.append((run.model, run.task, run.seed, step, name, *interval))
    tidy.write(arguments.output, COLUMNS, rows)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (CSV); the dynamics study is used")
    p.add_argument("--output", type=Path, required=True, help="CSV: both statistics at every step")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the probe set")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
