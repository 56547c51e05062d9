"""The samples of files on which patterns are computed: all rows of a file, or those that a training set lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data import samples, training_sets
from headpatterns.data.splitting import rank
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError

EVERY_SAMPLE = "all"


@dataclass(frozen=True)
class Probe:
    """Rows of a file.

    Attributes:
        data: rows with prompt, response and optionally id.
        among: the path of a training set (CSV) that lists the samples to take, or `EVERY_SAMPLE`.
    """

    data: Path
    among: str = EVERY_SAMPLE


@dataclass(frozen=True)
class Probed:
    """The samples of a probe.

    Attributes:
        samples: in the order of the file.
        about: entries for the provenance of their patterns: data, data_sha256, among and skipped.
    """

    samples: Sequence[TokenizedSample]
    about: dict[str, Any]


def read(probe: Probe) -> list[dict[str, str]]:
    """The rows of a probe, in the order of the file.

    Raises:
        InputError: a file that cannot be read, or a training set that lists no sample or one that the file lacks.
    """
    rows = samples.read(probe.data)
    if probe.among == EVERY_SAMPLE:
        return rows
    wanted = {id for _, id in training_sets.read(Path(probe.among))}
    if missing := sorted(wanted - {row["id"] for row in rows}):
        raise InputError(
            f"{probe.among} lists the sample '{missing[0]}', which {probe.data} lacks: make the training set again."
        )
    if not wanted:
        raise InputError(f"{probe.among} lists no sample: check the rows that it was made from.")
    return [row for row in rows if row["id"] in wanted]


def drawn(name: str, data: Path, most: int | None, seed: int, listed: Path) -> Probe:
    """Some samples of a file, by a seeded draw, in the file's order.

    Args:
        name: of the probe set.
        data: rows with prompt, response and optionally id.
        most: how many at most; None for all.
        seed: of the draw.
        listed: CSV file to write, which lists them.

    Raises:
        InputError: less than one sample is asked for, or the file cannot be used (`read`).
    """
    if most is not None and most < 1:
        raise InputError(f"{most} samples cannot be drawn: give 1 or more, or None for all.")
    ids = [row["id"] for row in read(Probe(data))]
    kept = set(sorted(ids, key=lambda id: rank(seed, id))[: most or len(ids)])
    training_sets.write(listed, [(name, id) for id in ids if id in kept])
    return Probe(data, str(listed))


def tokenized(probe: Probe, rows: list[dict[str, str]], tokenizer: Any, max_length: int, *, skip: bool) -> Probed:
    """The samples of a probe's rows, each cut to `max_length` tokens.

    Raises:
        InputError: a whole response lies beyond that length and `skip` is off, or no sample is left.
    """
    found, skipped = samples.tokenized(tokenizer, rows, max_length, probe.data, skip=skip)
    about = {
        "data": str(probe.data),
        "data_sha256": samples.digest(probe.data),
        "among": probe.among,
        "skipped": skipped,
    }
    return Probed(found, about)
