"""EfficientNet-Lite0: images of 224x224 pixels in, 1000 ImageNet logits out; inference only.

The network of EfficientNet-B0 (Tan and Le, arXiv 1905.11946) without squeeze-and-excitation, with ReLU6 instead of
swish, and a stem and head that do not scale.  Batch norms are folded into the convolutions on loading, which makes it
a third faster; on a CPU oneDNN applies the ReLU6 while it writes a convolution's result, which halves what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foleycli.onednn import has_onednn_operators

# (blocks, kernel, stride of the first, expansion, channels)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD, N_CLASSES = 32, 1280, 1000
BATCH_NORM_EPS = 1e-3  # TensorFlow's, where the weights were trained


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: an odd pixel is added on the right and below; then ReLU6, or not."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1, *, has_relu: bool = True
    ) -> None:
        super().__init__(n_in, n_out, kernel, stride, groups=groups)
        self.has_relu = has_relu

    def forward(self, pixels: Tensor) -> Tensor:
        sides = [self._padding(size) for size in (pixels.shape[-1], pixels.shape[-2])]
        half = 0
        if sides[0] == sides[1] and sides[0] % 2 == 0:
            half = sides[0] // 2
        else:
            pixels = F.pad(pixels, [part for side in sides for part in (side // 2, side - side // 2)])
        if pixels.device.type == "cpu" and not torch.is_grad_enabled() and has_onednn_operators():
            attributes = ("hardtanh", [0.0, 6.0], "") if self.has_relu else ("none", [], "")
            return torch.ops.mkldnn._convolution_pointwise(
                pixels, self.weight, self.bias, [half, half], self.stride, [1, 1], self.groups, *attributes
            )
        filtered = F.conv2d(pixels, self.weight, self.bias, self.stride, padding=half, groups=self.groups)
        return F.relu6(filtered) if self.has_relu else filtered

    def _padding(self, size: int) -> int:
        stride, kernel = self.stride[0], self.kernel_size[0]
        n_out = -(-size // stride)
        return max(0, (n_out - 1) * stride + kernel - size)


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow; added to its input where shapes allow."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = n_in * expansion
        self.expand = SameConv(n_in, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, n_out, 1, has_relu=False)
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = pixels if self.expand is None else self.expand(pixels)  # [B, 6C, H, W]
        hidden = self.project(self.depthwise(hidden))  # [B, C', H', W']
        return pixels + hidden if self.is_residual else hidden


class EfficientNetLite0(nn.Module):
    """float32 [B, 3, 224, 224], (pixel - 127) / 128, to logits [B, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, stride=2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = SameConv(STAGES[-1][-1], HEAD, 1)
        self.classifier = nn.Linear(HEAD, N_CLASSES)

    @property
    def dtype(self) -> torch.dtype:
        return self.classifier.weight.dtype

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = self.blocks(self.stem(pixels))  # [B, 320, 7, 7]
        pooled = self.head(hidden).mean(dim=(2, 3))  # [B, 1280]
        return self.classifier(pooled)  # [B, 1000]


def _blocks() -> Iterator[InvertedResidual]:
    width = STEM
    for n_blocks, kernel, stride, expansion, n_out in STAGES:
        for index in range(n_blocks):
            yield InvertedResidual(
                n_in=width, n_out=n_out, kernel=kernel, stride=stride if index == 0 else 1, expansion=expansion
            )
            width = n_out


def from_checkpoint(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    """The network with the weights of `efficientnet-lite0-57934424.pth`, batch norms folded in, in eval mode."""
    with torch.device("meta"):  # all of it is replaced: no random start
        network = EfficientNetLite0().eval()
    _fold(network.stem, state, "_conv_stem", "_bn0")
    for index, block in enumerate(network.blocks):
        assert isinstance(block, InvertedResidual)
        prefix = f"_blocks.{index}."
        if block.expand is not None:
            _fold(block.expand, state, prefix + "_expand_conv", prefix + "_bn0")
        _fold(block.depthwise, state, prefix + "_depthwise_conv", prefix + "_bn1")
        _fold(block.project, state, prefix + "_project_conv", prefix + "_bn2")
    _fold(network.head, state, "_conv_head", "_bn1")
    network.classifier.weight = _replace(network.classifier.weight, state["_fc.weight"])
    network.classifier.bias = _replace(network.classifier.bias, state["_fc.bias"])
    return network


def _fold(conv: SameConv, state: Mapping[str, Tensor], conv_key: str, norm_key: str) -> None:
    """Give a convolution its weights with its batch norm's scale and shift multiplied in."""
    scale = state[f"{norm_key}.weight"] * torch.rsqrt(state[f"{norm_key}.running_var"] + BATCH_NORM_EPS)
    conv.weight = _replace(conv.weight, state[f"{conv_key}.weight"] * scale[:, None, None, None])
    conv.bias = _replace(conv.bias, state[f"{norm_key}.bias"] - state[f"{norm_key}.running_mean"] * scale)


def _replace(old: Tensor | None, value: Tensor) -> nn.Parameter:
    """A weight in the place of another, which learns nothing; errors: RuntimeError for another shape."""
    if old is None or value.shape != old.shape:
        raise RuntimeError(f"a weight has the shape {tuple(value.shape)}")
    return nn.Parameter(value, requires_grad=False)
