"""The checkpoints of a run, as `headpatterns.training` writes them; reading where they lie needs no torch."""

from pathlib import Path

from headpatterns.errors import InputError
from headpatterns.io import read_json


def checkpoints(run: Path) -> dict[int, Path]:
    """Folders of a run's checkpoints by step, ascending: the intermediate ones and the final one.

    Raises:
        InputError: the folder holds no complete run.
    """
    if not (run / "run.json").is_file():
        raise InputError(f"{run} has no run.json: give the folder of a finished run.")
    *intermediate, last = read_json(run / "run.json")["steps"]
    return {step: run / "intermediate" / f"step-{step}" for step in intermediate} | {last: run / "final"}
