"""Checks of a model before patterns are computed: `check_model` prints them as a table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.attribution.extraction import activation_patterns, depends_on_batch
from headpatterns.errors import InputError
from headpatterns.models import independence, load_model, load_tokenizer
from headpatterns.models import loading as models

ROWS = (
    {"prompt": "Question: What is two plus three?\nAnswer:", "response": " Five."},
    {"prompt": "Question: Who wrote it?\nAnswer:", "response": " Nobody knows who wrote it."},
)
"""Two samples of different lengths."""

OK, REFUSED = "ok", "refused"


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes:
        name: what was checked.
        result: `ok` or `refused`.
        detail: what was found, or the sentence that says what is wrong and how to fix it.
    """

    name: str
    result: str
    detail: str


def line(check: Check) -> str:
    """A row of the table, as it is printed."""
    return f"{check.name:10} {check.result:8} {check.detail}"


def check_model(
    folder: Path | str,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    show: Callable[[str], None] | None = print,
) -> list[Check]:
    """Load a model and its tokenizer, compute two patterns, and print the results as a table; returns its rows.

    Training, attribution and evaluation make the same checks when they load a model. The first check that fails is the
    last row.

    Args:
        folder: a model in Hugging Face layout.
        dtype: of the weights, float32, bfloat16 or float16.
        device: cpu, cuda, cuda:N or mps.
        show: called with each line of the table; None to print nothing.
    """
    found: dict[str, Any] = {}

    def tokenizer() -> str:
        found["tokenizer"] = loaded = load_tokenizer(folder)
        names = {"EOS": loaded.eos_token, "BOS": loaded.bos_token, "padding": loaded.pad_token}
        return f"{type(loaded).__name__}, " + ", ".join(f"{name} {token or 'none'}" for name, token in names.items())

    def weights() -> str:
        found["model"] = loaded = load_model(folder, dtype, device)
        layers, heads = models.heads_of(loaded)
        return f"{type(loaded).__name__}, {loaded.num_parameters():,} parameters, {layers} layers × {heads} heads"

    def patterns() -> str:
        taken = activation_patterns(found["model"], ROWS, tokenizer=found["tokenizer"], token_budget=1)
        return "losses of two samples: " + ", ".join(f"{loss:.4f}" for loss in taken.losses)

    def batches() -> str:
        alone = depends_on_batch(found["model"])
        border = independence.turn(found["model"].config)
        how = (
            "one sample at a time, because other samples in the batch change its result"
            if alone
            else "a sample gives the same result in any"
        )
        apart = f"; samples of more than {border} tokens, which the model reads in another way, form their own batches"
        return how if border is None else how + apart

    steps: dict[str, Callable[[], str]] = {
        "tokenizer": tokenizer,
        "model": weights,
        "patterns": patterns,
        "batches": batches,
    }
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks.append(Check(name, OK, step()))
        except InputError as error:
            checks.append(Check(name, REFUSED, str(error)))
            break
    if show:
        for check in checks:
            show(line(check))
    return checks
