"""A model with a chat template that replaces its own: a folder of links to its files, and the template."""

from pathlib import Path

from headpatterns.data import chat
from headpatterns.data.chat_files import FILE, SETTINGS
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, read_json_object, write_json
from headpatterns.models import loading

OTHERS = (FILE, "chat_template.json")
"""Files of a model that contain a template."""


def of(source: Path) -> str:
    """The template in a file, or of the tokenizer in a folder.

    Raises:
        InputError: the file is not text, or the tokenizer has no template.
    """
    if source.is_dir():
        tokenizer = loading.load_tokenizer(source)
        if not tokenizer.chat_template:
            raise InputError(without(source))
        return chat.default(tokenizer)
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not UTF-8 text ({error.reason}): give a chat template in Jinja.") from error
    if not text.strip():
        raise InputError(f"{source} is empty: give a chat template in Jinja.")
    return text


def without(source: Path | str) -> str:
    """The message about a tokenizer whose template is to be used but does not exist."""
    return f"the tokenizer in {source} has no chat template: name a model whose tokenizer has one."


def give(model: Path, source: Path, output: Path) -> None:
    """Write a copy of a model or tokenizer folder in which the only chat template is that of `source`.

    Args:
        model: folder in Hugging Face layout; all of its other files are linked.
        source: as in `of`.
        output: the folder.

    Raises:
        InputError: as `of`, or the tokenizer cannot print a question and its answer with the template (`chat.read`).
    """
    template = of(source)
    with atomic_path(output) as temporary:
        temporary.mkdir(parents=True)
        for file in sorted(model.iterdir()):
            if file.is_file() and not file.name.startswith(".") and file.name not in (*OTHERS, SETTINGS):
                (temporary / file.name).symlink_to(file.resolve())
        if (model / SETTINGS).is_file():
            settings = read_json_object(model / SETTINGS)
            settings.pop("chat_template", None)
            write_json(temporary / SETTINGS, settings)
        (temporary / FILE).write_text(template, encoding="utf-8")
        chat.closing(loading.load_tokenizer(temporary))
