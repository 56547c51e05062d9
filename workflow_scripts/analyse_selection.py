"""Does training on samples chosen by their activation patterns help in a domain (Table 3, Eq. 5)?"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.experiment import variants as evaluations
from headpatterns.experiment.variants import ALL_DOMAINS
from headpatterns.statistics import estimate_and_interval
from headpatterns.statistics.accuracy import Outcome, accuracy, difference, spread

COLUMNS = ("model", "domain", "variant", "budget", "items", "value", "low", "high", "spread")
DIFFERENCE_COLUMNS = ("model", "domain", "budget", "better", "worse", "value", "low", "high")
OTHERS = ("random", "base", "bm25", "base-pattern", "nearest")


def main(arguments: argparse.Namespace) -> None:
    """Write accuracies and differences for every model, first as the mean over its domains, then by domain."""
    variants = evaluations.read_variants(arguments.variants, "selection")
    found = evaluations.outcomes(variants, arguments.items, arguments.resamples, arguments.seed)
    rows, differences = [], []
    for model in evaluations.model_labels(variants):
        domains = list(dict.fromkeys(domain for name, domain, _, _ in found if name == model))
        for domain in (ALL_DOMAINS, *domains):
            chosen = domains if domain == ALL_DOMAINS else [domain]
            own = {
                (variant, budget): [found[model, place, variant, budget] for place in chosen]
                for name, first, variant, budget in found
                if (name, first) == (model, chosen[0])
            }
            rows += [(model, domain, *row) for row in accuracies(own)]
            differences += [(model, domain, *row) for row in comparisons(own)]
    tidy.write(arguments.output, COLUMNS, rows)
    tidy.write(arguments.differences_output, DIFFERENCE_COLUMNS, differences)


def budgets(own: dict[tuple[str, str], list[Outcome]]) -> list[str]:
    """The numbers of selected samples, ascending."""
    return sorted({budget for _, budget in own if budget}, key=int)


def accuracies(own: dict[tuple[str, str], list[Outcome]]) -> list[tuple]:
    """Rows of the base model (empty budget), then of each budget, of the outcomes by (variant, budget)."""
    rows = []
    for budget in ("", *budgets(own)):
        for variant in evaluations.VARIANTS["selection"]:
            if outcomes := own.get((variant, budget)):
                items = sum(outcome.items for outcome in outcomes)
                interval = estimate_and_interval(accuracy(outcomes))
                rows.append((variant, budget, items, *interval, spread(outcomes)))
    return rows


def comparisons(own: dict[tuple[str, str], list[Outcome]]) -> list[tuple]:
    """Rows of what the pattern's choice gains over each other choice of as many samples, and over the base model."""
    rows = []
    for budget in budgets(own):
        for other in OTHERS:
            chosen, rival = own.get(("pattern", budget)), own.get((other, "" if other == "base" else budget))
            if chosen and rival:
                rows.append((budget, "pattern", other, *estimate_and_interval(difference(chosen, rival))))
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--variants", type=Path, required=True, help="variants.csv; the selection study is used")
    p.add_argument("--items", type=Path, nargs="+", required=True, help="CSV files of evaluate: single items")
    p.add_argument("--output", type=Path, required=True, help="CSV: accuracy of every variant")
    p.add_argument("--differences-output", type=Path, required=True, help="CSV: differences between variants")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the evaluation sets")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
