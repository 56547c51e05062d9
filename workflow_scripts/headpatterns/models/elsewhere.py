"""A model that was fine-tuned elsewhere as a run of its base: a checkpoint and the known facts about it."""

import os
from pathlib import Path

from headpatterns.io import atomic_path, write_json
from headpatterns.models import likeness, loading
from headpatterns.provenance import fingerprint

STEP = 1
"""The only step of such a run, because its number of optimizer steps is not known."""


def take(base: Path, finetuned: Path, output: Path) -> None:
    """Write `final/`, links to the files of the model, and `run.json`, as training writes them.

    `run.json` has a digest of all files, so that later work is not continued with other files.

    Args:
        base: folder of the model that it was trained from.
        finetuned: its own folder. Links to an absolute path are absolute, and others relative to the link.
        output: folder of the run.

    Raises:
        InputError: a folder is not a model, or the model cannot have been trained from the base.
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
