"""Files of your own that a config names (rows, models, OpenCompass and its data): as they are, or as last recorded.

A dry run needs none of them. If files are missing, jobs depend on the record of the last run, so that the same jobs are
planned as with the files. Without a record, jobs depend on the path as it is written in the config.

Jobs depend on the content of files and not on their times: a file may be replaced by one with the same size and time,
or be copied without a change. Each file is read once, and its digest is reused while it is unchanged (`files.stamp`).
"""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headpatterns.data import chat, chat_files
from headpatterns.errors import InputError
from headpatterns.experiment.files import (
    everything,
    expand,
    matches,
    stamp,
    unnameable,
    unset_variable,
    with_labels,
)
from headpatterns.experiment.sources import AdapterOnDisk, InAdapter, InGguf, OnDisk
from headpatterns.io import is_lfs_pointer, read_json_object, sha256
from headpatterns.models import architectures, chat_templates, gguf_header, loading, lora_weights

Kind = Literal["rows", "model", "gguf", "adapter", "template", "python", "data"]
"""Raw rows; a model's folder; a GGUF file; an adapter's folder; a chat template; OpenCompass's interpreter; the folder
above its data."""

Part = Literal["rows", "model", "tokenizer", "gguf", "adapter", "template", "data"]
"""Parts with their own content digest: everything of a kind, or only the tokenizer of a model."""

PARTS: dict[Kind, tuple[Part, ...]] = {"model": ("model", "tokenizer"), "gguf": ("gguf",), "adapter": ("adapter",)}
"""Parts of each kind of model of your own."""

WEIGHTS = frozenset({".safetensors", ".bin"})

ARCHITECTURE = ("max_position_embeddings", "num_hidden_layers", "num_attention_heads")
"""The recorded fields of a model's config: all that the workflow reads before any job."""


class OwnModel(NamedTuple):
    """A model of your own: its kind, its path as written in the config, and the key of the source."""

    kind: Kind
    written: str
    key: str


def of_model(source: Any) -> OwnModel | None:
    """The description of a model of your own, also a fine-tuned one; None for a model that is made or fetched here."""
    match source:
        case OnDisk():
            return OwnModel("model", source.path, "path")
        case InGguf():
            return OwnModel("gguf", source.gguf, "gguf")
        case InAdapter(lora=AdapterOnDisk(path=path)):
            return OwnModel("adapter", path, "lora.path")
    return None


def _no_rows(path: str) -> str:
    return "" if matches(path) else f"is {path}, which does not exist: fix the path."


def _no_model(path: str) -> str:
    if lora_weights.is_adapter(Path(path)):
        return f"is {path}, which {lora_weights.NO_MODEL}."
    if not (Path(path) / "config.json").is_file():
        return (
            f"is {path}, which has no model (no config.json): fix the path, or put a model there, for example "
            "with `hf download ORGANISATION/NAME --local-dir FOLDER`."
        )
    if not loading.has_tokenizer(Path(path)):
        return f"is {path}, which has no tokenizer: save the model's tokenizer there."
    try:
        pointers = [file.name for file in loading.files(Path(path)) if is_lfs_pointer(file)]
    except OSError as error:
        name = Path(str(error.filename)).name
        return f"is {path}, whose file {name} cannot be read ({error.strerror}): put a readable file there."
    if pointers:
        return f"is {path}, where {pointers[0]} is a Git LFS pointer, not the file itself: run `git lfs pull` there."
    return ""


def _no_adapter(path: str) -> str:
    if lora_weights.is_adapter(Path(path)):
        return ""
    if (Path(path) / "config.json").is_file():
        return f"is {path}, which has a whole model and not an adapter: write source: {{path: FOLDER}} without lora."
    return f"is {path}, which has no adapter of PEFT (no {lora_weights.CONFIG}): fix the path."


def _no_gguf(path: str) -> str:
    try:
        gguf_header.check(gguf_header.read_header(Path(path)))
    except InputError as error:
        return f"leads to no model: {error}"
    return ""


def _no_template(path: str) -> str:
    if Path(path).is_file():
        return ""
    return f"is {path}, which is neither a model of the config nor a file: fix the name or the path."


def _no_data(path: str) -> str:
    if (Path(path) / "data").is_dir():
        return ""
    return f"is {path}, which has no folder data/: fix the path, or unpack OpenCompassData-core there."


def _files_of(part: Part, path: str) -> list[Path]:
    """The files that a path leads to, as jobs read them."""
    match part:
        case "rows":
            return everything(with_labels(matches(path)))
        case "data":
            return everything([f"{path}/data"])
        case "gguf" | "template":
            return [Path(path)]
    found = loading.files(Path(path))
    return found if part in ("model", "adapter") else [file for file in found if file.suffix not in WEIGHTS]


# A separate job checks that the interpreter exists and is the right one.
_ABSENCE: dict[Kind, Callable[[str], str]] = {
    "rows": _no_rows,
    "model": _no_model,
    "gguf": _no_gguf,
    "adapter": _no_adapter,
    "template": _no_template,
    "python": lambda path: "",
    "data": _no_data,
}


class OwnFiles:
    """The files and folders at the paths of a config.

    Attributes:
        seen: the record, by kind and the path as written in the config: `path` with its variables replaced, the `files`
            that jobs depend on, and the `architecture` of a model. `states` has digests of the contents of paths, and
            `contents` the digests of files, with their stamps.
        contents: stamp and digest of each file that was needed so far.
    """

    def __init__(self, seen: Mapping[str, Any], reads: Callable[[], bool] = lambda: True) -> None:
        """Files of your own, with the record of `missing.record`; empty if there is none.

        No job has read a file without a record. A dry run does not read it (`reads`), because it may have many
        gigabytes.
        """
        self.seen, self.reads = seen, reads
        self.contents: dict[str, tuple[list[int], str]] = {}
        self.state = functools.cache(self._state)
        self.problem = functools.cache(self._problem)

    def _problem(self, kind: Kind, written: str) -> str:
        """What is wrong with a path, to follow its key in a sentence; empty if the path can be used."""
        if variable := unset_variable(written):
            return f"uses the environment variable {variable}, which is not set: export it or write the path."
        if (kind in PARTS or kind == "template") and unnameable(expand(written)):
            return f"is {expand(written)}, and Snakemake would read its braces as a wildcard: rename it, or link to it."
        return _ABSENCE[kind](expand(written))

    def last(self, kind: Kind, written: str) -> Mapping[str, Any]:
        """The record of a path."""
        found: Mapping[str, Any] = self.seen.get(kind, {}).get(written, {})
        return found

    def path(self, kind: Kind, written: str) -> str:
        """A path with its variables replaced; for a missing path, as recorded or as far as variables are set."""
        last = self.last(kind, written) if self.problem(kind, written) else {}
        return str(last.get("path", expand(written)))

    def files(self, kind: Kind, written: str) -> list[str]:
        """Files and folders that jobs depend on; for a missing path, the recorded ones or the path of the config."""
        if self.problem(kind, written):
            # Braces would be wildcards of Snakemake.
            unknown = expand(written).translate(str.maketrans("", "", "{}"))
            return list(self.last(kind, written).get("files", [unknown]))
        path = expand(written)
        if kind in ("gguf", "template"):
            return [path]
        if kind == "rows":
            return [file for file in with_labels(matches(path)) if not unnameable(file)]
        return list(map(str, loading.files(Path(path))))

    def architecture(self, kind: Kind, written: str, key: str) -> dict[str, Any]:
        """Fields of a model's config, as far as they are known.

        Raises:
            InputError: the config, which `key` names, is not a JSON object, or a size in it is not a valid number.
        """
        if kind == "gguf":
            return self._in_gguf(written)
        file = Path(self.path(kind, written)) / "config.json"
        if not file.is_file():
            return dict(self.last(kind, written).get("architecture", {}))
        try:
            found = read_json_object(file)
        except InputError as error:
            raise InputError(f"config key {key} leads to no whole model: {error}") from None
        if said := architectures.problem(found):
            raise InputError(f"config key {key} leads to no whole model: {file}: {said}")
        return found

    def no_template(self, kind: Kind, written: str, lends: bool) -> str:
        """Why a model or adapter of your own cannot print conversations; empty if it can, or if it is missing.

        Args:
            kind: of the model.
            written: its path as written in the config.
            lends: whether its template is given to another model.
        """
        if self.problem(kind, written):
            return ""
        folder = Path(self.path(kind, written))
        none = chat_templates.without(folder) if lends else chat.without(folder)
        if kind == "gguf":
            return "" if gguf_header.read_header(folder).metadata.get("tokenizer.chat_template") else none
        if not loading.has_tokenizer(folder):
            return loading.no_tokenizer(folder)
        return chat_files.problem(folder, none)

    def _in_gguf(self, written: str) -> dict[str, Any]:
        if self.problem("gguf", written):
            return dict(self.last("gguf", written).get("architecture", {}))
        return dict(gguf_header.read_header(Path(expand(written))).config())

    def _state(self, part: Part, *written: str) -> str:
        """Digest of the content of some paths, current or recorded; empty if there is no file."""
        kind: Kind = "model" if part == "tokenizer" else part
        if any(self.problem(kind, one) for one in written):
            return str(self.seen.get("states", {}).get(key_of(part, written), ""))
        entries = [(str(file), self._content(file)) for one in written for file in _files_of(part, expand(one))]
        return hashlib.sha256(repr(entries).encode()).hexdigest()[:16] if entries else ""

    def _content(self, file: Path) -> str:
        """Digest of a file, which is not read again if it is unchanged; empty if it is not read at all."""
        before, known = self.seen.get("contents", {}).get(str(file), (None, ""))
        now, unread = stamp(file), before is None and not self.reads()
        digest = str(known) if now == before or unread else sha256(file)
        self.contents[str(file)] = (now, digest)
        return digest


def key_of(part: Part, written: Sequence[str]) -> str:
    """The key of a state in the record."""
    return " ".join([part, *written])
