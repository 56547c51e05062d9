"""Many kinds of inputs of an attention layer, and how far the fused kernel's sums are from those in PyTorch.

As a program, it prints these errors on a CPU as JSON. It also prints whether the kernel's sums are finite if an input
is not. The kernel is interpreted if TRITON_INTERPRET=1 is in the environment when Triton is imported.
"""

import json

import torch

from headpatterns.attribution.layer_inputs import AttentionInputs

CASES = {
    "multi-head": {},
    "grouped-query": {"key_heads": 2},
    "multi-query": {"key_heads": 1},
    "one position": {"positions": 1},
    "several blocks": {"positions": 200, "heads": 2, "key_heads": 1},
    "odd sizes": {"size": 20, "value_size": 12},
    "large heads": {"size": 80, "value_size": 128},
    "padded": {"lengths": (70, 33)},
    "sliding window": {"window": 9},
    "padded sliding window": {"window": 9, "lengths": (70, 33), "key_heads": 2},
    "a mask for each sample": {"kept": (2, 1)},
    "a mask for each head": {"kept": (2, 4), "key_heads": 2},
    "rows that attend to nothing": {"kept": (2, 1), "nothing": (0, 3, 69)},
    "not causal": {"causal": False},
    "scaled": {"scaling": 1.0},
    "capped": {"softcap": 1.5, "key_heads": 2},
    "capped sliding window": {"softcap": 1.5, "window": 9, "lengths": (70, 33)},
    "sinks": {"sinks": True, "key_heads": 2},
    "sinks and sliding window": {"sinks": True, "window": 9},
}

HALVED = ("grouped-query", "padded sliding window", "capped", "sinks")
"""Cases that are also tested in half precision."""


BROKEN = {
    "a gradient that is NaN": ("gradient", torch.nan),
    "a gradient that is infinite": ("gradient", torch.inf),
    "a query that is NaN": ("query", torch.nan),
    "a query that is infinite": ("query", torch.inf),
    "a key that is NaN": ("key", torch.nan),
    "a value that is NaN": ("value", torch.nan),
    "a value that is infinite": ("value", -torch.inf),
}
"""By case, the tensor that is not finite at one position of the second head, and the value there."""


def make(
    *,
    positions: int = 70,
    heads: int = 4,
    key_heads: int = 4,
    size: int = 16,
    value_size: int | None = None,
    lengths: tuple[int, int] | None = None,
    window: int | None = None,
    kept: tuple[int, int] | None = None,
    nothing: tuple[int, ...] = (),
    causal: bool = True,
    scaling: float = 0.5,
    softcap: float | None = None,
    sinks: bool = False,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> tuple[AttentionInputs, torch.Tensor]:
    """Random inputs of a batch of two samples, as from transformers, and dO [2, positions, heads, value_size]."""
    generator = torch.Generator().manual_seed(0)
    value_size = value_size or size

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    query, key = draw(2, positions, heads, size).transpose(1, 2), draw(2, positions, key_heads, size).transpose(1, 2)
    value, gradient = draw(2, positions, key_heads, value_size).transpose(1, 2), draw(2, positions, heads, value_size)
    mask = None
    if window or kept or nothing:
        mask = torch.ones(1, 1, positions, positions, dtype=torch.bool).tril()
        mask = mask.triu(1 - window) if window else mask
        # As in transformers, a sliding window is one mask, expanded to all samples.
        mask = mask.expand(2, 1, -1, -1)
        if kept:
            mask = mask & (torch.rand(*kept, positions, positions, generator=generator) < 0.7)
            mask[:, :, list(nothing)] = False
    for sample, length in enumerate(lengths or ()):
        gradient[sample, length:] = 0
    tensors = [tensor.to(device) for tensor in (query, key, value)]
    inputs = AttentionInputs(
        *tensors,
        None if mask is None else mask.to(device),
        causal and mask is None,
        scaling,
        softcap,
        torch.linspace(-1, 2, heads, device=device) if sinks else None,
    )
    return inputs, gradient.to(device)


def scores(inputs: AttentionInputs) -> torch.Tensor:
    """s of the equations, masked with −∞: float64 [batch, heads, positions, positions]."""
    keys = inputs.key.double().repeat_interleave(inputs.groups, 1)
    found = inputs.query.double() @ keys.transpose(2, 3) * inputs.scaling
    if inputs.softcap:
        found = inputs.softcap * torch.tanh(found / inputs.softcap)
    if inputs.causal:
        found = found.masked_fill(torch.ones_like(found, dtype=torch.bool).triu(1), -torch.inf)
    if inputs.mask is not None and inputs.mask.dtype == torch.bool:
        found = found.masked_fill(~inputs.mask, -torch.inf)
    return found if inputs.mask is None or inputs.mask.dtype == torch.bool else found + inputs.mask.double()


def attention_matrix(inputs: AttentionInputs) -> torch.Tensor:
    """A of the equations, float64 [batch, heads, positions, positions]; rows that attend to nothing are zero."""
    found = scores(inputs)
    if inputs.sinks is not None:
        sink = inputs.sinks.double().view(1, -1, 1, 1).expand(*found.shape[:3], 1)
        return torch.cat([found, sink], 3).softmax(3)[..., :-1]
    return found.softmax(3).nan_to_num(0.0)


def errors(device: str, half: torch.dtype) -> dict[str, float]:
    """Largest relative error of the fused kernel against PyTorch, for each case, and for some in half precision."""
    from headpatterns.attribution import fused
    from headpatterns.attribution.reductions import sum_of_abs_by_blocks

    found = {}
    for name, dtype in [(name, torch.float32) for name in CASES] + [(name, half) for name in HALVED]:
        inputs, gradient = make(**CASES[name], dtype=dtype, device=device)
        assert fused.takes(inputs)
        expected = sum_of_abs_by_blocks(inputs, gradient)
        difference = (fused.sum_of_abs(inputs, gradient) - expected).abs() / expected.clamp(min=1e-6)
        found[f"{name}, {dtype}"] = difference.max().item()
    return found


def make_broken(name: str, device: str = "cpu") -> tuple[AttentionInputs, torch.Tensor]:
    """Inputs of a case of `BROKEN`. A broken dO is 0 at all other positions, as dO is before a response."""
    tensor, number = BROKEN[name]
    inputs, gradient = make(heads=2, key_heads=2, device=device)
    if tensor == "gradient":
        gradient.zero_()
        gradient[1, 5, 1] = number
    else:
        getattr(inputs, tensor)[1, 1, 5] = number
    return inputs, gradient


def finite(device: str) -> dict[str, list[list[bool]]]:
    """Whether the fused kernel's sums are finite, [batch, heads], for each case of `BROKEN`."""
    from headpatterns.attribution import fused

    return {name: fused.sum_of_abs(*make_broken(name, device)).isfinite().tolist() for name in BROKEN}


if __name__ == "__main__":
    # The interpreter cannot multiply bfloat16 matrices, so float16 stands for both.
    print(json.dumps({"errors": errors("cpu", torch.float16), "finite": finite("cpu")}))
