"""The parts that OpenCompass needs to evaluate the workflow's own sets: data, prompts, evaluator."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from opencompass.datasets.base import BaseDataset
from opencompass.openicl.icl_evaluator import AccEvaluator
from opencompass.openicl.icl_inferencer import GenInferencer
from opencompass.openicl.icl_retriever import ZeroRetriever

from headpatterns.evaluation import answers
from headpatterns.evaluation.sets import Item
from headpatterns.io import read_json, write_json


class InstructionSet(BaseDataset):  # type: ignore[misc]  # OpenCompass has no types
    """The items of a set, as `write` wrote them."""

    @staticmethod
    def load(path: str) -> Dataset:
        """Read the items."""
        return Dataset.from_list(read_json(Path(path)))


class WholePrompt:
    """A prompt template that consists only of the item's prompt.

    OpenCompass's own template replaces names of columns in braces, even in the prompt's text.
    """

    ice_token = None

    def __init__(self, **_: Any) -> None:
        """Ignore all settings."""

    def generate_item(self, entry: dict[str, Any], **_: Any) -> str:
        """The prompt of one item."""
        prompt: str = entry["prompt"]
        return prompt


class AnswerEvaluator(AccEvaluator):  # type: ignore[misc]  # OpenCompass has no types
    """OpenCompass's accuracy of the answers that are read from the predictions."""

    def score(self, predictions: list[str], references: list[str], test_set: Dataset) -> dict[str, float]:
        """Accuracy in per cent; a prediction from which nothing can be read equals no gold answer."""
        read = [
            answers.read(prediction, row["gold"], row["choices"]) or ""
            for prediction, row in zip(predictions, test_set, strict=True)
        ]
        scores: dict[str, float] = super().score(read, references)
        return scores


def dataset(name: str, items: list[Item], path: Path) -> dict[str, Any]:
    """The configuration of a set, whose items are written to `path`."""
    rows = [
        {
            "prompt": item.asked_as_text,
            "gold": item.gold,
            "choices": list(item.choices),
            "canonical": answers.canonical(item.gold, item.choices),
        }
        for item in items
    ]
    write_json(path, rows)
    return {
        "abbr": name,
        "type": InstructionSet,
        "path": str(path),
        "reader_cfg": {"input_columns": ["prompt"], "output_column": "canonical"},
        "infer_cfg": {
            "prompt_template": {"type": WholePrompt},
            "retriever": {"type": ZeroRetriever},
            "inferencer": {"type": GenInferencer},
        },
        "eval_cfg": {"evaluator": {"type": AnswerEvaluator}},
    }
