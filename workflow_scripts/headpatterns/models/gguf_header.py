"""The header of a GGUF file, read before any weight: metadata, tensors, quantization, and whether the file is complete.

The format is that of the GGUF specification, versions 2 and 3. Reading a header takes a fraction of a second and no
torch, so a config with a GGUF file is checked and planned at once. `conversion` makes a folder from the file.
"""

import functools
import math
import mmap
import re
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.errors import InputError
from headpatterns.io import is_lfs_pointer

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
"""Tensors are aligned to multiples of this number of bytes, unless the file says otherwise."""

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Formats of `struct` by the specification's number of a type; the two other types are texts and arrays."""

TEXT, ARRAY = 8, 9
INSTEAD = "give the model in Hugging Face layout as path"


class Tensor(NamedTuple):
    """A tensor of the file.

    Attributes:
        name: its name in llama.cpp.
        shape: in torch's order, the fastest dimension last.
        kind: how it is stored: F32, F16, Q8_0, ...
        end: position in the data after its last byte.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    end: int


@dataclass(frozen=True)
class Header:
    """Everything in a file before its weights.

    Attributes:
        file: the GGUF file.
        metadata: by key; for an array of texts, their number.
        tensors: in the file's order.
    """

    file: Path
    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        """Its name in llama.cpp, such as `llama`."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def parameters(self) -> int:
        """Numbers in all tensors; tied embeddings are stored once."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def kinds(self) -> dict[str, int]:
        """The number of tensors of each kind, the most frequent kind first."""
        return dict(Counter(tensor.kind for tensor in self.tensors).most_common())

    @property
    def quantization(self) -> str:
        """The type that the file states, such as Q4_K_M; otherwise the type of most of its numbers."""
        from gguf import LlamaFileType

        stated = self.metadata.get("general.file_type")
        if stated in {int(one) for one in LlamaFileType} - {int(LlamaFileType.GUESSED)}:
            return LlamaFileType(stated).name.removeprefix("ALL_").removeprefix("MOSTLY_")
        numbers: Counter[str] = Counter()
        for tensor in self.tensors:
            numbers[tensor.kind] += math.prod(tensor.shape)
        return numbers.most_common(1)[0][0]

    def own(self, key: str) -> Any:
        """A value below the key of the architecture, None if the file has none."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def count(self, key: str) -> int:
        """A whole number below the key of the architecture.

        Raises:
            InputError: the file has none there, or one for each layer.
        """
        value = self.own(key)
        if not isinstance(value, int):
            raise InputError(f"{self.file} has no single number as {self.architecture}.{key}: {INSTEAD}.")
        return value

    def config(self) -> dict[str, int]:
        """Sizes with their names in configs of transformers; head_dim is the size of a query head.

        Raises:
            InputError: the file lacks one of them.
        """
        heads, hidden = self.count("attention.head_count"), self.count("embedding_length")
        queries = next((one.shape[0] for one in self.tensors if one.name.endswith("blk.0.attn_q.weight")), hidden)
        return {
            "num_hidden_layers": self.count("block_count"),
            "num_attention_heads": heads,
            "hidden_size": hidden,
            "head_dim": queries // heads,
            "max_position_embeddings": self.count("context_length"),
        }


class _Cursor:
    """A position in the bytes of a file, which advances with each reading."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.place = data, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        """Little-endian numbers in a format of `struct`, which raises an error at the end of the file."""
        found = struct.unpack_from(f"<{form}", self.data, self.place)
        self.place += struct.calcsize(f"<{form}")
        return found

    def skip_text(self) -> slice:
        """The span of a text."""
        (length,) = self.numbers("Q")
        begin, self.place = self.place, self.place + length
        if self.place > len(self.data):
            raise struct.error("a text continues after the end of the file")
        return slice(begin, self.place)

    def text(self) -> str:
        """A text."""
        return self.data[self.skip_text()].decode()

    def value(self, kind: int) -> Any:
        """A value of the metadata; for an array of texts, their number."""
        if kind == TEXT:
            return self.text()
        if kind != ARRAY:
            return self.numbers(NUMBERS[kind])[0]
        inner, count = self.numbers("IQ")
        if inner in NUMBERS:
            return self.numbers(f"{count}{NUMBERS[inner]}")
        for _ in range(count):
            self.skip_text()
        return count


def read_header(file: Path | str) -> Header:
    """The header of a GGUF file, cached until the file changes.

    Raises:
        InputError: the file does not exist, cannot be read, is not a GGUF file of a known version, or is incomplete.
    """
    file = Path(file)
    if file.is_dir():
        raise InputError(f"{file} is a folder, not a GGUF file: give the file in it.")
    if not file.is_file():
        raise InputError(f"{file} does not exist: fix the path, or put the GGUF file there.")
    state = file.stat()
    try:
        return _read_once(file, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): check its permissions and its disk.") from error


@functools.lru_cache(maxsize=64)
def _read_once(file: Path, size: int, changed: int) -> Header:
    with file.open("rb") as opened:
        if is_lfs_pointer(file):
            raise InputError(f"{file} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`.")
        if opened.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{file} is not a GGUF file (it does not begin with GGUF): fix the path, or {INSTEAD}.")
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parsed(file, _Cursor(data), size)


def _parsed(file: Path, cursor: _Cursor, size: int) -> Header:
    try:
        _, version = cursor.numbers("II")
        if version not in VERSIONS:
            raise InputError(
                f"{file} is not GGUF of version 2 or 3 with little-endian numbers: convert the model again."
            )
        tensors, values = cursor.numbers("QQ")
        metadata = {cursor.text(): cursor.value(*cursor.numbers("I")) for _ in range(values)}
        described = [(cursor.text(), *_placed(cursor)) for _ in range(tensors)]
    except (struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
        raise InputError(f"{file} is damaged, or it ends within its header: download it again.") from error
    alignment = metadata.get("general.alignment") or ALIGNMENT
    start = math.ceil(cursor.place / alignment) * alignment
    found = tuple(_tensor(file, start, *one) for one in described)
    needed = max((tensor.end for tensor in found), default=0)
    if not found:
        raise InputError(f"{file} has no tensors: give a GGUF file with the weights of a model.")
    if size < needed:
        raise InputError(f"{file} is incomplete: it has {size} bytes, but its header says {needed}; download it again.")
    return Header(file, metadata, found)


def _placed(cursor: _Cursor) -> tuple[tuple[int, ...], int, int]:
    """The shape of a tensor, the number of its kind, and the start of its data."""
    (dimensions,) = cursor.numbers("I")
    shape = cursor.numbers(f"{dimensions}Q")
    kind, offset = cursor.numbers("IQ")
    return shape[::-1], kind, offset


def _tensor(file: Path, start: int, name: str, shape: tuple[int, ...], kind: int, offset: int) -> Tensor:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        stored = GGMLQuantizationType(kind)
    except ValueError:
        raise InputError(
            f"{file} stores {name} in a way (number {kind}) that the package gguf does not know: quantize the model "
            "in another way."
        ) from None
    numbers, size = GGML_QUANT_SIZES[stored]
    return Tensor(name, shape, stored.name, start + offset + math.prod(shape) // numbers * size)


def check(header: Header) -> None:
    """Refuse a file whose header shows that transformers cannot make a model and tokenizer from it.

    Raises:
        InputError: it is one of several parts, has an architecture that transformers cannot read, lacks a size, or has
            no tokenizer or no EOS token.
    """
    file, metadata = header.file, header.metadata
    if (parts := metadata.get("split.count", 1)) > 1:
        raise InputError(f"{file} is one of {parts} parts of a model: merge them with `llama-gguf-split --merge`.")
    if not header.architecture:
        raise InputError(f"{file} does not say which architecture it has (general.architecture): {INSTEAD}.")
    if _plain(header.architecture) not in readable():
        raise InputError(
            f"{file} has the architecture '{header.architecture}', which transformers cannot read from GGUF: {INSTEAD}."
        )
    header.config()
    if not (metadata.get("tokenizer.ggml.tokens") and metadata.get("tokenizer.ggml.model")):
        raise InputError(f"{file} has no tokenizer (tokenizer.ggml.tokens and .model): {INSTEAD}.")
    if metadata.get("tokenizer.ggml.eos_token_id") is None:
        raise InputError(f"{file} names no EOS token (tokenizer.ggml.eos_token_id): {INSTEAD}.")


@functools.cache
def readable() -> frozenset[str]:
    """Architectures that transformers reads from GGUF; dashes and underscores are removed, because they differ."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS

    return frozenset(map(_plain, [*GGUF_CONFIG_MAPPING, *GGUF_CONFIG_ARCHS])) - {"general", "tokenizer"}


def _plain(architecture: str) -> str:
    return re.sub("[-_]", "", architecture)
