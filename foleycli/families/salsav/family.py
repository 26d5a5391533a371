"""SALSA-V as the pipeline sees it: features of B windows in, latents out.

Reads and writes its weights folder (config.json, model.safetensors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from foleycli.families.base import FamilySpec, check_window, fit_stream, open_network, write_network
from foleycli.families.salsav.config import SalsaVConfig
from foleycli.families.salsav.network import Conditions, Inputs, SalsaV
from foleycli.records import Features, Report, Settings, silent
from foleycli.sampling import guidance, masked_flow, times

NAME = "salsa-v"


class SalsaVFamily:
    """A loaded SALSA-V network; meets `families.base.Family`."""

    def __init__(self, network: SalsaV) -> None:
        config = network.config
        self.network = network.eval().requires_grad_(False)
        self.spec = FamilySpec(
            name=NAME,
            latent_rate_hz=config.latent_rate_hz,
            latent_dim=config.latent_dim,
            window_steps=config.window_steps,
            stream_dims={"sync": config.sync_dim, "semantic": config.semantic_dim},
            text_dim=config.text_dim,
        )

    @classmethod
    def load(
        cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> SalsaVFamily:
        """Read `config.json` and `model.safetensors`; every weight must be there, and no other."""
        network = open_network(lambda values: SalsaV(SalsaVConfig.from_dict(values)), folder)
        return cls(network.to(device=device, dtype=dtype))

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write a weights folder that `load` reads."""
        write_network(self.network, NAME, folder, dtype)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> SalsaVFamily:
        """The same network on another device or in another type."""
        self.network.to(device=device, dtype=dtype)
        return self

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
        """See `families.base.Family.sample`; latents have unit variance here, the codec scales them."""
        check_window(self.spec, features, known, is_known, rngs)
        device = self.network.audio_in.weight.device
        n_steps = known.shape[1]
        scale = guidance.scale_at(settings.guidance, settings.steps)
        words = guidance.scale_at(settings.words_guidance, settings.steps)
        inputs = told = [self._inputs(window, n_steps) for window in features]
        if scale != 1.0:
            null = [self._null_inputs(window, of) for window, of in zip(features, told, strict=True)]
            # With nothing said, the wordless pass would be the told one again.
            wordless = [_wordless(of, against) for of, against in zip(told, null, strict=True)]
            inputs = told + null + (wordless if words != scale and _says_something(told) else [])
        conditions = self.network.encode_conditions(_join(inputs, device), n_steps)
        noise = torch.stack([torch.randn(known.shape[1:], generator=rng) for rng in rngs])  # [B, L, D]
        made = masked_flow.sample(
            _velocity(self.network, conditions, is_known.to(device), (scale, words), len(inputs) // len(told)),
            noise.to(device),
            known.to(device),
            is_known.to(device),
            times.shortcut(settings.steps),
            report=report,
        )
        return made.to(known.device)

    def _inputs(self, window: Features, n_steps: int) -> Inputs:
        """One window as a batch of one; an absent stream or an empty prompt is marked as missing."""
        config = self.network.config
        duration_s = n_steps / config.latent_rate_hz
        sync = fit_stream(window, "sync", config.sync_rate_hz, config.sync_dim, duration_s)
        semantic = fit_stream(window, "semantic", config.semantic_rate_hz, config.semantic_dim, duration_s)
        late_s = window.streams["sync"].late_s if "sync" in window.streams else 0.0
        return Inputs(
            sync=sync,
            semantic=semantic,
            text=window.text.float().cpu()[None],
            has_sync=torch.tensor(["sync" in window.streams]),
            has_semantic=torch.tensor(["semantic" in window.streams]),
            has_text=window.text.any().cpu()[None],
            late_frames=torch.tensor([late_s * float(config.sync_rate_hz)]),
        )

    def _null_inputs(self, window: Features, of: Inputs) -> Inputs:
        """What the result is steered away from: nothing, or the negative prompt."""
        nothing = torch.zeros_like(of.has_text)
        negative = window.negative_text
        return Inputs(
            sync=of.sync,
            semantic=of.semantic,
            text=of.text if negative is None else negative.float().cpu()[None],
            has_sync=nothing,
            has_semantic=nothing,
            has_text=nothing if negative is None else negative.any().cpu()[None],
            late_frames=of.late_frames,
        )


def _join(inputs: list[Inputs], device: torch.device) -> Inputs:
    """Batches of one to one batch on the network's device."""
    names = Inputs.__dataclass_fields__
    return Inputs(*(torch.cat([getattr(one, name) for one in inputs]).to(device) for name in names))


def _wordless(told: Inputs, null: Inputs) -> Inputs:
    """The picture's timing alone: what `told` knows of it, and of words what `null` does."""
    return replace(told, text=null.text, has_text=null.has_text, has_semantic=null.has_semantic)


def _says_something(told: list[Inputs]) -> bool:
    return any(bool(of.has_text.any() or (of.has_semantic.any() and of.semantic.any())) for of in told)


def _velocity(
    network: SalsaV, conditions: Conditions, is_known: Tensor, scales: tuple[float, float], n_passes: int
) -> masked_flow.Velocity:
    """The network as a field for the sampler; guidance runs its two or three passes as one batch."""
    mask = is_known.repeat(n_passes, 1)

    def velocity(x: Tensor, t: float, step: float) -> Tensor:
        rows = x.repeat(n_passes, 1, 1)
        t_rows, d_rows = rows.new_full((len(rows),), t), rows.new_full((len(rows),), step)
        flow = network(rows, t_rows, d_rows, conditions, mask)
        if n_passes == 1:
            return flow
        return guidance.guide(flow, scales[0]) if n_passes == 2 else guidance.guide_words(flow, *scales)

    return velocity
