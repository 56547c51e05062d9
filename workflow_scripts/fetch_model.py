"""Download a model of the Hugging Face hub, at a pinned revision, into a folder."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data import hub
from headpatterns.io import remove, unfinished


def main(arguments: argparse.Namespace) -> None:
    """Fetch config, tokenizer and safetensors; pickled weights only where a model has no others."""
    hub.caches(unfinished(arguments.output))
    model = hub.look("model", arguments.hub, arguments.revision)
    files = hub.model_files(model)
    with hub.download(model, files, arguments.output) as folder:
        from huggingface_hub import snapshot_download

        made = folder / "files"
        snapshot_download(model.id, revision=model.commit, local_dir=made, allow_patterns=list(files))
        remove(made / ".cache")
        remove(arguments.output)
        made.rename(arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--hub", required=True, help="id of the model")
    made.add_argument("--revision", required=True, help="commit of the model's repository")
    made.add_argument("--output", type=Path, required=True, help="folder of the model")
    return made


if __name__ == "__main__":
    command_line.run(main, parser(), online=True)
