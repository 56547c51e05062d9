"""The studies: each folder here describes one as `STUDY`, and all of them are found here.

Every folder with an `__init__.py` that has a `STUDY` is found automatically; its `place` determines the display order.
"""

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from headpatterns.errors import InputError
from headpatterns.experiment.study import Study


@cache
def load_studies() -> tuple[Study, ...]:
    """The studies of all folders, in display order: by their `place`, and then by name.

    Raises:
        InputError: a folder describes no study, or one with another name.
    """
    found = [described(name) for _, name, is_folder in pkgutil.iter_modules(__path__) if is_folder]
    return tuple(sorted(found, key=lambda study: (study.place, study.name)))


def described(name: str) -> Study:
    """The study of a folder.

    Raises:
        InputError: the folder describes no study, or one with another name.
    """
    study = getattr(import_module(f"{__name__}.{name}"), "STUDY", None)
    folder = Path(__path__[0]) / name
    if not isinstance(study, Study):
        raise InputError(f"The folder {folder} defines no study: define STUDY as a Study in its __init__.py.")
    if study.name != name:
        raise InputError(f"The folder {folder} defines a study with the name {study.name!r}: give both the same name.")
    return study
