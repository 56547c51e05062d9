"""Whether a model was trained from another: the same architecture, layers, heads and tokens."""

from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.models import loading

SHAPE = ("architecture", "layers", "query heads")


def difference(first: Path, second: Path) -> str:
    """The size in which two models differ, so that their heads do not correspond; empty if there is none.

    Raises:
        InputError: a folder is not a model.
    """
    for folder in (first, second):
        loading.check_folder(folder)
    for what, one, other in zip(SHAPE, shape(first), shape(second), strict=True):
        if one != other:
            return f"{first} has {_said(what, one)} but {second} has {_said(what, other)}"
    return ""


def shape(folder: Path) -> tuple[Any, ...]:
    """Architecture, layers and query heads of a model, from its config alone."""
    config = loading.load_config(folder).get_text_config()
    return config.model_type, config.num_hidden_layers, config.num_attention_heads


def _said(what: str, value: Any) -> str:
    return f"the architecture {value}" if what == "architecture" else f"{value} {what}"


def check_finetuned(base: Path, finetuned: Path) -> None:
    """Refuse a model that cannot have been trained from another.

    The base's tokenizer tokenizes the samples, so all of its tokens must be the same in the fine-tuned model. The
    latter may have additional tokens after them, such as the marks of a chat.

    Raises:
        InputError: naming the size or the first token that differs; or a folder is not a model or has no tokenizer.
    """
    if said := difference(finetuned, base):
        raise InputError(f"{said}: it was not trained from that model; set base to the model that it was trained from.")
    known, own = (loading.load_tokenizer(folder).get_vocab() for folder in (base, finetuned))
    for token, id in sorted(known.items(), key=lambda item: item[1]):
        if own.get(token) != id:
            there = f"has it as {own[token]}" if token in own else "has no such token"
            raise InputError(
                f"the tokenizer of {base} has the token {token!r} as {id}, but that of {finetuned} {there}: their "
                "vocabularies differ; set base to the model that it was trained from."
            )
