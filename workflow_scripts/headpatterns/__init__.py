"""Attention head activation patterns of language models before, during and after supervised fine-tuning.

The rooms of the package, in the order in which data passes through them:

    experiment          what a config means: its keys, its runs, and where everything lies
    data                raw rows of any dataset to instructions, tokens and training sets; adapters; embedded
    models, training    models from a folder; training them
    attribution         activation patterns of a model (Eq. 2), ablation and scores of its heads
    evaluation          answers of a model through OpenCompass
    statistics          numbers from patterns and answers
    studies             one folder a study: its settings, numbers, figures, tables, claims and section of the report
    presentation        how every figure and table looks
    report              the page
    comparison          two checkpoints side by side, with no workflow around them
    processes, cluster  several processes, GPUs and Slurm
    planning            what an experiment will cost

Importing one never imports a heavier one: only `training`, `attribution` and what both
take, `models.token_losses`, import torch.
The names of `__all__` are found here too, and import what they need when they are asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headpatterns.attribution import REDUCTIONS, Check, Patterns, activation_patterns, check_model
    from headpatterns.comparison.comparing import Comparison, compare

OF_COMPARISON = ("Comparison", "compare")
__all__ = ["REDUCTIONS", "Check", "Comparison", "Patterns", "activation_patterns", "check_model", "compare"]

__version__ = "0.10.0"
"""The version, here alone: the build reads it, and a test compares CITATION.cff and CHANGELOG.md with it."""


def __getattr__(name: str) -> Any:
    """A name of `headpatterns.attribution` or `headpatterns.comparison`."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    room = "comparison.comparing" if name in OF_COMPARISON else "attribution"
    return getattr(importlib.import_module(f"{__name__}.{room}"), name)


def __dir__() -> list[str]:
    """What the module has, these names included."""
    return sorted({*globals(), *__all__})
