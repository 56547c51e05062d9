"""The parts of the package that need more than its base dependencies, and the error if these are missing."""

from importlib.util import find_spec

from headpatterns.errors import InputError

EXTRAS = {"models": ("torch", "transformers"), "drawing": ("matplotlib", "jinja2")}
"""Extras of the package, each with modules that exist if it is installed."""


def need(what: str, *extras: str) -> None:
    """Refuse work whose extras are not installed, before anything is read.

    Args:
        what: the requested work, as the start of the sentence.
        extras: extras that it needs.

    Raises:
        InputError: a module of an extra is not installed.
    """
    lacking = {extra: [name for name in EXTRAS[extra] if find_spec(name) is None] for extra in extras}
    if missing := [name for names in lacking.values() for name in names]:
        wanted = ",".join(extra for extra, names in lacking.items() if names)
        raise InputError(
            f'{what} needs {" and ".join(missing)}, not installed here: pip install "headpatterns[{wanted}]".'
        )
