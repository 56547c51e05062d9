"""Report the problems of a config, with file and line or the key, before Snakemake is started; or that there are none.

The given files override config.yaml, in their order, as with `snakemake --configfile`. For a file that is not YAML,
Snakemake itself reports neither its name nor the line.
"""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.experiment import checks, config_files
from headpatterns.experiment.experiment import Experiment
from headpatterns.studies import load_studies

CONFIG = Path(__file__).resolve().parents[1] / "config.yaml"


def main(arguments: argparse.Namespace) -> None:
    """Read the files, refuse what the workflow would refuse, and print a summary of the config."""
    experiment = Experiment(config_files.merged([arguments.base, *arguments.files]), load_studies())
    checks.check(experiment)
    runs = f"{len(experiment.trained_runs)} runs will be fine-tuned"
    if given := len(experiment.runs) - len(experiment.trained_runs):
        runs += f", and {given} runs that were fine-tuned elsewhere will be used"
    print(f"The config of {experiment.config.experiment} is valid: {runs}.")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument(
        "files", type=Path, nargs="*", help="overlays; each is merged into the config and the overlays before it"
    )
    made.add_argument("--base", type=Path, default=CONFIG, help="config that the overlays are merged into")
    return made


if __name__ == "__main__":
    cli.run(main, parser())
