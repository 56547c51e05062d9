"""Check that an interpreter has OpenCompass and what it needs, in the versions that envs/opencompass.txt pins."""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.errors import InputError
from headpatterns.io import write_json

PINS = Path(__file__).resolve().parents[1] / "envs" / "opencompass.txt"
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


def main(arguments: argparse.Namespace) -> None:
    """Ask the interpreter and write what it says."""
    interpreter = shutil.which(arguments.python)
    if interpreter is None:
        raise InputError(f"there is no Python interpreter {arguments.python}: {FIX}.")
    try:
        answer = subprocess.run([interpreter, "-c", PROBE, *NEEDED], capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"{interpreter} cannot be run ({error.strerror}): {FIX}.") from error
    print(answer.stderr, end="", flush=True)
    if answer.returncode:
        why = (answer.stderr.strip().splitlines() or ["it says nothing"])[-1].rstrip(".")
        raise InputError(f"{interpreter} cannot import OpenCompass ({why}): {FIX}.")
    found = json.loads(answer.stdout.splitlines()[-1])
    pinned = pins()
    for name in NEEDED:
        # A build for other hardware says so behind a plus sign.
        if found["versions"][name].split("+")[0] != pinned[name]:
            raise InputError(
                f"{interpreter} has {name} {found['versions'][name]}, but {pinned[name]} is pinned: {FIX}."
            )
    write_json(arguments.output, found)


def pins() -> dict[str, str]:
    """The pinned version of every package."""
    lines = PINS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--python", required=True, help="interpreter of the OpenCompass environment, a path or a name")
    p.add_argument("--output", type=Path, required=True, help="versions and platform, as JSON")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
