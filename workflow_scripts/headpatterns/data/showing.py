"""One sample token by token, as training and patterns read it, in colour if the terminal supports it."""

from typing import Any

from headpatterns.data.tokens import IGNORED, TokenizedSample

WITHOUT_LOSS, WITH_LOSS, SPECIAL, END = "\x1b[2m", "\x1b[32m", "\x1b[1;35m", "\x1b[0m"
"""Terminal codes for faint, green and bold magenta text, and for the end of each."""


def shown(tokenizer: Any, sample: TokenizedSample, colour: bool) -> str:
    """The text of a sample, then a line for each of its tokens: place, id, label and text.

    In colour, tokens without a loss are faint, tokens with a loss are green, and special tokens are magenta. Without
    colour, tokens with a loss are between ⟨ and ⟩ in the text. A token with the label −100 has no loss, and neither has
    the first token, because no context predicts it.

    Args:
        tokenizer: of transformers, the one that made the sample.
        sample: the sample.
        colour: whether the text is for a terminal with colours.
    """
    ids, labels = sample.input_ids, sample.labels
    pieces = [str(tokenizer.decode([id], clean_up_tokenization_spaces=False)) for id in ids]
    lossy = has_loss(sample)
    looks = [SPECIAL if id in tokenizer.all_special_ids else WITH_LOSS if loss else WITHOUT_LOSS
             for id, loss in zip(ids, lossy, strict=True)]  # fmt: skip
    marked = [f"⟨{piece}⟩" if loss else piece for piece, loss in zip(pieces, lossy, strict=True)]
    text = "".join(_coloured(pieces, looks) if colour else marked)
    quoted = [repr(piece) for piece in pieces]
    wide = max(5, *(len(str(id)) for id in ids))
    rows = zip(range(len(ids)), ids, labels, _coloured(quoted, looks) if colour else quoted, strict=True)
    lines = [f"{place:5}  {id:{wide}}  {label:{wide}}  {piece}" for place, id, label, piece in rows]
    return "\n".join([heading(sample), "", text, "", f"place  {'id':>{wide}}  {'label':>{wide}}  token", *lines])


def has_loss(sample: TokenizedSample) -> list[bool]:
    """Whether each token has a loss."""
    return [place > 0 and label != IGNORED for place, label in enumerate(sample.labels)]


def heading(sample: TokenizedSample) -> str:
    """The id of a sample, its number of tokens, and whether it was cut."""
    notes = {
        "cut at the maximum length": sample.truncated,
        "one token has the end of the prompt and the beginning of the response": sample.straddling,
    }
    counted = f"sample {sample.id}: {len(sample.input_ids)} tokens, {sample.response_tokens} with a loss"
    return "; ".join([counted, *(note for note, applies in notes.items() if applies)])


def _coloured(pieces: list[str], looks: list[str]) -> list[str]:
    return [f"{look}{piece}{END}" for piece, look in zip(pieces, looks, strict=True)]
