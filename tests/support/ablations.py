"""Writes files in the format of ablate_heads, with seeded random numbers, for tests of the code that reads them."""

import json
from pathlib import Path

import numpy as np

REDUCTIONS = ("abs_of_sum", "sum_of_abs", "abs_per_position")


def write(
    folder: Path,
    seed: int = 0,
    samples: int = 12,
    pattern_samples: int = 10,
    layers: int = 3,
    heads: int = 4,
    draws: int = 4,
    top=(1, 2, 4, 12),
    alike: bool = False,
    training_seed: int = 0,
) -> Path:
    """Write both phases of a run. Patterns predict the changes of the loss, and do so better after fine-tuning.

    Patterns and changes come from different samples with independent noise. They share only the scale of each head.
    With `alike`, all heads have the same scale, so patterns and changes share nothing. The training seed has no effect
    before fine-tuning.
    """
    folder.mkdir(parents=True)
    shape = (layers, heads)
    scale = np.ones(shape) if alike else np.random.default_rng(seed).lognormal(-3, 1, shape)
    for phase, noise, generator in (("before", 1.0, (seed, 1)), ("after", 0.4, (seed, 2, training_seed))):
        random = np.random.default_rng(generator)
        unseen = scale * random.normal(1, 1, (pattern_samples, *shape))
        patterns = np.abs(unseen) * random.lognormal(0, noise, (len(REDUCTIONS), *unseen.shape))
        changes = scale * random.normal(1, 1, (samples, *shape))
        importance = patterns[0].mean(axis=0).ravel()
        orders = [np.argsort(-importance), np.argsort(importance)]
        orders += [random.permutation(importance.size) for _ in range(draws)]
        flat = changes.reshape(samples, -1)
        groups = [[flat[:, order[:k]].sum(axis=1) for k in top] for order in orders]
        save(folder, phase, changes, patterns, np.array(groups), top)
    return folder


def save(folder: Path, phase: str, changes, patterns, groups, top, reduction="abs_of_sum") -> None:
    """Write the four files of a phase."""
    for name, array in (("changes", changes), ("patterns", patterns), ("groups", groups)):
        np.save(folder / f"{phase}.{name}.npy", np.asarray(array, dtype=np.float32))
    about = {
        "reduction": reduction,
        "top": [int(k) for k in top],
        "ids": [f"row-{n}" for n in range(len(changes))],
        "pattern_ids": [f"pattern-row-{n}" for n in range(len(patterns[0]))],
    }
    (folder / f"{phase}.json").write_text(json.dumps(about), encoding="utf-8")
