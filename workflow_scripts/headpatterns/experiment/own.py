"""Files of your own that a config names (rows, models, OpenCompass and its data): as they are, or as they last were.

A dry-run needs none of them. Of what is away, jobs depend on what the last run has written down, so that the same jobs
are to run as with it. Where nothing is written down, they depend on the path as the config has it.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headpatterns.errors import InputError
from headpatterns.experiment.files import expand, matches, state_of_unseen, unnameable, unset_variable, with_labels
from headpatterns.experiment.sources import InGguf, ModelSource, OnDisk
from headpatterns.io import is_lfs_pointer, read_json
from headpatterns.models import gguf_header, loading

Kind = Literal["rows", "model", "gguf", "python", "data"]
"""Raw rows; a model's folder; a GGUF file; OpenCompass's interpreter; the folder above its data."""

ARCHITECTURE = ("max_position_embeddings", "num_hidden_layers", "num_attention_heads")
"""What is written down of a model's config: all that the workflow reads of it before a job does."""


class OwnModel(NamedTuple):
    """A model of your own: what the config leads to, its path as it is written there, and the key of the source."""

    kind: Kind
    written: str
    key: str


def of_model(source: ModelSource) -> OwnModel | None:
    """What a model of your own is; None of one that is made or fetched here."""
    match source:
        case OnDisk():
            return OwnModel("model", source.path, "path")
        case InGguf():
            return OwnModel("gguf", source.gguf, "gguf")
    return None


def _no_rows(path: str) -> str:
    return "" if matches(path) else f"is {path}, where no file or folder is: fix the path."


def _no_model(path: str) -> str:
    if not (Path(path) / "config.json").is_file():
        return (
            f"is {path}, which holds no model (no config.json): fix the path, or put one there, as `hf download "
            "ORGANISATION/NAME --local-dir FOLDER` does."
        )
    if not loading.has_tokenizer(Path(path)):
        return f"is {path}, which holds no tokenizer: save the model's own there."
    try:
        pointers = [file.name for file in loading.files(Path(path)) if is_lfs_pointer(file)]
    except OSError as error:
        name = Path(str(error.filename)).name
        return f"is {path}, where {name} cannot be read ({error.strerror}): put the file there."
    if pointers:
        return f"is {path}, where {pointers[0]} is a Git LFS pointer, not the file itself: `git lfs pull` there."
    return ""


def _no_gguf(path: str) -> str:
    try:
        gguf_header.check(gguf_header.read_header(Path(path)))
    except InputError as error:
        return f"leads to no model: {error}"
    return ""


def _no_data(path: str) -> str:
    if (Path(path) / "data").is_dir():
        return ""
    return f"is {path}, which holds no folder data/: fix the path, or unpack OpenCompassData-core there."


# Whether there is an interpreter is asked by a job of its own, which also sees that it is the right one.
_ABSENCE: dict[Kind, Callable[[str], str]] = {
    "rows": _no_rows,
    "model": _no_model,
    "gguf": _no_gguf,
    "python": lambda path: "",
    "data": _no_data,
}


class OwnFiles:
    """What the paths that a config writes lead to.

    Attributes:
        seen: what was written down, by kind and the path as the config has it: `path` with its variables filled in, the
            `files` that jobs depend on, and the `architecture` of a model. Under `states`, digests of folders.
    """

    def __init__(self, seen: Mapping[str, Any]) -> None:
        """Files of your own, with what `missing.record` wrote down of them; empty where it has not."""
        self.seen = seen
        self.problem = functools.cache(self._problem)

    def _problem(self, kind: Kind, written: str) -> str:
        """What is wrong with a path, to be read after its key; empty where all is well."""
        if variable := unset_variable(written):
            return f"uses the environment variable {variable}, which is not set: export it or write the path."
        if kind in ("model", "gguf") and unnameable(expand(written)):
            return f"is {expand(written)}, whose braces Snakemake takes for a wildcard: rename it or link to it."
        return _ABSENCE[kind](expand(written))

    def last(self, kind: Kind, written: str) -> Mapping[str, Any]:
        """What was written down of a path."""
        found: Mapping[str, Any] = self.seen.get(kind, {}).get(written, {})
        return found

    def path(self, kind: Kind, written: str) -> str:
        """A path with its variables filled in; of what is away, as it was, or as far as it goes."""
        last = self.last(kind, written) if self.problem(kind, written) else {}
        return str(last.get("path", expand(written)))

    def files(self, kind: Kind, written: str) -> list[str]:
        """Files and folders that jobs depend on: of what is away as they were, or the path as the config has it."""
        if self.problem(kind, written):
            # Braces would be wildcards of Snakemake.
            unknown = expand(written).translate(str.maketrans("", "", "{}"))
            return list(self.last(kind, written).get("files", [unknown]))
        path = expand(written)
        if kind == "gguf":
            return [path]
        if kind == "rows":
            return [file for file in with_labels(matches(path)) if not unnameable(file)]
        return list(map(str, loading.files(Path(path))))

    def architecture(self, kind: Kind, written: str, key: str) -> dict[str, Any]:
        """Fields of a model's config, as far as they are known.

        Raises:
            InputError: the config, which `key` leads to, is no JSON.
        """
        if kind == "gguf":
            return self._in_gguf(written)
        file = Path(self.path(kind, written)) / "config.json"
        if not file.is_file():
            return dict(self.last(kind, written).get("architecture", {}))
        try:
            found: dict[str, Any] = read_json(file)
        except ValueError:
            raise InputError(f"config key {key} holds {file}, which is not valid JSON: give a whole model.") from None
        return found

    def _in_gguf(self, written: str) -> dict[str, Any]:
        if self.problem("gguf", written):
            return dict(self.last("gguf", written).get("architecture", {}))
        return dict(gguf_header.read_header(Path(expand(written))).config())

    def state(self, kind: Kind, written: Sequence[str], below: str = "") -> str:
        """Digest of what Snakemake does not look at of some paths (`state_of_unseen`), as it is or was."""
        if any(self.problem(kind, one) for one in written):
            return str(self.seen.get("states", {}).get(" ".join(written), ""))
        return state_of_unseen(f"{expand(one)}{below}" for one in written)
