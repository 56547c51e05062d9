"""Attention head activation patterns of language models before, during and after supervised fine-tuning.

The rooms of the package, in the order in which data passes through them:

    embedded                     raw files and pretraining text of the embedded experiment
    instructions                 raw rows of any dataset to instructions
    tokenization, samples        instructions to token ids
    models, training             models from a folder; training them; checkpoints: where a run keeps them
    attribution                  activation patterns of a model (Eq. 2); patterns: their files
    run_table, tidy              which patterns belong to which study; tables as CSV; training_sets: lists of samples
    statistics, composition      numbers from patterns
    mixing, selection            training sets from patterns: mixtures of tasks, samples of a pool (Eq. 3 to 5); leakage
    evaluation                   answers of a model through OpenCompass; evaluations: accuracies from them
    claims                       the paper's statements held against the numbers
    plotting, tables, reporting  figures, tables and the report from those numbers

Importing one never imports another that is heavier than itself: only `training` and `attribution` import torch.
`activation_patterns` and what belongs to it are found here too, and import it when they are asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headpatterns.attribution import REDUCTIONS, Patterns, activation_patterns

__all__ = ["REDUCTIONS", "Patterns", "activation_patterns"]

__version__ = "0.4.0"
"""The version, here alone: the build reads it, and a test compares CITATION.cff and CHANGELOG.md with it."""


def __getattr__(name: str) -> Any:
    """A name of `headpatterns.attribution`."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from headpatterns import attribution

    return getattr(attribution, name)


def __dir__() -> list[str]:
    """What the module has, these names included."""
    return sorted({*globals(), *__all__})
