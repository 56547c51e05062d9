# Checks before Snakemake reads the config, because Snakemake reports errors of a config less clearly or not at all.

from pathlib import Path

from snakemake.exceptions import WorkflowError

from headpatterns.errors import InputError
from headpatterns.experiment import config_files


def or_stop(function, *given):
    """What a function returns; what it refuses ends Snakemake with that sentence alone."""
    try:
        return function(*given)
    except InputError as error:
        raise WorkflowError(str(error)) from None


if is_main():
    or_stop(config_files.check, [Path("config.yaml"), *overlay_files()])
