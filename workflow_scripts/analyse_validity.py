"""Whether activation patterns predict what ablating heads does to the loss, before and after fine-tuning."""

import argparse
from pathlib import Path

import command_line
from headpatterns import tidy, validity
from headpatterns.errors import InputError
from headpatterns.statistics import estimate_and_interval, probe_weights

KEYS = ("model", "task", "seed", "phase")
COLUMNS = (*KEYS, "reduction", "change", "over", "value", "low", "high")
BETWEEN_COLUMNS = (*KEYS, "reduction_a", "reduction_b", "over", "value", "low", "high")
GROUP_COLUMNS = (*KEYS, "reduction", "change", "ranking", "k", "share", "value", "low", "high", "spread")
CONTRAST_COLUMNS = (*KEYS, "reduction", "change", "contrast", "value", "low", "high", "exceeds")


def main(arguments: argparse.Namespace) -> None:
    """Write the four tables; a correlation also has rows for its difference, after minus before."""
    rows, between, groups, contrasts = [], [], [], []
    for model, task, seed, folder in arguments.ablations:
        if not seed.isdecimal():
            raise InputError(f"--ablations {model} {task} {seed} {folder}: the seed is no whole number: mend it.")
        found = validity.read_both(Path(folder))
        weights = probe_weights(len(found["before"].ids), task, arguments.resamples, arguments.seed)
        correlations = {phase: validity.correlations(ablation, weights) for phase, ablation in found.items()}
        before, after = correlations.values()
        correlations["after_minus_before"] = {of: after[of] - before[of] for of in before}
        for phase, by_kind in correlations.items():
            rows += [(model, task, seed, phase, *of, *estimate_and_interval(r)) for of, r in by_kind.items()]
        for phase, ablation in found.items():
            run = (model, task, seed, phase)
            between += [
                (*run, *of, *estimate_and_interval(r))
                for of, r in validity.between_reductions(ablation, weights).items()
            ]
            for of, curve in validity.curves(ablation, weights).items():
                points = zip(
                    ablation.top, ablation.shares, *estimate_and_interval(curve.change), curve.spread, strict=True
                )
                groups += [(*run, ablation.reduction, *of, *point) for point in points]
            for of, contrast in validity.contrasts(ablation, weights).items():
                interval = estimate_and_interval(contrast.value)
                contrasts.append((*run, ablation.reduction, *of, *interval, contrast.exceeds))
    tidy.write(arguments.output, COLUMNS, rows)
    tidy.write(arguments.between_output, BETWEEN_COLUMNS, between)
    tidy.write(arguments.groups_output, GROUP_COLUMNS, groups)
    tidy.write(arguments.contrasts_output, CONTRAST_COLUMNS, contrasts)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument(
        "--ablations",
        nargs=4,
        action="append",
        required=True,
        metavar=("MODEL", "TASK", "SEED", "FOLDER"),
        help="a run and the folder of ablate_heads; once for each run, in the order of the tables",
    )
    p.add_argument("--output", type=Path, required=True, help="CSV: correlations of patterns and changes of the loss")
    p.add_argument("--between-output", type=Path, required=True, help="CSV: correlations between the reductions")
    p.add_argument("--groups-output", type=Path, required=True, help="CSV: change of the loss by size of the group")
    p.add_argument("--contrasts-output", type=Path, required=True, help="CSV: the areas between those curves")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the samples")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
