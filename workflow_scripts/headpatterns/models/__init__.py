"""Models in Hugging Face layout: loading them, and the tokenizer of the embedded models."""

from headpatterns.models.loading import load_model, load_tokenizer

__all__ = ["load_model", "load_tokenizer"]
