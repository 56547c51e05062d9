"""Tokenize the instructions of one dataset for one model: Arrow shards with the prompt masked by −100."""

import argparse
import csv
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, write_json


def main(arguments: argparse.Namespace) -> None:
    """Tokenize every instruction; drop those whose response lies wholly beyond the maximum length, and count them."""
    import pyarrow.parquet

    from headpatterns.data import tokens as tokenization
    from headpatterns.models import loading as models
    from headpatterns.provenance import fingerprint

    tokenizer = models.load_tokenizer(arguments.model)
    rows = pyarrow.parquet.read_table(arguments.instructions, columns=["id", "prompt", "response"]).to_pylist()
    samples = list(tokenization.tokenize_all(tokenizer, rows, arguments.max_length))
    kept = [sample for sample in samples if sample.response_tokens]
    if not kept:
        raise InputError(
            f"every sample of {arguments.instructions} was dropped: no response begins within "
            f"{arguments.max_length} tokens; raise tokenization.max_length."
        )
    identity = fingerprint(*(f"{sample.id} {sample.response_start} {sample.input_ids}" for sample in kept))
    with atomic_path(arguments.output) as temporary:
        tokenization.write_shards(kept, identity, temporary)
        with (temporary / "samples.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "tokens", "response_tokens", "truncated"])
            writer.writerows(
                [sample.id, len(sample.input_ids), sample.response_tokens, int(sample.truncated)] for sample in kept
            )
        report = {
            "samples": len(samples),
            "kept": len(kept),
            "dropped": len(samples) - len(kept),
            "truncated": sum(sample.truncated for sample in kept),
            "tokens": sum(len(sample.input_ids) for sample in kept),
            "response_tokens": sum(sample.response_tokens for sample in kept),
            "max_length": arguments.max_length,
        }
        write_json(temporary / "report.json", report)
    print(report)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="folder with the tokenizer")
    made.add_argument("--instructions", type=Path, required=True, help="parquet with id, prompt and response")
    made.add_argument("--max-length", type=int, required=True, help="tokens a sample may have")
    made.add_argument("--output", type=Path, required=True, help="folder of the shards")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
