"""One sample of a file, by its id, as the tokenizer of a model reads it."""

from pathlib import Path

from headpatterns.data import samples, showing
from headpatterns.data.tokens import tokenize
from headpatterns.errors import InputError
from headpatterns.models import loading as models


def show(model: Path, data: Path, id: str | None, max_length: int, colour: bool) -> str:
    """The text that `showing.shown` gives for a sample of a file.

    Args:
        model: folder with the tokenizer.
        data: rows with prompt, response and optionally id.
        id: of the sample; None for the first.
        max_length: tokens at which it is cut.
        colour: whether the text is for a terminal that has colours.

    Raises:
        InputError: the file or the tokenizer cannot be used, or the file has no such sample.
    """
    rows = samples.read(data)
    found = [row for row in rows if id in (None, row["id"])]
    if not found:
        raise InputError(f"{data} has no sample '{id}' (its first is '{rows[0]['id']}', of {len(rows)}): name another.")
    tokenizer = models.load_tokenizer(model)
    return showing.shown(tokenizer, tokenize(tokenizer, **found[0], max_length=max_length), colour)
