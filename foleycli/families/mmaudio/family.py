"""MMAudio as the pipeline sees it: features of B windows in, latents of its autoencoder out.

The published networks were trained on whole clips, without known audio.  Known steps are led along their own
straight line from noise, so that at every step the network sees all steps equally noisy, as in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.families.base import FamilySpec, check_stream, check_window
from foleycli.families.mmaudio.config import (
    CLIP_RATE_HZ,
    SEGMENT_RATE_HZ,
    SEGMENT_TOKENS,
    SYNC_FPS,
    TEXT_TOKENS,
    config_of,
    n_clip_steps,
    n_segments,
)
from foleycli.families.mmaudio.network import Conditions, Inputs, MMAudio
from foleycli.records import Features, Report, silent
from foleycli.sampling import guidance, masked_flow, times
from foleycli.settings.settings import Settings
from foleycli.weights import checkpoint as checkpoints
from foleycli.weights.folder import WEIGHTS_NAME, read_config

NAME = "mmaudio"
COMPUTED = ("t_embed.freqs", "latent_rot", "clip_rot")  # tables that some published files hold
EDGE_STEPS = 4  # known steps next to unknown ones that are held less firmly while the noise still decides


class MMAudioFamily:
    """A loaded MMAudio network; meets `families.base.Family`."""

    def __init__(self, network: MMAudio) -> None:
        config = network.config
        self.network = network.eval().requires_grad_(False)
        self.spec = FamilySpec(
            name=NAME,
            latent_rate_hz=config.latent_rate_hz,
            latent_dim=config.latent_dim,
            window_steps=config.window_steps,
            stream_dims={"sync": SEGMENT_TOKENS * config.sync_dim, "semantic": config.clip_dim},
            text_dim=config.text_dim,
            window_grid_s=1 / SEGMENT_RATE_HZ,
            whole_windows=True,
        )

    @classmethod
    def load(
        cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> MMAudioFamily:
        """Read config.json and the published file that it names; every weight must be there, and no other."""
        described = read_config(folder)
        path = folder / described.get("weights", WEIGHTS_NAME)
        state = {key: value for key, value in checkpoints.read_tensors(path).items() if key not in COMPUTED}
        with torch.device("meta"):
            network = MMAudio(config_of(described.get("network", "")))
        checkpoints.fill(network, state, path)
        return cls(network.to(device=device, dtype=dtype))

    @torch.inference_mode()
    def sample(
        self,
        features: Sequence[Features],
        known: Tensor,
        is_known: Tensor,
        settings: Settings,
        rngs: Sequence[torch.Generator],
        report: Report = silent,
    ) -> Tensor:
        """See `families.base.Family.sample`; latents are the autoencoder's, normalised in here."""
        check_window(self.spec, features, known, is_known, rngs)
        network, n_steps = self.network, known.shape[1]
        device = network.sync_pos_emb.device
        is_guided = settings.guidance != 1.0
        inputs = [self._inputs(window, n_steps) for window in features]
        if is_guided:
            inputs += [self._null_inputs(window, n_steps) for window in features]
        conditions = network.conditions(self._join(inputs), n_steps)
        noise = torch.stack([torch.randn(known.shape[1:], generator=rng) for rng in rngs])  # [B, L, D]
        made = masked_flow.sample(
            _velocity(network, conditions, settings.guidance if is_guided else None),
            noise.to(device),
            network.normalise(known.to(device)),
            is_known.to(device),
            times.uniform(settings.steps),
            known_path="noised",
            hold=firmness(is_known).to(device),
            report=report,
        )
        raw = network.denormalise(made).to(known.device)
        return torch.where(is_known[..., None], known, raw)

    def _inputs(self, window: Features, n_steps: int) -> Inputs:
        """One window as a batch of one; what it does not have is told as the learned empty condition."""
        network, duration_s = self.network, n_steps / self.spec.latent_rate_hz
        clip, _ = self._fit(window, "semantic", CLIP_RATE_HZ, n_clip_steps(duration_s), network.empty_clip_feat)
        nothing = network.empty_sync_feat.expand(SEGMENT_TOKENS, -1).flatten()[None]  # [1, 8 * 768]
        sync, late_s = self._fit(window, "sync", SEGMENT_RATE_HZ, n_segments(duration_s), nothing)
        return Inputs(
            clip[None],
            sync.unflatten(1, (SEGMENT_TOKENS, -1)).flatten(0, 1)[None],  # [1, 8 * segments, 768]
            self._text(window.text),
            # A segment lasts 8 of its tokens; between two segments lie 8 pictures.
            torch.tensor([-late_s * float(SYNC_FPS)]),
        )

    def _null_inputs(self, window: Features, n_steps: int) -> Inputs:
        """What the result is steered away from: no picture, and nothing or the negative prompt."""
        words = window.negative_text
        empty = self.network.empty_string_feat if words is None else words
        return self._inputs(Features({}, empty), n_steps)

    def _text(self, states: Tensor) -> Tensor:
        """[1, 77, D]; all zeros stand for no words."""
        wanted = (TEXT_TOKENS, self.spec.text_dim)
        if states.shape != wanted:
            raise ValueError(f"text has shape {tuple(states.shape)}, {NAME} expects {wanted}")
        return (states if states.any() else self.network.empty_string_feat)[None]

    def _fit(self, window: Features, name: str, rate_hz: Fraction, n_steps: int, empty: Tensor) -> tuple[Tensor, float]:
        """Exactly `n_steps` of a stream [T, D], cut or its last step held; and how late its first step begins."""
        stream = window.streams.get(name)
        if stream is None:
            return empty.expand(n_steps, -1), 0.0
        check_stream(stream, name, rate_hz, self.spec.stream_dims[name])
        values = stream.values
        return values[torch.arange(n_steps).clamp(max=len(values) - 1)], stream.late_s

    def _join(self, inputs: list[Inputs]) -> Inputs:
        """Batches of one to one batch, on the network's device and in its type."""
        like = self.network.sync_pos_emb
        parts = {
            name: torch.cat([getattr(one, name).to(like.device, like.dtype) for one in inputs])
            for name in ("clip", "sync", "text")
        }
        return Inputs(**parts, sync_shift=torch.cat([one.sync_shift for one in inputs]).to(like.device))


def firmness(is_known: Tensor) -> Tensor:
    """How firmly known steps are held at the start, float32 [B, L]: less near unknown ones."""
    unknown = (~is_known).float()[:, None]  # [B, 1, L]
    held = [F.max_pool1d(unknown, 2 * k + 1, stride=1, padding=k) < 0.5 for k in range(1, EDGE_STEPS + 1)]
    return (1 + torch.stack(held).sum(dim=0)[:, 0]) / (EDGE_STEPS + 1)


def _velocity(network: MMAudio, conditions: Conditions, scale: float | None) -> masked_flow.Velocity:
    """The network as a field for the sampler; guidance runs both passes as one batch."""
    dtype = network.sync_pos_emb.dtype

    def velocity(x: Tensor, t: float, step: float) -> Tensor:
        rows = x if scale is None else guidance.twice(x)
        flow = network(rows.to(dtype), rows.new_full((len(rows),), t), conditions).float()
        return flow if scale is None else guidance.guide(flow, scale)

    return velocity
