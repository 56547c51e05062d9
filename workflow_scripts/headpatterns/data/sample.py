"""One sample of a file, by its id, as the tokenizer of a model reads it."""

from pathlib import Path
from typing import Any

from headpatterns import extras
from headpatterns.data import samples, showing
from headpatterns.data.tokens import TokenizedSample, tokenize
from headpatterns.errors import InputError
from headpatterns.models import loading as models


def show_sample(
    model: str | Path,
    data: str | Path,
    id: str | None = None,
    *,
    template: str | None = None,
    max_length: int = 1024,
    colour: bool = False,
) -> str:
    """One sample token by token, with its labels, as training and patterns read it.

    Args:
        model: folder with the tokenizer.
        data: a file or folder of rows with prompt, response and optionally id.
        id: of the sample; None for the first.
        template: prompt template into which rows are put: `question`, `alpaca`, `chat` (of the model's tokenizer), or a
            text with {instruction}; None if prompts are ready.
        max_length: tokens at which it is cut.
        colour: whether the text is for a terminal with colours.

    Returns:
        The text of the sample, then a line for each token: place, id, label (−100 without a loss) and text.

    Raises:
        InputError: the file or the tokenizer cannot be used, or the file has no such sample.
    """
    tokenizer, sample = read_sample(model, data, id, template=template, max_length=max_length)
    return showing.shown(tokenizer, sample, colour)


def read_sample(
    model: str | Path, data: str | Path, id: str | None = None, *, template: str | None = None, max_length: int = 1024
) -> tuple[Any, TokenizedSample]:
    """The tokenizer of a model, and a sample as it reads it; arguments and errors as in `show_sample`."""
    rows = samples.rows_in_template(Path(data), template)
    found = [row for row in rows if id in (None, row["id"])]
    if not found:
        raise InputError(
            f"{data} has no sample '{id}' (it has {len(rows)} samples, and the first is '{rows[0]['id']}'): give "
            "another id."
        )
    extras.need("reading a sample with a tokenizer", "models")
    tokenizer = models.load_tokenizer(model)
    return tokenizer, tokenize(tokenizer, **found[0], max_length=max_length)
