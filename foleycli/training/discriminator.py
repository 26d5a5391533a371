"""A codec's opponent: small networks that tell real sounds from made ones, and the game against them.

A waveform codec is judged by complex spectra of several resolutions, after DAC's multi-scale STFT discriminator
(arXiv 2306.06546, section 3.3); a spectrogram codec by patches of its log-mels (PatchGAN: arXiv 1611.07004, section
3.2.2).  Hinge losses, and feature matching.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.training.loop import share_gradients


class SpectrogramJudge(nn.Module):
    """One resolution: complex spectrum in, a map of verdicts and the layers on the way out."""

    def __init__(self, n_fft: int, width: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        sizes = [(2, (1, 1)), (width, (1, 2)), (width, (1, 2)), (width, (1, 2))]
        self.layers = nn.ModuleList(
            _weight_norm(nn.Conv2d(n_in, width, (3, 9), stride, (1, 4))) for n_in, stride in sizes
        )
        self.verdict = _weight_norm(nn.Conv2d(width, 1, (3, 3), padding=(1, 1)))

    def forward(self, samples: Tensor) -> list[Tensor]:
        spectrum = torch.stft(samples, self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
        return _seen(torch.view_as_real(spectrum).permute(0, 3, 2, 1), self.layers, self.verdict)  # [B, 2, F, bins]


class MelJudge(nn.Module):
    """Patches of a log-mel spectrogram, 37 bands by 37 frames each; told which band it looks at."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [(2, width, 2), (width, 2 * width, 2), (2 * width, 2 * width, 1), (2 * width, 2 * width, 1)]
        self.layers = nn.ModuleList(
            _weight_norm(nn.Conv2d(n_in, n_out, 2 * stride + 1, stride, stride)) for n_in, n_out, stride in sizes
        )
        self.verdict = _weight_norm(nn.Conv2d(2 * width, 1, 3, padding=1))

    def forward(self, mels: Tensor) -> list[Tensor]:
        """Scaled log-mels [B, mels, frames] to the layers' outputs and, last, the verdicts [B, 1, m, f]."""
        band = torch.linspace(-1, 1, mels.shape[1], device=mels.device)[:, None].expand(mels.shape[1:])
        return _seen(torch.stack([mels, band.expand_as(mels)], dim=1), self.layers, self.verdict)


def _seen(x: Tensor, layers: nn.ModuleList, verdict: nn.Module) -> list[Tensor]:
    seen = []
    for layer in layers:
        x = F.leaky_relu(layer(x), 0.1)
        seen.append(x)
    return [*seen, verdict(x)]


def _weight_norm(layer: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(layer)


class Opponent:
    """Judges with an optimiser of their own: each round they learn once, and say how to fool them.

    They see what the codec makes and what was recorded: sounds [B, N] or log-mels [B, mels, frames].
    """

    def __init__(self, judges: list[nn.Module], lr: float) -> None:
        self.judges, self.lr = nn.ModuleList(judges), lr
        self.optimizer: torch.optim.Optimizer | None = None  # made in the first round, on the sounds' device
        self._kept: dict = {}  # of a checkpoint, until then

    def round(self, made: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Learn from one batch; the judges' loss, how badly `made` fools them, and how far their layers are apart."""
        if self.optimizer is None:
            self._wake(real.device)
        learnt = _judges_loss(self.judges, made.detach(), real)
        self.optimizer.zero_grad(set_to_none=True)
        learnt.backward()
        share_gradients(self.judges)
        self.optimizer.step()
        fooling, distance = _codecs_loss(self.judges, made, real)
        return {"discriminator": learnt.detach(), "adversarial": fooling, "feature": distance}

    def state(self) -> dict:
        if self.optimizer is None:
            return self._kept
        return {"network": self.judges.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict) -> None:
        self._kept = state

    def _wake(self, device: torch.device) -> None:
        self.judges.to(device)
        self.optimizer = torch.optim.AdamW(self.judges.parameters(), lr=self.lr, betas=(0.8, 0.99))
        if self._kept:
            self.judges.load_state_dict(self._kept["network"])
            self.optimizer.load_state_dict(self._kept["optimizer"])


def _judges_loss(judges: nn.ModuleList, made: Tensor, real: Tensor) -> Tensor:
    """Hinge loss of telling real from made."""
    verdicts = [(judge(made)[-1], judge(real)[-1]) for judge in judges]
    return torch.stack([F.relu(1 + m).mean() + F.relu(1 - r).mean() for m, r in verdicts]).mean()


def _codecs_loss(judges: nn.ModuleList, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """How badly what is made fools the judges, and how far their inner layers are from what they see in the real."""
    with torch.no_grad():
        wanted = [judge(real) for judge in judges]
    judges.requires_grad_(False)
    found = [judge(made) for judge in judges]
    judges.requires_grad_(True)
    fooling = torch.stack([-m[-1].mean() for m in found]).mean()
    distances = [
        F.l1_loss(a, b) / b.abs().mean().clamp_min(1e-3)
        for m, r in zip(found, wanted, strict=True)
        for a, b in zip(m[:-1], r[:-1], strict=True)
    ]
    return fooling, torch.stack(distances).mean()
