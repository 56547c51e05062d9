"""The options of a training recipe, shared by pretraining and fine-tuning."""

import argparse
from typing import TYPE_CHECKING

from headpatterns.errors import InputError

if TYPE_CHECKING:
    from headpatterns.training.train import Recipe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options; `headpatterns.training.Recipe` says what each means."""
    options = parser.add_argument_group("recipe")
    options.add_argument("--learning-rate", type=float, required=True)
    options.add_argument("--lr-scheduler", default="cosine")
    options.add_argument("--warmup-ratio", type=float, default=0.03)
    options.add_argument("--weight-decay", type=float, default=0.0)
    options.add_argument("--max-grad-norm", type=float, default=1.0)
    options.add_argument("--epochs", type=float, default=3.0, help="used when --max-steps is not given")
    options.add_argument("--max-steps", type=int)
    options.add_argument("--engine", choices=["pytorch", "deepspeed"], default="pytorch")
    options.add_argument("--devices", type=int, default=1, help="processes; more than one are started by launch.py")
    options.add_argument(
        "--optimizer",
        choices=["adamw", "adamw_fused", "adamw_offloaded"],
        default="adamw_fused",
        help="the last with deepspeed",
    )
    options.add_argument("--per-device-batch-size", type=int, required=True)
    options.add_argument("--gradient-accumulation-steps", type=int, default=1)
    options.add_argument("--global-batch-size", type=int, required=True)
    options.add_argument("--padding-free", action="store_true")
    options.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options.add_argument("--gradient-checkpointing", action="store_true")
    options.add_argument("--checkpoint-dtype", choices=["float32", "bfloat16"], default="float32")
    options.add_argument("--checkpoint-steps", type=int, nargs="*", default=[])
    options.add_argument("--resume-every", type=int, default=500)
    options.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="processor threads, of all processes on a machine")


def recipe(arguments: argparse.Namespace) -> "Recipe":
    """The recipe that the options say.

    Raises:
        InputError: an optimizer that the engine does not have.
    """
    from dataclasses import fields

    from headpatterns.training.train import Recipe

    if arguments.optimizer == "adamw_offloaded" and arguments.engine != "deepspeed":
        raise InputError("--optimizer adamw_offloaded needs --engine deepspeed: give that, or another optimizer.")
    given = {field.name: getattr(arguments, field.name) for field in fields(Recipe)}
    return Recipe(**{**given, "checkpoint_steps": tuple(sorted(set(arguments.checkpoint_steps)))})
