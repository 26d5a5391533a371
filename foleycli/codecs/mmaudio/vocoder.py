"""BigVGAN (Lee et al., arXiv 2206.04658), first and second version: log-mel spectrograms in, sound out.

Module names are those of the published generators; weight norm is folded into plain weights when they are read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_TAPS = 12  # of the anti-aliasing filters
KERNELS, DILATIONS = (3, 7, 11), (1, 3, 5)
BLOCK = 16  # samples that become the channels of a convolution, which then filters whole blocks by one product
SPAN_BLOCKS = 256  # of one channel that are made at once
PIECE_SAMPLES = 1 << 17  # of all channels that are made at once: what is between the filters stays in the CPU's caches


@dataclass(frozen=True)
class BigVGANConfig:
    """What differs between the published generators."""

    n_mels: int
    rates: tuple[int, ...]  # of upsampling, stage by stage
    kernels: tuple[int, ...]
    is_v2: bool  # no bias in the last convolution, and a clamp instead of tanh
    width: int = 1536

    @property
    def hop(self) -> int:
        """Samples per mel frame."""
        return math.prod(self.rates)


BIGVGAN_16K = BigVGANConfig(80, rates=(4, 4, 2, 2, 2, 2), kernels=(8, 8, 4, 4, 4, 4), is_v2=False)
BIGVGAN_44K = BigVGANConfig(128, rates=(8, 4, 2, 2, 2, 2), kernels=(16, 8, 4, 4, 4, 4), is_v2=True)


class BigVGAN(nn.Module):
    """Log-mel frames [B, mels, T] to sound [B, T * hop] in -1..1."""

    def __init__(self, config: BigVGANConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width >> stage for stage in range(len(config.rates) + 1)]
        self.conv_pre = nn.Conv1d(config.n_mels, config.width, 7, padding=3)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose1d(n_in, n_out, kernel, rate, padding=(kernel - rate) // 2))
            for n_in, n_out, kernel, rate in zip(widths, widths[1:], config.kernels, config.rates, strict=False)
        )
        self.resblocks = nn.ModuleList(ResBlock(width, kernel) for width in widths[1:] for kernel in KERNELS)
        self.activation_post = AntiAliasedSnake(widths[-1])
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3, bias=not config.is_v2)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)  # [B, width, T]
        for stage, upsample in enumerate(self.ups):
            x = upsample(x)
            blocks = self.resblocks[stage * len(KERNELS) : (stage + 1) * len(KERNELS)]
            x = sum(block(x) for block in blocks) / len(KERNELS)
        x = self.conv_post(self.activation_post(x)).squeeze(1)  # [B, T * hop]
        return x.clamp(-1, 1) if self.config.is_v2 else x.tanh()


class ResBlock(nn.Module):
    """Three pairs of convolutions, the first of each dilated, every one after a snake; residual."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel // 2)) for d in DILATIONS
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in DILATIONS)
        self.activations = nn.ModuleList(AntiAliasedSnake(width) for _ in range(2 * len(DILATIONS)))

    def forward(self, x: Tensor) -> Tensor:
        for index, (dilated, plain) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            first, second = self.activations[2 * index], self.activations[2 * index + 1]
            x = x + plain(second(dilated(first(x))))
        return x


class AntiAliasedSnake(nn.Module):
    """The snake at twice the rate, so that the harmonics it makes do not fold back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act = SnakeBeta(width)
        self.upsample = Upsample()
        self.downsample = Downsample()

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, T] to the same shape."""
        if x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return self.in_pieces(x)
        return self.downsample(self.act(self.upsample(x)))

    def in_pieces(self, x: Tensor) -> Tensor:
        """`forward` without gradients, equal to rounding, in a quarter of its time on a CPU.

        A piece is some channels over some blocks of samples, and two blocks more at either end for the filters.
        """
        samples = x.flatten(0, 1).contiguous()  # [B * D, T]
        n_rows, n_samples = samples.shape
        n_blocks = min(-(-n_samples // BLOCK), SPAN_BLOCKS)
        rows = max(1, PIECE_SAMPLES // (n_blocks * BLOCK))
        # With v = 2αx, the snake x + sin²(αx) / β is (v + α / β - α / β cos v) / 2α: one cosine and one sum at twice
        # the rate; the constant is added behind the filter.
        alpha, beta = (value.exp().repeat(len(x))[:, None] for value in (self.act.alpha, self.act.beta))
        scale, depth = 2 * alpha, alpha / (beta + 1e-9)  # [B * D, 1]
        constant = depth * self.downsample.lowpass.filter.sum()
        up, down = self._filters_of_blocks()
        out = torch.empty_like(samples)
        for top in range(0, n_rows, rows):
            part = slice(top, top + rows)
            for start in range(0, n_samples, n_blocks * BLOCK):
                end = min(start + n_blocks * BLOCK, n_samples)
                piece = _piece(samples[part], start - 2 * BLOCK, -(-(end - start) // BLOCK) + 4, scale[part])
                doubled = _filter_blocks(piece, up)  # from one block before `start`, at twice the rate
                doubled.addcmul_(torch.cos(doubled), depth[part], value=-1)
                _hold_ends(doubled, 2 * (BLOCK - start), 2 * (n_samples - start + BLOCK))
                snaked = _filter_blocks(doubled, down)[:, : end - start].add_(constant[part])
                torch.div(snaked, scale[part], out=out[part, start:end])
        return out.view(x.shape)

    def _filters_of_blocks(self) -> tuple[Tensor, Tensor]:
        """Both filters as convolutions over blocks: weights [2 * BLOCK, BLOCK, 1, 3] and [BLOCK, 2 * BLOCK, 1, 3].

        What comes out of the middle one of three blocks for every sample of the three set to 1 alone.
        """
        up = self.upsample(torch.eye(3 * BLOCK)[None])[0, :, 2 * BLOCK : 4 * BLOCK]  # [in, out]
        down = self.downsample(torch.eye(6 * BLOCK)[None])[0, :, BLOCK : 2 * BLOCK]
        weights = (answers.unflatten(0, (3, -1)).permute(2, 1, 0).unsqueeze(2) for answers in (up, down))
        first, second = (weight.contiguous(memory_format=torch.channels_last) for weight in weights)
        return first, second


def _piece(samples: Tensor, start: int, n_blocks: int, scale: Tensor) -> Tensor:
    """`n_blocks` blocks of samples [R, T] from `start` on, times `scale`; the first and the last go on for ever."""
    piece = samples.new_empty(len(samples), n_blocks * BLOCK)
    first, last = max(0, start), min(samples.shape[1], start + n_blocks * BLOCK)
    torch.mul(samples[:, first:last], scale, out=piece[:, first - start : last - start])
    _hold_ends(piece, first - start, last - start)
    return piece


def _hold_ends(x: Tensor, first: int, last: int) -> None:
    """Put the value at `first` before it, and that at `last` - 1 behind it, in place; nothing where x has no such."""
    if first > 0:
        x[:, :first] = x[:, first : first + 1]
    if last < x.shape[1]:
        x[:, last:] = x[:, last - 1 : last]


def _filter_blocks(x: Tensor, weight: Tensor) -> Tensor:
    """Samples [R, n * block] through a filter of blocks; one block less at either end comes out."""
    as_channels = x.unflatten(1, (-1, weight.shape[1])).transpose(1, 2).unsqueeze(2)  # [R, block, 1, n], not moved
    return F.conv2d(as_channels, weight).permute(0, 2, 3, 1).flatten(1)


class SnakeBeta(nn.Module):
    """x + sin²(αx) / β per channel; the file holds the logarithms of both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + torch.sin(x * alpha).square() / (beta + 1e-9)


class Upsample(nn.Module):
    """Twice the rate, band-limited: [B, D, T] to [B, D, 2 T]."""

    filter: Tensor  # [1, 1, N_TAPS]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", half_band_filter())

    def forward(self, x: Tensor) -> Tensor:
        width, pad = x.shape[1], N_TAPS // 2 - 1
        padded = F.pad(x, (pad, pad), mode="replicate")
        y = 2 * F.conv_transpose1d(padded, self.filter.expand(width, -1, -1), stride=2, groups=width)
        cut = 2 * pad + N_TAPS // 2 - 1
        return y[..., cut:-cut]


class Downsample(nn.Module):
    """Half the rate, band-limited: [B, D, 2 T] to [B, D, T]."""

    def __init__(self) -> None:
        super().__init__()
        self.lowpass = LowPass()

    def forward(self, x: Tensor) -> Tensor:
        return self.lowpass(x)


class LowPass(nn.Module):
    """The lower half of the band of [B, D, 2 T], at half the rate."""

    filter: Tensor  # [1, 1, N_TAPS]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", half_band_filter())

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[1]
        padded = F.pad(x, (N_TAPS // 2 - 1, N_TAPS // 2), mode="replicate")
        return F.conv1d(padded, self.filter.expand(width, -1, -1), stride=2, groups=width)


def half_band_filter() -> Tensor:
    """A Kaiser-windowed sinc that passes the lower half of the band, [1, 1, N_TAPS]; the files hold it too."""
    cut_off, transition = 0.25, 0.3  # of the sampling rate; the second is half the transition's width
    attenuation_db = 2.285 * (N_TAPS // 2 - 1) * math.pi * 4 * transition + 7.95  # Kaiser's formulas
    beta = 0.1102 * (attenuation_db - 8.7)
    window = torch.kaiser_window(N_TAPS, periodic=False, beta=beta)
    taps = window * torch.sinc(2 * cut_off * (torch.arange(N_TAPS) - N_TAPS / 2 + 0.5))
    return (taps / taps.sum()).view(1, 1, -1)
