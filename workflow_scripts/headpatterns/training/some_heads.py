"""Training of only the weights of some heads: all other weights keep their values from before the run.

The weights of a head are its slices (`head_slices`). If a parameter also has slices of other heads, its gradient is
masked before it is clipped. The values of the other slices are restored after each step, because weight decay changes
them. Samples, order, optimizer and schedule are the same as in training of all weights.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from transformers import PreTrainedModel, TrainerCallback

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.models import loading as models
from headpatterns.models.head_slices import slices
from headpatterns.training.recipe import Recipe

Heads = Bool[np.ndarray, "layers heads"]

COLUMNS = ("layer", "head")
"""Columns of the file that names the heads of a run."""


def check(recipe: Recipe) -> None:
    """Refuse recipes with which the gradients of single weights cannot be masked.

    Raises:
        InputError: naming the key.
    """
    if recipe.lora is not None:
        raise InputError("the weights of heads cannot be trained alone with adapters: leave recipe.lora out.")
    if recipe.engine != "pytorch" or recipe.devices > 1:
        raise InputError(
            f"the weights of heads are trained alone by engine pytorch on one device, but the recipe has engine "
            f"{recipe.engine} and {recipe.devices} devices: set recipe.engine to pytorch and recipe.devices to 1."
        )


def read(path: Path, model: PreTrainedModel) -> Heads:
    """The heads that a file names, [layers, heads].

    Raises:
        InputError: it cannot be read, names no head, a head twice, or a head that the model does not have.
    """
    layers, heads = models.heads_of(model)
    chosen = np.zeros((layers, heads), dtype=bool)
    for number, row in enumerate(read_csv(path, COLUMNS), start=1):
        where = f"{path}, row {number}"
        if not (row["layer"].isdecimal() and row["head"].isdecimal()):
            raise InputError(f"{where} is no layer and head: give two numbers, which start at 0.")
        place = int(row["layer"]), int(row["head"])
        if place[0] >= layers or place[1] >= heads:
            raise InputError(
                f"{where} names head {place[1]} of layer {place[0]}, but the model has {layers} layers of {heads} "
                "heads, which start at 0: choose the heads again."
            )
        if chosen[place]:
            raise InputError(f"{where} names head {place[1]} of layer {place[0]} a second time: remove it.")
        chosen[place] = True
    if not chosen.any():
        raise InputError(f"{path} names no head: give one a row.")
    return chosen


def taken_of(model: PreTrainedModel, heads: Heads) -> dict[str, torch.Tensor]:
    """Masks of the values of each parameter that belong to some heads, by its name; they broadcast to its shape.

    Parameters without such values are left out.

    Raises:
        InputError: it is not known which weights belong to a head.
    """
    parameters = dict(model.named_parameters())
    found: dict[str, torch.Tensor] = {}
    for one in slices(model):
        parameter, places = parameters[one.name], one.taken(heads)
        if not len(places):
            continue
        shape = [1] * parameter.dim()
        shape[one.axis] = parameter.shape[one.axis]
        mask = torch.zeros(shape, dtype=torch.bool)
        mask = mask.index_fill_(one.axis, torch.as_tensor(places), True).to(parameter.device)
        found[one.name] = found[one.name] | mask if one.name in found else mask
    return found


class Restriction(TrainerCallback):
    """Restricts training to the weights of some heads of a model."""

    def __init__(self, model: PreTrainedModel, heads: Heads, recipe: Recipe) -> None:
        """Freeze all parameters without weights of the heads, and mask the gradients of the others.

        Raises:
            InputError: the recipe cannot train only heads, or it is not known which weights belong to a head.
        """
        check(recipe)
        self.taken = taken_of(model, heads)
        self.parameters = {name: value for name, value in model.named_parameters() if name in self.taken}
        self.before = {name: value.detach().clone() for name, value in self.parameters.items()}
        model.requires_grad_(False)
        for name, parameter in self.parameters.items():
            parameter.requires_grad_()
            parameter.register_post_accumulate_grad_hook(_masking(self.taken[name]))

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Restore the values that belong to no trained head."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(torch.where(self.taken[name], parameter, self.before[name]))


def _masking(taken: torch.Tensor) -> Any:
    """A hook that sets the gradient of a parameter to zero outside of the trained values."""
    others = ~taken

    def mask(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        parameter.grad.masked_fill_(others, 0)

    return mask
