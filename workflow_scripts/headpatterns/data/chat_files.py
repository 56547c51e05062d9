"""The files of a model that contain chat templates, as transformers reads them, and whether one is the default."""

from pathlib import Path, PurePosixPath

from headpatterns.errors import InputError
from headpatterns.io import read_json_object

FILE = "chat_template.jinja"
"""The file in which transformers looks for a template first."""

FOLDER = "additional_chat_templates"
"""Folder of templates with names, one NAME.jinja each."""

SETTINGS = "tokenizer_config.json"
"""The file in which older versions of transformers store one template, or several by name."""

DEFAULT = "default"
"""The name of the template that prints conversations."""


def named(folder: Path) -> list[Path]:
    """The files of templates that have a name, in alphabetical order."""
    return sorted(path for path in (folder / FOLDER).glob("*.jinja") if path.is_file())


def is_template(name: str) -> bool:
    """Whether a file of a model, given its path in the model's folder, is a chat template."""
    path = PurePosixPath(name)
    return str(path.parent) == FOLDER and path.suffix == ".jinja"


def names(folder: Path) -> list[str]:
    """The names of all templates of the tokenizer in a folder; files replace its settings, as in transformers.

    Raises:
        InputError: its settings are not a JSON object.
    """
    found = [DEFAULT] if (folder / FILE).is_file() else []
    found += [path.stem for path in named(folder)]
    if found or not (folder / SETTINGS).is_file():
        return found
    stated = read_json_object(folder / SETTINGS).get("chat_template")
    if isinstance(stated, list):
        return [str(one.get("name")) for one in stated if isinstance(one, dict)]
    return [DEFAULT] if stated else []


def no_default(place: Path | str, found: list[str]) -> str:
    """The message about a tokenizer whose templates all have names and none is the default."""
    return (
        f"the tokenizer in {place} has only named chat templates ({', '.join(sorted(found))}) and no default: write "
        f"the default to {FILE} in the same folder."
    )


def problem(folder: Path, none: str) -> str:
    """Why the tokenizer in a folder cannot print conversations; `none` if it has no template at all.

    Returns:
        A sentence; empty if there is a default template.
    """
    try:
        found = names(folder)
    except InputError as error:
        return str(error)
    if DEFAULT in found:
        return ""
    return no_default(folder, found) if found else none
