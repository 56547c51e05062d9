"""Write the JSON schema and the table of keys of a config, from the models that read it."""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.experiment import document
from headpatterns.io import write_text
from headpatterns.studies import load_studies


def main(arguments: argparse.Namespace) -> None:
    """Write both files."""
    write_text(arguments.schema, document.json_schema(load_studies()))
    write_text(arguments.table, document.key_table(load_studies()))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument("--schema", type=Path, default=Path("config/schema.json"), help="the JSON schema")
    made.add_argument("--table", type=Path, default=Path("docs/config.md"), help="the table, in Markdown")
    return made


if __name__ == "__main__":
    cli.run(main, parser())
