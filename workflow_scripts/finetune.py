"""Fine-tune a model on training sets, in consecutive runs, each with its checkpoints and its training curve."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.processes import memory
from headpatterns.training.recipe import Recipe


def main(arguments: argparse.Namespace) -> None:
    """Train every run; a wrong recipe is refused before torch is imported."""
    recipe = Recipe.from_json(arguments.recipe)

    memory.load("headpatterns.training.finetune")
    from headpatterns.training.finetune import finetune

    finetune(
        starts=arguments.model,
        chosen=arguments.training_set,
        tokenized=arguments.tokenized,
        outputs=arguments.output,
        recipe=recipe,
        device=arguments.device,
        threads=arguments.threads,
        heads=arguments.heads,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument(
        "--model",
        type=Path,
        nargs="+",
        required=True,
        help="folder of the model to start from: one for all runs, or one for each run",
    )
    made.add_argument(
        "--training-set", type=Path, nargs="+", required=True, help="CSV of the samples (dataset, id), one for each run"
    )
    made.add_argument("--tokenized", type=Path, nargs="+", required=True, help="tokenized shards {dataset}/{split}")
    made.add_argument(
        "--heads", type=Path, nargs="+", default=[], help="CSV (layer, head) of what alone is trained, one for a run"
    )
    made.add_argument("--recipe", required=True, help="JSON object of the keys of headpatterns.training.recipe.Recipe")
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument("--threads", type=int, default=1, help="processor threads of all processes on a machine")
    made.add_argument("--output", type=Path, nargs="+", required=True, help="folder to write, one for each run")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
