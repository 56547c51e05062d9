"""The numbers behind the claims on Table 3: the gain from choosing samples by their patterns, and how it grows.

Effects are about accuracies. The gain in the negative log-likelihood of the gold answer, nats per token, has the same
name with `_nll` appended. Both are means over domains. Domains are fixed: the paper names its domains, and the claims
do not extend to others. Training seeds (or the random draws of a single seed) and items vary; all sides have the same
items.
"""

from collections.abc import Sequence
from pathlib import Path

from headpatterns.experiment.variants import model_labels, read_variants
from headpatterns.statistics.accuracy import gain, gain_over_draws
from headpatterns.studies.effects import Measured
from headpatterns.studies.gains import named
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.selection.analysis import budgets, compared, domains_of, over_domains

GAINS = (("pattern", "random"), ("pattern", "base"), ("oracle", "random"), ("oracle", "pattern"))
"""The comparisons, the side expected to be better first; the effects are called `better_minus_worse`."""


def measure(variants: Path, items: Sequence[Path], resamples: int, seed: int) -> list[Measured]:
    """The effects of every model, with the error term of `accuracy.gain`.

    Effects that compare a choice with random draws also have the exact p-values of its rank among them.

    Args:
        variants: variants.csv; the selection study is used.
        items: CSV files of evaluate, single items.
        resamples: bootstrap replicates of the evaluation sets.
        seed: seed of the bootstrap.

    Returns:
        The effects of `GAINS` for each budget; the budget is `about`. With two or more budgets also
        `grows_with_budget`: the accuracy of the pattern's choice at the largest budget minus that at the smallest.

    Raises:
        InputError: a file cannot be used, or the variants are not comparable.
    """
    rows_of_study = read_variants(variants, "selection")
    found = outcomes(rows_of_study, items, resamples, seed)
    measured = []
    for model in model_labels(rows_of_study):
        for measure, cells in found.items():
            own = over_domains(cells, model, domains_of(cells, model))
            for budget in budgets(own):
                for (better, worse), pair in compared(own, budget, GAINS):
                    gained = gain_over_draws if worse == "random" else gain
                    name = named(f"{better}_minus_{worse}", measure)
                    measured.append(Measured(name, model, budget, gained(*pair)))
            chosen = [own["pattern", budget] for budget in budgets(own) if ("pattern", budget) in own]
            if len(chosen) > 1:
                grown = gain(chosen[-1], chosen[0])
                measured.append(Measured(named("grows_with_budget", measure), model, "", grown))
    return measured
