"""MaskVAT as the pipeline sees it: features of B windows in, codes out, as whole numbers in float32.

Reads and writes its weights folder (config.json, model.safetensors).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from foleycli.families.base import FamilySpec, check_window, open_network, write_network
from foleycli.families.inputs import Passes, passes
from foleycli.families.maskvat.config import MaskVatConfig
from foleycli.families.maskvat.network import Conditions, MaskVat
from foleycli.records import Features, Report, silent
from foleycli.sampling import masked_tokens
from foleycli.settings.settings import Settings

NAME = "maskvat"


class MaskVatFamily:
    """A loaded MaskVAT network; meets `families.base.Family`.  Latents are codes: D is the number of codebooks."""

    def __init__(self, network: MaskVat) -> None:
        config = network.config
        self.network = network.eval().requires_grad_(False)
        self.spec = FamilySpec(
            name=NAME,
            latent_rate_hz=config.latent_rate_hz,
            latent_dim=config.n_codebooks,
            window_steps=config.window_steps,
            stream_dims={"sync": config.sync_dim, "semantic": config.semantic_dim},
            text_dim=config.text_dim,
            latents="codes",
        )

    @classmethod
    def load(
        cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> MaskVatFamily:
        """Read `config.json` and `model.safetensors`; every weight must be there, and no other."""
        network = open_network(lambda values: MaskVat(MaskVatConfig.from_dict(values)), folder)
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
        """See `families.base.Family.sample`; `settings.steps` is the number of iterations."""
        check_window(self.spec, features, known, is_known, rngs)
        config, device = self.network.config, self.network.norm.weight.device
        asked = passes(features, config, known.shape[1], settings, device)
        conditions = self.network.encode_conditions(asked.inputs, known.shape[1])
        made = masked_tokens.sample(
            _predictor(self.network, conditions, asked),
            known.round().long().to(device),
            is_known.to(device),
            rngs,
            settings.steps,
            config.temperature,
            config.mask_temperature,
            report,
        )
        return torch.where(is_known[..., None], known, made.to(known.device, known.dtype))


def _predictor(network: MaskVat, conditions: Conditions, asked: Passes) -> masked_tokens.Predict:
    """The network as the sampler's predictor; guidance steers logits, all its passes run as one batch."""

    def predict(codes: Tensor, is_masked: Tensor) -> masked_tokens.Levels:
        n_passes = asked.n_passes
        states = network(codes.repeat(n_passes, 1, 1), is_masked.repeat(n_passes, 1), conditions)

        def level(coarser: Tensor) -> Tensor:
            return asked.steer(network.logits(states, coarser.repeat(n_passes, 1, 1)).float())

        return level

    return predict
