"""Frame features on the latent time line."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrameUpsampler(nn.Module):
    """Frame features [B, T, in_dim] to one gated vector per latent step [B, L, D].

    A transposed convolution doubles the frame rate, then each latent step reads its exact time by linear interpolation.
    SALSA-V (arXiv 2510.02916) interpolates first; with frames of 40 ms that would blur events over latent steps of
    23 ms before any learned layer.
    """

    def __init__(self, in_dim: int, width: int, frames_per_step: float) -> None:
        super().__init__()
        self.frames_per_step = frames_per_step
        self.inner = nn.Conv1d(in_dim, width, kernel_size=3, padding=1)
        self.upsample = nn.ConvTranspose1d(width, 2 * width, kernel_size=4, stride=2, padding=1)

    def forward(self, frames: Tensor, n_steps: int, late_frames: Tensor | None = None) -> Tensor:
        """`late_frames`, float32 [B]: how much later frame 0 is than the first latent step's beginning; None: 0."""
        hidden = F.gelu(self.inner(frames.transpose(1, 2)), approximate="tanh")  # [B, D, T]
        value, gate = self.upsample(hidden).chunk(2, dim=1)  # [B, D, 2T] each
        gated = (value * gate.sigmoid()).transpose(1, 2)  # [B, 2T, D]
        # Half-frame m is at frame (m - 0.5) / 2; a latent step is read at its middle.
        middles = torch.arange(n_steps, device=frames.device, dtype=torch.float32) + 0.5
        place = 2.0 * self.frames_per_step * middles + 0.5  # [L]
        if late_frames is not None:
            place = place - 2.0 * late_frames[:, None]  # [B, L]
        place = place.clamp(0, gated.shape[1] - 1)
        before = place.floor().long()
        after = (before + 1).clamp(max=gated.shape[1] - 1)
        weight = (place - before).to(gated.dtype)[..., None]  # [L, 1] or [B, L, 1]
        return torch.lerp(_steps(gated, before), _steps(gated, after), weight)  # [B, L, D]


def _steps(x: Tensor, index: Tensor) -> Tensor:
    """Steps of `x` [B, T, D] by number: the same in all rows, [L], or each row's own, [B, L]."""
    return x[:, index] if index.ndim == 1 else torch.take_along_dim(x, index[..., None], dim=1)
