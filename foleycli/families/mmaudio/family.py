"""MMAudio behind the `Family` contract: features of B windows in, latents of its autoencoder out.

The published networks were trained on whole clips, without known audio.  So known steps follow their own straight line
from noise: at every step of the sampler the network reads all of them equally noisy, as in training.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.families.base import check_stream, check_window, hold_last
from foleycli.families.mmaudio.config import (
    CLIP_RATE_HZ,
    SEGMENT_RATE_HZ,
    SEGMENT_TOKENS,
    SYNC_FPS,
    TEXT_TOKENS,
    MMAudioConfig,
    n_clip_steps,
    n_segments,
)
from foleycli.families.mmaudio.network import MMAudio, MMAudioInputs
from foleycli.families.network_family import NetworkFamily, draw_noise
from foleycli.records import Features, Report, silent
from foleycli.sampling import masked_flow, times
from foleycli.sampling.guidance import guide
from foleycli.settings.settings import Settings
from foleycli.weights.checkpoint import read_shapes
from foleycli.weights.config import ModelConfig, file_name, write_config
from foleycli.weights.folder import sha256_of

EDGE_STEPS = 4  # known steps next to unknown ones whose context strength begins below 1


class MMAudioFamily(NetworkFamily[MMAudio]):
    """Meets `families.base.Family`."""

    name = MMAudioConfig.family
    config_class = MMAudioConfig
    network_class = MMAudio
    published_endings: ClassVar[tuple[str, ...]] = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
    computed_weights: ClassVar[tuple[str, ...]] = ("t_embed.freqs", "latent_rot", "clip_rot")

    @classmethod
    def import_files(cls, path: Path, folder: Path) -> None:
        """See `families.base.Family`; `path` is a network's file under any name, which is kept as it is."""
        from foleycli.families.mmaudio.published import network_of

        network = network_of(read_shapes(path, "Download it again"), path)
        name = file_name(path.name, otherwise=f"network{path.suffix}")
        shutil.copyfile(path, folder / name)
        sha256 = sha256_of(folder / name)
        write_config(folder, ModelConfig(kind="family", family=cls.name, network=network, weights=name, sha256=sha256))

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
        network, device, n_steps = self.network, self.device, known.shape[1]
        is_guided = settings.guidance != 1.0
        inputs = [self._conditional_inputs(window, n_steps) for window in features]
        if is_guided:
            inputs += [self._unconditional_inputs(window, n_steps) for window in features]
        conditions = network.encode_conditions(self._join(inputs), n_steps)
        n_passes, dtype = 2 if is_guided else 1, network.sync_pos_emb.dtype

        def velocity(x: Tensor, t: float, d: float) -> Tensor:
            flow = network(x.to(dtype), x.new_full((n_passes * len(x),), t), conditions).float()
            return guide(flow, settings.guidance) if is_guided else flow

        sampled = masked_flow.sample(
            velocity,
            noise=draw_noise(known.shape[1:], rngs).to(device),
            known=network.normalise(known.to(device)),
            is_known=is_known.to(device),
            times=times.uniform(settings.steps),
            known_path="noised",
            context_strength=context_strength(is_known).to(device),
            report=report,
        )
        network.let_go()  # the codec comes next
        raw = network.denormalise(sampled).to(known.device)
        return torch.where(is_known[..., None], known, raw)

    def _conditional_inputs(self, window: Features, n_steps: int) -> MMAudioInputs:
        """One window as a batch of one; for what it does not have, the learned empty vectors."""
        network, duration_s = self.network, n_steps / self.spec.latent_rate_hz
        clip, _ = self._fit(window, "semantic", CLIP_RATE_HZ, n_clip_steps(duration_s), network.empty_clip_feat)
        empty = network.empty_sync_feat.expand(SEGMENT_TOKENS, -1).flatten()[None]  # [1, 8 * 768]
        sync, late_s = self._fit(window, "sync", SEGMENT_RATE_HZ, n_segments(duration_s), empty)
        return MMAudioInputs(
            clip=clip[None],
            sync=sync.unflatten(1, (SEGMENT_TOKENS, -1)).flatten(0, 1)[None],  # [1, 8 * segments, 768]
            text=self._text(window.text),
            # A segment lasts 8 of its tokens; from one segment to the next it is 8 frames.
            sync_shift=torch.tensor([-late_s * float(SYNC_FPS)]),
        )

    def _unconditional_inputs(self, window: Features, n_steps: int) -> MMAudioInputs:
        """What guidance steers away from: no picture, and the empty prompt or the negative one."""
        negative = window.negative_text
        text = self.network.empty_string_feat if negative is None else negative
        return self._conditional_inputs(Features({}, text), n_steps)

    def _text(self, states: Tensor) -> Tensor:
        """[1, 77, D]; all zeros for the empty prompt."""
        expected = (TEXT_TOKENS, self.spec.text_dim)
        if states.shape != expected:
            raise ValueError(f"text has shape {tuple(states.shape)}, {self.name} expects {expected}")
        return (states if states.any() else self.network.empty_string_feat)[None]

    def _fit(self, window: Features, name: str, rate_hz: Fraction, n_steps: int, empty: Tensor) -> tuple[Tensor, float]:
        """Exactly `n_steps` of a stream [T, D], cut or its last step held; and how late its first step begins."""
        stream = window.streams.get(name)
        if stream is None:
            return empty.expand(n_steps, -1), 0.0
        check_stream(stream, name, rate_hz, self.spec.stream_dims[name])
        return hold_last(stream.values, n_steps), stream.late_s

    def _join(self, inputs: Sequence[MMAudioInputs]) -> MMAudioInputs:
        """Batches of one to one batch, on the network's device and in its dtype."""
        like = self.network.sync_pos_emb
        return MMAudioInputs(
            clip=torch.cat([one.clip.to(like) for one in inputs]),
            sync=torch.cat([one.sync.to(like) for one in inputs]),
            text=torch.cat([one.text.to(like) for one in inputs]),
            sync_shift=torch.cat([one.sync_shift for one in inputs]).to(like.device),
        )


def context_strength(is_known: Tensor) -> Tensor:
    """How strongly known steps bind the sampler at its start, float32 [B, L]: less near unknown ones.

    See `sampling.masked_flow.sample`.
    """
    unknown = (~is_known).float()[:, None]  # [B, 1, L]
    is_far = [F.max_pool1d(unknown, 2 * k + 1, stride=1, padding=k) < 0.5 for k in range(1, EDGE_STEPS + 1)]
    return (1 + torch.stack(is_far).sum(dim=0)[:, 0]) / (EDGE_STEPS + 1)
