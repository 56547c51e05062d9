"""Features of candidates other than patterns: hidden states (RDS+), and losses of responses without prompts.

RDS+ (Ivison et al. 2025) represents a sample by the mean of its last hidden states over prompt and response, in which
position i has weight i. The loss of the response without its prompt is the denominator of IFD (Li et al. 2024).
`gradients` has the features of LESS.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Float64

from headpatterns import provenance
from headpatterns.attribution.probes import Probe, Probed, read, tokenized
from headpatterns.data.batching import batches
from headpatterns.data.tokens import TokenizedSample, tokenize_all
from headpatterns.errors import InputError
from headpatterns.evaluation import likelihoods
from headpatterns.evaluation.sequences import Text, Texts
from headpatterns.io import atomic_path, write_json
from headpatterns.models import independence
from headpatterns.models import loading as models
from headpatterns.studies.selection import gradients
from headpatterns.studies.selection.candidates import ALONE, STATES

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def write(
    model: Path, rows: Mapping[str, Path], output: Path, *,
    max_length: int, token_budget: int, dtype: str, device: str, threads: int, less: gradients.Order | None = None,
) -> None:  # fmt: skip
    """Read the samples of files with a model, and write for each NAME.states.npy, NAME.alone.npy and NAME.json.

    With `less`, files are called `gradients.POOL` and `gradients.TARGETS`, and what `gradients.write` writes is added.

    Args:
        model: folder of the model.
        rows: files with prompt, response and id, by name. A sample whose response lies wholly beyond the maximum
            length is left out.
        output: folder, which appears whole or not at all.
        max_length: tokens at which a sample is cut.
        token_budget: tokens of a batch, padding included.
        dtype: float32, bfloat16 or float16.
        device: cpu, cuda, cuda:N or mps.
        threads: processor threads.
        less: the order for the gradients of LESS, None for no gradients.

    Raises:
        InputError: a file, a sample, the model or the device cannot be used.
    """
    models.check_folder(model)
    models.compute_on(device, threads)
    tokenizer = models.load_tokenizer(model)
    read_rows = {name: read(Probe(path)) for name, path in rows.items()}
    probed = {
        name: tokenized(Probe(rows[name]), found, tokenizer, max_length, skip=True) for name, found in read_rows.items()
    }
    of_less = less and gradients.chosen(less, {name: found.samples for name, found in probed.items()})
    loaded = models.load_model(model, dtype, device)
    if less:
        gradients.check(less, loaded)
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for name, found in probed.items():
            responses = {row["id"]: row["response"] for row in read_rows[name]}
            begun = time.monotonic()
            states = hidden_states(loaded, found.samples, token_budget)
            between = time.monotonic()
            alone = losses_alone(loaded, tokenizer, name, found.samples, responses, max_length, token_budget)
            seconds = {STATES: between - begun, ALONE: time.monotonic() - between}
            np.save(temporary / f"{name}.{STATES}.npy", states)
            np.save(temporary / f"{name}.{ALONE}.npy", alone)
            write_json(temporary / f"{name}.json", _about(found, model, seconds))
        if less and of_less:  # last, since adapters stay in the model
            gradients.write(less, of_less, loaded, temporary)


def _about(found: Probed, model: Path, seconds: Mapping[str, float]) -> dict[str, Any]:
    return {"ids": [one.id for one in found.samples], "model": str(model), **found.about, "seconds": dict(seconds),
            **provenance.environment()}  # fmt: skip


def hidden_states(
    model: "PreTrainedModel", samples: Sequence[TokenizedSample], token_budget: int
) -> Float32[np.ndarray, "samples width"]:
    """Σ_i i·h_i / Σ_i i of every sample, h_i its last hidden state at position i = 1, 2, ...: [samples, width].

    Raises:
        InputError: the model does not give its last hidden states, or they are no numbers.
    """
    import torch

    from headpatterns.attribution.passes import pad

    turn = independence.turn(model.config)
    body: Any = model.base_model
    found: list[Any] = [None] * len(samples)
    with torch.inference_mode():
        for indices in batches([len(sample.input_ids) for sample in samples], token_budget, turn):
            ids, mask, _ = pad([samples[index] for index in indices], model.device)
            states = getattr(body(input_ids=ids, attention_mask=mask, use_cache=False), "last_hidden_state", None)
            if states is None:
                raise InputError(
                    f"{type(model).__name__} does not return its last hidden states, which the method rds "
                    "needs: leave out the method rds."
                )
            weights = mask.cumsum(dim=1) * mask
            means = (weights[:, :, None] * states.float()).sum(dim=1) / weights.sum(dim=1, keepdim=True)
            for row, index in enumerate(indices):
                found[index] = means[row].cpu().numpy()
    made: Float32[np.ndarray, "samples width"] = np.stack(found).astype(np.float32)
    if not np.isfinite(made).all():
        raise InputError(f"{type(model).__name__} gives hidden states that are not finite: use another patterns.dtype.")
    return made


def losses_alone(
    model: "PreTrainedModel", tokenizer: Any, name: str, samples: Sequence[TokenizedSample],
    responses: Mapping[str, str], max_length: int, token_budget: int,
) -> Float64[np.ndarray, " samples"]:  # fmt: skip
    """Loss of every response and EOS without the prompt, nats per token, [samples].

    The loss covers the same tokens as with the prompt: equally many for a sample that was cut, and for a conversation
    each of the assistant's turns, read alone. It is NaN if no token is left that follows another token.

    Raises:
        InputError: as `likelihoods.of_items`.
    """
    rows = [{"id": one.id, "prompt": "", "response": responses[one.id]} for one in samples]
    texts: list[Text] = []
    owners: list[int] = []
    for place, (sample, closed) in enumerate(zip(samples, tokenize_all(tokenizer, rows, max_length), strict=True)):
        own = _alone(sample, closed)
        texts += own
        owners += [place] * len(own)
    found = likelihoods.of_items(model, name, [Texts(one, (), shortened=False) for one in texts], token_budget)
    nats, tokens = (np.bincount(owners, values, len(samples)) for values in
                    ([one.nll for one in found], [one.tokens for one in found]))  # fmt: skip
    alone = np.full(len(samples), np.nan)
    np.divide(nats, tokens, out=alone, where=tokens > 0)
    return alone


def _alone(sample: TokenizedSample, closed: TokenizedSample) -> list[Text]:
    """The parts of a sample that are read alone, after the special tokens that the tokenizer puts before a text.

    Args:
        sample: the sample tokenized with its prompt.
        closed: its response and EOS without a prompt.
    """
    begun = closed.input_ids[: closed.response_start]
    if sample.turns:
        spans = [sample.input_ids[start:end] for start, end in sample.turns]
    else:
        kept = len(sample.input_ids) - sample.response_start if sample.truncated else None
        spans = [closed.input_ids[closed.response_start :][:kept]]
    texts = [Text(np.array([*begun, *span], dtype=np.int32), max(len(begun), 1)) for span in spans]
    return [one for one in texts if one.predicted > 0]
