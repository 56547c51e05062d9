"""Does training on samples chosen by their activation patterns help in a domain (Table 3, Eq. 5)?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headpatterns.experiment.variants import ALL_DOMAINS, VARIANTS, model_labels, read_variants
from headpatterns.statistics import estimate_and_interval
from headpatterns.statistics.accuracy import RANK_COLUMNS, Outcome, mean, ranked, spread
from headpatterns.studies import gains
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.table import Table

KEY = ("model", "measure", "domain")
COLUMNS = (*KEY, "variant", "budget", "items", "value", "low", "high", "spread")
COMPARISONS = (
    *(("pattern", other) for other in ("random", "base", "bm25", "base-pattern", "nearest", "signed", "by-layer")),
    *(("pattern", other) for other in ("rds", "less", "ifd", "mid-perplexity", "top-perplexity")),
    *(("oracle", other) for other in ("random", "pattern")),
)


def compute(variants: Path, items: Sequence[Path], resamples: int, seed: int) -> dict[str, Table]:
    """The scores of all variants and their differences for every model, as the mean over domains, then by domain.

    Args:
        variants: variants.csv; the selection study is used.
        items: CSV files of evaluate, single items.
        resamples: bootstrap replicates of the evaluation sets.
        seed: seed of the bootstrap.

    Returns:
        `accuracy` of every variant, and the negative log-likelihood of the gold answers; `differences` between
        variants; `ranks` of the pattern's choice among the random ones, seed by seed.

    Raises:
        InputError: a file cannot be used, or the variants are not comparable.
    """
    rows_of_study = read_variants(variants, "selection")
    found = outcomes(rows_of_study, items, resamples, seed)
    rows: list[tuple[Any, ...]] = []
    differences: list[tuple[Any, ...]] = []
    ranks: list[tuple[Any, ...]] = []
    for model in model_labels(rows_of_study):
        for measure, cells in found.items():
            domains = domains_of(cells, model)
            for domain in (ALL_DOMAINS, *domains):
                own = over_domains(cells, model, domains if domain == ALL_DOMAINS else [domain])
                rows += [(model, measure.name, domain, *row) for row in values(own)]
                differences += [(model, measure.name, domain, *row) for row in comparisons(own)]
                ranks += [(model, measure.name, domain, *row) for row in places(own)]
    return {
        "accuracy": Table(COLUMNS, rows),
        "differences": Table((*KEY, "budget", "better", "worse", *gains.COLUMNS), differences),
        "ranks": Table((*KEY, "budget", *RANK_COLUMNS), ranks),
    }


def domains_of(cells: Mapping[tuple[str, str, str, str], Outcome], model: str) -> list[str]:
    """The domains of a model, in display order."""
    return list(dict.fromkeys(domain for name, domain, _, _ in cells if name == model))


def over_domains(
    cells: Mapping[tuple[str, str, str, str], Outcome], model: str, domains: Sequence[str]
) -> dict[tuple[str, str], list[Outcome]]:
    """The outcomes of a model in some domains, one per domain, by (variant, budget)."""
    return {
        (variant, budget): [cells[model, place, variant, budget] for place in domains]
        for name, first, variant, budget in cells
        if (name, first) == (model, domains[0])
    }


def budgets(own: Mapping[tuple[str, str], list[Outcome]]) -> list[str]:
    """The numbers of selected samples, ascending."""
    return sorted({budget for _, budget in own if budget}, key=int)


def values(own: Mapping[tuple[str, str], list[Outcome]]) -> list[tuple[Any, ...]]:
    """Rows of the base model (empty budget), then of each budget, of the outcomes by (variant, budget)."""
    rows: list[tuple[Any, ...]] = []
    for budget in ("", *budgets(own)):
        for variant in VARIANTS["selection"]:
            if found := own.get((variant, budget)):
                items = sum(outcome.items for outcome in found)
                interval = estimate_and_interval(mean(found), limits=found[0].measure.limits)
                rows.append((variant, budget, items, *interval, spread(found)))
    return rows


def comparisons(own: Mapping[tuple[str, str], list[Outcome]]) -> list[tuple[Any, ...]]:
    """Rows of the gain of one choice over another with as many samples, and over the base model."""
    rows: list[tuple[Any, ...]] = []
    for budget in budgets(own):
        rows += [(budget, *names, *gains.gains(*pair)) for names, pair in compared(own, budget, COMPARISONS)]
    return rows


def compared(
    own: Mapping[tuple[str, str], list[Outcome]], budget: str, comparisons: Iterable[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], tuple[list[Outcome], list[Outcome]]]]:
    """The comparisons whose two sides both exist: the variants, and their outcomes at a budget."""
    for better, worse in comparisons:
        chosen, rival = own.get((better, budget)), own.get((worse, "" if worse == "base" else budget))
        if chosen and rival:
            yield (better, worse), (chosen, rival)


def places(own: Mapping[tuple[str, str], list[Outcome]]) -> list[tuple[Any, ...]]:
    """Rows of the rank of the pattern's choice among random choices of the same size, for each budget and seed."""
    rows: list[tuple[Any, ...]] = []
    for budget in budgets(own):
        chosen, drawn = own.get(("pattern", budget)), own.get(("random", budget))
        if chosen and drawn:
            rows += [(budget, *one.row) for one in ranked(chosen, drawn)]
    return rows
