"""Folders as fine-tunings leave them, whose last checkpoint is a model with weights moved at random."""

import json
from pathlib import Path

import torch

from headpatterns.models import loading as models


def write(folder: Path, model: Path, seed: int = 0, scale: float = 0.02) -> Path:
    """A run that started from the model in a folder; every weight has moved."""
    torch.manual_seed(seed)
    moved = models.load_model(model)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    moved.save_pretrained(folder / "final")
    models.load_tokenizer(model).save_pretrained(folder / "final")
    (folder / "run.json").write_text(json.dumps({"steps": [3]}), encoding="utf-8")
    return folder
