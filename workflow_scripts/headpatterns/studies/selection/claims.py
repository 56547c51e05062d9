"""What the paper says of Table 3, held against the numbers of the analysis."""

from pathlib import Path

from headpatterns.experiment.variants import ALL_DOMAINS
from headpatterns.io import read_csv
from headpatterns.studies.claims import Claim, gains


def selection_claims(differences: Path) -> list[Claim]:
    """Table 3: samples chosen by their patterns beat random ones and none, from selection_differences.csv."""
    statements = {
        ("pattern", "random"): (
            "selection_beats_random",
            "Training samples selected by their activation patterns beat random ones",
        ),
        ("pattern", "base"): (
            "selection_beats_base",
            "Training on samples selected by their activation patterns beats the base model",
        ),
    }
    rows = read_csv(differences, ("model", "domain", "budget", "better", "worse", "value", "low", "high"))
    means = [(row, f"{row['budget']} samples, mean over domains, ") for row in rows if row["domain"] == ALL_DOMAINS]
    return gains("Table 3", statements, means)
