"""Everything the report shows, gathered from its input files and filled into the page's template."""

import base64
import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns import tables
from headpatterns.errors import InputError
from headpatterns.files import read_json
from headpatterns.plotting.inputs import RunTable, read_run_table, read_table

CLAIM_COLUMNS = ("claim", "where", "statement", "model", "value", "low", "high", "verdict")
VERDICTS = {"holds": "✓ holds", "fails": "✗ fails", "undecided": "? undecided"}
MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Figure:
    """A picture of the report: `data` is a data URI, `caption` HTML, `alternative` plain text."""

    anchor: str
    title: str
    path: str
    data: str
    caption: str
    alternative: str


@dataclass(frozen=True)
class Table:
    """A table of the report: cells are texts; `numeric` says which columns are set flush right."""

    anchor: str
    title: str
    header: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    path: str = ""
    caption: str = ""


def render(
    experiment: str,
    runs: Path,
    figures: Sequence[Path],
    table1: Path,
    captions: Path,
    claims: Path,
    provenance: Path,
    data: Path | None = None,
    training: Path | None = None,
    benchmarks: Path | None = None,
    others: Sequence[Path] = (),
) -> str:
    """The whole page as HTML, with nothing that a browser would have to fetch.

    Args:
        experiment: name of the experiment.
        runs: run table; it also says what models are called.
        figures: SVG or PNG files; each needs a caption of its name in `captions`.
        table1: CSV as written by `headpatterns.tables`.
        captions: folder of `<name>.rst`; `workflow.rst` is the introduction.
        claims: CSV with the columns `CLAIM_COLUMNS`.
        provenance: JSON, key to value or section to (key to value).
        data: CSV of any columns, what became of the raw rows.
        training: CSV of any columns, the fine-tuning runs.
        benchmarks: CSV of any columns, time and memory by rule.
        others: further CSV tables, each shown under its file's name with the caption of that name if there is one.

    Raises:
        InputError: a file is missing or lacks a column.
    """
    import jinja2

    run_table = read_run_table(runs)
    pictures = [figure(path, captions) for path in figures]
    first, by_task = spread_tables(table1, captions)
    more = [plain_table(path, path.stem, title_of(path.stem), captions) for path in others]
    claim_rows = read_table(claims, CLAIM_COLUMNS, ("value", "low", "high"), may_be_empty=True)
    anchors = {shown.title.lower(): shown.anchor for shown in (*pictures, first, *more)}
    optional = {
        "data": data and plain_table(data, "data", "Data"),
        "training": training and plain_table(training, "training", "Fine-tuning"),
        "benchmarks": benchmarks and plain_table(benchmarks, "timings", "Time and memory"),
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("headpatterns.reporting", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(
        experiment=experiment,
        introduction=caption(captions / "workflow.rst"),
        provenance=provenance_sections(provenance),
        claims=claim_groups(claim_rows, run_table, anchors),
        tally=tally(claim_rows),
        figures=pictures,
        table1=first,
        table1_tasks=by_task,
        paper=paper_table(),
        others=more,
        studies=studies(run_table),
        runs=all_runs(run_table),
        **optional,
    )


def caption(path: Path) -> str:
    """A caption in reStructuredText as HTML.

    Raises:
        InputError: there is no such file, or docutils finds a fault in it.
    """
    from docutils.core import publish_parts
    from docutils.utils import SystemMessage

    if not path.is_file():
        raise InputError(f"The caption {path} does not exist: write one in reStructuredText.")
    settings = {"halt_level": 2, "report_level": 5, "raw_enabled": False, "file_insertion_enabled": False}
    try:
        parts = publish_parts(path.read_text(encoding="utf-8"), writer="html5", settings_overrides=settings)
    except SystemMessage as error:
        raise InputError(f"The caption {path} is not valid reStructuredText: {error}.") from None
    return parts["body"]


def figure(path: Path, captions: Path) -> Figure:
    """Read a picture and its caption; the caption's first sentence is the alternative text."""
    if path.suffix not in MEDIA_TYPES:
        raise InputError(f"The report cannot show the figure {path}: give an SVG or PNG file.")
    if not path.is_file():
        raise InputError(f"The figure {path} does not exist: run the rule that draws it.")
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    text = caption(captions / f"{path.stem}.rst")
    plain = " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())
    return Figure(
        anchor=path.stem,
        title=title_of(path.stem),
        path=f"{path.parent.name}/{path.stem}",
        data=f"data:{MEDIA_TYPES[path.suffix]};base64,{encoded}",
        caption=text,
        alternative=f"{title_of(path.stem)}: {plain.split('. ')[0].removesuffix('.')}.",
    )


def title_of(stem: str) -> str:
    """What a file is called in headings: `figure2_clustered` is "Figure 2, clustered", `mixing` is "Mixing"."""
    name, *rest = stem.split("_")
    if match := re.fullmatch(r"([a-z]+)(\d+)", name):
        name = f"{match[1]} {match[2]}"
    elif rest:
        name, rest = " ".join([name, *rest]), []
    return ", ".join([name[:1].upper() + name[1:], *([" ".join(rest)] if rest else [])])


def plain_table(path: Path, anchor: str, title: str, captions: Path | None = None) -> Table:
    """A CSV of any columns; long fractions are rounded to four significant digits."""
    rows = read_table(path, (), may_be_empty=True)
    text = caption(captions / f"{path.stem}.rst") if captions and (captions / f"{path.stem}.rst").is_file() else ""
    return shown_table(rows, anchor, title, path=f"{path.parent.name}/{path.name}", caption=text)


def shown_table(rows: pd.DataFrame, anchor: str, title: str, **more: Any) -> Table:
    """`rows` (texts) as a table of the report."""
    cells = [[short(value) for value in row] for row in rows.itertuples(index=False)]
    numeric = [all(is_number(row[i]) for row in cells if row[i]) for i in range(len(rows.columns))]
    header = [str(column).replace("_", " ") for column in rows.columns]
    return Table(anchor, title, header, cells, numeric, **more)


def is_number(text: str) -> bool:
    """Whether `text` is a number as the report writes it."""
    return re.fullmatch(r"−?\d+(\.\d+)?(e[+−]?\d+)?", text) is not None


def short(value: Any) -> str:
    """`value` as it stands; a fraction of many digits is rounded to four significant ones."""
    text = str(value)
    if re.fullmatch(r"-?\d*\.\d+(e[+-]?\d+)?|-?\d+e[+-]?\d+", text):
        rounded = f"{float(text):.4g}"
        text = rounded if len(rounded) < len(text) else text
    return text.replace("-", "−") if re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", text) else text


def spread_tables(path: Path, captions: Path) -> tuple[Table, Table]:
    """Table 1 as two: the models' means over tasks, and every task."""
    statistics = [f"{name}{ending}" for name in tables.STATISTICS for ending in ("", "_low", "_high")]
    rows = read_table(path, ("model_label", "task", "task_label", "state"), statistics)
    text = caption(captions / f"{path.stem}.rst")
    made = []
    for names, found in ((["Model"], rows[rows["task"] == ""]), (["Model", "Task"], rows[rows["task"] != ""])):
        cells = [
            [row[f"{name.lower()}_label"] for name in names]
            + [row["state"]]
            + [tables.cell(row, name).replace("-", "−") for name in tables.STATISTICS]
            for _, row in found.iterrows()
        ]
        header = [*names, "State", *tables.STATISTICS.values()]
        numeric = [False] * (len(names) + 1) + [True] * len(tables.STATISTICS)
        title = title_of(path.stem) + (", task by task" if len(names) > 1 else "")
        made.append(Table(path.stem, title, header, cells, numeric, f"{path.parent.name}/{path.stem}", text))
    return made[0], made[1]


def paper_table() -> Table:
    """Table 1 as the paper reports it, for other models, data and sizes: to be set beside, never mixed in."""
    with resources.files("headpatterns.reporting").joinpath("paper_table1.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file, dtype=str)
    cells = []
    for model in rows["model"].unique():
        for state in ("before", "after"):
            found = rows[rows["model"] == model].set_index("statistic")[state]
            cells.append([model, state, *(found[name] for name in tables.STATISTICS)])
    return Table(
        anchor="paper-table1",
        title="Table 1 of the paper",
        header=["Model", "State", *tables.STATISTICS.values()],
        rows=cells,
        numeric=[False, False] + [True] * len(tables.STATISTICS),
    )


def claim_groups(rows: pd.DataFrame, runs: RunTable, anchors: dict[str, str]) -> list[dict[str, Any]]:
    """Claims in the order of the file, each with one line a model.

    Raises:
        InputError: a verdict is none of holds, fails, undecided.
    """
    groups = []
    for (_, where, statement), found in rows.groupby(["claim", "where", "statement"], sort=False):
        lines = []
        for row in found.itertuples():
            if row.verdict not in VERDICTS:
                raise InputError(
                    f"The claim {row.claim!r} has the verdict {row.verdict!r}: it must be one of {', '.join(VERDICTS)}."
                )
            lines.append(
                {
                    "model": runs.model_label(row.model) if row.model else "all models",
                    "value": estimate(row.value, row.low, row.high),
                    "verdict": row.verdict,
                    "shown": VERDICTS[row.verdict],
                }
            )
        groups.append(
            {
                "where": where,
                "anchor": anchors.get(where.lower(), anchors.get(where.lower().split(",")[0])),
                "statement": statement,
                "lines": lines,
            }
        )
    return groups


def estimate(value: float, low: float, high: float) -> str:
    """`value [low, high]` in three significant digits; a dash where there is no number."""
    texts = [f"{number:.3g}".replace("-", "−") for number in (value, low, high)]
    if not math.isfinite(value):
        return "–"
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if math.isfinite(low) and math.isfinite(high) else texts[0]


def tally(rows: pd.DataFrame) -> dict[str, int]:
    """How many lines of the claims there are, in all and by verdict."""
    return {"all": len(rows), **{verdict: int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS}}


def provenance_sections(path: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """(section, its (key, value) pairs); plain keys come first, in a section without a name.

    Raises:
        InputError: the file is missing or is not a JSON object.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: run the rule that writes it first.")
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object of keys and values: remove it and run the rule that writes it.")
    plain = [(key, written(value)) for key, value in content.items() if not isinstance(value, dict)]
    nested = [
        (section, [(key, written(value)) for key, value in values.items()])
        for section, values in content.items()
        if isinstance(values, dict)
    ]
    return [("", plain), *nested] if plain else nested


def written(value: Any) -> str:
    """A JSON value for a reader."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} {written(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(written(inner) for inner in value)
    return str(value)


def studies(runs: RunTable) -> Table:
    """How many runs, models, tasks and seeds each study and group has."""
    rows = [
        [
            study,
            group,
            ", ".join(found["model_label"].unique()),
            ", ".join(found["task_label"].unique()),
            ", ".join(found["seed"].unique()),
            str(len(found)),
        ]
        for (study, group), found in runs.rows.groupby(["study", "group"], sort=False)
    ]
    header = ["Study", "Group", "Models", "Tasks", "Seeds", "Runs"]
    return Table("runs", "Runs", header, rows, [False] * 5 + [True])


def all_runs(runs: RunTable) -> Table:
    """The run table itself, without the keys that labels stand for."""
    columns = ["study", "group", "model_label", "task_label", "family", "role", "seed", "run"]
    renamed = runs.rows[columns].rename(columns={"model_label": "model", "task_label": "task"})
    return shown_table(renamed, "all-runs", "Every run")
