"""Write docs/licences.csv: every pinned package with its licence, as the package itself states it.

    python envs/licences.py            writes it, from the packages of this interpreter and `.venv-opencompass`
    python envs/licences.py --check    writes nothing, and ends with status 1 where it would change or a licence is not
                                       among those expected; an environment that is not installed is left as it is

Licences are SPDX expressions. What packages state in older fields is put into these words by `WORDS`.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TABLE = FOLDER.parent / "docs" / "licences.csv"
COLUMNS = ("package", "version", "environment", "licence")
ENVIRONMENTS = ("workflow", "test", "opencompass")
OPENCOMPASS = FOLDER.parent / ".venv-opencompass"

WORDS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache Software License 2.0": "Apache-2.0",
    "Apache2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "GNU General Public License (GPL)": "GPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Public Domain": "LicenseRef-Public-Domain",
    "Academic Free License (AFL)": "AFL-2.1",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}

STATED = {
    "axe-playwright-python": "MIT AND MPL-2.0",
    "conda-inject": "MIT",
    "python-levenshtein": "GPL-2.0-or-later",
    "rouge": "Apache-2.0",
    "rouge-chinese": "Apache-2.0",
    "snakemake-interface-common": "MIT",
    "snakemake-interface-logger-plugins": "MIT",
    "snakemake-interface-report-plugins": "MIT",
    "snakemake-interface-scheduler-plugins": "MIT",
    "snakemake-interface-storage-plugins": "MIT",
    "snakemake-logger-plugin-rich": "MIT",
}
"""Of packages whose metadata names none: what the file LICENSE of their sources says."""

EXPECTED = {
    "0BSD", "AFL-2.1", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "CNRI-Python", "HPND", "ISC", "LicenseRef-Public-Domain", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0",
    "Unlicense", "Zlib",
}  # fmt: skip
"""Licences under which anybody may use a package together with this project, whose own is MIT."""

EXCEPTIONS = {
    "codespell": "a program that the linters start",
    "docutils": "one file of it, an Emacs mode, has the GPL, and none that is imported",
}
"""Packages of the workflow and its tests that may have another licence, and why.

Those of OpenCompass are its own matter: it is installed apart, and nothing of the workflow imports it.
"""

NORMAL = re.compile(r"[-_.]+")


def pins(environment: str) -> dict[str, str]:
    """Version by package, of the file of an environment."""
    lines = (FOLDER / f"{environment}.txt").read_text(encoding="utf-8").splitlines()
    found = (line.partition(";")[0].strip().split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name: version for name, version in found}  # noqa: C416 - of pairs that are lists


def normal(name: str) -> str:
    """The name of a package as indexes compare it."""
    return NORMAL.sub("-", name).lower()


def licence(package: metadata.Distribution) -> str:
    """The licence that an installed package states; empty where it states none, or none that is known."""
    about = package.metadata
    if about["License-Expression"]:
        return about["License-Expression"]
    if normal(about["Name"]) in STATED:
        return STATED[normal(about["Name"])]
    classifiers = about.get_all("Classifier") or ()
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: OSI Approved ::")]
    named += [one.rpartition(" :: ")[2] for one in classifiers if one == "License :: Public Domain"]
    named = named or [line.strip() for line in (about["License"] or "").splitlines()[:1]]
    words = [WORDS.get(name, name if name in EXPECTED or " AND " in name else "") for name in named]
    return " OR ".join(words) if words and all(words) else ""


def rows(environment: str) -> Iterator[tuple[str, str, str, str]]:
    """The rows of an environment's packages; of one that is not installed, those that the table has."""
    own = environment != "opencompass"
    places = list(map(str, OPENCOMPASS.glob("lib/python*/site-packages")))
    packages = metadata.distributions() if own else metadata.distributions(path=places)
    installed = {normal(one.metadata["Name"]): one for one in packages}
    known = {row[0]: row for row in table() if row[2] == environment}
    for name, version in pins(environment).items():
        if own or places:
            found = installed.get(normal(name))
            yield name, version, environment, licence(found) if found else ""
        else:
            yield known.get(name, (name, version, environment, ""))


def table() -> list[tuple[str, str, str, str]]:
    """The rows of docs/licences.csv."""
    if not TABLE.is_file():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [(row[0], row[1], row[2], row[3]) for row in list(csv.reader(file))[1:]]


def parts(expression: str) -> list[str]:
    """The licences of an SPDX expression: one of those beside OR is enough, and all beside AND count."""
    return re.split(r" AND | OR ", expression.replace("(", "").replace(")", ""))


def problems(found: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    """A sentence for each package whose licence is missing or not among those expected."""
    for name, _, environment, stated in found:
        if not stated:
            yield f"{name} of envs/{environment}.txt is not installed, or states no known licence: add it to STATED."
        elif environment != "opencompass" and normal(name) not in EXCEPTIONS and not {*parts(stated)} <= EXPECTED:
            yield f"{name} of envs/{environment}.txt has the licence {stated}, which is not expected: replace it."


def main(check: bool) -> int:
    """Write the table, or compare it with what would be written; the exit status."""
    found = [row for environment in ENVIRONMENTS for row in rows(environment)]
    said = list(problems(found))
    if not check:
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *found])
    elif found != table():
        said.append("docs/licences.csv is not what the installed packages state: run `make licences`.")
    for sentence in said:
        print(sentence, file=sys.stderr)
    return bool(said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write docs/licences.csv from the installed packages.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    sys.exit(main(**vars(parser.parse_args())))
