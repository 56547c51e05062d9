"""Attention head activation patterns of language models before, during and after supervised fine-tuning.

The subpackages, in the order in which data pass through them:

    experiment          the meaning of a config: its keys, its runs, and the paths of all files
    data                raw rows of any dataset to instructions, tokens and training sets; adapters; embedded data
    models, training    loading models from a folder, and training them
    attribution         activation patterns of a model (Eq. 2), ablation and scores of its heads
    evaluation          answers of a model with OpenCompass
    statistics          numbers from patterns and answers
    studies             one folder per study: its settings, numbers, figures, tables, claims and section of the report
    presentation        the look of all figures and tables
    report              the page
    comparison          two checkpoints side by side, outside the workflow
    api                 other functions for models and files of patterns, outside the workflow
    commands            the command line `headpatterns`
    processes, cluster  several processes, GPUs and Slurm
    planning            the estimated costs of an experiment

Importing one of them never imports a larger one: only `training`, `attribution` and the module that both use,
`models.token_losses`, import torch. The names of `__all__`, and the types that they return, are available here too.
They are imported on first use.
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
    # Types that they return, take and raise.
    "Ablation": "api.ablating",
    "Check": "attribution.check",
    "Comparison": "comparison.comparing",
    "InputError": "errors",
    "Patterns": "attribution.patterns",
    "REDUCTIONS": "attribution.patterns",
    "Selection": "api.selecting",
    "StoredPatterns": "api.stored",
}
"""The module that defines each name."""

OF_MODELS = ("activation_patterns", "check_model", "Check")
"""Names whose module imports torch."""

__version__ = "0.13.0"
"""The version, defined only here: the build reads it, and a test compares CITATION.cff and CHANGELOG.md with it."""


if not TYPE_CHECKING:  # otherwise a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """A name of `MODULES`.

        Raises:
            AttributeError: there is no such name.
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
    """The names of the module, including those of `MODULES`."""
    return sorted({*globals(), *MODULES})
