"""OpenCompass's built-in configurations of datasets, found by name below `opencompass.configs.datasets`."""

import copy
import difflib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError, first_line

SHORT_NAMES = {
    "mmlu": "mmlu/mmlu_gen",
    "ARC": "ARC_c/ARC_c_gen",
    "hellaswag": "hellaswag/hellaswag_gen",
    "winogrande": "winogrande/winogrande_gen",
    "gsm8k": "gsm8k/gsm8k_gen",
    "math": "math/math_gen",
    "mathbench": "MathBench/mathbench_gen",
}
"""The generative configurations of the paper's datasets that OpenCompass uses as the current ones."""


def check_installed() -> Path:
    """The folder of the package OpenCompass, which is not imported.

    Raises:
        InputError: there is none.
    """
    found = importlib.util.find_spec("opencompass")
    if found is None or found.origin is None:
        raise InputError(
            f"{sys.executable} has no OpenCompass: use the interpreter of its own environment, which "
            "`make opencompass` sets up."
        )
    return Path(found.origin).parent


def full_name(config: str) -> str:
    """The path of a configuration, from its path or its short name; it is not imported.

    Raises:
        InputError: there is no such configuration; the message names the most similar one.
    """
    names = sorted(_names())
    found = SHORT_NAMES.get(config, config)
    if found not in names:
        known = [*SHORT_NAMES, *names]
        raise InputError(
            f"OpenCompass has no built-in configuration '{config}': did you mean "
            f"{difflib.get_close_matches(config, known, n=1, cutoff=0)[0]}?"
        )
    return found


def _names() -> Iterator[str]:
    folder = check_installed() / "configs" / "datasets"
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder).with_suffix("").as_posix()


def read(config: str, max_new_tokens: int, rehearsals: Path) -> list[dict[str, Any]]:
    """The datasets that a configuration (its full name) defines, ready to be evaluated by generation.

    Answers have at most `max_new_tokens` tokens, or fewer if the configuration says so. `rehearsals` is a new folder
    for the files of the checks.

    Raises:
        InputError: as `definitions`, `count_items` and `check_scoring`.
    """
    datasets = definitions(config)
    for number, (abbr, dataset) in enumerate(datasets.items()):
        inferencer = dataset["infer_cfg"]["inferencer"]
        inferencer["max_out_len"] = min(inferencer.get("max_out_len") or max_new_tokens, max_new_tokens)
        check_scoring(config, dataset, count_items(config, abbr, dataset), rehearsals / str(number))
    return list(datasets.values())


def definitions(config: str) -> dict[str, dict[str, Any]]:
    """The datasets that a configuration (its full name) defines, by abbreviation; no data are read.

    Raises:
        InputError: it defines no dataset, or one that is not evaluated by generating text, or it needs a package that
            is not installed.
    """
    try:
        module = importlib.import_module(f"opencompass.configs.datasets.{config.replace('/', '.')}")
    except ImportError as error:
        raise _lacking(config, error) from error
    lists = [value for name, value in vars(module).items() if name.endswith("datasets") and isinstance(value, list)]
    datasets = {dataset["abbr"]: copy.deepcopy(dataset) for found in lists for dataset in found}
    if not datasets:
        raise InputError(f"the built-in configuration {config} defines no dataset: choose another configuration.")
    for abbr, dataset in datasets.items():
        inferencer = dataset["infer_cfg"]["inferencer"]
        kind = inferencer["type"] if isinstance(inferencer["type"], str) else inferencer["type"].__name__
        if not kind.endswith("GenInferencer"):
            raise InputError(
                f"the built-in configuration {config} evaluates {abbr} with {kind}, not by generating an answer: use a "
                "configuration with `gen` in its name."
            )
    return datasets


def forbid_downloads() -> None:
    """Make OpenCompass raise an InputError with the expected path, instead of downloading missing data."""
    import opencompass.utils.datasets

    opencompass.utils.datasets.download_dataset = _refuse_download


def _refuse_download(path: str, *_: Any) -> None:
    raise InputError(
        f"OpenCompass expects the data of a built-in configuration at {os.path.normpath(path)}: unpack the data "
        "there (--opencompass-data names the folder above `data/`)."
    )


def count_items(config: str, abbr: str, dataset: dict[str, Any]) -> int:
    """Items of a dataset that a configuration (its full name) defines; all its data are read.

    Raises:
        InputError: the data are not in the place that OpenCompass expects (after `forbid_downloads`), or cannot be
            read.
    """
    from opencompass.utils import build_dataset_from_cfg

    try:
        return len(build_dataset_from_cfg(dataset).test)
    except OSError as error:
        where = os.path.normpath(error.filename) if error.filename else first_line(error)
        raise InputError(
            f"the built-in configuration {config} cannot read the data of {abbr} at {where}: add the missing "
            "files below --opencompass-data."
        ) from error
    except InputError:
        raise
    except ImportError as error:
        raise _lacking(config, error) from error
    except Exception as error:  # each dataset has its own reader
        raise InputError(
            f"the built-in configuration {config} cannot read the data of {abbr} at {_place(dataset)} "
            f"({first_line(error)}): give the files that OpenCompass expects there."
        ) from error


def _place(dataset: dict[str, Any]) -> str:
    """The place of a dataset's data, with the line at which they are not JSON."""
    from opencompass.utils import get_data_path

    place = Path(get_data_path(str(dataset["path"])))
    for file in [place] if place.is_file() else sorted(place.rglob("*.jsonl")):
        for number, line in enumerate(file.read_bytes().splitlines(), start=1):
            try:
                json.loads(line)
            except ValueError:
                return f"{os.path.normpath(file)}, line {number}"
    return os.path.normpath(place)


def _lacking(config: str, error: BaseException) -> InputError:
    """The error for a configuration that imports a package that is not installed."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, ModuleNotFoundError):
        link = link.__cause__ or link.__context__
    name = link.name if isinstance(link, ModuleNotFoundError) else None
    why = f"needs the Python package {name}, which is not installed" if name else f"fails ({first_line(error)})"
    return InputError(
        f"the built-in configuration {config} {why}: install what it needs for {sys.executable}, or choose "
        "another configuration."
    )


def check_scoring(config: str, dataset: dict[str, Any], items: int, folder: Path) -> None:
    """Make OpenCompass score dummy answers, one per item, to find errors before real answers are generated.

    Args:
        config: the full name of the configuration.
        dataset: a dataset that it defines.
        items: number of items of its test split.
        folder: a new folder for OpenCompass's files.

    Raises:
        InputError: its evaluator needs a package that is not installed, fails, or gives no accuracy.
    """
    from headpatterns.evaluation import harness, scores

    try:
        output = harness.rehearsed(dataset, items, folder)
    except ImportError as error:
        raise _lacking(config, error) from error
    except Exception as error:  # each evaluator fails in its own way
        raise InputError(
            f"the built-in configuration {config} cannot score {dataset['abbr']} ({first_line(error)}): choose another "
            "configuration, or install what its evaluator needs."
        ) from error
    scores.of_builtin(output)
