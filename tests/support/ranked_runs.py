"""Writes a run from which heads can be ranked: its checkpoint, its rows, their patterns and ablations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pattern_files
import trained_models


def options(folder: Path, model: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write such a run for a model of 3 × 6 heads and 12 rows; returns options of the commands that choose heads."""
    run = trained_models.write(folder / "run", model)
    data = folder / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    random = np.random.default_rng(0)
    ids = [row["id"] for row in rows]
    for step in (0, 3):
        pattern_files.save(folder / "patterns", step, random.lognormal(size=(12, 3, 6)), ids=ids)
    ablations = folder / "ablations"
    ablations.mkdir()
    np.save(ablations / "after.changes.npy", random.normal(size=(12, 3, 6)).astype(np.float32))
    (ablations / "after.json").write_text(json.dumps({"ids": ids}))
    return {
        **{"model": model, "run": [run], "data": [data], "patterns": [folder / "patterns"], "ablations": [ablations]},
        **{"samples": 4, "draws": 2, "ranking": ["change", "pattern", "effect", "weights"], "max_length": 256},
    }
