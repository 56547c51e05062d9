"""What the paper says of Figure 4, held against the numbers of the analysis."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.studies.claims import Claim, interval_of, judged

Row = Mapping[str, str]


def composition_claims(composition: Path, by_model: Path, expected_pairs: Mapping[str, Sequence[str]]) -> list[Claim]:
    """Figure 4: the expected pair explains a group's complex task, better than chance and better than other pairs.

    Args:
        composition: composition.csv, for the null (its 95th percentile, the mean over seeds).
        by_model: composition_by_model.csv, for R² (mean over seeds) and its rank.
        expected_pairs: the two basic tasks (in any order) that the paper finds for the complex task, by group.

    Raises:
        InputError: an expected pair that is none of two tasks, or not in the tables.
    """
    nulls = read_csv(composition, ("model", "group", "complex", "terms", "null_high"))
    rows = read_csv(by_model, ("model", "group", "complex", "terms", "size", "statistic", "value", "low", "high"))
    claims: list[Claim] = []
    for group, tasks in expected_pairs.items():
        pair = set(tasks)
        named = f"The expected pair {'+'.join(tasks)} of the group {group}"
        if len(tasks) != 2 or len(pair) != 2:
            raise InputError(f"{named} is not of two tasks: fix task_groups.{group}.expected_pair.")
        pairs = [row for row in rows if row["group"] == group and row["size"] == "2"]
        found = [row for row in pairs if set(row["terms"].split("+")) == pair]
        if not found:
            raise InputError(f"{named} is not in {by_model}: fix task_groups.{group}.expected_pair.")
        for row in found:
            if row["statistic"] == "r2":
                claims.append(_explains(row, [null for null in nulls if _agree(null, row, "terms")]))
            elif (rivals := sum(_agree(other, row, "statistic") for other in pairs)) > 1:
                claims.append(_is_best(row, rivals))
    return claims


def _explains(row: Row, nulls: Sequence[Row]) -> Claim:
    bound = float(np.mean([float(null["null_high"]) for null in nulls]))
    statement = (
        f"R² of {row['terms']} for {row['complex']} exceeds that of permuted heads (95th percentile {bound:.3g})."
    )
    where = f"Figure 4, {row['group']}"
    return judged("expected_pair_explains", where, statement, row["model"], interval_of(row), bound, above=True)


def _is_best(row: Row, pairs: int) -> Claim:
    statement = f"{row['terms']} is the best of the {pairs} pairs for {row['complex']} (rank by R²)."
    where = f"Figure 4, {row['group']}"
    # Ranks are whole numbers: above 1.5 means not the best.
    return judged("expected_pair_is_best", where, statement, row["model"], interval_of(row), bound=1.5, above=False)


def _agree(a: Row, b: Row, column: str) -> bool:
    """Whether two rows are about the same model and complex task, and the same in one more column."""
    return all(a[name] == b[name] for name in ("model", "group", "complex", column))
