"""Write the JSON schema and the reference of the keys of a config, from the models that read it, or print a part."""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.experiment import config_files, document
from headpatterns.io import write_text
from headpatterns.studies import load_studies


def main(arguments: argparse.Namespace) -> None:
    """Write both files, or print the keys below one."""
    studies, config = load_studies(), config_files.read(arguments.config)
    if arguments.show is not None:
        print(document.key_text(studies, config, arguments.show), end="")
        return
    write_text(arguments.schema, document.json_schema(studies))
    write_text(arguments.table, document.key_table(studies, config))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument("--schema", type=Path, default=Path("config/schema.json"), help="path of the JSON schema")
    made.add_argument("--config", type=Path, default=Path("config.yaml"), help="path of the config with all keys")
    made.add_argument("--table", type=Path, default=Path("docs/config.md"), help="path of the reference, in Markdown")
    made.add_argument(
        "--show", metavar="KEY", help="write nothing; print this key and the keys below it, or all keys for ''"
    )
    return made


if __name__ == "__main__":
    cli.run(main, parser())
