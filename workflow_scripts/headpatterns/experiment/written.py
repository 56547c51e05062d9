"""A config as a file: written with all overlays merged, read back, and its fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from headpatterns.errors import InputError
from headpatterns.experiment.schema import PLACES
from headpatterns.io import atomic_path

Given = Mapping[str, Any]
"""A config as Snakemake reads it, a plain dictionary."""


def write_config(path: Path, config: Given) -> None:
    """Write a config, all overlays merged, as one YAML file that runs the same experiment."""
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_config(path: Path) -> dict[str, Any]:
    """A config that `write_config` wrote.

    Raises:
        InputError: it cannot be read.
    """
    try:
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"the config {path} cannot be read ({error}): write it again (`snakemake {path}`).") from error
    return content


def decisive(config: Given) -> dict[str, Any]:
    """A config without keys that no result depends on: cluster settings, assumptions of plans, and sources of files."""
    found = {key: value for key, value in config.items() if key not in PLACES}
    for section in ("models", "datasets"):
        told = {name: entry for name, entry in config[section].items() if "obtain" in entry}
        plain = {name: {key: entry[key] for key in entry if key != "obtain"} for name, entry in told.items()}
        found[section] = {**config[section], **plain}
    return found


def in_any_order(value: Any) -> Any:
    """A value of the config with the keys of all its mappings sorted, so that their order does not matter."""
    if isinstance(value, Mapping):
        return {key: in_any_order(inner) for key, inner in sorted(value.items())}
    return [in_any_order(inner) for inner in value] if isinstance(value, list) else value


def digest(config: Given) -> str:
    """Fingerprint of the decisive part of a config, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()[:16]
