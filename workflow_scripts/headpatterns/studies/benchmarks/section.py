"""The report's section on all evaluations: shares of answers by study and model, and every score."""

from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.experiment import variants as evaluations
from headpatterns.presentation.elements import Table, caption, shown_table
from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Place, Section, render
from headpatterns.studies.application import READING

HERE = Path(__file__).parent
INTERVAL = ("accuracy", "low", "high")
LIKELIHOODS = ("nll", "likeliest", "likeliest_per_token")


def section(results: Results) -> list[Section]:
    """The results of the evaluations: shares of answers, and every score.

    Raises:
        InputError: the table of scores is missing or faulty.
    """
    rows = read_table(
        results.analysis("scores"), (*evaluations.COLUMNS, *evaluations.COUNTS), (*INTERVAL, *LIKELIHOODS)
    )
    shares = shares_of_answers(rows)
    body = render("section.html.j2", __package__, shares=shares, every=every_score(rows))
    return [Section(shares.anchor, shares.title, body, Place.APPENDIX, reading=READING)]


def shares_of_answers(rows: pd.DataFrame) -> Table:
    """A row for each study and model; an evaluation that several seeds share counts once."""
    once = rows.drop_duplicates(["study", "model", "run", "set"])
    shares = [
        [str(study), str(model), str(len(found)), *shown_counts(found)]
        for (study, model), found in once.groupby(["study", "model_label"], sort=False)
    ]
    header = ["Study", "Model", "Evaluations", "Answers", "Right", "Unparsed", "Cut"]
    about = caption(HERE / "scores.rst")
    return Table("scores", "Scores", header, shares, [False] * 2 + [True] * 5, "analysis/scores.csv", about)


def every_score(rows: pd.DataFrame) -> Table:
    """A row for each evaluation of each variant."""
    columns = ["study", "model_label", "seed", "variant", "draw", "budget", "domain_label", "run", "set"]
    shown = rows[[*columns, *evaluations.COUNTS]]
    shown = shown.rename(columns={"model_label": "model", "domain_label": "domain", "budget": "n"})
    likelihoods = {name: [shown_number(value, name) for value in rows[name]] for name in LIKELIHOODS}
    shown = shown.assign(accuracy=rows.apply(per_cent, axis=1), **likelihoods)
    every = shown_table(shown, "every-score", "Every score")
    every.numeric[-4:] = [True] * 4
    return every


def shown_number(value: float, name: str) -> str:
    """A log-likelihood in nats per token, or a share of items in per cent; a dash if there is none."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.3f}" if name == "nll" else f"{100 * value:.2f}"


def shown_counts(rows: pd.DataFrame) -> list[str]:
    """The number of items, then the numbers of correct, unparsed and cut answers, with their shares.

    A dash means that some evaluation does not report the number.
    """
    counts = rows[list(evaluations.COUNTS)].apply(pd.to_numeric).sum(skipna=False)
    return [
        f"{counts['items']:.0f}",
        *(
            f"{counts[name]:.0f} ({100 * counts[name] / counts['items']:.1f} %)" if counts[name] >= 0 else "–"
            for name in evaluations.COUNTS[1:]
        ),
    ]


def per_cent(row: pd.Series) -> str:
    """`accuracy [low, high]` in per cent, without the interval if there is none; a dash if there is neither."""
    if not np.isfinite(row["accuracy"]):
        return "–"
    value, low, high = (f"{100 * row[name]:.2f}" for name in INTERVAL)
    return f"{value} [{low}, {high}]" if np.isfinite(row["low"]) else value
