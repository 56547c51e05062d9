"""Checkpoints of runs that train adapters: the adapters, config and tokenizer of the model, and the path of its base.

The base's weights are stored once, in its own folder. A checkpoint has a fingerprint of them, so that its adapters are
never added to another model.
"""

import os
from pathlib import Path

from headpatterns.errors import InputError
from headpatterns.io import read_json_object, write_json
from headpatterns.models import lora_weights
from headpatterns.provenance import fingerprint

ABOUT = "base.json"
"""The file with the path of the base, relative to the checkpoint, and its fingerprint."""

PIECES, PIECE = 64, 4096
"""Number of pieces of each file of weights that a fingerprint reads, spread evenly, and their bytes. This is enough,
because fine-tuning changes nearly every number of a model. A model of 8 billion parameters would have 16 GB to read."""


def is_one(folder: Path) -> bool:
    """Whether a folder is such a checkpoint; adapters that were trained elsewhere are not."""
    return lora_weights.is_adapter(folder) and (folder / ABOUT).is_file()


def name_base(folder: Path, base: Path, written: Path) -> None:
    """Write into a checkpoint which base it belongs to.

    Args:
        folder: of the checkpoint, at the same depth as its final place.
        base: the folder in which later jobs find its base.
        written: the folder that has the same files now.
    """
    write_json(folder / ABOUT, {"base": os.path.relpath(base, folder), "fingerprint": fingerprint_of(written)})


def base_of(folder: Path) -> Path:
    """The base of a checkpoint.

    Raises:
        InputError: it is missing, or has other weights than the one that the adapters were trained on.
    """
    about = read_json_object(folder / ABOUT)
    # The path is resolved as text, because results/ may be a link to another disk.
    base = Path(os.path.normpath(folder / str(about.get("base"))))
    if not (base / "config.json").is_file():
        raise InputError(
            f"{folder} has adapters that were trained on the model in {base}, which does not exist: restore it, "
            "or train the run again."
        )
    if fingerprint_of(base) != about.get("fingerprint"):
        raise InputError(
            f"{folder} has adapters that were trained on a model other than the one that is now in {base}: "
            "restore that model, or train the run again."
        )
    return base


def fingerprint_of(base: Path) -> str:
    """Hexadecimal digest of config and weights of a model; only a part of large files is read."""
    files = [base / "config.json", *sorted([*base.glob("*.safetensors"), *base.glob("pytorch_model*.bin")])]
    # For a checkpoint of adapters, the digest includes its own base.
    files += [base / name for name in (lora_weights.CONFIG, ABOUT) if (base / name).is_file()]
    return fingerprint(*(part for file in files for part in _parts(file)))


def _parts(file: Path) -> list[str | bytes]:
    """Name, size and pieces of a file; a small one is one piece."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        if size <= PIECES * PIECE:
            return [file.name, str(size), opened.read()]
        pieces: list[bytes] = []
        for number in range(PIECES):
            opened.seek((size - PIECE) * number // (PIECES - 1))
            pieces.append(opened.read(PIECE))
    return [file.name, str(size), *pieces]
