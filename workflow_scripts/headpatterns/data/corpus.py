"""A corpus for pretraining: the texts of a file."""

from pathlib import Path

from headpatterns.data import sources
from headpatterns.data.records import MissingFieldError, RowError, listed, written
from headpatterns.errors import InputError


def read(path: Path) -> list[str]:
    """The field `text` of every row, in order.

    Raises:
        InputError: the file cannot be read or has no row, or a row has no text; the message names file and line.
    """
    texts = []
    for row in sources.read_rows(sources.expand([path])):
        try:
            texts.append(written(row, "text"))
        except MissingFieldError as error:
            raise InputError(
                f"{row.place} has no field text (its fields are {listed(row.fields)}): give a corpus of rows with text."
            ) from error
        except RowError as error:
            raise InputError(f"{row.place} cannot be used ({error}): fix or remove it.") from error
    if not texts:
        raise InputError(f"{path} has no rows: give a corpus.")
    return texts
