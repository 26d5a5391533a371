"""SALSA-V as the pipeline sees it: features of B windows in, latents out.

Reads and writes its weights folder (config.json, model.safetensors).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from foleycli.families.base import FamilySpec, check_window, open_network, write_network
from foleycli.families.inputs import Passes, passes
from foleycli.families.salsav.config import SalsaVConfig
from foleycli.families.salsav.network import Conditions, SalsaV
from foleycli.records import Features, Report, silent
from foleycli.sampling import masked_flow, times
from foleycli.settings.settings import Settings

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
    def load(cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> SalsaVFamily:
        """Read `config.json` and `model.safetensors`; every weight must be there, and no other."""
        network = open_network(lambda values: SalsaV(SalsaVConfig.from_dict(values)), folder)
        return cls(network.to(device=device, dtype=dtype))

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write a weights folder that `load` reads."""
        write_network(self.network, NAME, folder, dtype)

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
        asked = passes(features, self.network.config, n_steps, settings, device)
        conditions = self.network.encode_conditions(asked.inputs, n_steps)
        noise = torch.stack([torch.randn(known.shape[1:], generator=rng) for rng in rngs])  # [B, L, D]
        made = masked_flow.sample(
            _velocity(self.network, conditions, is_known.to(device), asked),
            noise.to(device),
            known.to(device),
            is_known.to(device),
            times.shortcut(settings.steps),
            report=report,
        )
        return made.to(known.device)


def _velocity(network: SalsaV, conditions: Conditions, is_known: Tensor, asked: Passes) -> masked_flow.Velocity:
    """The network as a field for the sampler; guidance runs its two or three passes as one batch."""
    n_passes = asked.n_passes
    mask = is_known.repeat(n_passes, 1)

    def velocity(x: Tensor, t: float, step: float) -> Tensor:
        rows = x.repeat(n_passes, 1, 1)
        t_rows, d_rows = rows.new_full((len(rows),), t), rows.new_full((len(rows),), step)
        return asked.steer(network(rows, t_rows, d_rows, conditions, mask))

    return velocity
