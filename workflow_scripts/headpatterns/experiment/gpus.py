"""Types of GPU that a plan knows, from their manufacturers' data sheets."""

from typing import NamedTuple


class Gpu(NamedTuple):
    """A type of GPU: dense matrix products, and memory.

    Attributes:
        bf16: 10¹² operations per second in bfloat16, without sparsity.
        fp32: the same in float32, without TF32.
        memory: 10⁹ bytes.
        bandwidth: of the memory, 10⁹ bytes per second.
    """

    bf16: float
    fp32: float
    memory: float
    bandwidth: float

    def peak(self, dtype: str) -> float:
        """Operations per second in a dtype; float16 is as fast as bfloat16."""
        return (self.fp32 if dtype == "float32" else self.bf16) * 1e12


GPUS = {
    "A10": Gpu(125, 31.2, 24, 600),
    "A40": Gpu(149.7, 37.4, 48, 696),
    "A100-40": Gpu(312, 19.5, 40, 1555),
    "A100-80": Gpu(312, 19.5, 80, 2039),
    "L4": Gpu(121, 30.3, 24, 300),
    "L40S": Gpu(362, 91.6, 48, 864),
    "RTX-3090": Gpu(71, 35.6, 24, 936),
    "RTX-4090": Gpu(165.2, 82.6, 24, 1008),
    "RTX-A6000": Gpu(154.8, 38.7, 48, 768),
    "H100": Gpu(989, 67, 80, 3350),
    "H100-PCIe": Gpu(756, 51, 80, 2000),
    "H200": Gpu(989, 67, 141, 4800),
    "B200": Gpu(2250, 75, 180, 8000),
}
"""A100 and H100 without a suffix for the form factor are the SXM modules."""
