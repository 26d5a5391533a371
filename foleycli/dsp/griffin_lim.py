"""From a mel spectrogram back to sound without a network: magnitudes that fit it, then phases that fit them.

Magnitudes: multiplicative updates (Lee and Seung, NIPS 2000) find a spectrum, never negative, that has the given mel
bands.  Phases: fast Griffin-Lim (Perraudin, Balazs and Søndergaard, WASPAA 2013), started from the phases of a fixed
noise.  Both depend on a few frames only, so that sound made in overlapping pieces is the sound made at once.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from foleycli.dsp.mel import hann_window, mel_filters
from foleycli.onednn import linear

NOISE_SEED = 44100
NOISE_PERIOD = 1 << 19  # samples (12 s) after which the fixed noise repeats
MOMENTUM = 0.99
LEAST_POWER = 1e-36  # of a complex number whose phase counts; what is 0 stays 0
BLOCK_FRAMES = 128  # on a CPU
MEL_ITERATIONS = 8  # of the magnitudes: more change nothing that can be heard


def invert_mel(mel: Tensor, rate_hz: int, n_fft: int) -> Tensor:
    """A magnitude mel spectrogram [B, mels, F], as `dsp.mel.mel_spectrogram` makes it, to spectra [B, bins, F]."""
    filters = mel_filters(rate_hz, n_fft, mel.shape[1], mel.device)  # [mels, bins]
    to_bins = filters.T.contiguous()
    weight_of_bin = filters.sum(dim=0) + 1e-6  # [bins]
    mel = mel.transpose(1, 2).contiguous()  # [B, F, mels]
    spectra = linear(mel, to_bins).clamp_min(1e-9) / weight_of_bin  # [B, F, bins]
    for _ in range(MEL_ITERATIONS):
        spectra = spectra * linear(mel / (linear(spectra, filters) + 1e-9), to_bins) / weight_of_bin
    return (spectra * (n_fft / 4)).transpose(1, 2)


def griffin_lim(magnitudes: Tensor, n_fft: int, hop: int, start_sample: int, n_iterations: int) -> Tensor:
    """Magnitudes [B, bins, F] of centred frames, `hop` apart, to sound [B, F * hop]; `hop` divides `n_fft`.

    start_sample  the first sample's place on the whole track, to which the noise behind the phases is fixed

    Spectra are kept frame by frame, [B, F, bins], as the Fourier transform reads and writes them: half the time of
    torch.stft and torch.istft, which turn them round and back at every iteration.  On a CPU a block of frames goes
    through all that is done frame by frame before the next one, while it is in the processor's cache.
    """
    window = hann_window(n_fft, magnitudes.device)
    n_samples = magnitudes.shape[2] * hop
    # With the frame after the last sample's.
    magnitudes = torch.cat([magnitudes, magnitudes[..., -1:]], dim=2).transpose(1, 2).contiguous()  # [B, F, bins]
    n_frames = magnitudes.shape[1]
    is_inside = torch.arange((n_frames - 1) * hop + n_fft, device=magnitudes.device) - n_fft // 2
    is_inside = (is_inside >= 0) & (is_inside < n_samples)
    weight = _overlap_add((window * window).expand(1, n_frames, n_fft), hop)[0]
    inverse_weight = torch.where(is_inside, 1 / weight.clamp_min(1e-11), 0.0)  # [N]: silence before and after the sound

    phases = _noise_phases(n_frames=n_frames, n_fft=n_fft, hop=hop, start_sample=start_sample, device=magnitudes.device)
    frames = magnitudes.new_empty(len(magnitudes), n_frames, n_fft)
    n_block = BLOCK_FRAMES if magnitudes.device.type == "cpu" else n_frames
    blocks = [slice(first, first + n_block) for first in range(0, n_frames, n_block)]
    for block in blocks:
        torch.mul(torch.fft.irfft(magnitudes[:, block] * phases[:, block], n=n_fft), window, out=frames[:, block])
    previous = [torch.zeros((), dtype=phases.dtype, device=phases.device) for _ in blocks]
    for _ in range(n_iterations):
        cut = _overlap_add(frames, hop).mul_(inverse_weight).unfold(1, n_fft, hop)  # [B, F, n_fft]
        for k, block in enumerate(blocks):
            consistent = torch.fft.rfft(cut[:, block] * window)
            ahead = torch.sub(consistent, previous[k], alpha=MOMENTUM / (1 + MOMENTUM))
            previous[k] = consistent
            # Scaled to the given magnitudes; by real numbers, since torch's `sgn` and `abs` of complex ones take thrice
            # as long as a Fourier transform.
            power = torch.addcmul(ahead.real.square(), ahead.imag, ahead.imag).clamp_min_(LEAST_POWER)
            ahead.mul_(power.rsqrt_().mul_(magnitudes[:, block]))
            torch.mul(torch.fft.irfft(ahead, n=n_fft), window, out=frames[:, block])
    return _overlap_add(frames, hop).mul_(inverse_weight)[:, n_fft // 2 :][:, :n_samples]


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames [B, F, n_fft], `hop` apart, to their sum [B, (F - 1) * hop + n_fft]."""
    n_frames = frames.shape[1]
    parts = frames.unflatten(2, (-1, hop))  # [B, F, n_fft / hop, hop]
    n_parts = parts.shape[2]
    summed = frames.new_zeros(len(frames), n_frames + n_parts - 1, hop)
    for part in range(n_parts):
        summed[:, part : part + n_frames] += parts[:, :, part]
    return summed.flatten(1)


def unit_phase(spectra: Tensor) -> Tensor:
    """Complex numbers at length 1; zeros stay."""
    return spectra.sgn()


def _noise_phases(n_frames: int, n_fft: int, hop: int, start_sample: int, device: torch.device) -> Tensor:
    """Phases [1, n_frames, bins] of the fixed noise, in frames whose middles are `hop` apart from `start_sample` on."""
    n = (n_frames - 1) * hop + n_fft
    index = (torch.arange(n, device=device) + start_sample - n_fft // 2) % NOISE_PERIOD
    frames = fixed_noise(device)[index].unfold(0, n_fft, hop) * hann_window(n_fft, device)  # [F, n_fft]
    return unit_phase(torch.fft.rfft(frames)[None])


@cache
@torch.inference_mode(False)
def fixed_noise(device: torch.device) -> Tensor:
    """White noise [NOISE_PERIOD], the same for every codec and run."""
    return torch.randn(NOISE_PERIOD, generator=torch.Generator().manual_seed(NOISE_SEED)).to(device)


def context_frames(n_fft: int, hop: int, n_iterations: int) -> int:
    """How many frames to either side the sound of a frame depends on."""
    return (math.ceil(n_fft / hop) - 1) * (n_iterations + 1)
