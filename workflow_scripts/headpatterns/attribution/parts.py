"""Finished samples of a job on disk, so that an interrupted job continues with the missing samples."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from headpatterns.errors import InputError
from headpatterns.io import atomic_path


class Parts:
    """Results of samples, in memory and, from time to time, in files `{index of the first sample}.npz` of a folder.

    The results of a batch are arrays, and samples are the first dimension of each. No sample is computed twice, so
    files of several processes have different names, and none replaces an earlier one.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        """Start with the files of the folder, which need not exist; write at most every `seconds` seconds.

        A file that a power cut left incomplete counts as absent. `done` has the indices of the finished samples, and
        `found` a tuple for each batch: the indices, and its arrays.
        """
        self.folder = folder
        self.seconds = seconds
        self.found: list[tuple[np.ndarray, ...]] = []
        for path in sorted(folder.glob("[0-9]*.npz")):
            try:
                with np.load(path) as part:
                    self.found.append(tuple(part[f"arr_{number}"] for number in range(len(part.files))))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                continue
        self.done = {int(index) for indices, *_ in self.found for index in indices}
        self._written = len(self.found)
        self._last = time.monotonic()

    def keep(self, indices: list[int], *results: np.ndarray) -> None:
        """Keep the results of the samples of a batch."""
        self.found.append((np.array(indices), *results))
        self.done.update(indices)
        if time.monotonic() - self._last >= self.seconds:
            self.write()

    def write(self) -> None:
        """Write the results that are not yet in a file."""
        if new := self.found[self._written :]:
            with atomic_path(self.folder / f"{new[0][0][0]}.npz") as temporary:
                np.savez(temporary, *map(np.concatenate, zip(*new, strict=True)))
        self._written, self._last = len(self.found), time.monotonic()

    def together(self, samples: int) -> tuple[np.ndarray, ...]:
        """The arrays of so many samples, by index.

        Raises:
            InputError: a sample is missing or occurs more than once.
        """
        indices, *results = map(np.concatenate, zip(*self.found, strict=True))
        order = np.argsort(indices)
        if not np.array_equal(indices[order], np.arange(samples)):
            raise InputError(
                f"{self.folder} does not have each of the {samples} samples exactly once: remove that folder "
                "and extract again."
            )
        return tuple(array[order] for array in results)


Keeping = Callable[[str], Parts | None]
"""Maps a name to the finished samples under that name; None if they are not kept."""


def nowhere(_: str) -> None:
    """Keeps no finished samples."""
