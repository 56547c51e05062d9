"""The elements of the report: captions, pictures and tables of texts, from files or computed numbers."""

import base64
import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns.errors import InputError
from headpatterns.presentation.grids import Grid
from headpatterns.presentation.inputs import read_table

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Figure:
    """A picture of the report: `data` is a data URI, `caption` HTML, `alternative` plain text.

    `size` is its width and height in pixels, so that a browser reserves its place; empty if unknown.
    """

    anchor: str
    title: str
    path: str
    data: str
    caption: str
    alternative: str
    size: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of the report: cells are texts; `numeric` says which columns are aligned to the right."""

    anchor: str
    title: str
    header: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    path: str = ""
    caption: str = ""


def caption(path: Path) -> str:
    """A caption in reStructuredText as HTML.

    Raises:
        InputError: the file does not exist, or docutils finds an error in it.
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
    return str(parts["body"])


def figure(path: Path, captions: Path, title: str = "") -> Figure:
    """Read a picture and its caption; its first sentence is the alternative text. By default the file names it."""
    if path.suffix not in MEDIA_TYPES:
        raise InputError(f"The report cannot show the figure {path}: give it as an SVG or PNG file.")
    if not path.is_file():
        raise InputError(f"The figure {path} does not exist: run the rule that draws it.")
    content = path.read_bytes()
    encoded = base64.b64encode(content).decode("ascii")
    text = caption(captions / f"{path.stem}.rst")
    plain = " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())
    title = title or title_of(path.stem)
    return Figure(
        anchor=path.stem,
        title=title,
        path=f"{path.parent.name}/{path.stem}",
        data=f"data:{MEDIA_TYPES[path.suffix]};base64,{encoded}",
        caption=text,
        alternative=f"{title}: {re.split(r'(?<=[.?!]) ', plain, maxsplit=1)[0]}",
        size=size_of(content) if path.suffix == ".svg" else (),
    )


def size_of(svg: bytes) -> tuple[int, ...]:
    """Width and height of an SVG in pixels; empty if it does not have both in points, as matplotlib writes them."""
    root = re.search(rb"<svg[^>]*>", svg)
    found = [re.search(rf'\b{side}="([\d.]+)pt"'.encode(), root[0]) for side in ("width", "height")] if root else []
    return tuple(round(float(one[1]) * 4 / 3) for one in found if one) if all(found) else ()


def title_of(stem: str) -> str:
    """The name of a file in headings: `figure2_clustered` is "Figure 2, clustered", `mixing` is "Mixing"."""
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
    """`value` as it is; a fraction with many digits is rounded to four significant ones."""
    text = str(value)
    if re.fullmatch(r"-?\d*\.\d+(e[+-]?\d+)?|-?\d+e[+-]?\d+", text):
        rounded = f"{float(text):.4g}"
        text = rounded if len(rounded) < len(text) else text
    return text.replace("-", "−") if re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", text) else text


def paper_values(path: Path) -> pd.DataFrame:
    """The values of a table of the paper, as text."""
    return pd.read_csv(path, dtype=str, encoding="utf-8")


def grid_tables(grids: Sequence[Grid], path: Path, captions: Path, titles: Sequence[str]) -> list[Table]:
    """Grids as tables of the report, with the caption of their file `path`; titles follow the file's own title."""
    text = caption(captions / f"{path.stem}.rst")
    return [
        Table(
            anchor=path.stem,
            title=", ".join(filter(None, [title_of(path.stem), title])),
            header=grid.header,
            rows=grid.readable_rows,
            numeric=[False] * grid.texts + [True] * len(grid.numbers),
            path=f"{path.parent.name}/{path.stem}",
            caption=text,
        )
        for grid, title in zip(grids, titles, strict=False)
    ]


def estimate(value: float, low: float, high: float) -> str:
    """`value [low, high]` in three significant digits; a dash without a number."""
    texts = [f"{number:.3g}".replace("-", "−") for number in (value, low, high)]
    if not math.isfinite(value):
        return "–"
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if math.isfinite(low) and math.isfinite(high) else texts[0]
