"""The views of Tables 2 and 3: scores of all variants with their intervals."""

from collections.abc import Mapping, Sequence

import pandas as pd

from headpatterns.presentation.views import (
    Chart,
    Control,
    Interactive,
    Options,
    Spec,
    chosen,
    number,
    parameters,
    rounded,
    select,
    text,
    with_intervals,
    word,
)
from headpatterns.studies.accuracies import NUMBERS, SHOWN, TITLES, unique


def show(
    name: str, title: str, table: pd.DataFrame, variants: Mapping[str, str], more: Mapping[str, tuple[str, Options]]
) -> Interactive:
    """Scores of one table.

    Args:
        name: prefix of the ids of its elements.
        title: its heading.
        table: rows of the table, with texts and `NUMBERS`.
        variants: labels of the variants, in their order.
        more: further choices by column: their labels and options.
    """
    measures = [(measure, TITLES[measure]) for measure in unique(table["measure"])]
    controls = [
        select(f"{name}-measure", "Score", measures),
        *(select(f"{name}-{column}", label, options) for column, (label, options) in more.items()),
    ]
    order = [label for variant, label in variants.items() if variant in set(table["variant"])]
    rows = []
    for row in table[table["value"].notna()].to_dict("records"):
        texts = {"model": row["model_label"], "variant": variants[row["variant"]]}
        factor = SHOWN[row["measure"]][0]
        numbers = {column: rounded(factor * row[column]) for column in NUMBERS}
        rows.append({**{column: row[column] for column in ("measure", *more)}, **texts, **numbers})
    chart = scores(name, title, controls, list(more), order)
    return Interactive(title, controls, [chart], {"scores": rows}, (name,), (f"tables/{name}.csv",))


def scores(name: str, title: str, controls: Sequence[Control], more: Sequence[str], order: Sequence[str]) -> Chart:
    """A point with its interval for each variant and model; accuracies are percentages."""
    x: Spec = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    y: Spec = {
        "y": {"field": "variant", "type": "nominal", "title": None, "sort": list(order)},
        "yOffset": {"field": "model", "type": "nominal"},
    }
    colour: Spec = {"field": "model", "type": "nominal", "title": None}
    said = [word("model", "model"), word("variant", "variant"), number("value", "score"), number("low", "from"),
            number("high", "to"), number("spread", "standard deviation over seeds and draws")]  # fmt: skip
    spec: Spec = {
        "data": {"name": "scores"},
        "width": "container",
        "height": {"step": 34, "for": "position"},
        "params": [*parameters(controls), {"name": "titles", "value": TITLES}],
        "title": {"text": title, "subtitle": text("titles[measure]")},
        "transform": [{"filter": chosen("measure", *more)}],
        "layer": with_intervals(x, y, colour, said),
    }
    return Chart(f"{name}-scores", f"{title}: dot chart of the score of each variant, with intervals", spec)
