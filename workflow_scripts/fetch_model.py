"""Download a model of the Hugging Face hub, at a pinned revision, into a folder."""

import argparse
from pathlib import Path

import command_line
from headpatterns.errors import InputError, first_line
from headpatterns.files import atomic_path, remove

PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt"]
PICKLED = ["pytorch_model*.bin"]


def main(arguments: argparse.Namespace) -> None:
    """Fetch config, tokenizer and safetensors; pickled weights only where a model has no others."""
    from huggingface_hub import snapshot_download

    with atomic_path(arguments.output) as temporary:

        def download(patterns: list[str]) -> None:
            snapshot_download(
                arguments.hub,
                revision=arguments.revision,
                local_dir=temporary,
                cache_dir=temporary / ".cache",
                allow_patterns=patterns,
            )

        try:
            download(PATTERNS)
            if not any(temporary.glob("*.safetensors")):
                download(PICKLED)
        except Exception as error:  # the hub's client raises dozens of types for what is one thing to the user
            raise InputError(
                f"the model {arguments.hub} (revision {arguments.revision}) cannot be fetched: {first_line(error)}; "
                "check its id, your network and login, or give a local folder as path."
            ) from error
        if not any(path.suffix in {".safetensors", ".bin"} for path in temporary.iterdir()):
            raise InputError(
                f"the model {arguments.hub} (revision {arguments.revision}) has no weights: choose another."
            )
        remove(temporary / ".cache")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--hub", required=True, help="id of the model")
    made.add_argument("--revision", required=True, help="commit of the model's repository")
    made.add_argument("--output", type=Path, required=True, help="folder of the model")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
