"""Experiments from the project's config with overlays, or from a config that a test has changed."""

import re
from typing import Any

from project import PROJECT, config_in

from headpatterns.experiment import checks
from headpatterns.experiment.experiment import Experiment
from headpatterns.studies import load_studies

Overlay = str | dict[str, Any]
"""The path of an overlay below the project, or its content."""

ONE_SEED: dict[str, Any] = {
    "seeds": [0],
    "studies": {study: {"seeds": None} for study in ("validity", "mixing", "selection")},
}
"""The overlay with which every study uses only seed 0."""

RULES = ("finetune", "extract_patterns", "ablate_heads", "read_candidates", "pretrain")


def merged(config: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Merge `overlay` into `config` as Snakemake does: mappings are merged, and lists are replaced."""
    mapping = {key: value for key, value in overlay.items() if isinstance(value, dict)}
    return {**config, **overlay, **{key: merged(config.get(key) or {}, value) for key, value in mapping.items()}}


def config_of(*overlays: Overlay) -> dict[str, Any]:
    """config.yaml with overlays, as a plain dictionary that the caller may change."""
    config: dict[str, Any] = {}
    for overlay in ("config.yaml", *overlays):
        config = merged(config, overlay if isinstance(overlay, dict) else config_in(overlay))
    return config


def stacks() -> list[list[str]]:
    """The overlays of each command in the header comments of config/*.yaml, as paths below the project."""
    found = []
    for file in sorted((PROJECT / "config").glob("*.yaml")):
        commands = re.findall(r"^#  +snakemake .*--configfile (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert commands, f"{file} says at its head how to run it"
        found += [command.split() for command in commands]
    return [stack for place, stack in enumerate(found) if stack not in found[:place]]


def meaning(config: dict[str, Any]) -> Experiment:
    """The experiment that a config describes."""
    return Experiment(config, load_studies())


def experiment_of(*overlays: Overlay) -> Experiment:
    """The experiment that config.yaml with overlays describes."""
    return meaning(config_of(*overlays))


def checked(config: dict[str, Any]) -> Experiment:
    """The experiment that a config describes, after all checks have passed."""
    experiment = meaning(config)
    checks.check(experiment)
    checks.check_rules(experiment, RULES)
    return experiment
