# What is refused before Snakemake reads the config, of whose mistakes it says less or nothing.

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
