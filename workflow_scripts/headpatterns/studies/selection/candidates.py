"""Features of candidates under the base model other than patterns, as written by `features`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from headpatterns.errors import InputError
from headpatterns.io import read_json

STATES, ALONE = "states", "alone"
"""Names of the stored features: hidden states, and losses of responses without their prompts."""

AGAIN = "run the rule read_candidates again"


@dataclass(frozen=True)
class Features:
    """Features of the samples of a file under a model.

    Attributes:
        path: path of the description.
        ids: ids of the samples.
        states: [samples, width], mean of the last hidden states; later positions have larger weights.
        alone: [samples], loss of the response without its prompt, nats per token.
    """

    path: Path
    ids: list[str]
    states: Float32[np.ndarray, "samples width"]
    alone: Float64[np.ndarray, " samples"]

    def of(self, ids: Sequence[str]) -> "Features":
        """The features of some samples, in the given order.

        Raises:
            InputError: a sample is missing.
        """
        places = {id: place for place, id in enumerate(self.ids)}
        if lacking := next((id for id in ids if id not in places), None):
            raise InputError(f"{self.path} lacks the sample {lacking}: {AGAIN}.")
        rows = [places[id] for id in ids]
        return Features(self.path, list(ids), self.states[rows], self.alone[rows])


def load(folder: Path, name: str) -> Features:
    """The features that `write` has stored for a file.

    Raises:
        InputError: they are missing, or their parts have different samples.
    """
    path = folder / f"{name}.json"
    try:
        ids = list(read_json(path)["ids"])
        states, alone = (np.load(folder / f"{name}.{part}.npy", allow_pickle=False) for part in (STATES, ALONE))
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{path} and its arrays cannot be read ({error}): {AGAIN}.") from None
    if not len(ids) == len(states) == len(alone):
        raise InputError(f"{path} and its arrays have different numbers of samples: {AGAIN}.")
    return Features(path, ids, states, alone)
