"""The numbers behind the claims on Table 3: what choosing samples by their patterns gains, and how it grows.

Accuracies are means over domains, which are held: the paper names its domains, and nothing is said of others. Training
seeds (or the random draws of a single one) and items vary; all sides saw the same items.
"""

from collections.abc import Sequence
from pathlib import Path

from headpatterns.experiment.variants import model_labels, read_variants
from headpatterns.statistics.accuracy import gain, gain_over_draws
from headpatterns.studies.effects import Measured
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.selection.analysis import budgets, over_domains


def measure(variants: Path, items: Sequence[Path], resamples: int, seed: int) -> list[Measured]:
    """The effects of every model, with the error term of `accuracy.gain`.

    What is held against random draws also has the exact p-values of its rank among them.

    Args:
        variants: variants.csv; the selection study is used.
        items: CSV files of evaluate, single items.
        resamples: bootstrap replicates of the evaluation sets.
        seed: seed of the bootstrap.

    Returns:
        For each budget, which is `about`: `pattern_minus_random` and `pattern_minus_base`. Of two budgets or more:
        `grows_with_budget`, the accuracy of the pattern's choice at the largest minus that at the smallest.

    Raises:
        InputError: a file cannot be used, or what is to be compared was not made alike.
    """
    rows_of_study = read_variants(variants, "selection")
    found = outcomes(rows_of_study, items, resamples, seed)
    measured = []
    for model in model_labels(rows_of_study):
        own = over_domains(found, model, list(dict.fromkeys(domain for name, domain, _, _ in found if name == model)))
        chosen = {budget: own["pattern", budget] for budget in budgets(own) if ("pattern", budget) in own}
        for budget, outcome in chosen.items():
            for other, place in (("random", budget), ("base", "")):
                if (other, place) in own:
                    compared = gain_over_draws if other == "random" else gain
                    effect = compared(outcome, own[other, place])
                    measured.append(Measured(f"pattern_minus_{other}", model, budget, effect))
        if len(chosen) > 1:
            smallest, *_, largest = chosen.values()
            measured.append(Measured("grows_with_budget", model, "", gain(largest, smallest)))
    return measured
