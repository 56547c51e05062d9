"""The files of activation patterns: one folder for each run and probe set.

    step-{step}.npy          float32 [layers, heads], the mean over the probe samples
    step-{step}.samples.npy  float32 [samples, layers, heads], one pattern a probe sample, in the probe set's order
    step-{step}.json         provenance: model, data, reduction, sample ids, losses, versions, seconds, tokens

Step 0 is the model that the run started from; the largest step is the fine-tuned model.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from headpatterns.attribution.patterns import Patterns
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, remove, write_json

SUFFIXES = (".npy", ".samples.npy", ".json")
"""Of the files of one step."""

STEP_FILE = re.compile(r"step-(\d+)\.samples\.npy")


def steps(folder: Path) -> list[int]:
    """Steps whose per-sample patterns lie in `folder`, ascending.

    Raises:
        InputError: the folder holds no pattern.
    """
    found = sorted(int(match[1]) for path in Path(folder).glob("*.npy") if (match := STEP_FILE.fullmatch(path.name)))
    if not found:
        raise InputError(f"{folder} holds no activation pattern (step-*.samples.npy): run the rule extract_patterns.")
    return found


def before_to_after(folder: Path) -> list[int]:
    """Like `steps`, of a folder that has the patterns before (step 0) and after fine-tuning.

    Raises:
        InputError: it lacks one of them.
    """
    found = steps(folder)
    if found[0] != 0 or len(found) < 2:
        raise InputError(f"{folder} lacks the patterns before (step 0) or after fine-tuning: remove it and run again.")
    return found


def load_samples(folder: Path, step: int) -> Float32[np.ndarray, "samples layers heads"]:
    """Per-sample patterns of one step: float32 [samples, layers, heads]."""
    values: Float32[np.ndarray, "samples layers heads"] = np.load(Path(folder) / f"step-{step}.samples.npy")
    return values


def write(output: Path, patterns: Patterns, about: dict[str, Any]) -> None:
    """Write the mean to `output` (.npy), and beside it the patterns themselves and their provenance."""
    # The JSON is removed first and written last: where it lies, the arrays beside it are whole and belong to it.
    remove(output.with_suffix(".json"))
    for path, array in {output.with_suffix(".samples.npy"): patterns.values, output: patterns.mean}.items():
        with atomic_path(path) as temporary:
            np.save(temporary, array)
    write_json(output.with_suffix(".json"), about)
