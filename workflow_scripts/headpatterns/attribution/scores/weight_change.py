"""How far fine-tuning has moved the weights of a head: the Frobenius norm of the change of its slices.

The slices are those of W_Q, W_K, W_V and W_O, with the biases of the first three. Query heads that share a key/value
head share its slices, which count in full for each. Architectures whose weights are not known to be split by head are
left out by name.
"""

from typing import Any

from headpatterns.attribution.scores.score import Given, NotAvailableError, Score


def weight_change(given: Given) -> Any:
    """‖ΔW‖ of every head, [layers, heads]."""
    from headpatterns.models import loading
    from headpatterns.models.head_slices import change, known_slices

    if given.before is None:
        raise NotAvailableError("it compares a model with the model before fine-tuning")
    found = known_slices(given.model)
    if found is None:
        name = type(given.model).__name__
        raise NotAvailableError(f"it is unknown how {name} divides the weights of its attention among heads")
    before, after = (dict(model.named_parameters()) for model in (given.before(), given.model))
    return change(before, after, found, loading.heads_of(given.model)[1])


SCORE = Score(label="weight change ‖ΔW‖", of_model=weight_change, of_change=True)
