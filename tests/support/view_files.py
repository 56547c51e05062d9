"""Writes what the view of heads reads, in any size and with seeded random numbers: a run table and pattern folders."""

from pathlib import Path

import numpy as np
import pandas as pd
import pattern_files

from headpatterns.experiment import run_table


def write(
    folder: Path,
    models: tuple[str, ...] = ("big", "small"),
    tasks: tuple[str, ...] = ("gsm8k", "arc", "math"),
    seeds: int = 2,
    steps: tuple[int, ...] = (0, 1, 4, 9),
    shape: tuple[int, int] = (3, 4),
    label: str = "",
) -> Path:
    """Write runs.csv and its patterns below `folder`: samples of both signs, and their mean of absolute values.

    Args:
        folder: created if it does not exist.
        models: names of models; the labels are these names with a capital letter.
        tasks: names of tasks; the labels are these names in capital letters.
        seeds: number of seeds.
        steps: training steps that have patterns.
        shape: layers and heads.
        label: label of the first model, instead of its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    rows = []
    for model in models:
        for task in tasks:
            for seed in range(seeds):
                place = folder / f"patterns/{model}/nlp.{task}.seed{seed}/{task}"
                for step in steps:
                    values = random.normal(0.2, 1, (3, *shape)) * random.lognormal(-4, 1, shape) / (1 + step)
                    pattern_files.save(place, step, values, losses=[1.0, 2.0, 3.0 / (1 + step)])
                    np.save(place / f"step-{step}.npy", np.abs(np.float32(values)).mean(axis=0))
                called = label if label and model == models[0] else model.title()
                rows += [
                    (study, "nlp", model, called, task, task.upper(), "tasks", "basic", seed, f"nlp.{task}.seed{seed}",
                     place)
                    for study in ("adaptation", "dynamics")
                ]  # fmt: skip
    table = folder / "runs.csv"
    pd.DataFrame(rows, columns=run_table.COLUMNS).to_csv(table, index=False)
    return table
