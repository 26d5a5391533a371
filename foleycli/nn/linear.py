"""Linear layers by the faster of torch's two matrix libraries.

On a CPU torch multiplies float32 matrices with MKL, whose code for processors that are not Intel's reaches half of what
oneDNN, which torch uses for convolutions and bfloat16, does with the same numbers (Zen 5: 100 and 215 GFLOP/s a core).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

MIN_ROWS = 48  # below, calling oneDNN costs what it saves


class Linear(nn.Linear):
    """`nn.Linear`; by oneDNN where it only answers (no gradients, float32, an x86 CPU), which is equal to rounding."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        if (
            torch.is_grad_enabled()
            or weight.device.type != "cpu"
            or weight.dtype != torch.float32
            or input.dtype != torch.float32
            or input.numel() < MIN_ROWS * self.in_features
            or torch.compiler.is_compiling()
            or torch.is_autocast_enabled("cpu")
            or not has_onednn_linear()
        ):
            return super().forward(input)
        return torch.ops.mkldnn._linear_pointwise(input, weight, self.bias, "none", [], "")


@cache
def has_onednn_linear() -> bool:
    """Whether this torch has the operator, and an x86 CPU: on others `nn.Linear` is as fast as can be."""
    is_x86 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return is_x86 and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
