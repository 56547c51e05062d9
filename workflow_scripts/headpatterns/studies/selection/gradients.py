"""The inputs of LESS: the samples that adapters warm up on, and the stored gradient features of pools and targets.

`attribution.less` computes the features. Adapters are trained on a draw of the samples that are in the pools of all
domains. So no domain's target is trained on, and one warm-up serves all domains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from jaxtyping import Float32

from headpatterns import provenance
from headpatterns.data import training_sets
from headpatterns.data.splitting import rank
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.io import read_json, write_json
from headpatterns.studies.selection.candidates import AGAIN

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from headpatterns.training.recipe import Recipe

NAME = "less"
POOL, TARGETS = "probe", "train"
"""Names of the files that hold the samples of pools and of targets."""


@dataclass(frozen=True)
class Order:
    """The samples that LESS takes gradients of, and the settings.

    Attributes:
        pools: CSV of the pool of every domain.
        targets: CSV of the pseudo-private samples of every domain.
        warm_up: share, for the warm-up, of the samples that are in all pools.
        recipe: recipe of the warm-up.
        dimension: dimension of the features.
    """

    pools: Sequence[Path]
    targets: Sequence[Path]
    warm_up: float
    recipe: "Recipe"
    dimension: int

    @classmethod
    def of(cls, settings: Mapping[str, Any], pools: Sequence[Path], targets: Sequence[Path]) -> Self:
        """From the keys of `studies.selection.less`.

        Raises:
            InputError: a key is missing or unknown.
        """
        from headpatterns.training.recipe import Lora, Recipe

        try:
            own = dict(settings)
            lora = dict(own.pop("lora"))
            if lora.get("target_modules", "all-linear") != "all-linear":
                lora["target_modules"] = tuple(lora["target_modules"])
            size = own.pop("batch_size")
            warm_up, dimension = own.pop("warm_up"), own.pop("dimension")
            recipe = Recipe(lora=Lora(**lora), per_device_batch_size=size, global_batch_size=size, **own)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"--less lacks a key or has an unknown one ({error}): give the keys of studies.selection.less."
            ) from None
        return cls(pools, targets, warm_up, recipe, dimension)


@dataclass(frozen=True)
class Samples:
    """Samples of each kind, in the order of their files."""

    warm_up: list[TokenizedSample]
    pool: list[TokenizedSample]
    targets: list[TokenizedSample]


def chosen(order: Order, samples: Mapping[str, Sequence[TokenizedSample]]) -> Samples:
    """The training samples of the warm-up and the samples for gradients, chosen from the files by name.

    Raises:
        InputError: a list cannot be used, no sample is left to train on, or none of a pool or target.
    """
    pools, targets = ([{id for _, id in training_sets.read(path)} for path in paths]
                      for paths in (order.pools, order.targets))  # fmt: skip
    shared = [one for one in samples[POOL] if all(one.id in pool for pool in pools)]
    count = round(order.warm_up * len(shared))
    if not count:
        raise InputError(
            f"studies.selection.less.warm_up is {order.warm_up:g}, which selects none of the {len(shared)} "
            f"samples that all pools have ({order.pools[0]} and others): raise it."
        )
    warm_up = sorted(shared, key=lambda one: rank(order.recipe.seed, f"{NAME} {one.id}"))[:count]
    found = [[one for one in samples[name] if any(one.id in ids for ids in listed)]
             for name, listed in ((POOL, pools), (TARGETS, targets))]  # fmt: skip
    for paths, some in zip((order.pools, order.targets), found, strict=True):
        if not some:
            raise InputError(f"{paths[0]} lists no sample with a gradient for LESS: split the domain again.")
    return Samples(warm_up, *found)


def check(order: Order, model: "PreTrainedModel") -> None:
    """Refuse adapters that do not fit the model, before anything is read with it.

    Raises:
        InputError: as `attribution.less.check`.
    """
    from headpatterns.attribution import less

    less.check(model, order.recipe, order.dimension)


def write(order: Order, samples: Samples, model: "PreTrainedModel", folder: Path) -> None:
    """Write NAME.less.npy for pools and targets, and less.json, which describes them.

    Raises:
        InputError: as `attribution.less.features`.
    """
    from headpatterns.attribution import less

    pool, targets = {POOL: samples.pool}, {TARGETS: samples.targets}
    found = less.features(model, samples.warm_up, pool, targets, order.recipe, order.dimension)
    for name, values in found.features.items():
        np.save(folder / f"{name}.{NAME}.npy", values)
    about = {
        "ids": {name: [one.id for one in some] for name, some in {**pool, **targets}.items()},
        "warm_up": [one.id for one in samples.warm_up],
        "recipe": order.recipe.stated(),
        "learning_rates": found.learning_rates,
        "weights": found.weights,
        "seconds": found.seconds,
        **provenance.environment(),
    }
    write_json(folder / f"{NAME}.json", about)


@dataclass(frozen=True)
class Gradients:
    """Features of samples.

    Attributes:
        path: path of the description.
        ids: ids of the samples.
        values: [checkpoints, samples, dimension], rows of norm 1.
        learning_rates: learning rates at the checkpoints.
    """

    path: Path
    ids: list[str]
    values: Float32[np.ndarray, "checkpoints samples dimension"]
    learning_rates: list[float]

    def of(self, ids: Sequence[str]) -> Float32[np.ndarray, "checkpoints some dimension"]:
        """The features of some samples, in the given order.

        Raises:
            InputError: a sample is missing.
        """
        places = {id: place for place, id in enumerate(self.ids)}
        if lacking := next((id for id in ids if id not in places), None):
            raise InputError(f"{self.path} lacks the sample {lacking}: {AGAIN}.")
        return self.values[:, [places[id] for id in ids]]


def load(folder: Path, name: str) -> Gradients:
    """The features that `write` has stored for pools (`POOL`) or targets (`TARGETS`).

    Raises:
        InputError: they are missing, or their parts do not fit each other.
    """
    path = folder / f"{NAME}.json"
    try:
        about = read_json(path)
        ids, rates = list(about["ids"][name]), list(about["learning_rates"])
        values = np.load(folder / f"{name}.{NAME}.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise InputError(f"{path} and its arrays cannot be read ({error}): {AGAIN}.") from None
    if values.shape[:2] != (len(rates), len(ids)):
        raise InputError(f"{path} and {name}.{NAME}.npy have different numbers of samples: {AGAIN}.")
    return Gradients(path, ids, values, rates)
