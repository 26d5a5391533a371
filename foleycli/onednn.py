"""Products of matrices by the faster of torch's two libraries.

On a CPU torch multiplies float32 matrices with MKL, whose code for processors that are not Intel's reaches half of what
oneDNN, which torch uses for convolutions and bfloat16, does with the same numbers (Zen 5: 100 and 215 GFLOP/s a core).
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_ROWS = 48  # below, calling oneDNN costs what it saves


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: str | None = None) -> Tensor:
    """`F.linear`, and its GELU in the form `gelu` ("tanh", "none") of `F.gelu`; equal to rounding wherever it runs.

    By oneDNN where it only answers (no gradients) on an x86 CPU; there it applies the GELU while it writes the product.
    """
    if runs_on_onednn(input, weight):
        attribute = "gelu" if gelu else "none"
        return torch.ops.mkldnn._linear_pointwise(input, weight, bias, attribute, [], gelu or "")
    product = F.linear(input, weight, bias)
    return F.gelu(product, approximate=gelu) if gelu else product


def linear_plus(input: Tensor, weight: Tensor, added: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear(input, weight, bias) + added`, where it can by oneDNN, which adds while it writes the product."""
    if runs_on_onednn(input, weight):
        return torch.ops.mkldnn._linear_pointwise.binary(input, added, weight, bias, "add")
    return F.linear(input, weight, bias) + added


def runs_on_onednn(input: Tensor, weight: Tensor) -> bool:
    """Whether `linear` calls oneDNN itself."""
    return (
        weight.device.type == "cpu"
        and input.dtype == weight.dtype
        and weight.dtype in (torch.float32, torch.bfloat16)
        and input.numel() >= MIN_ROWS * weight.shape[1]
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and has_onednn_operators()
    )


@cache
def has_onednn_operators() -> bool:
    """Whether this torch has oneDNN's fused operators, and an x86 CPU: on others torch's own are as fast as can be."""
    is_x86 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    names = ("_linear_pointwise", "_convolution_pointwise")
    return is_x86 and torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)
