"""What is said of the layers, held against the numbers of the analysis."""

from pathlib import Path

from headpatterns.io import read_csv
from headpatterns.studies.claims import Claim, Interval, interval_of, judged


def layer_claims(layers: Path) -> list[Claim]:
    """The level rises more in the last layer than in the first, from layers.csv.

    The ends of both intervals that favour the statement least and most are combined.
    """
    changes: dict[str, list[tuple[int, Interval]]] = {}
    for row in read_csv(layers, ("model", "state", "layer", "value", "low", "high")):
        if row["state"] == "change":
            changes.setdefault(row["model"], []).append((int(row["layer"]), interval_of(row)))
    claims = []
    for model, found in changes.items():
        (_, first), (_, last) = min(found), max(found)
        difference = (last[0] - first[0], last[1] - first[2], last[2] - first[1])
        statement = "The level rises more in the last layer than in the first (difference of the changes)."
        claims.append(judged("last_layer_rises_more", "Layers", statement, model, difference, bound=0, above=True))
    return claims
