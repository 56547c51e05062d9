"""The numbers behind the claims on Table 3: what choosing samples by their patterns gains, and how it grows.

Effects are about accuracies. What is gained in the negative log-likelihood of the gold answer, nats a token, has the
same name with `_nll` behind it. Both are means over domains, which are held: the paper names its domains, and nothing
is said of others. Training seeds (or the random draws of a single one) and items vary; all sides saw the same items.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from headpatterns.experiment.variants import model_labels, read_variants
from headpatterns.statistics.accuracy import Outcome, gain, gain_over_draws
from headpatterns.statistics.effects import Effect
from headpatterns.studies.effects import Measured
from headpatterns.studies.gains import named
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.selection.analysis import budgets, domains_of, over_domains

GAINS = (("pattern", "random"), ("pattern", "base"), ("oracle", "random"), ("oracle", "pattern"))
"""What is compared, the better one first; the effects are called `better_minus_worse`."""


def measure(variants: Path, items: Sequence[Path], resamples: int, seed: int) -> list[Measured]:
    """The effects of every model, with the error term of `accuracy.gain`.

    What is held against random draws also has the exact p-values of its rank among them.

    Args:
        variants: variants.csv; the selection study is used.
        items: CSV files of evaluate, single items.
        resamples: bootstrap replicates of the evaluation sets.
        seed: seed of the bootstrap.

    Returns:
        For each budget, which is `about`, those of `GAINS`. Of two budgets or more `grows_with_budget`, the accuracy of
        the pattern's choice at the largest minus that at the smallest.

    Raises:
        InputError: a file cannot be used, or what is to be compared was not made alike.
    """
    rows_of_study = read_variants(variants, "selection")
    found = outcomes(rows_of_study, items, resamples, seed)
    measured = []
    for model in model_labels(rows_of_study):
        for measure, cells in found.items():
            own = over_domains(cells, model, domains_of(cells, model))
            for budget in budgets(own):
                measured += [
                    Measured(named(f"{better}_minus_{worse}", measure), model, budget, effect)
                    for better, worse, effect in compared(own, budget)
                ]
            chosen = [own["pattern", budget] for budget in budgets(own) if ("pattern", budget) in own]
            if len(chosen) > 1:
                grown = gain(chosen[-1], chosen[0])
                measured.append(Measured(named("grows_with_budget", measure), model, "", grown))
    return measured


def compared(own: Mapping[tuple[str, str], list[Outcome]], budget: str) -> Iterator[tuple[str, str, Effect]]:
    """What is compared at a budget, and what the first gains over the second."""
    for better, worse in GAINS:
        chosen, rival = own.get((better, budget)), own.get((worse, "" if worse == "base" else budget))
        if chosen and rival:
            gained = gain_over_draws if worse == "random" else gain
            yield better, worse, gained(chosen, rival)
