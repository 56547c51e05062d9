"""What the paper says of Table 1 and Figure 2, held against the numbers of the analysis."""

from pathlib import Path

import numpy as np

from headpatterns.io import read_csv
from headpatterns.studies.claims import Claim, Interval, interval_of, judged

STATISTIC_NAMES = {"gini": "Gini coefficient", "cv": "coefficient of variation", "kurtosis": "kurtosis"}


def distribution_claims(by_model: Path) -> list[Claim]:
    """Table 1: Gini coefficient, CV and kurtosis fall, from distribution_by_model.csv."""
    rows = read_csv(by_model, ("model", "state", "statistic", "value", "low", "high"))
    return [
        judged(
            f"{row['statistic']}_falls",
            "Table 1",
            f"The {STATISTIC_NAMES[row['statistic']]} of the activation patterns falls (after minus before).",
            row["model"],
            interval_of(row),
            bound=0,
            above=False,
        )
        for row in rows
        if row["state"] == "change" and row["statistic"] in STATISTIC_NAMES
    ]


def similarity_claims(summary: Path) -> list[Claim]:
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
    claims: list[Claim] = []
    for row in read_csv(summary, ("model", "matrix", "pairs", "value", "low", "high")):
        if (row["matrix"], row["pairs"]) in statements:
            claim, statement, above = statements[row["matrix"], row["pairs"]]
            claims.append(judged(claim, "Figure 2", statement, row["model"], interval_of(row), bound=0, above=above))
    return claims


def pair_claims(similarity: Path) -> list[Claim]:
    """Figure 2: the correlation falls for most pairs of tasks, not only on average, from similarity.csv.

    The value is the share of pairs (over all seeds) whose correlation is smaller after fine-tuning; the lower end
    counts the pairs whose interval after lies wholly below that before, the upper end all but those that rose as
    clearly.
    """
    pairs: dict[str, dict[tuple[str, str, str], dict[str, Interval]]] = {}
    for row in read_csv(similarity, ("model", "seed", "matrix", "task_a", "task_b", "value", "low", "high")):
        # The matrices are square and symmetric: each pair once.
        if row["matrix"] in ("before", "after") and row["task_a"] < row["task_b"]:
            pair = (row["seed"], row["task_a"], row["task_b"])
            pairs.setdefault(row["model"], {}).setdefault(pair, {})[row["matrix"]] = interval_of(row)
    claims: list[Claim] = []
    for model, found in pairs.items():
        before, after = (np.array([pair[matrix] for pair in found.values()]) for matrix in ("before", "after"))
        share = (
            float(np.mean(after[:, 0] < before[:, 0])),
            float(np.mean(after[:, 2] < before[:, 1])),
            float(1 - np.mean(after[:, 1] > before[:, 2])),
        )
        count = len({pair[1:] for pair in found})
        statement = f"The correlation falls for more than half of the pairs of tasks (share of {count})."
        claims.append(judged("correlation_falls_for_most", "Figure 2", statement, model, share, bound=0.5, above=True))
    return claims
