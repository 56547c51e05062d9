"""The kernels compared with the equations: attention by blocks, A recomputed by blocks, and the fused kernel."""

import functools
import importlib.util
import json
import math
import os
import subprocess
import sys
import warnings

import kernel_cases
import pytest
import torch
from kernel_cases import CASES
from torch.utils._python_dispatch import TorchDispatchMode

from headpatterns.attribution import blockwise, reductions
from headpatterns.attribution.blockwise import attend_by_blocks
from headpatterns.attribution.layer_inputs import AttentionInputs
from headpatterns.attribution.reductions import sum_of_abs_by_blocks

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed here")


@pytest.fixture(params=[2**18, 2**11], ids=["large-blocks", "small-blocks"])
def block_size(request, monkeypatch):
    """All elements in one or two blocks, or 16 rows of one key/value head per block."""
    monkeypatch.setattr(blockwise, "CACHED_ELEMENTS", request.param)


def relative(found, expected):
    return ((found.double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("name", CASES)
def test_sum_of_abs_by_blocks(name, block_size):
    inputs, gradient = kernel_cases.make(**CASES[name])
    values = inputs.value.double().repeat_interleave(inputs.groups, 1)
    gradients = gradient.transpose(1, 2).double() @ values.transpose(2, 3)
    expected = (kernel_cases.attention_matrix(inputs) * gradients).abs().sum((2, 3))
    assert relative(sum_of_abs_by_blocks(inputs, gradient), expected) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_attention_by_blocks_and_its_gradients(name, block_size):
    inputs, gradient = kernel_cases.make(**CASES[name])
    leaves = [tensor.requires_grad_() for tensor in (inputs.query, inputs.key, inputs.value)]
    values = inputs.value.double().repeat_interleave(inputs.groups, 1)
    expected = (kernel_cases.attention_matrix(inputs) @ values).transpose(1, 2)
    output = attend_by_blocks(inputs)
    assert output.is_contiguous()
    assert relative(output, expected) < 1e-5
    found = torch.autograd.grad(output, leaves, gradient)
    for one, right in zip(found, torch.autograd.grad(expected, leaves, gradient.double()), strict=True):
        assert one.dtype == torch.float32
        assert right.abs().max() > 0.1 or name == "one position"  # where attention is always 1
        assert (one - right).abs().max() <= 1e-5 * right.abs().max().clamp(min=1.0)


def test_a_mask_that_is_added(block_size):
    inputs, gradient = kernel_cases.make(key_heads=2)
    bias = torch.randn(2, 4, 70, 70).masked_fill(torch.ones(70, 70, dtype=torch.bool).triu(1), -1e30)
    inputs = AttentionInputs(inputs.query, inputs.key, inputs.value, bias, causal=False, scaling=0.5)
    values = inputs.value.double().repeat_interleave(2, 1)
    matrix = kernel_cases.attention_matrix(inputs)
    expected = (matrix * (gradient.transpose(1, 2).double() @ values.transpose(2, 3))).abs().sum((2, 3))
    assert relative(sum_of_abs_by_blocks(inputs, gradient), expected) < 1e-5
    assert relative(attend_by_blocks(inputs), (matrix @ values).transpose(1, 2)) < 1e-5


@pytest.mark.parametrize("name", ["grouped-query", "capped sliding window", "sinks"])
def test_half_precision_is_accumulated_in_single(name):
    """Compared with the same inputs in double precision, the only error is the rounding of the output."""
    inputs, gradient = kernel_cases.make(**CASES[name], dtype=torch.bfloat16)
    values = inputs.value.double().repeat_interleave(inputs.groups, 1)
    matrix = kernel_cases.attention_matrix(inputs)
    expected = (matrix * (gradient.transpose(1, 2).double() @ values.transpose(2, 3))).abs().sum((2, 3))
    found = sum_of_abs_by_blocks(inputs, gradient)
    assert found.dtype == torch.float32
    assert relative(found, expected) < 1e-5
    output = attend_by_blocks(inputs)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.double(), (matrix @ values).transpose(1, 2), rtol=2**-8, atol=1e-5)


class Largest(TorchDispatchMode):
    """Records the largest number of elements that a result has while it is active."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("softcap", [None, 1.5])
def test_no_attention_matrix_is_ever_held(softcap):
    """The largest of all tensors is a block or an input."""
    inputs, gradient = kernel_cases.make(positions=2048, heads=2, key_heads=1, softcap=softcap)
    inputs.query.requires_grad_()
    with Largest() as largest:
        attend_by_blocks(inputs).backward(gradient)
        sum_of_abs_by_blocks(inputs, gradient)
    assert largest.elements <= 2 * blockwise.CACHED_ELEMENTS
    assert 2 * blockwise.CACHED_ELEMENTS < 2048**2 / 4


def test_columns_outside_the_mask_are_skipped(monkeypatch):
    """A causal diagonal, a window and rows without a gradient reduce the number of computed products."""
    monkeypatch.setattr(blockwise, "CACHED_ELEMENTS", 2**11)

    def elements(**settings):
        inputs, gradient = kernel_cases.make(positions=256, **settings)
        rows = blockwise.Rows(inputs)
        sizes = [
            math.prod(map(len, (range(block.pairs.start, block.pairs.stop), range(block.rows.start, block.rows.stop))))
            * (block.columns.stop - block.columns.start)
            for block in rows.blocks(rows.by_pairs(gradient.transpose(1, 2)))
        ]
        return sum(sizes) / (8 * 256 * 256)

    assert elements(causal=False) == 1
    assert 0.5 < elements() < 0.55
    assert elements(window=16) < 0.15
    assert elements(lengths=(256, 64)) < 0.6 * elements()


@pytest.mark.parametrize("name", kernel_cases.BROKEN)
def test_what_is_not_finite_stays_so_by_blocks(name):
    """A value that is not finite affects only its own head."""
    found = sum_of_abs_by_blocks(*kernel_cases.make_broken(name))
    assert found.isfinite().tolist() == [[True, True], [True, False]]


DEVICES = ["interpreter", *["cuda"] * torch.cuda.is_available()]


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("device", DEVICES)
def test_what_is_not_finite_stays_so_in_the_fused_kernel(device):
    found = interpreted()["finite"] if device == "interpreter" else kernel_cases.finite(device)
    assert found == {name: [[True, True], [True, False]] for name in kernel_cases.BROKEN}


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("device", DEVICES)
def test_the_fused_kernel(device):
    found = interpreted()["errors"] if device == "interpreter" else kernel_cases.errors(device, torch.bfloat16)
    assert len(found) == len(CASES) + len(kernel_cases.HALVED)
    assert max(found.values()) < 1e-5, found


@functools.cache
def interpreted():
    """What `kernel_cases` prints in a separate process, with Triton as an interpreter."""
    done = subprocess.run(
        [sys.executable, kernel_cases.__file__],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


MOST = {"CAUSAL": False, "MASKED": True, "CAPPED": True, "SINKS": True}


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize(
    ("architecture", "dtype", "size", "changed"),
    [
        (80, "bf16", 64, {}),
        (80, "bf16", 128, {}),
        (80, "bf16", 256, {}),
        (90, "bf16", 64, MOST),
        (90, "bf16", 256, MOST),
        (80, "fp32", 64, {}),
        (80, "fp32", 128, {}),
    ],
)
def test_the_fused_kernel_compiles_for_a_gpu(architecture, dtype, size, changed):
    """It compiles to machine code as for a launch, without a GPU; its blocks fit into every GPU's shared memory."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from headpatterns.attribution import fused

    kernel = fused._sum_of_abs
    rows, columns = fused.block_shape(size * (2 if dtype == "bf16" else 4))
    constants = {"CAUSAL": True, "MASKED": False, "CAPPED": False, "SINKS": False, "ROWS": rows, "COLUMNS": columns}
    constants |= dict.fromkeys(("SIZE", "VALUE_SIZE", "PADDED_SIZE", "PADDED_VALUE_SIZE"), size) | changed
    constants |= dict.fromkeys(("query_size", "key_size", "value_size", "gradient_size"), 1)
    constants |= {} if constants["MASKED"] else {"mask": None}
    constants |= {} if constants["SINKS"] else {"sinks": None}
    types = dict.fromkeys(("query", "key", "value", "gradient", "sinks"), f"*{dtype}")
    types |= {"mask": "*i1", "first": "*i32", "last": "*i32", "total": "*fp32", "scaling": "fp32", "softcap": "fp32"}
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, constants)
    options = {"num_warps": fused.warps(rows), "num_stages": fused.STAGES}
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    assert compiled.asm["cubin"]
    assert compiled.metadata.shared <= 99 * 1024


@needs_triton
def test_a_kernel_that_cannot_run_is_not_used():
    """Without the interpreter and a GPU, Triton cannot run: PyTorch computes instead, and a warning says so."""
    with pytest.warns(UserWarning, match="the Triton kernel cannot be used here"):
        assert reductions._fused.__wrapped__(reductions.Kind(torch.device("cpu"), torch.float32, 16, 16)) is None


@needs_triton
def test_the_kernel_is_tried_with_each_kind_of_inputs(monkeypatch):
    """A GPU with little shared memory runs the kernel for small heads, but not for large ones."""
    from headpatterns.attribution import fused

    def launch(inputs, gradient):
        tried.append(inputs)
        if inputs.query.shape[3] > 64:
            raise RuntimeError("out of resource: shared memory")
        return sum_of_abs_by_blocks(inputs, gradient)

    tried, kinds = [], set()
    monkeypatch.setattr(fused, "sum_of_abs", launch)
    find = functools.cache(reductions._fused.__wrapped__)
    for name, dtype in [(name, dtype) for name in CASES for dtype in (torch.float32, torch.bfloat16)]:
        inputs, _ = kernel_cases.make(**CASES[name], dtype=dtype)
        kind = reductions.Kind.of(inputs)
        kinds.add(kind)
        if inputs.query.shape[3] > 64:
            with pytest.warns(UserWarning, match="the Triton kernel cannot be used here .out of resource"):
                assert find(kind) is None
        else:
            assert find(kind) is fused
    # Each kind of inputs is tried exactly once.
    assert {reductions.Kind.of(inputs) for inputs in tried} == kinds
    # Two dtypes of nine kinds: plain, odd and large heads, a mask, no mask at all, caps and sinks with and without one.
    assert len(tried) == 2 * 9
    added = torch.zeros(1, 1, 70, 70)
    inputs = AttentionInputs(inputs.query, inputs.key, inputs.value, added, causal=False, scaling=0.5)
    assert find(reductions.Kind.of(inputs)) is None
    assert len(tried) == 2 * 9


def test_what_the_fused_kernel_leaves_to_pytorch():
    """PyTorch computes additive masks and the largest heads, and everything without a GPU."""
    inputs, gradient = kernel_cases.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = reductions.sum_of_abs(inputs, gradient)
    assert torch.equal(found, sum_of_abs_by_blocks(inputs, gradient))
    if importlib.util.find_spec("triton"):
        from headpatterns.attribution import fused

        added = AttentionInputs(inputs.query, inputs.key, inputs.value, torch.zeros(1, 1, 70, 70), False, 0.5)
        assert fused.takes(inputs)
        assert not fused.takes(added)
        assert not fused.takes(kernel_cases.make(size=256)[0])
        assert fused.takes(kernel_cases.make(size=256, dtype=torch.bfloat16)[0])
