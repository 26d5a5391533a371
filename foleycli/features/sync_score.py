"""How well generated sound fits a picture, as one number: what ranks takes.

The synchronisation encoder predicts three things from a picture: when something makes a sound, how loud it is, and a
vector that should be near that of its sound.  Each is compared with the sound; the score is their weighted sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.dsp.mel import log_mel
from foleycli.features.dynamics import smooth
from foleycli.features.sync import N_EXTRAS, SNIPPET_FRAMES, SyncEncoder, SyncExtractor
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS

BLOCK_FRAMES = 32 * SNIPPET_FRAMES  # 20 s of a sound are in memory at once
N_BANDS = 32
STRIDES = 4  # of 10 ms, in the time of a frame
WEIGHTS = {"onsets": 0.5, "loudness": 0.25, "embedding": 1.0}  # of the parts of a score in the whole
LEVEL_DB = -26.0  # root mean square of a sound that is compared, about its mean, of full scale
SILENT_POWER = 1e-12  # of full scale
OF_SILENCE = -2.0  # its score: under that of every sound
SMOOTHING_S = 0.06  # standard deviation: picture and sound are seldom closer than that
UNSEEN_FRAMES = 6  # at the beginning, of which an encoder knows too little
FLOOR = -3.0  # log10 of amplitude below the loudest moment: what is softer than -60 dB is silence


@dataclass(frozen=True)
class SyncScore:
    """How well a sound fits a picture, each in -1..1."""

    onsets: float  # correlation of the sound's onset strength with the predicted events
    loudness: float  # correlation of its level with the predicted loudness
    embedding: float  # mean cosine of sound and picture over snippets

    @property
    def total(self) -> float:
        """The weighted sum; the cosines of one video differ little, and so weigh more."""
        return sum(weight * getattr(self, part) for part, weight in WEIGHTS.items())


def sync_score(extractor: SyncExtractor, stream: Stream, samples: np.ndarray, rate_hz: int) -> float:
    """How well mono float32 samples [N] fit the picture whose features `stream` holds; higher is better.

    Sound and picture begin together; what one has beyond the other's end is not compared.  How loud the whole sound is
    does not matter.  Scores rank sounds for one picture: those of different pictures cannot be compared.
    """
    gain = gain_of([samples])
    return score_chunks(extractor, stream, [samples * gain], rate_hz).total if gain else OF_SILENCE


def sync_score_of_file(extractor: SyncExtractor, stream: Stream, path: Path) -> float:
    """`sync_score` of a mono sound file that libsndfile reads; a block of it is in memory at a time."""
    with soundfile.SoundFile(path) as file:
        gain = gain_of(file.blocks(blocksize=file.samplerate, dtype="float32"))
        if not gain:
            return OF_SILENCE
        file.seek(0)
        chunks = (gain * chunk for chunk in file.blocks(blocksize=file.samplerate, dtype="float32"))
        return score_chunks(extractor, stream, chunks, file.samplerate).total


def gain_of(chunks: Iterable[np.ndarray]) -> np.float32:
    """What brings a sound in chunks [n] to the level at which it is compared; 0 for silence, and for what only stands
    still."""
    power, total, n = 0.0, 0.0, 0
    for chunk in chunks:
        power += float(np.square(chunk, dtype=np.float64).sum())
        total += float(chunk.sum(dtype=np.float64))
        n += len(chunk)
    variance = power / n - (total / n) ** 2 if n else 0.0
    return np.float32(10 ** (LEVEL_DB / 20) / variance**0.5 if variance > SILENT_POWER else 0.0)


@torch.inference_mode()
def score_chunks(extractor: SyncExtractor, stream: Stream, chunks: Iterable[np.ndarray], rate_hz: int) -> SyncScore:
    """The parts of `sync_score`, of a sound that comes in mono float32 chunks [n] and has the level of LEVEL_DB."""
    encoder = extractor.encoder
    own_rate_hz, device = encoder.config.audio_rate_hz, encoder.bias.device
    hop = int(own_rate_hz / FEATURE_FPS)
    # Allocated beforehand: small tensors that stay, made between large ones that go, would fragment the heap.
    energy, power = torch.empty(N_BANDS, STRIDES * len(stream.values)), torch.empty(len(stream.values))
    cosines, done = [torch.zeros(0)], 0
    blocks = resampled_blocks(chunks, rate_hz, own_rate_hz, BLOCK_FRAMES * hop)
    for block, features in zip(blocks, stream.values.split(BLOCK_FRAMES), strict=False):
        n_frames = min(len(features), len(block) // hop)
        sound = torch.from_numpy(block[: n_frames * hop]).to(device)
        energy[:, STRIDES * done : STRIDES * (done + n_frames)] = band_energy(sound, own_rate_hz)
        power[done : done + n_frames] = sound.unflatten(0, (n_frames, hop)).square().mean(dim=1)
        done += n_frames
        vectors = features[:n_frames, :-N_EXTRAS].float().to(device)
        cosines.append(_snippet_cosines(encoder, vectors, sound).cpu())
    event, loudness = stream.values[:, -N_EXTRAS:].float().cpu().unbind(dim=1)
    cosine = torch.cat(cosines)
    heard, seen = (
        smooth(curve[None], SMOOTHING_S) for curve in (onset_strength(energy[:, : STRIDES * done]), event[:done])
    )  # [1, T] each
    return SyncScore(
        onsets=correlation(heard[0], from_start(seen)[0]),
        loudness=correlation(levels(power[:done]), from_start(loudness[None, :done])[0]),
        embedding=cosine.mean().item() if len(cosine) else 0.0,
    )


def resampled_blocks(chunks: Iterable[np.ndarray], from_hz: int, to_hz: int, n: int) -> Iterator[np.ndarray]:
    """A sound in chunks [m] as blocks of `n` samples at another rate, float32; the last one may be shorter."""
    resampler = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    held = np.zeros(0, np.float32)
    for chunk in chunks:
        held = np.concatenate([held, resampler.resample_chunk(chunk)])
        while len(held) >= n:
            yield held[:n]
            held = held[n:]
    held = np.concatenate([held, resampler.resample_chunk(np.zeros(0, np.float32), last=True)])
    yield from (held[first : first + n] for first in range(0, len(held), n))


def band_energy(samples: Tensor, rate_hz: int) -> Tensor:
    """Log-mel energy of sound [N] in 10 ms steps, [N_BANDS, F]."""
    hop = rate_hz // 100
    if len(samples) < hop:
        return samples.new_zeros(N_BANDS, 0)
    return log_mel(samples[None], rate_hz, n_fft=1024, hop=hop, n_mels=N_BANDS)[0, :, : len(samples) // hop]


def onset_strength(energy: Tensor) -> Tensor:
    """How much a sound rises about each frame: log-mel energy [N_BANDS, F] in 10 ms steps to [T] at 25 Hz."""
    energy = energy.clamp_min(energy.amax() + FLOOR) if energy.numel() else energy
    rise = F.pad((energy[:, 2:] - energy[:, :-2]).clamp_min(0).mean(dim=0), (1, 1))  # [F]
    # A frame's event is anywhere between it and its neighbours.
    return F.avg_pool1d(F.pad(rise, (2, 5))[None], 8, 4)[0][: len(rise) // 4]


def from_start(predicted: Tensor) -> Tensor:
    """Curves [B, T] that an encoder predicts, their beginning at the mean of what follows.

    There it has seen no change yet and predicts silence; that would be a judgement of every sound that begins softly.
    """
    if predicted.shape[1] < 4 * UNSEEN_FRAMES:
        return predicted
    rest = predicted[:, UNSEEN_FRAMES:]
    return torch.cat([rest.mean(dim=1, keepdim=True).expand(-1, UNSEEN_FRAMES), rest], dim=1)


def levels(power: Tensor) -> Tensor:
    """Level of each frame, log10 of its mean power [T]; never under -60 dB of the loudest."""
    level = (power + 1e-12).log10()
    return level.clamp_min(level.amax() + 2 * FLOOR) if len(level) else level


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of two curves [T]; 0 when one of them is flat."""
    n = min(len(a), len(b))
    if n < 2:
        return 0.0
    a, b = a[:n] - a[:n].mean(), b[:n] - b[:n].mean()
    norm = a.norm() * b.norm()
    return (a @ b / norm).item() if norm > 1e-6 else 0.0


def _snippet_cosines(encoder: SyncEncoder, vectors: Tensor, samples: Tensor) -> Tensor:
    """Cosines of video snippets, from their frames' vectors [T, D], and of the sound [N] at the same times: [S]."""
    starts = torch.arange(0, max(0, len(vectors) - SNIPPET_FRAMES + 1), SNIPPET_FRAMES // 2)
    if not len(starts):
        return vectors.new_zeros(0)
    video = encoder.video_snippets(vectors[None], starts)[0]
    return (video * encoder.audio_snippets(samples[None], starts)[0]).sum(dim=1)
