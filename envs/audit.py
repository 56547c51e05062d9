"""Ask a database of known weaknesses for every pinned package: `make audit`.

pip-audit asks the one of the Python package index. Where that cannot be reached, what is said is why, and the exit
status is 0: nothing is known then. A known weakness is listed with the version that fixes it, and the status is 1.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
FILES = ("workflow.txt", "test.txt", "opencompass.txt", "audit.txt")

OPTIONS = ("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json")


def audited(path: Path) -> tuple[list[dict[str, Any]], str]:
    """What the database says of each pinned package of a file; or else nothing, and why it was not asked."""
    command = [sys.executable, "-m", "pip_audit", *OPTIONS, "--requirement", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError, TypeError):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return [], lines[-1].strip() if lines else f"pip-audit ended with status {done.returncode}"
    return found, ""


def main() -> int:
    """Print what is known of each file; the exit status."""
    status = 0
    for name in FILES:
        packages, reason = audited(FOLDER / name)
        if reason:
            print(f"envs/{name} is not audited, because the database of weaknesses does not answer: {reason}")
            continue
        weak = [(package, weakness) for package in packages for weakness in package.get("vulns", ())]
        for package, weakness in weak:
            fixed = ", ".join(weakness.get("fix_versions", ())) or "no version yet"
            print(f"envs/{name}: {package['name']} {package['version']} has {weakness['id']}, fixed in {fixed}.")
            status = 1
        print(f"envs/{name}: {len(packages)} packages, {len(weak)} known weaknesses.")
    return status


if __name__ == "__main__":
    sys.exit(main())
