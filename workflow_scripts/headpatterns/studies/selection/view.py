"""The view of Table 3."""

from pathlib import Path

import pandas as pd

from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.views import Interactive
from headpatterns.studies import view_of_scores
from headpatterns.studies.accuracies import NUMBERS, unique
from headpatterns.studies.selection import table3


def show(scores: Path) -> Interactive:
    """Scores in the domains, from tables/table3.csv.

    Raises:
        InputError: the file cannot be used.
    """
    table = read_table(scores, table3.TEXT, NUMBERS)
    domains = list(dict(zip(table["domain"], table["domain_label"], strict=True)).items())
    budgets = [(budget, f"{budget} samples") for budget in unique(table["budget"]) if budget]
    # The base model has seen no sample: it stands beside every budget.
    base = table[table["budget"] == ""]
    rows = [table[table["budget"] != ""], *(base.assign(budget=budget) for budget, _ in budgets)]
    more = {"domain": ("Domain", domains), "budget": ("Trained on", budgets)}
    return view_of_scores.show("table3", "Scores of selected data", pd.concat(rows), table3.METHODS, more)
