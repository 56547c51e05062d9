"""Table 1: spread of the activation levels over the heads, before and after fine-tuning, as CSV, Markdown and LaTeX."""

from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.files import atomic_path
from headpatterns.plotting.inputs import RunTable, mean_over_seeds

NUMBERS = ("value", "low", "high")
TASK_TEXT = ("model", "task", "seed", "state", "statistic")
MODEL_TEXT = ("model", "state", "statistic")
STATES = ("before", "after", "change")
STATISTICS = {"gini": "Gini", "cv": "CV", "kurtosis": "Kurtosis"}
DECIMALS = {"gini": 3, "cv": 3, "kurtosis": 2}
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # after a line's end it would be read as its option
    "]": "{]}",
}


def table1(
    runs: RunTable, by_task: pd.DataFrame, by_model: pd.DataFrame, source: str = "distribution.csv"
) -> pd.DataFrame:
    """One row for each model, task and state, in display order; the rows of a model's mean have an empty task.

    `by_task` has the columns `TASK_TEXT` and `NUMBERS` (seeds are averaged here), `by_model` has `MODEL_TEXT` and
    `NUMBERS`. The result has the columns model, model_label, task, task_label, state, then for each statistic its
    name, `<name>_low` and `<name>_high`; values are those of the input, not rounded.
    """
    runs = runs.of_study("adaptation")
    models = runs.order("model", [*by_model["model"], *by_task["model"]], source)
    tasks = runs.order("task", by_task["task"], source)
    averaged = mean_over_seeds(by_task, ("model", "task", "state", "statistic"), NUMBERS)
    found = pd.concat([by_model.assign(task=""), averaged]).set_index(["model", "task", "state", "statistic"])
    rows = []
    for model in models:
        for task in ("", *tasks):
            for state in STATES:
                if not any((model, task, state, statistic) in found.index for statistic in STATISTICS):
                    continue
                row = {
                    "model": model,
                    "model_label": runs.model_label(model),
                    "task": task,
                    "task_label": runs.task_label(task) if task else "mean over tasks",
                    "state": state,
                }
                for statistic in STATISTICS:
                    key = (model, task, state, statistic)
                    values = found.loc[key, list(NUMBERS)] if key in found.index else [np.nan] * 3
                    row.update(zip((statistic, f"{statistic}_low", f"{statistic}_high"), values, strict=True))
                rows.append(row)
    return pd.DataFrame(rows)


def cell(row: pd.Series, statistic: str) -> str:
    """`value [low, high]` in the statistic's decimals, a sign before every change; empty where there is no value."""
    value, low, high = (row[statistic + ending] for ending in ("", "_low", "_high"))
    if not np.isfinite(value):
        return ""
    sign = "+" if row["state"] == "change" else ""
    texts = [f"{number:{sign}.{DECIMALS[statistic]}f}" for number in (value, low, high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if np.isfinite(low) and np.isfinite(high) else texts[0]


def markdown(table: pd.DataFrame) -> str:
    """Two Markdown tables: the models' means, then every task."""
    means, tasks = table[table["task"] == ""], table[table["task"] != ""]
    parts = [
        "Spread of the activation levels over the heads: mean over tasks [95 % interval]",
        "",
        *lines(means, ["Model"]),
    ]
    if not tasks.empty:
        parts += ["", "The same by task [95 % interval]", "", *lines(tasks, ["Model", "Task"])]
    return "\n".join(parts) + "\n"


def lines(rows: pd.DataFrame, names: list[str]) -> list[str]:
    """The lines of one Markdown table."""
    header = [*names, "State", *STATISTICS.values()]
    made = [f"| {' | '.join(header)} |", "|" + "---|" * (len(names) + 1) + "---:|" * len(STATISTICS)]
    for _, row in rows.iterrows():
        labels = [row[f"{name.lower()}_label"].replace("|", "\\|") for name in names]
        cells = [*labels, row["state"], *(cell(row, statistic).replace("-", "−") for statistic in STATISTICS)]
        made.append(f"| {' | '.join(cells)} |")
    return made


def escape_latex(text: str) -> str:
    """`text` with every character that LaTeX would read as a command made harmless."""
    return "".join(LATEX.get(character, character) for character in text)


def latex(table: pd.DataFrame) -> str:
    """Two LaTeX tables (packages booktabs and longtable): the models' means, then every task."""
    means, tasks = table[table["task"] == ""], table[table["task"] != ""]
    parts = ["% Needs the packages booktabs and longtable.", *latex_table(means, ["Model"], "tabular")]
    if not tasks.empty:
        parts += ["", *latex_table(tasks, ["Model", "Task"], "longtable")]
    return "\n".join(parts) + "\n"


def latex_table(rows: pd.DataFrame, names: list[str], environment: str) -> list[str]:
    """The lines of one LaTeX table; a rule stands between models, or between tasks where they are rows."""
    header = " & ".join([*names, "State", *STATISTICS.values()]) + r" \\"
    columns = "l" * (len(names) + 1) + "r" * len(STATISTICS)
    made = [rf"\begin{{{environment}}}{{{columns}}}", r"\toprule", header, r"\midrule"]
    if environment == "longtable":
        made.append(r"\endhead")
    previous = None
    for _, row in rows.iterrows():
        labels = tuple(row[f"{name.lower()}_label"] for name in names)
        if previous not in (None, labels):
            made.append(r"\addlinespace")
        shown = [escape_latex(label) if labels != previous else "" for label in labels]
        cells = [*shown, row["state"], *(latex_cell(row, statistic) for statistic in STATISTICS)]
        made.append(" & ".join(cells) + r" \\")
        previous = labels
    return [*made, r"\bottomrule", rf"\end{{{environment}}}"]


def latex_cell(row: pd.Series, statistic: str) -> str:
    """A cell in mathematics mode, so that minus signs are minus signs."""
    return f"${cell(row, statistic)}$".replace(" ", r"\ ").replace("$$", "")


def write(table: pd.DataFrame, stem: Path) -> None:
    """Write `stem`.csv (unrounded, every row), `stem`.md and `stem`.tex (rounded), each atomically."""
    contents = {".csv": table.to_csv(index=False), ".md": markdown(table), ".tex": latex(table)}
    for suffix, content in contents.items():
        with atomic_path(stem.with_name(stem.name + suffix)) as temporary:
            temporary.write_text(content, encoding="utf-8")
