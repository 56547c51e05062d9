"""How unevenly tasks use the attention heads before and after fine-tuning (Table 1, Figure 1)."""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.experiment import run_table
from headpatterns.statistics import STATISTICS, change, change_rate, estimate_and_interval, paired_replicates

HEAD_COLUMNS = ("model", "task", "seed", "state", "layer", "head", "value", "low", "high")
COLUMNS = ("model", "task", "seed", "state", "statistic", "value", "low", "high")
BY_MODEL_COLUMNS = ("model", "state", "statistic", "value", "low", "high")


def main(arguments: argparse.Namespace) -> None:
    """Write the patterns, their statistics per run, and the statistics per model (mean over tasks and seeds)."""
    runs = run_table.read(arguments.runs, "adaptation")
    run_table.check_patterns(runs)
    heads, rows = [], []
    by_model: dict[tuple, list[np.ndarray]] = defaultdict(list)
    for run in runs:
        before, after = paired_replicates(
            *run_table.before_and_after(run), run.task, arguments.resamples, arguments.seed
        )
        states = {"before": before, "after": after, "change": change(before, after)}
        states["change_rate"] = change_rate(before, after)
        for state, replicates in states.items():
            value, low, high = estimate_and_interval(replicates)
            for layer, head in np.ndindex(value.shape):
                place = (layer, head)
                heads.append((run.model, run.task, run.seed, state, *place, value[place], low[place], high[place]))
        for name, statistic in STATISTICS.items():
            at = {"before": statistic(before), "after": statistic(after)}
            at["change"] = at["after"] - at["before"]
            for state, replicates in at.items():
                rows.append((run.model, run.task, run.seed, state, name, *estimate_and_interval(replicates)))
                by_model[run.model, state, name].append(replicates)
    tidy.write(arguments.patterns_output, HEAD_COLUMNS, heads)
    tidy.write(arguments.distribution_output, COLUMNS, rows)
    means = ((*key, *estimate_and_interval(np.mean(values, axis=0))) for key, values in by_model.items())
    tidy.write(arguments.by_model_output, BY_MODEL_COLUMNS, means)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (CSV); the adaptation study is used")
    p.add_argument("--patterns-output", type=Path, required=True, help="CSV: every head of every pattern")
    p.add_argument("--distribution-output", type=Path, required=True, help="CSV: Gini, CV and kurtosis of every run")
    p.add_argument("--by-model-output", type=Path, required=True, help="CSV: their means over tasks and seeds")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the probe set")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
