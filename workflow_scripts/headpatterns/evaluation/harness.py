"""Run OpenCompass's tasks in this process, on a model that is loaded as in the rest of the workflow."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.data import chat, conversations, seam
from headpatterns.evaluation import sequences
from headpatterns.evaluation.scores import Output
from headpatterns.evaluation.sets import Asking
from headpatterns.io import read_json, write_json
from headpatterns.models import loading as models

if TYPE_CHECKING:
    from opencompass.models import HuggingFaceBaseModel

ABBREVIATION = "checkpoint"
"""OpenCompass's name for the model; it is the name of a folder below each checkpoint's own."""

REHEARSED = "A"
"""A dummy answer that any evaluator accepts, correct or not."""


def isolate(work_folder: Path, data: Path | None, threads: int) -> None:
    """Keep this process offline, and all files of OpenCompass and its libraries below the work folder.

    It must be called before they are imported, with absolute paths; it changes the working directory.
    """
    home = work_folder / "home"
    temporary = work_folder / "tmp"
    for folder in (home, temporary):
        folder.mkdir(parents=True)
    os.environ.update(
        HOME=str(home),
        XDG_CACHE_HOME=str(home / ".cache"),
        MPLCONFIGDIR=str(home),
        TMPDIR=str(temporary),
        HF_HOME=str(home / "huggingface"),
        HF_HUB_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        TOKENIZERS_PARALLELISM="false",
        COMPASS_DATA_CACHE=str(data or work_folder),
        OMP_NUM_THREADS=str(threads),
    )
    for name in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE", "HF_HUB_CACHE", "TRANSFORMERS_CACHE", "DATASET_SOURCE"):
        os.environ.pop(name, None)
    os.chdir(work_folder)
    # The script evaluate.py must not hide the package `evaluate`, from which OpenCompass takes its accuracy.
    scripts = str(Path(__file__).parents[2])
    sys.path[:] = [place for place in sys.path if place != scripts] + [scripts]


@dataclass(frozen=True)
class Decoding:
    """How answers to a set are generated.

    Attributes:
        longest: tokens a prompt may have, None for any number.
        batch_size: prompts answered at the same time.
        max_new_tokens: longest answer, in tokens.
        examples: solved examples before every prompt.
        chat: whether prompts are conversations, as JSON.
    """

    longest: int | None
    batch_size: int
    max_new_tokens: int
    examples: tuple[Asking, ...] = ()
    chat: bool = False


@dataclass
class PromptEncoder:
    """Tokenizes a batch of prompts as in training, for generation: cut and padded on the left.

    It replaces `batch_encode_plus`, which OpenCompass calls and transformers 5 no longer has. Blanks at the end of a
    prompt belong to the first token of the answer (see headpatterns.data.seam).

    Attributes:
        tokenizer: the checkpoint's own.
        longest: tokens a prompt may have; a longer one loses examples, the last one first, and then keeps its BOS and
            its last tokens. None sets no limit.
        examples: solved examples before every prompt.
        cut: number of prompts that were too long so far.
        chat: whether prompts are conversations, as JSON, which the chat template prints.
    """

    tokenizer: Any
    longest: int | None
    examples: tuple[Asking, ...] = ()
    cut: int = 0
    chat: bool = False

    def __call__(self, prompts: list[str], **_: Any) -> dict[str, Any]:
        """`input_ids` and `attention_mask`, integer tensors [prompts, longest of them]."""
        import torch

        encoded = [self._encode(prompt) for prompt in prompts]
        width = max(map(len, encoded))
        padding = self.tokenizer.pad_token_id
        return {
            "input_ids": torch.tensor([[padding] * (width - len(ids)) + ids for ids in encoded]),
            "attention_mask": torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in encoded]),
        }

    def _encode(self, prompt: str) -> list[int]:
        examples = self.examples
        ids = self._ids(examples, prompt)
        if self.longest is None or len(ids) <= self.longest:
            return ids
        self.cut += 1
        while examples and len(ids) > self.longest:
            examples = examples[:-1]
            ids = self._ids(examples, prompt)
        if len(ids) <= self.longest:
            return ids
        first = ids[: ids[0] == self.tokenizer.bos_token_id]
        return first + ids[len(ids) - self.longest + len(first) :]

    def _ids(self, examples: tuple[Asking, ...], prompt: str) -> list[int]:
        asked = sequences.behind(examples, conversations.asked(prompt) if self.chat else prompt)
        if isinstance(asked, str):
            return seam.prompt_ids(self.tokenizer, asked)
        return chat.prompt_ids(self.tokenizer, prompt[:40], asked)


def load(folder: Path, dtype: str, device: str, chats: bool = False) -> "HuggingFaceBaseModel":
    """OpenCompass's model of a checkpoint: base model prompts, greedy decoding, stopping at EOS.

    With `chats` it also stops at the token with which the chat template ends the assistant's turn.

    The weights are loaded and checked as everywhere in the workflow. Of the checkpoint's generation settings, only its
    EOS tokens are kept, in addition to the tokenizer's own. Others, such as a repetition penalty, would not be greedy
    decoding.
    """
    from opencompass.models import HuggingFaceBaseModel
    from transformers import GenerationConfig

    tokenizer = models.load_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    network = models.load_model(folder, dtype, device)
    stops = network.generation_config.eos_token_id
    stops = [stops] if isinstance(stops, int) else stops or []
    network.generation_config = GenerationConfig(
        do_sample=False,
        eos_token_id=sorted({*stops, tokenizer.eos_token_id, *([chat.closing(tokenizer)] if chats else [])}),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    model = HuggingFaceBaseModel(
        path=str(folder),
        tokenizer_only=True,
        tokenizer_kwargs={"trust_remote_code": False},
        pad_token_id=tokenizer.pad_token_id,
        max_seq_len=1,  # unused, because the encoder cuts prompts
    )
    model.tokenizer, model.model = tokenizer, network
    return model


def evaluate(
    model: "HuggingFaceBaseModel",
    dataset: dict[str, Any],
    decoding: Decoding,
    folder: Path,
) -> Output:
    """Answer and score one dataset with a loaded model; OpenCompass's files go to `folder`, which must be new.

    Raises all errors of OpenCompass, whose command line would report success.
    """
    from opencompass.tasks import OpenICLInferTask

    folder.mkdir(parents=True)
    encoder = PromptEncoder(model.tokenizer, decoding.longest, decoding.examples, chat=decoding.chat)
    model.tokenizer.batch_encode_plus = encoder
    answering = {
        "type": type(model),
        "path": model.path,
        "batch_size": decoding.batch_size,
        "max_out_len": decoding.max_new_tokens,
    }
    config = _configuration(answering, dataset, folder)
    OpenICLInferTask(config).run(model, ABBREVIATION)
    return _scored(config, dataset, folder, encoder.cut)


def rehearsed(dataset: dict[str, Any], items: int, folder: Path) -> Output:
    """Score dummy answers as `evaluate` scores those of a model; `folder` must be new.

    Raises all errors of OpenCompass.
    """
    config = _configuration({}, dataset, folder)
    answers = {str(number): {"origin_prompt": "", "prediction": REHEARSED} for number in range(items)}
    path = folder / "predictions" / ABBREVIATION / f"{dataset['abbr']}.json"
    path.parent.mkdir(parents=True)
    write_json(path, answers)
    return _scored(config, dataset, folder, cut=0)


def _configuration(answering: dict[str, Any], dataset: dict[str, Any], folder: Path) -> Any:
    """The configuration of OpenCompass's tasks for one dataset and the model that answers it."""
    from mmengine.config import ConfigDict

    return ConfigDict(
        models=[{"abbr": ABBREVIATION, **answering}],
        datasets=[[dataset]],
        work_dir=str(folder),
        eval={"runner": {"task": {"dump_details": True}}},
    )


def _scored(config: Any, dataset: dict[str, Any], folder: Path, cut: int) -> Output:
    """OpenCompass's scores of the answers in a folder."""
    from opencompass.tasks import OpenICLEvalTask

    OpenICLEvalTask(config).run()
    written = f"{ABBREVIATION}/{dataset['abbr']}.json"
    predictions = read_json(folder / "predictions" / written)
    results = read_json(folder / "results" / written)
    ordered = [predictions[str(number)] for number in range(len(predictions))]
    return Output(dataset["abbr"], ordered, results, cut)
