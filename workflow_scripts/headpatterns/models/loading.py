"""Load models and tokenizers from a folder, with a sentence for every problem of the folder.

`checkpoints` returns the folders of a run's models.

transformers is imported inside the functions: reading a tokenizer must not cost an import of the models.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.data import chat_files
from headpatterns.errors import InputError, first_line
from headpatterns.io import read_json_object
from headpatterns.models import checkpoints_of_adapters, families, lora_weights, probing
from headpatterns.processes import memory

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

DTYPES = ("float32", "bfloat16", "float16")


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not a model in Hugging Face layout.

    Raises:
        InputError: it does not exist, contains an adapter, or has no config.
    """
    if not folder.is_dir():
        raise InputError(f"the model folder {folder} does not exist: give a folder in Hugging Face layout.")
    # Checked first: even with a config.json, transformers would load the adapter's base from the path in its config.
    if checkpoints_of_adapters.is_one(folder):
        check_folder(checkpoints_of_adapters.base_of(folder))
    elif lora_weights.is_adapter(folder):
        raise InputError(f"{folder} {lora_weights.NO_MODEL}.")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json: give a model folder in Hugging Face layout.")


def load_tokenizer(folder: Path | str) -> Any:
    """The tokenizer saved in `folder`.

    Raises:
        InputError: there is none, it cannot be loaded, or as `probing.check_tokenizer`.
    """
    import transformers

    folder = Path(folder)
    if not has_tokenizer(folder):
        raise InputError(no_tokenizer(folder))
    probing.check_settings(folder)
    probing.check_packages(folder)
    transformers.utils.logging.set_verbosity_error()
    try:
        # AutoTokenizer would import torch and a list of all models, to read a config that such a folder does not have.
        loader: Any = transformers.PreTrainedTokenizerFast if _is_complete(folder) else transformers.AutoTokenizer
        tokenizer = loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers and tokenizers raise many types for what is one thing to the user
        raise InputError(f"no tokenizer can be loaded from {folder}: {unsafe(error) or first_line(error)}.") from error
    probing.check_tokenizer(tokenizer, folder)
    return tokenizer


def _is_complete(folder: Path) -> bool:
    """Whether tokenizer.json defines a tokenizer completely: its settings name no class of an architecture."""
    settings = folder / "tokenizer_config.json"
    if (folder / "config.json").is_file() or not settings.is_file() or not (folder / "tokenizer.json").is_file():
        return False
    return read_json_object(settings).get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast")


def load_model(folder: Path | str, dtype: str = "float32", device: str = "cpu") -> "PreTrainedModel":
    """The causal language model saved in `folder`, in evaluation mode.

    For a run that trained adapters, it is the base with its adapters merged, in weights of `dtype`.

    Raises:
        InputError: no such folder, weights that do not match the config (missing, unexpected or of another shape), an
            unknown dtype, a missing device or one whose memory is too small; or as `probing.check_stored`,
            `probing.check_weights` and `probing.settle`; or as `lora_weights.add`.
    """
    import torch
    import transformers

    folder = Path(folder)
    check_folder(folder)
    if checkpoints_of_adapters.is_one(folder):
        return _with_adapters(folder, dtype, device)
    probing.check_settings(folder)
    probing.check_stored(folder)
    check_device(device)
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype '{dtype}': use one of {', '.join(DTYPES)}.")
    transformers.utils.logging.set_verbosity_error()
    families.check(probing.config_of(folder), f"the model in {folder}")
    try:
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported instead, like missing and unexpected ones
            **probing.repairs(folder),
        )
    except Exception as error:  # transformers, safetensors and the hub raise many types here
        raise InputError(f"the model in {folder} cannot be loaded: {unsafe(error) or first_line(error)}.") from error
    model, report = loaded
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(kind):
            names = sorted(key if isinstance(key, str) else key[0] for key in report[kind])
            raise InputError(
                f"the weights in {folder} do not match its config.json: {kind.replace('_', ' ')} {names[0]}"
                f"{f' and {len(names) - 1} more' if len(names) > 1 else ''}; give a complete checkpoint."
            )
    probing.check_weights(model, folder)
    probing.settle(model, folder)
    try:
        placed: PreTrainedModel = model.to(device).eval()
    except RuntimeError as error:
        raise InputError(
            f"the model in {folder} cannot be put on {device} as {dtype} ({first_line(error)}): use a smaller dtype, "
            "or a device with more free memory."
        ) from error
    return placed


def _with_adapters(folder: Path, dtype: str, device: str) -> "PreTrainedModel":
    """The base of the adapters in a folder with the adapters merged: sums in float32, rounded once to `dtype`."""
    base = checkpoints_of_adapters.base_of(folder)
    adapter = lora_weights.read(folder)
    model = load_model(base, wider(stored_dtype(base), dtype), device)
    lora_weights.add(adapter, model, base)
    cast(model, dtype)
    return model


def wider(stored: str, dtype: str) -> str:
    """The dtype in which to load weights that are stored in one dtype, change them, and round once to another."""
    return dtype if stored == dtype else "float32"


def cast(model: "PreTrainedModel", dtype: str) -> None:
    """Round the weights of a model to a dtype; buffers stay as they are, as when weights are loaded in this dtype."""
    import torch

    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(getattr(torch, dtype))


def unsafe(error: Exception) -> str:
    """The message about a model or tokenizer that would run its own code; empty for any other error.

    All Python code in a model's folder is refused, and only tensors are read from pickled weights.
    """
    if "trust_remote_code" in str(error):
        return "it needs Python code from its folder, which is never run; use a model that transformers supports itself"
    if "weights_only" in str(error) or "Weights only load failed" in str(error):
        return "its weights are pickled and contain more than tensors, which are never loaded; save them as safetensors"
    return ""


def stored_dtype(folder: Path) -> str:
    """The dtype of the weights in `folder`, by its config.json; older versions of transformers wrote `torch_dtype`.

    For adapters it is float32, in which they are added: in bfloat16, the sum may be rounded to the weight without them.

    Raises:
        InputError: the folder is not a model.
    """
    check_folder(folder)
    if checkpoints_of_adapters.is_one(folder):
        return "float32"
    config = read_json_object(folder / "config.json")
    return config.get("dtype") or config.get("torch_dtype") or "float32"


def free_memory(device: str) -> None:
    """Free the memory of unused models, which training and evaluation leave in reference cycles."""
    import gc

    import torch

    gc.collect()
    gc.freeze()  # the rest is mostly imported modules, which the next collection can skip
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or that this machine lacks.

    Raises:
        InputError: the device is unknown or missing.
    """
    import torch

    try:
        wanted = torch.device(device)
    except RuntimeError:
        wanted = None
    if wanted is None or wanted.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"unknown device '{device}': use cpu, cuda, cuda:N or mps.")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[wanted.type]
    if not there:
        raise InputError(f"the device is '{device}', but torch sees no GPU here: use cpu, or a machine with a GPU.")
    if wanted.type == "cuda" and (wanted.index or 0) >= there:
        raise InputError(
            f"the device is '{device}', but torch sees {there} GPUs here: use one of cuda:0 to cuda:{there - 1}."
        )


def compute_on(device: str, threads: int) -> None:
    """Set the number of torch's threads; on processors, the process keeps freed memory for the next tensor.

    Raises:
        InputError: there is no such device.
    """
    import torch

    torch.set_num_threads(threads)
    check_device(device)
    if torch.device(device).type == "cpu":
        memory.keep_freed()


def files(folder: Path) -> list[Path]:
    """The files of a model in a folder: config, weights, tokenizer with its chat templates."""
    suffixes = {".json", ".safetensors", ".bin", ".model", ".txt", ".jinja"}
    own = (path for path in folder.iterdir() if path.suffix in suffixes and not path.is_dir())
    return sorted([*own, *chat_files.named(folder)])


def no_tokenizer(folder: Path) -> str:
    """The message about a folder without tokenizer."""
    return f"{folder} has no tokenizer: save the model's tokenizer there (tokenizer.save_pretrained)."


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has the files of a tokenizer of any kind."""
    names = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
    return any((folder / name).is_file() for name in names)


def check_tokens(model: "PreTrainedModel", token: int, source: str) -> None:
    """Refuse a token id, such as the largest of many, for which the model has no embedding.

    Raises:
        InputError: it has none; `source` is the origin of the id in the error.
    """
    table: Any = model.get_input_embeddings()
    embeddings = int(table.num_embeddings)
    if not 0 <= token < embeddings:
        raise InputError(
            f"{source} has the token id {token}, but {type(model).__name__} has {embeddings} embeddings: use the "
            "tokenizer of this model."
        )


def positions(model: "PreTrainedModel") -> int | None:
    """Longest sequence the model can read, None if its architecture has no limit."""
    return positions_of(model.config)


def load_config(folder: Path) -> "PretrainedConfig":
    """The config of the model in a folder.

    Raises:
        InputError: it cannot be read.
    """
    import transformers

    try:
        config: PretrainedConfig = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises many types for what is one thing to the user
        raise InputError(
            f"the config in {folder} cannot be read ({first_line(error)}): correct its config.json."
        ) from error
    return config


def positions_of(config: "PretrainedConfig") -> int | None:
    """Longest sequence of a model that is not loaded, from its config."""
    stated: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return stated if stated and stated > 0 else None


def attention_layers(model: "PreTrainedModel") -> list[int]:
    """Numbers of the layers of a model with attention, ascending, which are also the layers of its patterns.

    Raises:
        InputError: no layer has attention.
    """
    found = families.attention_layers(model.config)
    if not found:
        raise InputError(
            f"{type(model).__name__} has no attention and therefore no heads: use a model with attention "
            f"({families.LISTED})."
        )
    return found


def heads_of(model: "PreTrainedModel") -> tuple[int, int]:
    """Number of layers of a model with attention, and of query heads in each.

    Raises:
        InputError: its layers have different numbers of heads, by its config, or no layer has attention.
    """
    layers = len(attention_layers(model))
    try:
        return layers, model.config.get_text_config().num_attention_heads
    except RuntimeError as error:  # transformers raises it for a number that differs between layers
        raise InputError(
            f"the layers of {type(model).__name__} have different numbers of heads, so its patterns are not a "
            "matrix: use an architecture with the same number in all layers."
        ) from error


def _steps(about: Path) -> list[int]:
    """The steps that a run.json lists."""
    steps = read_json_object(about).get("steps")
    if not isinstance(steps, list) or not steps or not all(isinstance(step, int) for step in steps):
        raise InputError(f"{about} lacks the steps of the run: train the run again.")
    return steps


def checkpoints(run: Path) -> dict[int, Path]:
    """Folders of a run's checkpoints by step, ascending: the intermediate ones and the final one.

    Raises:
        InputError: the folder has no complete run.
    """
    if not (run / "run.json").is_file():
        raise InputError(f"{run} has no run.json: give the folder of a finished run.")
    *intermediate, last = _steps(run / "run.json")
    return {step: run / "intermediate" / f"step-{step}" for step in intermediate} | {last: run / "final"}
