"""Files of patterns, read into arrays: the files of one extraction, or of one step of a folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int

from headpatterns.attribution import files
from headpatterns.attribution.patterns import Patterns
from headpatterns.errors import InputError


@dataclass(frozen=True)
class StoredPatterns:
    """The result of `load_patterns`; rows are in the order of the probe set.

    Attributes:
        path: of the JSON file with the provenance of the patterns.
        ids: of the samples.
        response_tokens: [samples], tokens over which each loss is the mean.
        layers: numbers of the layers in the model; layers of a hybrid without attention are left out.
        patterns: the arrays, by reduction.
    """

    path: Path
    ids: list[str]
    response_tokens: Int[np.ndarray, " samples"]
    layers: list[int]
    patterns: Patterns

    @property
    def values(self) -> Float32[np.ndarray, "samples layers heads"]:
        """Levels of every sample, not negative: float32 [samples, layers, heads]."""
        return self.patterns.values

    @property
    def mean(self) -> Float32[np.ndarray, "layers heads"]:
        """The activation pattern (Eq. 2), the mean over samples: float32 [layers, heads]."""
        return self.patterns.mean

    @property
    def losses(self) -> Float64[np.ndarray, " samples"]:
        """Mean negative log-likelihood of the response tokens of every sample (nats per token): float64 [samples]."""
        return self.patterns.losses


def load_patterns(path: str | Path, step: int | None = None) -> StoredPatterns:
    """Read patterns that `patterns`, `compare` or the workflow have written; torch is not needed.

    Args:
        path: OUT.npy, or a folder with step-*.json.
        step: step in a folder, 0 for the model that a run started from; it may be left out if there is only one.

    Returns:
        All extracted reductions, with their sign if it was stored.

    Raises:
        InputError: the file or step does not exist, patterns have an earlier format, or an array is incomplete or not
            finite.
    """
    found = files.described(_description(Path(path), step))
    sums = {reduction: files.load_stored(found, reduction) for reduction in (found.reduction, *found.also)}
    layers = found.layer_numbers or list(range(sums[found.reduction].shape[1]))
    return StoredPatterns(found.path, found.ids, found.response_tokens, layers, Patterns(sums, found.losses))


def _description(path: Path, step: int | None) -> Path:
    """The JSON file of one extraction.

    Raises:
        InputError: there is none, or several without a step.
    """
    if path.is_dir():
        known = files.steps(path)
        if step is None and len(known) > 1:
            raise InputError(f"{path} has the steps {', '.join(map(str, known))}: name one of them (step).")
        if step is not None and step not in known:
            raise InputError(f"{path} has no step {step}: name one of {', '.join(map(str, known))}.")
        return path / f"step-{known[0] if step is None else step}.json"
    if step is not None:
        raise InputError(f"{path} is not a folder, so it has no steps: leave step out.")
    found = path.with_name(path.name.removesuffix(".npy").removesuffix(".samples").removesuffix(".json") + ".json")
    if not found.is_file():
        raise InputError(
            f"{path} is neither a folder of patterns nor a file of patterns with {found.name} in the same folder: "
            "fix the path."
        )
    return found
