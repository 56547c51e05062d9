"""The common look of all figures: sizes in inches, colours for colour blindness and greyscale, reproducible bytes."""

import functools
import textwrap
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.typing import RcKeyType

from headpatterns.io import atomic_path

SMALL = 7.0  # points: the smallest text, at the size at which the figure is written
MEDIUM = 8.0
LARGE = 9.5
FAINT = "#5f5f5f"
MISSING = "#d9d9d9"
MAGNITUDE = "viridis"
SIGNED = "RdBu_r"
# Okabe and Ito's colours, with the most readable ones on white first, and without yellow, which is pale on white.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
LINE_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
FAMILY_SYMBOLS = ("●", "▲", "■", "◆", "▼", "★")
HIGHLIGHT = "#D55E00"

SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib, so that every machine draws the same
    "font.size": MEDIUM,
    "axes.titlesize": MEDIUM,
    "axes.labelsize": MEDIUM,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.titlepad": 3.0,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "headpatterns",
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}
# No date and no version, so that the same input gives the same bytes.
METADATA = {
    ".pdf": {"CreationDate": None, "ModDate": None, "Creator": "headpatterns", "Producer": None},
    ".svg": {"Date": None, "Creator": "headpatterns"},
    ".png": {"Software": None},
}


def applied() -> AbstractContextManager[None]:
    """The settings of all figures, while one is drawn and written."""
    return matplotlib.rc_context({**matplotlib.rcParamsDefault, "backend": "agg", **SETTINGS})


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` × `height` inches without a window system."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes placed in inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def text_at(figure: Figure, left: float, top: float, text: str, **options: Any) -> None:
    """Text placed in inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    figure.text(left / across, 1 - top / down, text, **options)


def text_width(texts: Iterable[str], size: float = SMALL, weight: str = "normal") -> float:
    """Width in inches of the widest line among `texts`."""
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    return max((_line_width(line, size, weight) for line in lines), default=0.0)


@functools.cache
def _line_width(line: str, size: float, weight: str) -> float:
    """Width in inches of one line. Measuring takes milliseconds, and figures repeat lines, so results are cached."""
    font = FontProperties(family="DejaVu Sans", weight=weight)
    return TextPath((0, 0), line, size=size, prop=font).get_extents().width / 72


def wrapped(text: str, characters: int) -> str:
    """`text` broken into lines of at most `characters`, at spaces only."""
    return "\n".join(textwrap.wrap(text, characters, break_long_words=False, break_on_hyphens=False))


def colour_bar(axes: Axes, colours: str, low: float, high: float, label: str, **options: Any) -> Colorbar:
    """A labelled horizontal colour bar that fills `axes`."""
    mappable = ScalarMappable(Normalize(low, high), colour_map(colours))
    bar = axes.figure.colorbar(mappable, cax=axes, orientation="horizontal", **options)
    bar.set_label(label, size=MEDIUM)
    bar.outline.set_linewidth(0.4)
    return bar


def colour_map(name: str) -> Colormap:
    """A colour map that shows missing values in grey."""
    return matplotlib.colormaps[name].with_extremes(bad=MISSING)


def number(value: float, digits: int = 2) -> str:
    """`value` in `digits` significant digits for a label: 0.031, 12, 3.1×10⁻⁶."""
    if not np.isfinite(value):
        return "n/a"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -2 <= power < 4:
        return f"{float(f'{value:.{digits - 1}e}'):.{max(digits - 1 - power, 0)}f}".replace("-", "−")
    raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}×10{raised}".replace("-", "−")


def fixed(value: float, decimals: int = 2) -> str:
    """`value` with a fixed number of decimals and a true minus sign; no minus before a rounded zero."""
    if not np.isfinite(value):
        return "n/a"
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def compact(value: float) -> str:
    """Two decimals for a narrow cell, without the zero before the point: .97, −.12, 1; a missing value is empty."""
    if not np.isfinite(value):
        return ""
    sign, digits = ("−", fixed(-value)) if value < 0 and fixed(value) != "0.00" else ("", fixed(value))
    return sign + {"1.00": "1"}.get(digits, digits.removeprefix("0") if digits.startswith("0.") else digits)


def interval(value: float, low: float, high: float, decimals: int = 2) -> str:
    """`value [low, high]`, without the brackets if there is no interval."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return fixed(value, decimals)
    return f"{fixed(value, decimals)} [{fixed(low, decimals)}, {fixed(high, decimals)}]"


def save(figure: Figure, stem: Path) -> None:
    """Write `figure` as `stem`.pdf, .svg and .png (200 dots per inch), each atomically and with reproducible bytes."""
    for suffix, metadata in METADATA.items():
        with atomic_path(stem.with_name(stem.name + suffix)) as temporary:
            figure.savefig(temporary, dpi=200, bbox_inches="tight", pad_inches=0.04, metadata=metadata)
