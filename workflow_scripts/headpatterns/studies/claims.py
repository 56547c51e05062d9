"""The paper's statements of sections 4 and 5, held against the numbers of the analysis.

Each statement is turned into a number with an interval and a value that would refute it. The verdict is `holds` when
the whole interval lies on the side of the statement, `fails` when it lies wholly on the other, and `undecided` when it
does not exclude either or does not exist. The intervals are the analysis's 95 % bootstrap intervals, over probe samples
or, for the accuracies of Tables 2 and 3, over the items of the evaluation sets, paired between what is compared: they
cover neither training seeds nor random draws, whose means are compared. Where a number is put together from intervals
that were made one by one, the ends that favour the statement least and most are combined: such an interval is wider
than a joint one, and a verdict of `undecided` more likely.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.experiment.variants import ALL_DOMAINS

COLUMNS = ("claim", "where", "statement", "model", "value", "low", "high", "verdict")
STATISTIC_NAMES = {"gini": "Gini coefficient", "cv": "coefficient of variation", "kurtosis": "kurtosis"}
# "The first steps" of Figure 5: this share of the training steps, in which more than half of the change must happen.
FIRST_STEPS = 0.25

Interval = tuple[float, float, float]


def verdict(low: float, high: float, bound: float, above: bool) -> str:
    """`holds`, `fails` or `undecided` for the statement that a value is above (or below) a bound."""
    if low > bound:
        return "holds" if above else "fails"
    if high < bound:
        return "fails" if above else "holds"
    return "undecided"


def distribution_claims(table: Path) -> list[tuple]:
    """Table 1: Gini coefficient, CV and kurtosis fall, from distribution_by_model.csv."""
    rows = tidy.read(table, ("model", "state", "statistic", "value", "low", "high"))
    return [
        _row(
            f"{row['statistic']}_falls",
            "Table 1",
            f"The {STATISTIC_NAMES[row['statistic']]} of the activation patterns falls (after minus before).",
            row["model"],
            _interval(row),
            bound=0,
            above=False,
        )
        for row in rows
        if row["state"] == "change"
    ]


def similarity_claims(summary: Path) -> list[tuple]:
    """Figure 2: correlations between tasks fall, and change rates cluster by family, from similarity_summary.csv.

    Without families, or with one task, the rows in question are not in the table and the statement is left out.
    """
    statements = {
        ("after_minus_before", "all"): (
            "correlation_falls",
            "The mean correlation between the patterns of different tasks falls (after minus before).",
            False,
        ),
        ("change_rate", "within_minus_between"): (
            "two_clusters",
            "Change rates correlate more within a family of tasks than between families (within minus between).",
            True,
        ),
    }
    claims = []
    for row in tidy.read(summary, ("model", "matrix", "pairs", "value", "low", "high")):
        if (row["matrix"], row["pairs"]) in statements:
            claim, statement, above = statements[row["matrix"], row["pairs"]]
            claims.append(_row(claim, "Figure 2", statement, row["model"], _interval(row), bound=0, above=above))
    return claims


def pair_claims(similarity: Path) -> list[tuple]:
    """Figure 2: the correlation falls for most pairs of tasks, not only on average, from similarity.csv.

    The value is the share of pairs (over all seeds) whose correlation is smaller after fine-tuning; the lower end
    counts the pairs whose interval after lies wholly below that before, the upper end all but those that rose as
    clearly.
    """
    pairs: dict[str, dict[tuple, dict[str, Interval]]] = {}
    for row in tidy.read(similarity, ("model", "seed", "matrix", "task_a", "task_b", "value", "low", "high")):
        # The matrices are square and symmetric: each pair once.
        if row["matrix"] in ("before", "after") and row["task_a"] < row["task_b"]:
            pair = (row["seed"], row["task_a"], row["task_b"])
            pairs.setdefault(row["model"], {}).setdefault(pair, {})[row["matrix"]] = _interval(row)
    claims = []
    for model, found in pairs.items():
        before, after = (np.array([pair[matrix] for pair in found.values()]) for matrix in ("before", "after"))
        share = (
            np.mean(after[:, 0] < before[:, 0]),
            np.mean(after[:, 2] < before[:, 1]),
            1 - np.mean(after[:, 1] > before[:, 2]),
        )
        count = len({pair[1:] for pair in found})
        statement = f"The correlation falls for more than half of the pairs of tasks (share of {count})."
        claims.append(_row("correlation_falls_for_most", "Figure 2", statement, model, share, bound=0.5, above=True))
    return claims


def composition_claims(composition: Path, by_model: Path, expected_pairs: Iterable[str]) -> list[tuple]:
    """Figure 4: the expected pair explains a group's complex task, better than chance and better than other pairs.

    Args:
        composition: composition.csv, for the null (its 95th percentile, the mean over seeds).
        by_model: composition_by_model.csv, for R² (mean over seeds) and its rank.
        expected_pairs: `GROUP=a+b`, the two basic tasks (in any order) that the paper finds for a group.

    Raises:
        InputError: an expected pair that is malformed or not in the tables.
    """
    nulls = tidy.read(composition, ("model", "group", "complex", "terms", "null_high"))
    rows = tidy.read(by_model, ("model", "group", "complex", "terms", "size", "statistic", "value", "low", "high"))
    claims = []
    for option in expected_pairs:
        group, pair = _expected_pair(option)
        pairs = [row for row in rows if row["group"] == group and row["size"] == "2"]
        found = [row for row in pairs if set(row["terms"].split("+")) == pair]
        if not found:
            raise InputError(f"--expected-pair {option}: {by_model} has no such pair in that group: fix the option.")
        for row in found:
            if row["statistic"] == "r2":
                claims.append(_explains(row, [null for null in nulls if _agree(null, row, "terms")]))
            elif (rivals := sum(_agree(other, row, "statistic") for other in pairs)) > 1:
                claims.append(_is_best(row, rivals))
    return claims


def _explains(row: dict[str, str], nulls: list[dict[str, str]]) -> tuple:
    bound = float(np.mean([float(null["null_high"]) for null in nulls]))
    statement = (
        f"R² of {row['terms']} for {row['complex']} exceeds that of permuted heads (95th percentile {bound:.3g})."
    )
    where = f"Figure 4, {row['group']}"
    return _row("expected_pair_explains", where, statement, row["model"], _interval(row), bound, above=True)


def _is_best(row: dict[str, str], pairs: int) -> tuple:
    statement = f"{row['terms']} is the best of the {pairs} pairs for {row['complex']} (rank by R²)."
    where = f"Figure 4, {row['group']}"
    # Ranks are whole numbers: above 1.5 means not the best.
    return _row("expected_pair_is_best", where, statement, row["model"], _interval(row), bound=1.5, above=False)


def _agree(a: dict[str, str], b: dict[str, str], column: str) -> bool:
    """Whether two rows are about the same model and complex task, and the same in one more column."""
    return all(a[name] == b[name] for name in ("model", "group", "complex", column))


def _expected_pair(option: str) -> tuple[str, set[str]]:
    group, equals, terms = option.partition("=")
    pair = set(terms.split("+"))
    if not (group and equals) or len(pair) != 2 or "" in pair:
        raise InputError(f"--expected-pair {option} is not of the form GROUP=TASK+TASK: fix the option.")
    return group, pair


def dynamics_claims(dynamics: Path, changes_most: str | None) -> list[tuple]:
    """Figure 5: most of the change happens in the first steps, and one model changes most, from dynamics.csv.

    Change is `1 - correlation` with the base model, the mean over tasks and seeds. Its value at a quarter of the steps
    is interpolated between saved steps; the ends of its interval are those of the saved steps on either side, so that
    few saved steps leave the statement undecided rather than refute it.

    Raises:
        InputError: `changes_most` is not a model of the table.
    """
    runs: dict[str, dict[tuple[str, str], list[tuple[float, ...]]]] = {}
    for row in tidy.read(dynamics, ("model", "task", "seed", "step", "statistic", "value", "low", "high")):
        if row["statistic"] == "correlation":
            value, low, high = _interval(row)
            curve = runs.setdefault(row["model"], {}).setdefault((row["task"], row["seed"]), [])
            curve.append((float(row["step"]), 1 - value, 1 - high, 1 - low))
    claims = []
    finals: dict[str, Interval] = {}
    for model, curves in runs.items():
        early = np.mean([_change_at(curve, FIRST_STEPS) for curve in curves.values()], axis=0)
        final = np.mean([_change_at(curve, 1.0) for curve in curves.values()], axis=0)
        finals[model] = tuple(final)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (early[0] / final[0], early[1] / final[2], early[2] / final[1])
        statement = "More than half of the change (1 - correlation) happens in the first quarter of the steps."
        claims.append(_row("steep_first_steps", "Figure 5", statement, model, share, bound=0.5, above=True))
    if changes_most is not None:
        claims += _changes_most(finals, changes_most)
    return claims


def _change_at(curve: list[tuple[float, ...]], share: float) -> list[float]:
    """Change at a share of all steps, its lower end at the saved step before and its upper end at the one after."""
    steps, values, lows, highs = np.array(sorted(curve)).T
    place = share * steps[-1]
    before, after = np.searchsorted(steps, place, side="right") - 1, np.searchsorted(steps, place, side="left")
    return [float(np.interp(place, steps, values)), float(lows[before]), float(highs[after])]


def _changes_most(finals: dict[str, Interval], model: str) -> list[tuple]:
    if model not in finals:
        raise InputError(f"--changes-most {model}: no such model in the dynamics table, which has {', '.join(finals)}.")
    others = [final for name, final in finals.items() if name != model]
    if not others:
        return []
    own = finals[model]
    largest = np.max(others, axis=0)
    margin = (own[0] - largest[0], own[1] - largest[2], own[2] - largest[1])
    statement = "This model's patterns change most in the end (1 - correlation minus the largest of the other models)."
    return [_row("changes_most", "Figure 5", statement, model, margin, bound=0, above=True)]


def mixing_claims(differences: Path) -> list[tuple]:
    """Table 2: training on a mixture of basic tasks first beats not doing so, from mixing_differences.csv."""
    statements = {
        ("ours", "sft"): (
            "mixing_beats_target_alone",
            "Mixing basic tasks by their coefficients before the target task beats training on the target task alone",
        ),
        ("ours", "random"): (
            "mixing_beats_random",
            "Mixing basic tasks by their coefficients beats the mean of random mixtures of the same tasks",
        ),
        ("sft", "base"): ("target_beats_base", "Training on the target task beats the base model"),
    }
    rows = tidy.read(differences, ("model", "better", "worse", "value", "low", "high"))
    return _gains("Table 2", statements, [(row, "") for row in rows])


def selection_claims(differences: Path) -> list[tuple]:
    """Table 3: samples chosen by their patterns beat random ones and none, from selection_differences.csv."""
    statements = {
        ("pattern", "random"): (
            "selection_beats_random",
            "Training samples selected by their activation patterns beat random ones",
        ),
        ("pattern", "base"): (
            "selection_beats_base",
            "Training on samples selected by their activation patterns beats the base model",
        ),
    }
    rows = tidy.read(differences, ("model", "domain", "budget", "better", "worse", "value", "low", "high"))
    means = [(row, f"{row['budget']} samples, mean over domains, ") for row in rows if row["domain"] == ALL_DOMAINS]
    return _gains("Table 3", statements, means)


def _gains(
    where: str, statements: dict[tuple[str, str], tuple[str, str]], rows: Iterable[tuple[dict[str, str], str]]
) -> list[tuple]:
    """Rows of claims.csv for differences in accuracy that should be above 0; each comes with what it was taken of."""
    claims = []
    for row, taken_of in rows:
        if (row["better"], row["worse"]) in statements:
            claim, statement = statements[row["better"], row["worse"]]
            statement = f"{statement} ({taken_of}difference in accuracy)."
            claims.append(_row(claim, where, statement, row["model"], _interval(row), bound=0, above=True))
    return claims


def _interval(row: dict[str, str]) -> Interval:
    return float(row["value"]), float(row["low"]), float(row["high"])


def _row(claim: str, where: str, statement: str, model: str, interval: Interval, bound: float, above: bool) -> tuple:
    """A row of claims.csv; what is not finite is undefined, and leaves the statement undecided."""
    value, low, high = (float(end) if math.isfinite(end) else math.nan for end in interval)
    return (claim, where, statement, model, value, low, high, verdict(low, high, bound, above))
