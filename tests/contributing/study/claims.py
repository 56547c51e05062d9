"""What is said of the levels, held against the numbers of the analysis."""

from pathlib import Path

import numpy as np

from headpatterns.io import read_csv
from headpatterns.studies.claims import Claim, Interval, interval_of, judged


def level_claims(levels: Path) -> list[Claim]:
    """Levels rise in most runs, from levels.csv.

    The value is the share of runs whose level rises. The lower end counts those whose interval lies wholly above 0, the
    upper end all but those whose interval lies wholly below.
    """
    changes: dict[str, list[Interval]] = {}
    for row in read_csv(levels, ("model", "state", "value", "low", "high")):
        if row["state"] == "change":
            changes.setdefault(row["model"], []).append(interval_of(row))
    claims = []
    for model, found in changes.items():
        value, low, high = np.array(found).T
        share = (float(np.mean(value > 0)), float(np.mean(low > 0)), float(1 - np.mean(high < 0)))
        statement = "The mean activation level rises in more than half of the runs (share)."
        claims.append(judged("levels_rise", "Levels", statement, model, share, bound=0.5, above=True))
    return claims
