"""Write a model during training, in the checkpoint dtype of its recipe."""

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from headpatterns.io import atomic_path
from headpatterns.processes import group as processes
from headpatterns.training import deepspeed as zero


def save(model: PreTrainedModel, tokenizer: Any, folder: Path, dtype: str, masters: bool = False) -> None:
    """Write a model in Hugging Face layout with weights in `dtype`: cast, or the engine's `masters` if it has any.

    Every process takes part, because each has a share of the master weights; all wait until the model is written.
    """
    stored = getattr(torch, dtype)
    own = masters and stored == torch.float32
    state = zero.master_weights(model) if own else model.state_dict(keep_vars=True)
    if processes.is_first():
        cast: dict[int, torch.Tensor] = {}  # tied weights stay one tensor with two names
        for name, value in list(state.items()):
            if id(value) not in cast:
                dtype_there = stored if value.is_floating_point() else value.dtype
                cast[id(value)] = value.detach().to("cpu", dtype_there)
            state[name] = cast[id(value)]
        with atomic_path(folder) as temporary:
            model.save_pretrained(temporary, state_dict=state)
            tokenizer.save_pretrained(temporary)
            if stored != model.dtype:
                config = copy.deepcopy(model.config)
                config.dtype = dtype
                config.save_pretrained(temporary)
    processes.barrier()
