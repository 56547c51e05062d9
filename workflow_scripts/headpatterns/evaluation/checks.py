"""Checks of evaluations before anything expensive starts: OpenCompass's environment, and the sets.

`opencompass`, `own_sets` and `lengths` run in the workflow's environment, `builtin_sets` in OpenCompass's.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.evaluation import builtins, sequences, sets
from headpatterns.io import remove, write_csv, write_json
from headpatterns.models import loading

NEEDED = ("opencompass", "torch", "transformers")
FIX = "`make opencompass` sets up the environment that envs/opencompass.txt describes"

PROBE = """
import importlib, importlib.metadata, json, platform, sys
versions = {"python": platform.python_version()}
for name in sys.argv[1:]:
    importlib.import_module(name)
    versions[name] = importlib.metadata.version(name)
print(json.dumps({"versions": versions, "platform": platform.platform()}))
"""

OWN_COLUMNS = ("set", "items", "choice", "open")
LENGTH_COLUMNS = ("tokenizer", "positions", "set", "longest", "shortened")
BUILTIN_COLUMNS = ("set", "dataset", "items")


def opencompass(python: str, pins: Path, output: Path) -> None:
    """Check that an interpreter has OpenCompass and its dependencies, in the pinned versions.

    Args:
        python: the interpreter, a path or a name.
        pins: a requirements file with a line `package==version` for each package.
        output: JSON of its versions and platform.

    Raises:
        InputError: the interpreter does not exist, cannot be run, cannot import OpenCompass, or has another version.
    """
    interpreter = shutil.which(python)
    if interpreter is None:
        raise InputError(f"the Python interpreter {python} does not exist: {FIX}.")
    found = _asked(interpreter)
    lines = pins.read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for name in NEEDED:
        # A build for other hardware has a suffix after a plus sign.
        if found["versions"][name].split("+")[0] != pinned[name]:
            raise InputError(
                f"{interpreter} has {name} {found['versions'][name]}, but {pinned[name]} is pinned: {FIX}."
            )
    write_json(output, found)


def _asked(interpreter: str) -> dict[str, Any]:
    """The versions and the platform that an interpreter reports."""
    try:
        answer = subprocess.run([interpreter, "-c", PROBE, *NEEDED], capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"{interpreter} cannot be run ({error.strerror}): {FIX}.") from error
    print(answer.stderr, end="", flush=True)
    if answer.returncode:
        why = (answer.stderr.strip().splitlines() or ["it printed nothing"])[-1].rstrip(".")
        raise InputError(f"{interpreter} cannot import OpenCompass ({why}): {FIX}.")
    try:
        found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise InputError(f"{interpreter} does not behave like a Python interpreter: {FIX}.") from error
    return found


def own_sets(asked: sets.Asked, output: Path) -> None:
    """Check that every set of the workflow's own can be evaluated as requested.

    Args:
        asked: the sets.
        output: CSV of the items of each set, with options and without.

    Raises:
        InputError: no set is given; all are scored by likelihood and none has options; or as `sets.read_all`.
    """
    if not asked.given:
        raise InputError("there is no set to check: name one with --set.")
    found = sets.read_all(asked)
    rows = []
    for name, one in found.items():
        choices = sum(bool(item.choices) for item in one.items)
        rows.append((name, len(one.items), choices, len(one.items) - choices))
    if asked.scoring == sets.LIKELIHOOD and not any(choices for _, _, choices, _ in rows):
        raise InputError(
            f"evaluation.scoring is likelihood, but no evaluated set ({', '.join(found)}) has an item with options: "
            "set it to generate."
        )
    write_csv(output, OWN_COLUMNS, rows)


def lengths(asked: sets.Asked, readers: Sequence[Sequence[str]], output: Path) -> None:
    """Check that the responses of sets fit into the positions of the models that read them.

    Args:
        asked: the sets.
        readers: TOKENIZER POSITIONS and the names of sets, once for each kind of model.
        output: CSV of the tokens of the longest prompt and response of each set, and how many items are shortened.

    Raises:
        InputError: a response leaves no room for a prompt; or as `sets.read_all`.
    """
    own = sets.read_all(asked)
    rows = []
    for folder, positions, *names in readers:
        tokenizer = loading.load_tokenizer(folder)
        for name in names:
            texts = sequences.tokenized(tokenizer, name, own[name], int(positions))
            longest = max(len(text.ids) for item in texts for text in (item.gold, *item.options))
            rows.append((folder, positions, name, longest, sum(item.shortened for item in texts)))
    write_csv(output, LENGTH_COLUMNS, rows)


def builtin_sets(given: Sequence[Sequence[str]], data: Path, work_folder: Path, output: Path) -> None:
    """Check that OpenCompass's own sets are evaluated by generating answers, that their data exist and can be scored.

    All paths are absolute, as the working directory changes.

    Args:
        given: NAME and configuration of each set.
        data: folder that contains the `data/` of OpenCompass.
        work_folder: OpenCompass's files; removed before and after.
        output: CSV of the items of each dataset of each set.

    Raises:
        InputError: as `builtins.full_name`, `builtins.definitions`, `builtins.count_items` and
            `builtins.check_scoring`.
    """
    from headpatterns.evaluation import harness

    remove(work_folder)
    try:
        named = [(name, builtins.full_name(config)) for name, config in given]
        harness.isolate(work_folder, data, threads=1)
        builtins.forbid_downloads()
        rows = []
        for name, config in named:
            for number, (abbr, dataset) in enumerate(builtins.definitions(config).items()):
                items = builtins.count_items(config, abbr, dataset)
                builtins.check_scoring(config, dataset, items, work_folder / "rehearsals" / name / str(number))
                rows.append((name, abbr, items))
    finally:
        remove(work_folder)
    write_csv(output, BUILTIN_COLUMNS, rows)
