"""The targets of an evaluation: pairs of checkpoints and sets, and checks of both."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headpatterns.data.records import nearest
from headpatterns.errors import InputError
from headpatterns.io import read_json
from headpatterns.models import loading as models

NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Target:
    """A run's checkpoint (or the base model, run `base`) on one evaluation set."""

    run: str
    folder: Path
    set: str


def read_targets(asked: Iterable[Sequence[str]], sets: Iterable[str]) -> list[Target]:
    """The targets of the command line, in order, with absolute folders.

    Raises:
        InputError: an unknown set, a run on a set twice, or a folder that is not a complete checkpoint.
    """
    targets = [Target(run, Path(folder).absolute(), name) for run, folder, name in asked]
    sets = list(sets)
    seen = set()
    for target in targets:
        if target.set not in sets:
            raise InputError(
                f"--evaluate {target.run}: unknown set '{target.set}' ({nearest(target.set, sets)}): "
                "define it with --set or --builtin."
            )
        if (target.run, target.set) in seen:
            raise InputError(f"--evaluate gives the run {target.run} on the set {target.set} twice: give it once.")
        seen.add((target.run, target.set))
    for folder in dict.fromkeys(target.folder for target in targets):
        check_checkpoint(folder)
    return targets


def check_name(name: str) -> None:
    """Refuse a name of a set that cannot be a file name.

    Raises:
        InputError: the name has other characters than letters, digits, `_`, `.` and `-`.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"the set's name '{name}' cannot be a file name: use only letters, digits, '_', '.' and '-'.")


def check_checkpoint(folder: Path) -> None:
    """Refuse a folder that lacks its config, its tokenizer or weights, without loading any of them."""
    models.check_folder(folder)
    if not models.has_tokenizer(folder):
        raise InputError(models.no_tokenizer(folder))
    indices = sorted(folder.glob("*.index.json"))
    weights = {name for index in indices for name in read_json(index)["weight_map"].values()}
    if missing := sorted(name for name in weights if not (folder / name).is_file()):
        raise InputError(
            f"{folder} is an incomplete checkpoint: its weights {missing[0]} are missing; save the model again."
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise InputError(
            f"{folder} is an incomplete checkpoint: it has no weights (*.safetensors); save the model again."
        )


def positions(folder: Path) -> int | None:
    """Longest sequence that the model in a folder can read, None if its architecture has no limit.

    Raises:
        InputError: the config cannot be read.
    """
    return models.positions_of(models.load_config(folder))


def digest_of_tokenizer(folder: Path) -> str:
    """A digest of the files of a folder's tokenizer, and perhaps of other files that are not weights."""
    others = ("config.json", "generation_config.json", "model.safetensors.index.json")
    digest = hashlib.sha256()
    for path in models.files(folder):
        if path.suffix not in (".safetensors", ".bin") and path.name not in others:
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def longest_prompt(folder: Path, max_length: int | None, max_new_tokens: int) -> int | None:
    """Tokens that a prompt may have so that the answer still fits, None if neither model nor user sets a limit.

    The limit of prompt and answer together is the smaller of the model's positions and `max_length`.

    Raises:
        InputError: nothing would be left of the prompt, or as `positions`.
    """
    limits = [limit for limit in (positions(folder), max_length) if limit is not None]
    if not limits:
        return None
    if min(limits) <= max_new_tokens:
        raise InputError(
            f"{folder}: {max_new_tokens} new tokens leave no room for a prompt in {min(limits)} positions: "
            "lower --max-new-tokens."
        )
    return min(limits) - max_new_tokens
