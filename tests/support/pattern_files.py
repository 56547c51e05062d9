"""Writes arrays as pattern files in the format of extract_patterns, for tests of the code that reads them."""

import json
from pathlib import Path

import numpy as np


def save(folder: Path, step: int, values, reduction="abs_of_sum", also=None, **changed) -> Path:
    """Write one step of a folder of patterns: `values` [samples, layers, heads], signed if the reduction is.

    Args:
        folder: created if it does not exist.
        step: the training step of the model.
        values: the values of `reduction`.
        reduction: the reduction of Eq. 2.
        also: the values of further reductions.
        changed: keys of the JSON file that replace the default ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {reduction: values, **(also or {})}
    for name, array in arrays.items():
        suffix = "" if name == reduction else f".{name}"
        np.save(folder / f"step-{step}{suffix}.samples.npy", np.asarray(array, dtype=np.float32))
    count = len(values)
    about = {
        "reduction": reduction,
        "also": list(also or {}),
        "signed": [name for name in arrays if name == "abs_of_sum"],
        "ids": [f"s{n}" for n in range(count)],
        "losses": [1.0] * count,
        "response_tokens": [2] * count,
        **changed,
    }
    (folder / f"step-{step}.json").write_text(json.dumps(about))
    return folder
