"""The report's section on validity: do activation patterns say which heads matter?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.presentation.elements import Figure, Table, caption, estimate, figure
from headpatterns.presentation.inputs import RunTable, read_table, row_at
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render
from headpatterns.studies.validity.ablations import PHASES
from headpatterns.studies.validity.measures import ABSOLUTE, ALL, ALL_HEADS, DIFFERENCE, SIGNED, WITHIN_LAYERS

HERE = Path(__file__).parent
RUN = ("model", "task", "seed", "phase")
TEXT = (*RUN, "reduction", "change", "over")
BETWEEN_TEXT = (*RUN, "reduction_a", "reduction_b", "over")
CONTRAST_TEXT = (*RUN, "reduction", "change", "contrast")
INTERVAL = ("value", "low", "high")

SAMPLES = (
    "Patterns and changes of the loss come from different samples of the probe set, so shared sampling noise "
    "cannot make them agree. The noise of each makes them agree less; the fewer samples there are, the less they "
    "agree."
)


@dataclass(frozen=True)
class Validity:
    """The section: sentences with its numbers, a figure, means by model, and how far the reductions agree.

    All parts except the figure are made from `files`.
    """

    findings: Sequence[str]
    figure: Figure
    table: Table
    between: Table
    files: Sequence[str]


def section(results: Results) -> list[Section]:
    """The section, rendered.

    Raises:
        InputError: a file is missing or faulty.
    """
    made = gathered(results)
    body = render(
        "section.html.j2",
        __package__,
        findings=made.findings,
        figure=made.figure,
        table=made.table,
        between=made.between,
        files=made.files,
    )
    return [Section("validity", "Do the patterns mean anything?", body)]


def gathered(results: Results) -> Validity:
    """The contents of the section, from the figure and the CSV files of the analysis."""
    names = ("validity", "validity_contrasts", "validity_between")
    rows = read_table(results.analysis("validity"), TEXT, INTERVAL)
    areas = read_table(results.analysis("validity_contrasts"), CONTRAST_TEXT, (*INTERVAL, "exceeds", "draws"))
    agreement = read_table(results.analysis("validity_between"), BETWEEN_TEXT, INTERVAL)
    reduction = areas["reduction"].iloc[0]
    return Validity(
        findings=findings(rows, areas, reduction),
        figure=figure(results.figure("figure_validity"), HERE, "Patterns and ablations"),
        table=means(rows, areas, reduction, results.runs),
        between=agreements(agreement, results.runs),
        files=[f"analysis/{name}.csv" for name in names],
    )


def findings(rows: pd.DataFrame, areas: pd.DataFrame, reduction: str) -> list[str]:
    """The findings in sentences: about the patterns that the groups are chosen by, over all runs.

    Before fine-tuning a base model and task count once, because runs of several seeds may share the base model.
    """
    chosen = rows[(rows["reduction"] == reduction) & (rows["over"] == ALL_HEADS)]
    top = areas[(areas["change"] == SIGNED) & (areas["contrast"] == "top_minus_random")]
    sentences = [SAMPLES]
    for phase in PHASES:
        sentences += [correlated(of_phase(chosen, phase), phase, reduction), costly(of_phase(top, phase), phase)]
    return [*sentences, differing(of_phase(chosen, DIFFERENCE))]


def of_phase(rows: pd.DataFrame, phase: str) -> pd.DataFrame:
    """The rows of a phase for every run; before fine-tuning for every base model, known by its numbers, and task."""
    found = rows[(rows["phase"] == phase) & (rows["seed"] != ALL)]
    same = found.assign(value=found["value"].round(6)).duplicated(["model", "task", "change", "value"])
    return found[~same] if phase == "before" else found


def correlated(rows: pd.DataFrame, phase: str, reduction: str) -> str:
    """How patterns and changes of the loss are correlated in a phase."""
    ways = {ABSOLUTE: "how much ablating it changes the loss, up or down,", SIGNED: "the signed change"}
    parts = by_way(
        rows,
        ways,
        lambda found: (
            f"lies {ends(found)}; its interval is above 0 in {(found['low'] > 0).sum()} and below 0 in "
            f"{(found['high'] < 0).sum()} of {counted(found, phase)}"
        ),
        f"does not exist in any {unit(phase)}",
    )
    return (
        f"{phase.capitalize()} fine-tuning, the rank correlation of the pattern of a head ({reduction}) "
        f"{'; that '.join(parts)}."
    )


def costly(rows: pd.DataFrame, phase: str) -> str:
    """The number of runs of a phase in which the heads with the largest patterns cost more than every random draw."""
    found, missing = defined(rows, "exceeds")
    if found.empty:
        return f"{phase.capitalize()} fine-tuning, no {unit(phase)} has groups of some but not all heads to compare."
    draws = int(found["draws"].iloc[0])
    return (
        f"{phase.capitalize()} fine-tuning, ablating the heads with the largest patterns raises the loss more "
        f"than all {draws} draws of random heads in {(found['exceeds'] == 1).sum()} of "
        f"{counted(found, phase)}{missing}. The rise is a mean over the sizes of groups (each doubling has the same "
        f"weight). By chance, this happens in one of {draws + 1}."
    )


def differing(rows: pd.DataFrame) -> str:
    """How many correlations fine-tuning raises and lowers."""
    ways = {ABSOLUTE: "the magnitude of the change", SIGNED: "the signed change"}
    parts = by_way(
        rows,
        ways,
        lambda found: (
            f"it raises it in {(found['low'] > 0).sum()} and lowers it in {(found['high'] < 0).sum()} of "
            f"{counted(found, DIFFERENCE)}"
        ),
        "no run has a difference",
    )
    return (
        "If the whole 95 % interval of the difference is on one side of 0, fine-tuning counts as raising or "
        f"lowering the correlation: {'; '.join(parts)}. By chance, one run in 40 is expected for each."
    )


def by_way(rows: pd.DataFrame, ways: Mapping[str, str], say: Callable[[pd.DataFrame], str], none: str) -> list[str]:
    """For each way to take the change, the text of `say` on its rows with a value, or `none` without such rows."""
    parts = []
    for change, way in ways.items():
        found, missing = defined(rows[rows["change"] == change], "value")
        parts.append(f"with {way} {none if found.empty else say(found) + missing}")
    return parts


def defined(rows: pd.DataFrame, column: str) -> tuple[pd.DataFrame, str]:
    """The rows with a number in `column`, and how many others are left out, in words."""
    found = rows[rows[column].notna()]
    left_out = len(rows) - len(found)
    return found, f" ({left_out} without a number left out)" if left_out else ""


def ends(rows: pd.DataFrame) -> str:
    """The range of the estimates in the rows."""
    low, high = (f"{value:.2f}".replace("-", "−") for value in (rows["value"].min(), rows["value"].max()))
    return f"between {low} and {high}"


def counted(rows: pd.DataFrame, phase: str) -> str:
    """The number of units of a phase."""
    return f"{len(rows)} {unit(phase)}{'' if len(rows) == 1 else 's'}"


def unit(phase: str) -> str:
    """The unit of a phase: before fine-tuning, seeds that share a base model are one measurement."""
    return "base model–task pair" if phase == "before" else "run"


def means(rows: pd.DataFrame, areas: pd.DataFrame, reduction: str, runs: RunTable) -> Table:
    """A row for each model and phase: means over tasks and seeds, as analyse_validity takes them."""
    of_rows = of_models(rows, ["model", "phase", "reduction", "change", "over"])
    of_areas = of_models(areas, ["model", "phase", "change", "contrast"])
    kinds = [
        *((name, ABSOLUTE, ALL_HEADS) for name in REDUCTIONS),
        (reduction, ABSOLUTE, WITHIN_LAYERS),
        (reduction, SIGNED, ALL_HEADS),
    ]
    contrasts = [(SIGNED, "top_minus_random"), (SIGNED, "random_minus_bottom"), (ABSOLUTE, "top_minus_random")]
    cells = [
        [
            runs.model_label(model),
            phase,
            *(estimate(*row_at(of_rows, (model, phase, *kind))) for kind in kinds),
            *(estimate(*row_at(of_areas, (model, phase, *contrast))) for contrast in contrasts),
        ]
        for model in runs.order("model", rows["model"], "validity.csv")
        for phase in PHASES
    ]
    header = ["Model", "State", *REDUCTIONS, f"{reduction}, within layers", f"{reduction}, signed change",
              "largest − random", "random − smallest", "largest − random, absolute"]  # fmt: skip
    numeric = [False, False] + [True] * (len(header) - 2)
    text = caption(HERE / "validity_table.rst")
    return Table("validity-by-model", "By model", header, cells, numeric, caption=text)


def agreements(rows: pd.DataFrame, runs: RunTable) -> Table:
    """A row for each model and phase: the mean rank correlations between the patterns of every two reductions."""
    averaged = of_models(rows[rows["over"] == ALL_HEADS], ["model", "phase", "reduction_a", "reduction_b"])
    pairs = list(dict.fromkeys(zip(rows["reduction_a"], rows["reduction_b"], strict=True)))
    cells = [
        [runs.model_label(model), phase, *(estimate(*row_at(averaged, (model, phase, *pair))) for pair in pairs)]
        for model in runs.order("model", rows["model"], "validity_between.csv")
        for phase in PHASES
    ]
    header = ["Model", "State", *(f"{a} and {b}" for a, b in pairs)]
    return Table("reductions", "Agreement of the reductions", header, cells, [False] * 2 + [True] * len(pairs))


def of_models(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means over tasks and seeds, with their intervals, by `keys`; NaN where a part of the mean is undefined."""
    return rows[rows["task"] == ALL].set_index(keys)[list(INTERVAL)].sort_index()
