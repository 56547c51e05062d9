"""Write the conda environments from the pins of pip: workflow.yaml from workflow.txt, opencompass.yaml likewise.

Snakemake copies a conda environment elsewhere before it uses it, so the file cannot refer to the pins beside it.

    python envs/generate.py            writes both (`make pins`)
    python envs/generate.py --check    writes nothing, and ends with status 1 where a file is not what would be written
"""

import argparse
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PYTHON = "3.11"
ENVIRONMENTS = {
    "workflow": ("headpatterns", "the workflow"),
    "opencompass": ("headpatterns-opencompass", "the evaluation with OpenCompass"),
}
"""By the name of the files: the environment's own name, and what it is for."""


def pins(requirements: str) -> list[str]:
    """The lines of a requirements file that pin a package, in their order."""
    return [line for line in requirements.splitlines() if "==" in line and not line.startswith("#")]


def conda_environment(file: str, requirements: str) -> str:
    """The text of `file`.yaml for the text of `file`.txt."""
    name, use = ENVIRONMENTS[file]
    return "\n".join(
        [
            f"# Conda environment of {use}. Python alone comes from conda; pip installs the rest.",
            f"# envs/generate.py writes this file from {file}.txt: edit that one, then run `make pins`.",
            f"name: {name}",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            f"  - python ={PYTHON}",
            "  - pip",
            "  - pip:",
            *(f"      - {pin}" for pin in pins(requirements)),
            "",
        ]
    )


def main(check: bool) -> int:
    """Write both files, or compare them with what would be written; the exit status."""
    status = 0
    for file in ENVIRONMENTS:
        path = FOLDER / f"{file}.yaml"
        text = conda_environment(file, (FOLDER / f"{file}.txt").read_text(encoding="utf-8"))
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"envs/{file}.yaml does not have the pins of envs/{file}.txt: run `make pins`.", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the conda environments from the pins of pip.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    sys.exit(main(**vars(parser.parse_args())))
