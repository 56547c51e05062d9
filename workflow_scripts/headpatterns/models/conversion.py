"""A model folder in Hugging Face layout from a GGUF file: weights dequantized once, config, tokenizer, provenance.

Weights become float32, in which the dequantization of every type is defined. transformers reads the file. Its reader
ignores unknown tensors and settings that its configs do not have. A file with such contents is refused.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path, sha256, write_json
from headpatterns.models import gguf_header, gguf_tokenizer, loading
from headpatterns.models.gguf_header import INSTEAD, Header
from headpatterns.provenance import PACKAGES, git_commit, versions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

ABOUT = "gguf.json"
"""The file of a converted folder that describes the GGUF file."""

CHECKED = 16
"""Tokens on which the saved model is compared with the model that was read."""

LINK = "model.gguf"


def convert(file: Path, output: Path) -> None:
    """Write a complete model folder with weights, config, generation config, tokenizer and `gguf.json`, or none.

    The folder is loaded again as in every later job, and must give exactly the same logits.

    Args:
        file: the GGUF file.
        output: folder of the model.

    Raises:
        InputError: the file is incomplete, transformers cannot read all of it, or its logits are not finite.
    """
    import torch

    header = gguf_header.read_header(file)
    gguf_header.check(header)
    with tempfile.TemporaryDirectory() as name:
        # transformers detects the format by the suffix, and would prefer a file of that name in the working folder.
        (Path(name) / LINK).symlink_to(file.absolute())
        tokenizer = gguf_tokenizer.load_tokenizer(header, Path(name), LINK)
        model = read_model(header, Path(name), LINK)
    ids = torch.linspace(0, header.metadata["tokenizer.ggml.tokens"] - 1, CHECKED).long()[None]
    ids = ids[:, : loading.positions(model) or CHECKED]
    read = _logits(model, ids)
    if not read.isfinite().all():
        raise InputError(f"the model in {file} gives logits that are not finite: it is damaged; download it again.")
    with atomic_path(output) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        del model  # so that only one copy is in memory
        saved = loading.load_model(folder)
        gguf_tokenizer.check_saved(tokenizer, folder, file)
        loading.check_tokens(saved, len(tokenizer) - 1, str(file))
        if not torch.equal(_logits(saved, ids), read):
            raise InputError(
                f"the model in {file} gives different logits after it is saved in Hugging Face layout, so "
                f"transformers loses a part of it: {INSTEAD}."
            )
        write_json(folder / ABOUT, about(header) | {"checked_tokens": ids.shape[1]})


def read_model(header: Header, folder: Path, name: str) -> "PreTrainedModel":
    """The model in float32, without settings of the file format in its config.

    Raises:
        InputError: transformers cannot read the file, leaves out some tensors, or its config contradicts the file.
    """
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    try:
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported instead, like missing weights
        )
        model, report = loaded
    except Exception as error:  # transformers raises many types here, and the packages below it too
        raise InputError(
            f"transformers cannot read the model in {header.file} ({first_line(error)}): {INSTEAD}."
        ) from error
    _check_tensors(
        header, [*unmapped(header, model), *report["unexpected_keys"]], "has {}, which transformers does not read"
    )
    _check_tensors(header, report["missing_keys"], "lacks {}")
    _check_tensors(header, report["mismatched_keys"], "has a shape of {} that differs from transformers")
    _check_config(header, model.config.get_text_config())
    model.hf_quantizer.remove_quantization_config(model)
    made: PreTrainedModel = model.eval()
    made.generation_config = transformers.GenerationConfig.from_model_config(made.config)
    return made


def _check_tensors(header: Header, found: Iterable[Any], said: str) -> None:
    """Refuse tensors that are not in the model as they are; the error names those of another shape with it.

    Raises:
        InputError: naming the first.
    """
    names = sorted({one if isinstance(one, str) else one[0] for one in found})
    if names:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        wrong = said.format(f"the tensor {names[0]}{others}")
        raise InputError(f"{header.file} {wrong}: {INSTEAD}.")


def unmapped(header: Header, model: "PreTrainedModel") -> list[str]:
    """Tensors of the file that transformers silently ignores, as its older reader does."""
    from transformers import modeling_gguf_pytorch_utils as older
    from transformers.integrations.gguf.utils import is_gguf_arch_supported

    if is_gguf_arch_supported(header.architecture):  # a newer reader, which reports them itself
        return []
    processor: Any = older.TENSOR_PROCESSORS.get(header.architecture, older.TensorProcessor)
    known = older.get_gguf_hf_weights_map(model, processor(config=model.config.to_dict()))
    return [tensor.name for tensor in header.tensors if tensor.name not in known]


def _check_config(header: Header, config: "PretrainedConfig") -> None:
    """Refuse a file with a setting of its computation that is not in the config.

    Raises:
        InputError: naming the key.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    layout = header.config()
    size = getattr(config, "global_head_dim", None) or getattr(config, "head_dim", None) or layout["head_dim"]
    kind = rope.get("rope_type", "default")
    read = {
        "rope.scaling.type": "none" if kind == "default" else kind,
        "rope.freq_base": rope.get("rope_theta"),
        "rope.dimension_count": int(size * rope.get("partial_rotary_factor", 1)),
        "attention.key_length": size,
        "attention.value_length": size,
        "attention.sliding_window": getattr(config, "sliding_window", None),
        "attn_logit_softcapping": getattr(config, "attn_logit_softcapping", None),
        "final_logit_softcapping": getattr(config, "final_logit_softcapping", None),
    }
    for key, value in read.items():
        stated = header.own(key)
        if stated not in (None, value, str(value)):
            raise InputError(
                f"{header.file} has {stated} as {header.architecture}.{key}, which transformers reads as {value}: "
                f"{INSTEAD}."
            )


def _logits(model: "PreTrainedModel", ids: "torch.Tensor") -> "torch.Tensor":
    """Logits of one sequence, float32 [1, positions, vocabulary]."""
    import torch

    with torch.inference_mode():
        logits: torch.Tensor = model(ids).logits
    return logits


def about(header: Header) -> dict[str, Any]:
    """The provenance of a file: name, checksum, quantization and tensors, and the versions that read it."""
    return {
        "file": header.file.name,
        "sha256": sha256(header.file),
        "architecture": header.architecture,
        "quantization": header.quantization,
        "tensors": header.kinds,
        "parameters": header.parameters,
        "commit": git_commit(),
        "versions": versions((*PACKAGES, "gguf")),
    }
