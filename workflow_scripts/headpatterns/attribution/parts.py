"""Finished samples of an extraction on disk, so that an interrupted one continues with the missing samples."""

import time
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int

from headpatterns.errors import InputError
from headpatterns.io import atomic_path

Part = tuple[
    Int[np.ndarray, " batch"],
    Float32[np.ndarray, "batch reductions layers heads"],
    Float64[np.ndarray, " batch"],
]
"""Results of some samples: their indices, values and losses."""


class Parts:
    """Results of samples, in memory and, from time to time, in files `{index of the first sample}.npz` of a folder.

    No sample is computed twice, so files of several processes have different names, and none replaces an earlier one.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        """Start with the files of the folder, which need not exist; write at most every `seconds` seconds.

        A file that a power cut left incomplete counts as absent. `done` has the indices of the finished samples.
        """
        self.folder = folder
        self.seconds = seconds
        self.found: list[Part] = []
        for path in sorted(folder.glob("[0-9]*.npz")):
            try:
                with np.load(path) as part:
                    self.found.append((part["indices"], part["values"], part["losses"]))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                continue
        self.done = {int(index) for indices, *_ in self.found for index in indices}
        self._written = len(self.found)
        self._last = time.monotonic()

    def keep(
        self,
        indices: list[int],
        values: Float32[np.ndarray, "batch reductions layers heads"],
        losses: Float64[np.ndarray, " batch"],
    ) -> None:
        """Keep the results of a batch; the arguments are those of `extraction.extract`'s `keep`."""
        self.found.append((np.array(indices), values, losses))
        self.done.update(indices)
        if time.monotonic() - self._last >= self.seconds:
            self.write()

    def write(self) -> None:
        """Write the results that are not yet in a file."""
        if new := self.found[self._written :]:
            indices, values, losses = map(np.concatenate, zip(*new, strict=True))
            with atomic_path(self.folder / f"{new[0][0][0]}.npz") as temporary:
                np.savez(temporary, indices=indices, values=values, losses=losses)
        self._written, self._last = len(self.found), time.monotonic()

    def together(
        self, samples: int
    ) -> tuple[Float32[np.ndarray, "samples reductions layers heads"], Float64[np.ndarray, " samples"]]:
        """Values and losses of so many samples, by index.

        Raises:
            InputError: a sample is missing or occurs more than once.
        """
        indices, values, losses = map(np.concatenate, zip(*self.found, strict=True))
        order = np.argsort(indices)
        if not np.array_equal(indices[order], np.arange(samples)):
            raise InputError(
                f"{self.folder} does not have each of the {samples} samples exactly once: remove that folder "
                "and extract again."
            )
        return values[order], losses[order]
