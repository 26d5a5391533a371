"""Trains the synchronisation encoder on clips whose picture and sound belong together.

The loss is that of SALSA-V's contrastive audio-visual encoder (arXiv 2510.02916): a sigmoid loss over all pairs of a
batch's video and audio snippets, of which only same clip and same time are positive.  Where event times are known, the
two heads are trained as well, and weigh more: they carry the first hours of training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.dsp.onsets import agreement
from foleycli.dsp.peaks import pick_peaks
from foleycli.features.sync import LOUDNESS_RANGE_DB, SNIPPET_FRAMES, SyncConfig, SyncEncoder, to_grey
from foleycli.hub.resolve import resolve
from foleycli.training.clips import FPS, ClipData, TrainingClip
from foleycli.training.film import film_clips
from foleycli.training.loop import device_of
from foleycli.training.recipe import Recipe, from_dict
from foleycli.training.sources import HELD_OUT_SEED, check_sounds, clip_pool, held_out_clips
from foleycli.weights.checkpoint import load_into
from foleycli.weights.config import WEIGHTS_NAME, ModelConfig
from foleycli.weights.folder import save

if TYPE_CHECKING:
    from typing_extensions import Self

FILM_CLIPS = 48  # held out, for validation
EVENT_SD_S = 0.03  # width of an event in the target: sharper than a picture lasts is noise


@dataclass(frozen=True)
class SyncObjective:
    """Weights of the losses."""

    contrast: float = 0.3
    event: float = 4.0
    loudness: float = 1.0
    event_weight: float = 6.0  # of a picture with an event against one without
    validation_clips: int = 64


class SyncTask:
    """Meets `training.loop.Task` for the synchronisation encoder."""

    def __init__(self, recipe: Recipe) -> None:
        self._describe(recipe)
        check_sounds(self.data)
        if recipe.init_from:
            load_into(self.network, resolve(recipe.init_from) / WEIGHTS_NAME)
        self._held_out: list[TrainingClip] = []

    def _describe(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.data = from_dict(ClipData, recipe.data, "recipe, data")
        self.weights = from_dict(SyncObjective, recipe.objective, "recipe, objective")
        self.network = SyncEncoder(from_dict(SyncConfig, recipe.network, "recipe, network"))

    @classmethod
    def without_data(cls, recipe: Recipe) -> Self:
        """The network and its loss alone, for a plan."""
        task = cls.__new__(cls)
        with torch.device("cpu"):  # some of its parts are computed
            task._describe(recipe)
        return task

    def blank_batch(self, n_rows: int) -> dict[str, Tensor]:
        """Grey pictures and silence."""
        n_frames, side_px = round(self.data.duration_s * FPS), self.network.config.size_px
        n_samples = round(self.data.duration_s * self.network.config.audio_rate_hz)
        rows = torch.zeros(n_rows, n_frames, device="cpu")
        grey = torch.zeros(n_rows, n_frames, side_px, side_px, dtype=torch.uint8, device="cpu")
        noise = 0.1 * torch.randn(n_rows, n_samples, device="cpu")
        known = torch.ones(n_rows, device="cpu")
        return {"grey": grey, "samples": noise, "event": rows, "event_known": known, "loudness_db": rows}

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[dict[str, Tensor]]:
        """Batches from a pool that starts with a few batches' worth of clips and is refreshed every step."""
        pool = clip_pool(self.data, self.recipe, first_step, rank, world_size)
        step = first_step
        while True:
            rng = np.random.default_rng((self.recipe.seed, 1, step, rank))
            pool.take(self.data.fresh_per_step)
            drawn = pool.draw(self.recipe.batch_size, rng)
            yield collate([augment(clip, self.network.config.size_px, rng) for clip in drawn])
            step += 1

    def loss(
        self, network: SyncEncoder, average: SyncEncoder, batch: dict[str, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        w = self.weights
        vectors, event, loudness = network(batch["grey"].float() / 255)
        starts = snippet_starts(vectors.shape[1], step)
        contrast = sigmoid_loss(
            network.video_snippets(vectors, starts), network.audio_snippets(batch["samples"], starts),
            network.log_scale, network.bias,
        )  # fmt: skip
        event_loss = _event_loss(event, batch, w.event_weight)
        loudness_loss = F.l1_loss(loudness, 1 + batch["loudness_db"] / LOUDNESS_RANGE_DB)
        total = w.contrast * contrast + w.event * event_loss + w.loudness * loudness_loss
        return total, {"contrast": contrast, "event": event_loss, "loudness": loudness_loss}

    @torch.no_grad()
    def validate(self, average: SyncEncoder) -> dict[str, float]:
        """Onset F1 of the event head on held-out clips, and how often a snippet finds its own sound."""
        self._held_out = self._held_out or held_out_clips(self.data, self.weights.validation_clips)
        curves, accuracies = [], []
        for clip in self._held_out:
            grey = prepare_grey(clip.grey, average.config.size_px).to(device_of(average))
            vectors, event, _ = average(grey)
            curves.append(event.sigmoid()[0].cpu().numpy())
            starts = snippet_starts(vectors.shape[1], 0)
            samples = torch.from_numpy(clip.samples)[None].to(grey.device)
            audio = average.audio_snippets(samples, starts)
            similarity = average.video_snippets(vectors, starts) @ audio.transpose(1, 2)
            accuracies.append((similarity[0].argmax(1).cpu() == torch.arange(len(starts))).float().mean().item())
        figures = best_f1(curves, self._held_out, self.data.duration_s)
        return {**figures, "own_snippet": float(np.mean(accuracies)), **self._film_figures(average)}

    def _film_figures(self, average: SyncEncoder) -> dict[str, float]:
        """On film from sources that are never trained on: the same figure, and the loudness's correlation."""
        if not self.data.film:
            return {}
        clips = list(itertools.islice(film_clips(self.data, HELD_OUT_SEED, held_out=True), FILM_CLIPS))
        curves, correlations = [], []
        for clip in clips:
            _, event, loudness = average(prepare_grey(clip.grey, average.config.size_px).to(device_of(average)))
            curves.append(event.sigmoid()[0].cpu().numpy())
            if clip.loudness_db.std() > 1e-3:
                correlations.append(np.corrcoef(loudness[0].cpu().numpy(), clip.loudness_db)[0, 1])
        figures = best_f1(curves, clips, self.data.duration_s)
        found = {f"film_{name}": value for name, value in figures.items()}
        return {**found, "film_loudness": float(np.mean(correlations)) if correlations else 0.0}

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """All of its state is in the networks."""

    def export(self, average: SyncEncoder, folder: Path, history: dict[str, Any]) -> None:
        figures = self.validate(average)
        threshold = figures.get("threshold", 0.4)
        config = ModelConfig(
            name=self.recipe.name,
            kind="sync",
            event_threshold=threshold,
            network=average.config.to_dict(),
            training={**history, **figures},
        )
        save(average.state_dict(), folder, config, torch.float16)


def snippet_starts(n_frames: int, step: int) -> Tensor:
    """First pictures of the snippets of a clip: side by side, shifted a little at every step."""
    spare = n_frames % SNIPPET_FRAMES
    shift = 2 * (step % (spare // 2 + 1))  # even: the audio tower's steps are two pictures long
    return torch.arange(shift, n_frames - SNIPPET_FRAMES + 1, SNIPPET_FRAMES)


def sigmoid_loss(video: Tensor, audio: Tensor, log_scale: Tensor, bias: Tensor) -> Tensor:
    """SigLIP over all pairs: video and audio snippets [B, S, D], unit length (arXiv 2303.15343, eq. 1)."""
    logits = video.flatten(0, 1) @ audio.flatten(0, 1).T * log_scale.exp() + bias  # [B*S, B*S]
    sign = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -F.logsigmoid(sign * logits).sum(dim=1).mean()


def _event_loss(event: Tensor, batch: dict[str, Tensor], event_weight: float) -> Tensor:
    """Cross entropy with soft targets, over the clips whose events are known."""
    weight = (1 + (event_weight - 1) * batch["event"]) * batch["event_known"][:, None]
    loss = F.binary_cross_entropy_with_logits(event, batch["event"], weight=weight, reduction="sum")
    return loss / weight.sum().clamp_min(1)


def augment(clip: TrainingClip, size_px: int, rng: np.random.Generator) -> TrainingClip:
    """A random square of the picture, mirrored half of the time, darker or lighter; the sound stays."""
    spare = clip.grey.shape[1] - size_px
    top, left = rng.integers(0, spare + 1, size=2) if spare > 0 else (0, 0)
    grey = clip.grey[:, top : top + size_px, left : left + size_px]
    if rng.random() < 0.5:
        grey = grey[:, :, ::-1]
    table = np.clip(255 * (np.arange(256) / 255) ** rng.uniform(0.7, 1.4) * rng.uniform(0.7, 1.2), 0, 255)
    table = 255 - table if rng.random() < 0.1 else table
    grey = table.astype(np.uint8)[grey]
    return replace(clip, grey=grey)


def prepare_grey(grey: np.ndarray, size_px: int) -> Tensor:
    """uint8 [T, H, W] to float [1, T, size, size] in 0..1, as at inference: the whole picture."""
    return to_grey(torch.from_numpy(grey)[None, ..., None].expand(-1, -1, -1, -1, 3), size_px)


def collate(clips: list[TrainingClip]) -> dict[str, Tensor]:
    n_frames = clips[0].grey.shape[0]
    targets = [event_target(clip.events_s, n_frames) for clip in clips]
    return {
        "grey": torch.from_numpy(np.stack([clip.grey for clip in clips])),  # uint8 [B, T, H, W]
        "samples": torch.from_numpy(np.stack([clip.samples for clip in clips])),  # [B, N]
        "event": torch.from_numpy(np.stack(targets)),  # [B, T]
        "event_known": torch.tensor([clip.events_s is not None for clip in clips], dtype=torch.float32),
        "loudness_db": torch.from_numpy(np.stack([clip.loudness_db for clip in clips])).float(),  # [B, T]
    }


def event_target(events_s: np.ndarray | None, n_frames: int) -> np.ndarray:
    """A bell around each event, sampled at the pictures' times: float32 [T], 1 at an event."""
    times = np.arange(n_frames)[:, None] / FPS
    if events_s is None or len(events_s) == 0:
        return np.zeros(n_frames, np.float32)
    return np.exp(-0.5 * ((times - events_s[None]) / EVENT_SD_S) ** 2).max(axis=1).astype(np.float32)


def best_f1(curves: list[np.ndarray], clips: list[TrainingClip], duration_s: float) -> dict[str, float]:
    """Mean onset F1 at ±60 ms at the threshold that suits the clips best, and what chance gives there.

    At that threshold also the peaks per second in clips that are known to have no event.
    """
    known = [(curve, clip.events_s) for curve, clip in zip(curves, clips, strict=True) if clip.events_s is not None]
    if not any(len(events) for _, events in known):
        return {}
    rows = {}
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        peaks = [(pick_peaks(curve, FPS, threshold), np.sort(events)) for curve, events in known]
        scores = [agreement(found, events, 0.06, duration_s) for found, events in peaks if len(events)]
        invented = [len(found) / duration_s for found, events in peaks if not len(events)]
        rows[threshold] = (
            np.mean([s.f1 for s in scores]),
            np.mean([s.shifted_f1 for s in scores]),
            np.mean(invented) if invented else 0.0,
        )
    best = max(rows, key=lambda t: rows[t][0])
    names = ("f1_60ms", "f1_60ms_shifted", "peaks_per_s_without_events")
    return {**dict(zip(names, map(float, rows[best]), strict=True)), "threshold": best}
