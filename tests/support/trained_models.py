"""Writes folders like those of fine-tunings; their last checkpoint is a model with randomly changed weights."""

import json
from pathlib import Path

import torch

from headpatterns.models import loading as models


def write(folder: Path, model: Path, seed: int = 0, scale: float = 0.02) -> Path:
    """Write a run that started from the model in a folder, with every weight changed."""
    torch.manual_seed(seed)
    moved = models.load_model(model)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    moved.save_pretrained(folder / "final")
    models.load_tokenizer(model).save_pretrained(folder / "final")
    (folder / "run.json").write_text(json.dumps({"steps": [3]}), encoding="utf-8")
    return folder
