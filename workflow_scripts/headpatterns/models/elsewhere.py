"""A model that was fine-tuned elsewhere, taken as a run of its base: a checkpoint, and what is known of it."""

import os
from pathlib import Path

from headpatterns.io import atomic_path, write_json
from headpatterns.models import likeness, loading
from headpatterns.provenance import fingerprint

STEP = 1
"""The one step of such a run: how many optimizer steps it took, nobody here knows."""


def take(base: Path, finetuned: Path, output: Path) -> None:
    """Write `final/`, links to the files of the model, and `run.json`, as training writes them.

    `run.json` knows the content of all files, so that what was begun with others is not gone on with.

    Args:
        base: folder of the model that it was trained from.
        finetuned: its own folder. A path that is absolute is linked to as it is, another one from where the link lies.
        output: folder of the run.

    Raises:
        InputError: a folder is no model, or the one cannot have been trained from the other.
    """
    likeness.check_finetuned(base, finetuned)
    files = loading.files(finetuned)
    final = output / "final"
    with atomic_path(final) as folder:
        folder.mkdir(parents=True)
        for file in files:
            place = file.relative_to(finetuned)
            (folder / place).parent.mkdir(exist_ok=True)
            relative = os.path.relpath(file, (final / place).parent)
            (folder / place).symlink_to(file if file.is_absolute() else relative)
    write_json(
        output / "run.json",
        {
            "steps": [STEP],
            "elsewhere": True,
            "base": str(base),
            "model": str(finetuned),
            "contents": fingerprint(*loading.files(base), *files),
        },
    )
