"""Micro-batches of samples of different lengths: padded to the longest, or concatenated in one row.

A row without padding spends no time on padding tokens. Its samples are separated by their positions, which restart with
each sample. No token attends to another sample, and no token is predicted from the end of another sample. Loss and
gradients are the same as for the padded micro-batch.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError, first_line

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Sample = dict[str, list[int]]
Collator = Callable[[Sequence[Sample]], dict[str, Any]]


def collator(tokenizer: Any, model: "PreTrainedModel", padding_free: bool) -> Collator:
    """The collator that makes a micro-batch for `model` from samples (`input_ids`, `labels`).

    Padded, `input_ids`, `labels` and `attention_mask` are [samples, tokens of the longest], padded on the right.
    Padding-free, `input_ids`, `labels` and `position_ids` are [1, tokens of all samples], without padding. They have an
    `attention_mask` only if the attention does not separate samples by positions; this mask does not count tokens. On
    processors the model then computes attention with `packing`.

    Raises:
        InputError: `padding_free` is set, but the model, or its attention kernel, mixes consecutive samples.
    """
    return _flattening(model) if padding_free else _padding(tokenizer)


def _padding(tokenizer: Any) -> Collator:
    """Right padding; without a padding token, EOS is used, because padding is always masked."""
    from transformers import DataCollatorForSeq2Seq

    padding = copy.deepcopy(tokenizer)
    padding.padding_side = "right"
    if padding.pad_token is None:
        padding.pad_token = padding.eos_token
    return DataCollatorForSeq2Seq(padding, padding=True)


def _flattening(model: "PreTrainedModel") -> Collator:
    """The collator of packed rows with which the model keeps samples separate.

    Architectures and attention kernels use positions in different ways, and a list of them would become outdated. So
    the model is tested.
    """
    from transformers import DataCollatorWithFlattening

    from headpatterns.training import packing

    name, fix = type(model).__name__, "set padding_free to false in the recipe (finetuning or pretraining_recipe)"
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise InputError(f"{name} takes no position ids, which are needed to separate samples in one row: {fix}.")
    flatten = DataCollatorWithFlattening()

    def by_positions(samples: Sequence[Sample]) -> dict[str, Any]:
        return {**flatten(samples), "use_cache": False}  # with a cache, positions are ignored

    def by_mask(samples: Sequence[Sample]) -> dict[str, Any]:
        batch = by_positions(samples)
        return {**batch, "attention_mask": _mask(model, batch["position_ids"])}

    flatten_with_bounds = DataCollatorWithFlattening(return_flash_attn_kwargs=True)

    def by_bounds(samples: Sequence[Sample]) -> dict[str, Any]:
        batch = flatten_with_bounds(samples)
        # From positions, transformers would make a mask of all pairs of tokens.
        return {**batch, "attention_mask": batch["input_ids"].new_ones(batch["input_ids"].shape), "use_cache": False}

    kernel = model.config._attn_implementation
    try:
        if packing.fits(model) and not _has_windows(model) and _is_packed(model, by_bounds):
            return by_bounds
        ways = [by_positions] if _has_windows(model) else [by_positions, by_mask]
        chosen = next((way for way in ways if _keeps_apart(model, way)), None)
    except Exception as error:  # kernels raise errors of any type
        raise InputError(f"{name} cannot read samples in one row ({kernel}: {first_line(error)}): {fix}.") from error
    if chosen is None:
        raise InputError(f"{name} does not separate samples in one row with the attention kernel {kernel}: {fix}.")
    return chosen


def _is_packed(model: "PreTrainedModel", by_bounds: Collator) -> bool:
    """Switch the model's attention to `packing` if it then keeps samples separate; returns whether it does."""
    from headpatterns.training import packing

    kernel = model.config._attn_implementation
    model.set_attn_implementation(packing.NAME)
    try:
        apart = _keeps_apart(model, by_bounds)
    except Exception:  # a model may not accept the starts of samples, but other collators may still work
        apart = False
    if not apart:
        model.set_attn_implementation(kernel)
    return apart


def _mask(model: "PreTrainedModel", position_ids: "torch.Tensor") -> Any:
    """The mask for the model's attention kernel, causal within each sample."""
    import torch
    from transformers.masking_utils import create_causal_mask

    return create_causal_mask(
        config=model.config,
        inputs_embeds=torch.empty(*position_ids.shape, 0, dtype=model.dtype),
        attention_mask=None,
        past_key_values=None,
        position_ids=position_ids,
    )


def _has_windows(model: "PreTrainedModel") -> bool:
    """Whether some layer does not attend to all earlier tokens, so that one mask is not enough for all layers."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or []) - {"full_attention"}
    return bool(kinds or getattr(config, "sliding_window", None))


def _keeps_apart(model: "PreTrainedModel", flatten: Collator) -> bool:
    """Whether two short samples in one row have the same logits as each alone, up to rounding.

    Alone they are read without positions, like padded samples, because some models do not count positions from 0.
    """
    import torch

    embeddings: Any = model.get_input_embeddings()
    tokens = [token % int(embeddings.num_embeddings) for token in range(3, 14)]
    samples: list[Sample] = [{"input_ids": part, "labels": part} for part in (tokens[:6], tokens[6:])]
    ids = [torch.tensor([sample["input_ids"]]) for sample in samples]
    alone = torch.cat([_logits(model, {"input_ids": one, "use_cache": False}) for one in ids])
    together = _logits(model, flatten(samples))
    # If a token attends to another sample, the change of its logits is about as large as the logits.
    return bool((together - alone).abs().max() <= torch.finfo(model.dtype).eps ** 0.5 * alone.abs().max())


def _logits(model: "PreTrainedModel", batch: dict[str, Any]) -> "torch.Tensor":
    """Logits of a batch of one row, [tokens, vocabulary], without dropout."""
    import torch

    inputs = {key: value.to(model.device) if torch.is_tensor(value) else value for key, value in batch.items()}
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits: torch.Tensor = model(**inputs).logits[0].float()
    finally:
        model.train(training)
    return logits
