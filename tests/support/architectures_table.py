"""Tests a tiny random model of each causal language model type of transformers, and writes docs/architectures.csv.

python tests/support/architectures_table.py                  # writes the table: three minutes
python tests/support/architectures_table.py llama bloom      # prints the rows of some types
"""

import csv
import dataclasses
import json
import random
import sys
from pathlib import Path

import decoders
import numpy as np
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as MODELS

from headpatterns.attribution import REDUCTIONS, activation_patterns, adapters
from headpatterns.attribution.ablation import ablated_losses
from headpatterns.attribution.extraction import depends_on_batch
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError, first_line
from headpatterns.models import families
from headpatterns.models import loading as models
from headpatterns.training.batches import collator

TABLE = Path(__file__).parents[2] / "docs/architectures.csv"

EXACT, ADAPTED, HYBRID = "exact", "exact with an adapter", "exact per attention layer"
ALONE, REFUSED, NOT_TRIED = "one sample at a time", "refused", "not tried"
TAKEN = (EXACT, ADAPTED, HYBRID, ALONE)
"""Results of models whose activation patterns can be computed."""

PARTS = "what it has beside the decoder of text is large; the type of its text alone may be listed"
UNTRIED = {
    **dict.fromkeys(["blt", "gemma3", "gemma4", "gemma4_unified", "git", "got_ocr2", "dots3_note"], PARTS),
    **dict.fromkeys(["moss_transcribe_diarize", "phi4_multimodal", "qwen4_exp"], PARTS),
    **dict.fromkeys(["gemma4_assistant", "gemma4_unified_assistant"], "it drafts for another model"),
    "gemma3n": "its images need the package timm",
    "mimo_v2_flash": "no tiny settings of it were found that run",
}
"""Model types without a tiny model, each with the reason."""

DRAW = random.Random(0)
SAMPLES = [
    TokenizedSample(f"s{prompt}", [DRAW.randrange(3, decoders.TOKENS) for _ in range(length)], prompt, False)
    for prompt, length in ((9, 20), (12, 19))
]
"""Samples longer than any attention window of the models. Their lengths are close, so they share a padded batch."""

LIMIT, PLAIN = 1e-4, 1e-5
"""Bounds of the relative error: no accepted model exceeds the first, and most stay below the second."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        model_type: the `model_type` of its config.
        model_class: the class that AutoModelForCausalLM builds.
        settings: its settings in `decoders.OWN`, as JSON.
        result: one of `TAKEN`, `REFUSED` or `NOT_TRIED`.
        error: a bound on the largest error of any head in any reduction, such as "< 1e-5". The reference is eager
            attention, and the error is relative to the largest head of the same layer.
        packed: compares the gradients of samples packed into one row with those of each sample alone: `equal` or
            `differs`, or `refused` if packing is refused.
        ablation: `works` if the slope of the loss equals the signed pattern, else `differs`.
        reason: why the type is refused or not tried.
    """

    model_type: str
    model_class: str
    settings: str = ""
    result: str = REFUSED
    error: str = ""
    packed: str = ""
    ablation: str = ""
    reason: str = ""


def measure(kind: str) -> tuple[Row, float]:
    """The row of a model type, and its error; the row itself states only a bound on the error."""
    row = Row(kind, MODELS[kind], json.dumps(decoders.OWN[kind]) if kind in decoders.OWN else "")
    if kind in UNTRIED:
        return dataclasses.replace(row, settings="", result=NOT_TRIED, reason=UNTRIED[kind]), 0.0
    if said := families.refusal({**decoders.CONFIG_MAPPING[kind]().to_dict(), **decoders.OWN.get(kind, {})}):
        return dataclasses.replace(row, reason=said), 0.0
    model = decoders.build(kind)
    try:
        found = activation_patterns(model, SAMPLES, also=["sum_of_abs", "abs_per_position"], token_budget=10_000)
        beside = depends_on_batch(model)
    except InputError as error:
        return dataclasses.replace(row, reason=str(error)), 0.0
    if beside:
        result = ALONE
    elif len(models.attention_layers(model)) < model.config.get_text_config().num_hidden_layers:
        result = HYBRID
    else:
        result = ADAPTED if adapters.fits(model) else EXACT
    expected = by_eager(model)
    worst = max(relative(found.by(reduction), expected[reduction]) for reduction in REDUCTIONS)
    row = dataclasses.replace(
        row,
        result=result,
        error=f"< {next((bound for bound in (PLAIN, LIMIT, 1.0) if worst < bound / 2), np.inf):.0e}",
        ablation="works" if slopes_agree(model, found.signed) else "differs",
        packed=packed(model),
    )
    return row, worst


def by_eager(model: transformers.PreTrainedModel) -> dict[str, np.ndarray]:
    """Patterns [samples, layers, heads] by reduction, from the attention matrices of the model and their gradients."""
    found: dict[str, list[list[list[float]]]] = {reduction: [] for reduction in REDUCTIONS}
    own = model.config._attn_implementation
    model.config._attn_implementation = "eager"
    for sample in SAMPLES:
        outputs = model(input_ids=torch.tensor([sample.input_ids]), output_attentions=True, use_cache=False)
        attentions = [one for one in outputs.attentions if one is not None and one.requires_grad]
        loss(outputs.logits[0], sample.labels).backward(inputs=attentions)
        products = [one[0] * one.grad[0] for one in attentions if one.grad is not None]
        found["abs_of_sum"].append([one.sum((1, 2)).abs().tolist() for one in products])
        found["sum_of_abs"].append([one.abs().sum((1, 2)).tolist() for one in products])
        found["abs_per_position"].append([one.sum(2).abs().sum(1).tolist() for one in products])
    model.config._attn_implementation = own
    return {reduction: np.array(values) for reduction, values in found.items()}


def loss(logits: torch.Tensor, labels: list[int], reduction: str = "mean") -> torch.Tensor:
    """Negative log-likelihood of the labels, each predicted from the position before it."""
    return torch.nn.functional.cross_entropy(logits[:-1].float(), torch.tensor(labels[1:]), reduction=reduction)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of patterns [samples, layers, heads], relative to the largest head of its layer."""
    if found.shape != expected.shape:
        return np.inf
    return float((np.abs(found - expected) / expected.max(axis=(0, 2), keepdims=True)).max())


def slopes_agree(model: transformers.PreTrainedModel, signed: np.ndarray) -> bool:
    """Whether the loss changes as signed patterns [samples, layers, heads] predict if all heads are scaled a little."""
    # The step is small, because the loss jumps when a token switches to another expert.
    direction, step = np.random.default_rng(0).normal(size=signed.shape[1:]), 0.001
    kept = np.stack([1 + step * direction, 1 - step * direction])
    up, down = ablated_losses(model, SAMPLES, kept, token_budget=10_000)
    slopes, expected = (up - down) / (2 * step), (signed * direction).sum((1, 2))
    return bool(np.linalg.norm(slopes - expected) <= 0.05 * np.linalg.norm(expected) + 1e-3)


def packed(model: transformers.PreTrainedModel) -> str:
    """Compare the gradients of samples packed into one row with those of each sample alone."""
    rows = [{"input_ids": sample.input_ids, "labels": list(sample.labels)} for sample in SAMPLES]
    parameters = list(model.parameters())
    total = sum(
        (loss(model(input_ids=torch.tensor([row["input_ids"]]), use_cache=False).logits[0], row["labels"], "sum")
        for row in rows), start=torch.zeros(())
    )  # fmt: skip
    expected = torch.autograd.grad(total, parameters, allow_unused=True)
    try:
        batch = collator(None, model, padding_free=True)(rows)
    except InputError:
        return "refused"
    labels = batch.pop("labels")[0].tolist()
    together = torch.autograd.grad(loss(model(**batch).logits[0], labels, "sum"), parameters, allow_unused=True)
    apart = sum(float((a - b).norm() ** 2) for a, b in zip(together, expected, strict=True) if a is not None)
    size = sum(float(one.norm() ** 2) for one in expected if one is not None)
    return "equal" if apart <= LIMIT**2 * size else "differs"


def read() -> list[Row]:
    """The rows of the table."""
    with TABLE.open(newline="") as file:
        return [Row(**line) for line in csv.DictReader(file)]


def main(kinds: list[str]) -> None:
    """Print the rows of the given types; without types, print and write the rows of all."""
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    rows = []
    for kind in kinds or MODELS:
        try:
            rows.append(measure(kind)[0])
        except Exception as error:  # a type that is new to transformers, without known tiny settings
            rows.append(Row(kind, MODELS[kind], result=NOT_TRIED, reason=first_line(error)))
        print(*dataclasses.astuple(rows[-1]), sep=" | ", flush=True)
    if not kinds:
        with TABLE.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([field.name for field in dataclasses.fields(Row)])
            writer.writerows(dataclasses.astuple(row) for row in rows)


if __name__ == "__main__":
    main(sys.argv[1:])
