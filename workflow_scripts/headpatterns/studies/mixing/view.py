"""The view of Table 2."""

from pathlib import Path

from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.views import Interactive
from headpatterns.studies import view_of_scores
from headpatterns.studies.accuracies import NUMBERS
from headpatterns.studies.mixing import table2


def show(scores: Path) -> Interactive:
    """Scores on the target task, from tables/table2.csv.

    Raises:
        InputError: the file cannot be used.
    """
    return view_of_scores.show(
        "table2", "Scores of mixtures", read_table(scores, table2.TEXT, NUMBERS), table2.VARIANTS, {}
    )
