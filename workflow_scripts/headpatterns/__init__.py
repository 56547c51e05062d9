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
    api                 what else can be asked of models and files of patterns, with no workflow around it
    commands            the command line `headpatterns`
    processes, cluster  several processes, GPUs and Slurm
    planning            what an experiment will cost

Importing one never imports a heavier one: only `training`, `attribution` and what both
take, `models.token_losses`, import torch.
The names of `__all__` and of what they give back are found here too, and import what they need when they are asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headpatterns.api.ablating import Ablation as Ablation
    from headpatterns.api.ablating import ablate
    from headpatterns.api.extracting import patterns
    from headpatterns.api.measuring import concentration, similarity
    from headpatterns.api.selecting import Selection as Selection
    from headpatterns.api.selecting import select
    from headpatterns.api.stored import StoredPatterns as StoredPatterns
    from headpatterns.api.stored import load_patterns
    from headpatterns.attribution.check import Check as Check
    from headpatterns.attribution.check import check_model
    from headpatterns.attribution.extraction import activation_patterns
    from headpatterns.attribution.patterns import REDUCTIONS as REDUCTIONS
    from headpatterns.attribution.patterns import Patterns as Patterns
    from headpatterns.comparison.comparing import Comparison as Comparison
    from headpatterns.comparison.comparing import compare
    from headpatterns.data.sample import show_sample
    from headpatterns.errors import InputError as InputError

__all__ = [
    "ablate",
    "activation_patterns",
    "check_model",
    "compare",
    "concentration",
    "load_patterns",
    "patterns",
    "select",
    "show_sample",
    "similarity",
]

MODULES = {
    "ablate": "api.ablating",
    "activation_patterns": "attribution.extraction",
    "check_model": "attribution.check",
    "compare": "comparison.comparing",
    "concentration": "api.measuring",
    "load_patterns": "api.stored",
    "patterns": "api.extracting",
    "select": "api.selecting",
    "show_sample": "data.sample",
    "similarity": "api.measuring",
    # What they give back, take and raise.
    "Ablation": "api.ablating",
    "Check": "attribution.check",
    "Comparison": "comparison.comparing",
    "InputError": "errors",
    "Patterns": "attribution.patterns",
    "REDUCTIONS": "attribution.patterns",
    "Selection": "api.selecting",
    "StoredPatterns": "api.stored",
}
"""Where each name is defined."""

OF_MODELS = ("activation_patterns", "check_model", "Check")
"""Names whose module imports torch."""

__version__ = "0.13.0"
"""The version, here alone: the build reads it, and a test compares CITATION.cff and CHANGELOG.md with it."""


if not TYPE_CHECKING:  # or a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        """A name of `MODULES`.

        Raises:
            AttributeError: it is no such name.
            ImportError: its module needs an extra that is not installed.
        """
        if name not in MODULES:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        if name in OF_MODELS:
            from headpatterns import errors, extras

            try:
                extras.need(f"headpatterns.{name}", "models")
            except errors.InputError as error:
                raise ImportError(str(error), name=__name__) from None
        return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    """What the module has, these names included."""
    return sorted({*globals(), *MODULES})
