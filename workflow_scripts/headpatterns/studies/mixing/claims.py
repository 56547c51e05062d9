"""What the paper says of Table 2, held against the numbers of the analysis."""

from pathlib import Path

from headpatterns.io import read_csv
from headpatterns.studies.claims import Claim, gains


def mixing_claims(differences: Path) -> list[Claim]:
    """Table 2: training on a mixture of basic tasks first beats not doing so, from mixing_differences.csv."""
    statements = {
        ("ours", "sft"): (
            "mixing_beats_target_alone",
            "Mixing basic tasks by their coefficients before the target task beats training on the target task alone",
        ),
        ("ours", "random"): (
            "mixing_beats_random",
            "Mixing basic tasks by their coefficients beats the mean of random mixtures of the same tasks",
        ),
        ("sft", "base"): ("target_beats_base", "Training on the target task beats the base model"),
    }
    rows = read_csv(differences, ("model", "better", "worse", "value", "low", "high"))
    return gains("Table 2", statements, [(row, "") for row in rows])
