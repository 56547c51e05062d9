"""Readers of rows for each file format; errors of the libraries become one sentence each.

JSON lines, JSON, CSV and TSV may be compressed; parquet and Arrow files are as `datasets` and pandas write them.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from headpatterns.data import json_stream
from headpatterns.data.records import Row, listed
from headpatterns.errors import FIXES, InputError, first_line, refused_by_system
from headpatterns.io import READ, is_lfs_pointer

BATCH = 1024
"""Rows of a parquet file that are read at once."""

LONGEST_CSV_FIELD = 2**31 - 1

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

JSON_NAMES = {"list": "array", "str": "string", "NoneType": "null", "bool": "boolean", "int": "number",
              "float": "number"}  # fmt: skip

Columns = tuple[str, ...] | None


def _zstd(path: Path, mode: str) -> BinaryIO:
    import pyarrow

    return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))


COMPRESSIONS: dict[str, Callable[..., Any]] = {
    "": open,
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstd,
}


def suffix(path: Path) -> str | None:
    """The known suffix of the file's name, including that of a compression, or None."""
    name = path.name.lower()
    return next((known for known in SUFFIXES if name.endswith(known)), None)


def read(path: Path, csv_columns: Columns = None) -> Iterator[Row]:
    """The rows of one file, in their order.

    Raises:
        InputError: the file cannot be read, or a row is malformed; the message names file and line or row.
    """
    row = None
    try:
        if is_lfs_pointer(path):
            raise InputError(f"{path} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`.")
        for row in SUFFIXES[suffix(path) or ""](path, csv_columns):
            yield row
    except (InputError, ImportError):
        raise
    except Exception as error:  # a decoder, a decompressor and pyarrow raise different types
        if isinstance(error, OSError) and error.errno in FIXES:
            raise InputError(refused_by_system(error)) from error
        raise InputError(_unreadable(path, error, row)) from error


def _unreadable(path: Path, error: Exception, last: Row | None) -> str:
    """What is wrong with a file, and after which row."""
    behind = f" behind {last.place}" if last else ""
    if isinstance(error, UnicodeDecodeError):
        try:
            line = _foreign_line(path) if str(suffix(path)).startswith(TEXT) else None
        except Exception as damaged:  # a decompressor may find damage only after the rows that it returned
            return _unreadable(path, damaged, last)
        if line:
            return f"{path}:{line} is not UTF-8 text ({error.reason}): convert the file."
        return f"{path} is not UTF-8 text ({error.reason}{behind}): convert it."
    return f"{path} cannot be read ({first_line(error)}{behind}): check that it is complete, or download it again."


def _foreign_line(path: Path) -> int | None:
    """The first line that is not UTF-8; a decoder reads ahead, so its error does not give the line."""
    with _bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


def _bytes(path: Path) -> BinaryIO:
    opener = next(COMPRESSIONS[packed] for packed in reversed(COMPRESSIONS) if path.name.lower().endswith(packed))
    file: BinaryIO = opener(path, "rb")
    return file


def _opened(path: Path, newline: str | None = None) -> TextIO:
    return io.TextIOWrapper(_bytes(path), "utf-8-sig", newline=newline)


def _json_lines(path: Path, columns: Columns) -> Iterator[Row]:
    with _opened(path) as lines:
        number = 0
        for line_number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            number += 1
            place = f"{path}:{line_number}"
            yield Row(_object(_parsed(line, place), place), path, number, place)


def _json(path: Path, columns: Columns) -> Iterator[Row]:
    only = None
    with _opened(path) as file:
        stream = json_stream.Stream(file)
        try:
            if is_list := stream.begins("["):
                for number, item in enumerate(stream.items(), start=1):
                    place = f"{path}, row {number}"
                    yield Row(_object(item, place), path, number, place)
            else:
                only = stream.value()
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{error.lineno} is not valid JSON ({error.msg}): fix the file.") from error
        except RecursionError as error:
            raise InputError(f"{path} is not valid JSON (nested too deeply): fix the file.") from error
        is_whole = stream.is_over()
    if not is_whole:
        # Several values in sequence are JSON lines with the name .json, as in some releases. Lists do not count.
        yield from _json_lines(path, columns)
    elif not is_list:
        fields = _object(only, str(path))
        _check_orientation(path, fields)
        yield Row(fields, path, None, str(path))


def _parsed(line: str, place: str) -> Any:
    try:
        return json_stream.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{place} is not valid JSON ({error.msg} at column {error.colno}): fix the line.") from error
    except RecursionError as error:
        raise InputError(f"{place} is not valid JSON (nested too deeply): fix or remove the line.") from error


def _object(parsed: Any, place: str) -> dict[str, Any]:
    if isinstance(parsed, dict):
        return parsed
    kind = type(parsed).__name__
    fix = "fix the file"
    if isinstance(parsed, list):
        fix = "write one object per line, or a list of objects in a file named .json"
    raise InputError(f"{place} is a JSON {JSON_NAMES[kind]}, not an object with named fields: {fix}.")


def _check_orientation(path: Path, fields: Mapping[str, Any]) -> None:
    """Refuse a JSON object that is a table rather than one row: rows by their number, or columns."""
    values = list(fields.values())
    fix = 'write a list of rows (in pandas orient="records")'
    first, inner = next(iter(fields), ""), values[0] if values else None
    if values and all(isinstance(value, dict) for value in values):
        if all(name.isdecimal() for name in inner or {}) and not first.isdecimal():
            raise InputError(f"{path} is a JSON object of columns ({listed(fields)}), not a list of rows: {fix}.")
        raise InputError(
            f"{path} is a JSON object of {len(values)} rows by their number or name ({listed(fields)}), not a list of "
            f"rows: {fix}."
        )
    if len(values) > 1 and all(_is_column(value) and len(value) == len(values[0]) for value in values):
        raise InputError(f"{path} is a JSON object of columns ({listed(fields)}), not a list of rows: {fix}.")


def _is_column(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and not any(isinstance(one, dict | list) for one in value)


def _csv(path: Path, columns: Columns) -> Iterator[Row]:
    return _table(path, columns, delimiter=",", strict=True)


def _tsv(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows in which quotes are part of the text, as in most tables with tabs."""
    for row in _table(path, columns, delimiter="\t", quoting=csv.QUOTE_NONE):
        if quoted := next((name for name, cell in row.fields.items() if _is_quoted(cell)), None):
            raise InputError(
                f"{row.place} has CSV quotes around the column {quoted}, but a tab-separated file reads quotes as "
                "text: remove them, or save the table as .csv."
            )
        yield row


def _is_quoted(cell: str) -> bool:
    """Whether a cell is in quotes and has quotes inside, all of them doubled."""
    inner = cell[1:-1]
    return len(cell) > 3 and cell[0] == cell[-1] == '"' and '""' in inner and '"' not in inner.replace('""', "")


def _table(path: Path, columns: Columns, **dialect: Any) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CSV_FIELD)
    with _opened(path, newline="") as file:
        reader = csv.reader(file, **dialect)
        number, begun = 0, 0
        try:
            names = columns or _header(path, next(filter(None, reader), []), dialect["delimiter"])
            begun = reader.line_num
            for cells in reader:
                place, begun = f"{path}:{reader.line_num}", reader.line_num
                if not cells:
                    continue
                number += 1
                if len(cells) != len(names):
                    raise InputError(
                        f"{place} has {len(cells)} columns where {len(names)} are expected ({listed(names)}): "
                        "fix the line's separators and quotes."
                    )
                yield Row(dict(zip(names, cells, strict=True)), path, number, place)
        except csv.Error as error:
            raise InputError(
                f"{path}:{begun + 1} is not valid CSV ({error} in line {reader.line_num}): close the quotes of the row "
                "that begins there, and double those inside a cell."
            ) from error


def _header(path: Path, names: Sequence[str], delimiter: str) -> Sequence[str]:
    if len(names) == 1 and (other := next((one for one in SEPARATORS if one != delimiter and one in names[0]), None)):
        raise InputError(
            f"{path} has the single column {listed(names)!r}: {SEPARATORS[other]} separate its columns, but "
            f"{SEPARATORS[delimiter]} are expected: write it with these"
            f"{', or name it .tsv' if other == chr(9) else ', or name it .csv' if other == ',' else ''}."
        )
    if repeated := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise InputError(f"{path} has two columns with the name {repeated!r}: rename one of them.")
    return names


def _parquet(path: Path, columns: Columns) -> Iterator[Row]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, buffer_size=READ) as file:
        yield from _rows(path, file.iter_batches(batch_size=BATCH))


def _arrow(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of Arrow's streaming format, which `datasets` writes, or of its file format."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as file:
        if file.read(6) == b"ARROW1":
            reader = pyarrow.ipc.open_file(file)
            yield from _rows(path, _sound(reader.get_batch(place) for place in range(reader.num_record_batches)))
            return
        file.seek(0)
        yield from _rows(path, _sound(pyarrow.ipc.open_stream(file)))


def _sound(batches: Iterator[Any]) -> Iterator[Any]:
    """Batches whose text offsets are valid; Arrow does not check them, and invalid ones crash the program."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _rows(path: Path, batches: Iterator[Any]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for fields in batch.to_pylist():
            number += 1
            yield Row(fields, path, number, f"{path}, row {number}")


READERS: dict[str, Callable[[Path, Columns], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
TEXT = (".jsonl", ".json", ".csv", ".tsv")
SUFFIXES = {
    f"{form}{packed}": READERS[form] for form in READERS for packed in COMPRESSIONS if form in TEXT or not packed
}
"""Readers by the end of a file's name."""

KNOWN = f"{', '.join(READERS)}, and the first {len(TEXT)} also with {', '.join(filter(None, COMPRESSIONS))} added"
"""The formats, for a message."""
