"""DeepSpeed's ZeRO-2: every process has all weights, and its share of the gradients, master weights and moments.

Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models".
"""

from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError, first_line

BUCKET = 200_000_000
"""Elements that are sent at once: DeepSpeed keeps buffers of this size; a small model needs smaller ones."""

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from headpatterns.training.recipe import Recipe


def configuration(recipe: "Recipe", parameters: int, on_gpu: bool) -> dict[str, Any]:
    """The configuration of DeepSpeed for a recipe and a model with this number of parameters.

    Gradients are summed over micro-batches in float32, as in plain PyTorch under autocast. Over devices, with bf16,
    they are summed in bfloat16, which is DeepSpeed's default: the backward pass returns this type, and float32 would
    double the communication of every micro-batch.
    """
    bucket = min(BUCKET, parameters + parameters % 2)  # DeepSpeed refuses odd sizes
    zero: dict[str, Any] = {"stage": 2, "reduce_bucket_size": bucket, "allgather_bucket_size": bucket}
    if recipe.optimizer == "adamw_offloaded":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": on_gpu}
    return {
        "train_batch_size": recipe.global_batch_size,
        "train_micro_batch_size_per_gpu": recipe.per_device_batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation_steps,
        "gradient_clipping": recipe.max_grad_norm,
        "bf16": {"enabled": recipe.precision == "bf16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_optimization": zero,
        "steps_per_print": None,
    }


def compile_offloaded_adamw() -> None:
    """Make DeepSpeed compile its AdamW for processors, if it has not done so before.

    Raises:
        InputError: the compilation fails.
    """
    from deepspeed.ops.op_builder import CPUAdamBuilder

    try:
        CPUAdamBuilder().load()
    except Exception as error:  # compilers, missing compilers and libraries raise many types
        raise InputError(
            "optimizer adamw_offloaded is compiled when it is first used, but the compilation failed "
            f"({first_line(error)}): install a C++ compiler (g++) and ninja, or set finetuning.optimizer to "
            "adamw_fused."
        ) from error


def offloaded_adamw(learning_rate: float) -> tuple[type, dict[str, Any]]:
    """AdamW on the processor, with the settings that the Trainer gives to torch's AdamW."""
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    return DeepSpeedCPUAdam, {"lr": learning_rate, "betas": (0.9, 0.999), "eps": 1e-8}


def start_masters(model: "PreTrainedModel", weights: "dict[str, torch.Tensor]") -> None:
    """Initialise the float32 master weights with `weights`, by the names of parameters; each process takes its share.

    Parameters that are not trained have no master weights.
    """
    from deepspeed.utils import safe_set_full_fp32_param

    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        safe_set_full_fp32_param(parameter, weights[name])


def master_weights(model: "torch.nn.Module") -> "dict[str, torch.Tensor]":
    """The float32 master weights of a model in bfloat16, on the processor of the first process.

    They are gathered one at a time, so that a GPU has at most one of them; every process must take part.
    """
    from deepspeed.utils import safe_get_full_fp32_param

    from headpatterns.processes import group as processes

    gathered: dict[int, torch.Tensor] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        whole = safe_get_full_fp32_param(parameter)
        if processes.is_first():
            gathered[id(parameter)] = whole.cpu()
    # Tied weights are one parameter with two names.
    state = model.state_dict(keep_vars=True)
    return {name: gathered.get(id(value), value.detach()) for name, value in state.items()}
