"""The files of activation patterns: one folder for each run and probe set.

    step-{step}.npy                      float32 [layers, heads], the mean of absolute values over the probe samples
    step-{step}.samples.npy              float32 [samples, layers, heads], in the order of the probe set
    step-{step}.{reduction}.samples.npy  the same in each further reduction, from the same passes
    step-{step}.json                     provenance: model, data, `reduction` of the first two, `also` (the further
                                         ones), `signed`, versions, seconds, tokens; and lists of the samples' ids,
                                         losses and response_tokens

Values of samples are stored as `reductions.sums` gives them. Those of reductions in `signed` keep their sign, and
readers take the absolute value. Step 0 is the model that the run started from; the largest step is the fine-tuned
model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int

from headpatterns.attribution.patterns import REDUCTIONS, SIGNED, Patterns
from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path, read_json, remove, write_json

STEP_FILE = re.compile(r"step-(\d+)\.samples\.npy")

AGAIN = "remove the folder and run the rule extract_patterns again"
"""The fix of a folder that cannot be used."""


@dataclass(frozen=True)
class About:
    """The part of the provenance of one step that is needed to read its patterns.

    Attributes:
        path: of the JSON file.
        reduction: of `step-{step}.samples.npy`.
        also: the further reductions.
        ids: of the samples.
        losses: float64 [samples], mean negative log-likelihood of the response tokens (nats).
        response_tokens: [samples], tokens over which the loss is the mean.
        layer_numbers: number in the model of each layer of the patterns; None if these are 0, 1, 2, and so on.
    """

    path: Path
    reduction: str
    also: tuple[str, ...]
    ids: list[str]
    losses: Float64[np.ndarray, " samples"]
    response_tokens: Int[np.ndarray, " samples"]
    layer_numbers: list[int] | None = None

    def samples_file(self, reduction: str | None = None) -> Path:
        """The file of the array of a reduction, by default the first.

        Raises:
            InputError: it was not extracted.
        """
        if reduction in (None, self.reduction):
            return self.path.with_suffix(".samples.npy")
        if reduction not in self.also:
            raise InputError(
                f"{self.path.parent} has no patterns in the reduction {reduction} (it has "
                f"{', '.join((self.reduction, *self.also))}): add it to the config key patterns.also."
            )
        return self.path.with_suffix(f".{reduction}.samples.npy")


def suffixes(also: Sequence[str]) -> list[str]:
    """Suffixes of the files of one step, with further reductions; the JSON is the last."""
    return [".npy", ".samples.npy", *(f".{reduction}.samples.npy" for reduction in also), ".json"]


def steps(folder: Path) -> list[int]:
    """Steps whose per-sample patterns lie in `folder`, ascending.

    Raises:
        InputError: the folder holds no pattern.
    """
    found = sorted(int(match[1]) for path in Path(folder).glob("*.npy") if (match := STEP_FILE.fullmatch(path.name)))
    if not found:
        raise InputError(f"{folder} has no activation pattern (step-*.samples.npy): run the rule extract_patterns.")
    return found


def before_to_after(folder: Path) -> list[int]:
    """Like `steps`, of a folder that has the patterns before (step 0) and after fine-tuning.

    Raises:
        InputError: it lacks one of them.
    """
    found = steps(folder)
    if found[0] != 0 or len(found) < 2:
        raise InputError(
            f"{folder} lacks the patterns before fine-tuning (step 0) or after it: remove the folder and run again."
        )
    return found


def _read(path: Path) -> Any:
    """The contents of a JSON file; other contents are a ValueError."""
    try:
        return read_json(path)
    except InputError as error:
        raise ValueError(str(error)) from error


def about(folder: Path, step: int) -> About:
    """What the provenance of one step says.

    Raises:
        InputError: there is none, it is from before signs were kept, or its lists are not of the same samples.
    """
    return described(Path(folder) / f"step-{step}.json")


def described(path: Path) -> About:
    """What the JSON file beside patterns says of them.

    Raises:
        InputError: as `about`.
    """
    try:
        content = _read(path)
        reduction, also = str(content["reduction"]), tuple(map(str, content.get("also", ())))
        missing = [key for key in ("also", "signed", "ids", "losses", "response_tokens") if key not in content]
        if missing or set(content["signed"]) != {reduction, *also} & SIGNED:
            what = ", ".join(missing) or "the signs"
            raise InputError(f"{path} has an earlier format of patterns (it lacks {what}): {AGAIN}.")
        ids = list(content["ids"])
        layers = None if content.get("layer_numbers") is None else list(map(int, content["layer_numbers"]))
        losses, tokens = (np.array(content[key], dtype=np.float64) for key in ("losses", "response_tokens"))
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path} does not say what its patterns are ({first_line(error)}): {AGAIN}.") from error
    if not losses.shape == tokens.shape == (len(ids),):
        raise InputError(
            f"{path} has {len(ids)} ids, {losses.size} losses and {tokens.size} counts of response tokens: {AGAIN}."
        )
    return About(path, reduction, also, ids, losses, tokens.astype(np.int64), layers)


@dataclass(frozen=True)
class Stored:
    """Per-sample patterns of one step as they are stored, float32 [samples, layers, heads], read by slices.

    Attributes:
        found: what `about` says of the step.
        path: of the array.
        shape: [samples, layers, heads].
        dtype: of a value.
        offset: bytes before the first one.
    """

    found: About
    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> Float32[np.ndarray, "samples layers heads"]:
        """The samples of a slice without a step.

        Raises:
            InputError: one of their values is NaN or infinite.
        """
        start, stop, _ = part.indices(len(self))
        size = self.shape[1] * self.shape[2]
        flat = np.fromfile(self.path, self.dtype, (stop - start) * size, offset=self.offset + start * size * 4)
        values: Float32[np.ndarray, "samples layers heads"] = flat.reshape(-1, *self.shape[1:])
        broken = np.argwhere(~np.isfinite(values))
        if len(broken):
            sample, layer, head = broken[0]
            raise InputError(
                f"{self.path} has a value that is not finite, at the sample {self.found.ids[start + sample]}, "
                f"layer {layer}, head {head}: extract the patterns again in a wider number format."
            )
        return values


def stored(found: About, reduction: str | None = None) -> Stored:
    """Per-sample patterns of one step; only their shape is read at first.

    Args:
        found: what `about` says of the step.
        reduction: one of the extracted reductions; None for the first.

    Raises:
        InputError: the reduction was not extracted, the array is incomplete, is not of float32, or has other samples
            than the provenance.
    """
    path = found.samples_file(reduction)
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a complete NumPy array ({first_line(error)}): {AGAIN}.") from error
    shape = mapped.shape
    if mapped.ndim != 3 or 0 in shape or len(mapped) != len(found.ids):
        raise InputError(f"{path} has shape {shape}, not {len(found.ids)} samples x layers x heads: {AGAIN}.")
    if mapped.dtype != np.float32 or not mapped.flags.c_contiguous:
        raise InputError(
            f"{path} has values of {mapped.dtype}, or not in C order, but float32 in C order is expected: {AGAIN}."
        )
    if found.layer_numbers is not None and len(found.layer_numbers) != shape[1]:
        raise InputError(f"{path} has {shape[1]} layers, but {found.path} lists {len(found.layer_numbers)}: {AGAIN}.")
    return Stored(found, path, shape, mapped.dtype, mapped.offset)


def load_stored(found: About, reduction: str | None = None) -> Float32[np.ndarray, "samples layers heads"]:
    """All of `stored`: float32 [samples, layers, heads].

    Raises:
        InputError: as `stored`, or a value is NaN or infinite.
    """
    return stored(found, reduction)[:]


def write(output: Path, patterns: Patterns, provenance: dict[str, Any]) -> None:
    """Write the mean to `output` (.npy), and next to it the stored values of every sample and the provenance.

    Files of other reductions from an earlier extraction to the same place are removed.
    """
    # The JSON is removed first and written last: if it exists, the arrays next to it are complete and belong to it.
    remove(output.with_suffix(".json"))
    for reduction in REDUCTIONS:
        remove(output.with_suffix(f".{reduction}.samples.npy"))
    arrays = {output.with_suffix(".samples.npy"): patterns.sums[patterns.reduction], output: patterns.mean}
    for reduction in patterns.also:
        arrays[output.with_suffix(f".{reduction}.samples.npy")] = patterns.sums[reduction]
    for path, array in arrays.items():
        with atomic_path(path) as temporary:
            np.save(temporary, array)
    write_json(output.with_suffix(".json"), provenance)
