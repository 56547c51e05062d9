"""The report's section on selecting data: Table 3, and whether the methods find truly related samples."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from headpatterns.presentation.elements import Table, caption, figure, grid_tables, paper_values
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section
from headpatterns.studies.accuracies import NUMBERS, differences, ranks
from headpatterns.studies.application import Application, rendered
from headpatterns.studies.selection import table3
from headpatterns.studies.selection.costs import RANK, READ, WARM_UP

HERE = Path(__file__).parent
KEYS = ["model", "domain", "budget"]
PRECISION_TEXT = ("model", "domain", "seed", "method", "statistic", "n")
PRECISION_NUMBERS = ("value", "low", "high", "expected", "chance_low", "chance_high")
COST_TEXT, COST_NUMBERS = ("model", "domain", "seed", "method", "part"), ("bytes", "seconds")
GRIDS = ("", "by domain", "log-likelihood", "log-likelihood by domain")


def section(results: Results) -> list[Section]:
    """Table 3, the mean over domains, and every domain; how many related samples each method finds, where these are
    known; the differences behind the table; and the rank of the patterns' choice among random ones.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.table("table3")
    rows = read_table(path, table3.TEXT, NUMBERS)
    domains = dict(zip(rows["domain"], rows["domain_label"], strict=True))
    found = precision(results.analysis("precision"), domains, results.runs)
    gained = differences(results.analysis("selection_differences"), KEYS, HERE, results.runs, table3.METHODS)
    costs = costs_table(results.analysis("selection_costs"), results.runs)
    made = Application(
        anchor="selecting-data",
        title="Selecting data",
        tables=grid_tables(table3.table3_grids(rows), path, HERE, GRIDS),
        paper=paper_table(),
        captioned=found,
        figure=figure(results.figure("precision"), HERE, "Precision against n") if found else None,
        folded=[gained, ranks(results.analysis("selection_ranks"), KEYS, HERE, results.runs), costs],
    )
    return [rendered(made)]


def paper_table() -> Table:
    """Table 3 as the paper reports it."""
    values = paper_values(HERE / "paper_table3.csv")
    return Table(
        anchor="paper-table3",
        title="Table 3 of the paper",
        header=["Model", "Training samples", *(f"n = {budget}" for budget in values.columns[2:])],
        rows=values.assign(method=values["method"].map(table3.METHODS)).to_numpy().tolist(),
        numeric=[False, False] + [True] * len(values.columns[2:]),
    )


def precision(path: Path, domains: Mapping[str, str], runs: RunTable) -> list[Table]:
    """One row for each model, domain and method, means over seeds, and last the result of chance; no table if the
    related samples are unknown."""
    rows = read_table(path, PRECISION_TEXT, PRECISION_NUMBERS, may_be_empty=True)
    if rows.empty:
        return []
    columns = list(dict.fromkeys(zip(rows["statistic"], rows["n"], strict=True)))
    cells = []
    for (model, domain), found in rows.groupby(["model", "domain"], sort=False):
        place = [runs.model_label(str(model)), domains.get(str(domain), str(domain))]
        keys = ["method", "statistic", "n"]
        spread = found.groupby(keys, sort=False)["value"].std().to_numpy()
        means = mean_over_seeds(found, keys, PRECISION_NUMBERS).assign(spread=spread)
        for method, own in means.groupby("method", sort=False):
            shown = {(row["statistic"], row["n"]): share(row, "value", "low", "high") for _, row in own.iterrows()}
            cells.append([*place, table3.METHODS[str(method)], *(shown.get(column, "") for column in columns)])
        first = means.drop_duplicates(["statistic", "n"]).assign(spread=float("nan"))
        chance = {
            (row["statistic"], row["n"]): share(row, "expected", "chance_low", "chance_high")
            for _, row in first.iterrows()
        }
        cells.append([*place, "by chance", *(chance[column] for column in columns)])
    made = Table(
        anchor="precision-table",
        title="Do the methods find the related samples?",
        header=["Model", "Domain", "Samples", *(f"n = {n}" if n else "Average precision" for _, n in columns)],
        rows=cells,
        numeric=[False] * 3 + [True] * len(columns),
        path=f"{path.parent.name}/{path.name}",
        caption=caption(HERE / "precision_table.rst"),
    )
    return [made]


def costs_table(path: Path, runs: RunTable) -> Table:
    """One row for each model and method, means over domains and seeds."""
    rows = read_table(path, COST_TEXT, COST_NUMBERS)
    rows["milliseconds"] = 1000 * rows["seconds"]
    cells = []
    for (model, method), own in rows.groupby(["model", "method"], sort=False):
        parts = own.groupby("part")["milliseconds"].mean()
        kept = own.groupby("part")["bytes"].mean().sum()
        numbers = [f"{parts[part]:.3g}" if pd.notna(parts.get(part)) else "" for part in (READ, RANK, WARM_UP)]
        cells.append([runs.model_label(str(model)), table3.METHODS[str(method)], *numbers, f"{kept:.0f}"])
    return Table(
        anchor="selection-costs",
        title="What does each way to select cost?",
        header=["Model", "Samples", "Read, ms", "Rank, ms", "Warm-up, ms", "Bytes"],
        rows=cells,
        numeric=[False] * 2 + [True] * 4,
        path=f"{path.parent.name}/{path.name}",
        caption=caption(HERE / "costs_table.rst"),
    )


def share(row: pd.Series, value: str, low: str, high: str) -> str:
    """A share in per cent, with its spread over seeds and its interval if it has them."""
    spread = f" ± {100 * row['spread']:.1f}" if pd.notna(row["spread"]) else ""
    interval = f" [{100 * row[low]:.1f}, {100 * row[high]:.1f}]" if pd.notna(row[low]) and pd.notna(row[high]) else ""
    return f"{100 * row[value]:.1f}{spread}{interval}"
