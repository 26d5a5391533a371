"""MaskVAT behind the `Family` contract: features of B windows in, codes out, as whole numbers in float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from foleycli.families.base import check_window
from foleycli.families.inputs import guidance_batch
from foleycli.families.maskvat.config import MaskVatConfig
from foleycli.families.maskvat.network import MaskVat
from foleycli.families.network_family import NetworkFamily
from foleycli.records import Features, Report, silent
from foleycli.sampling import masked_tokens
from foleycli.settings.settings import Settings


class MaskVatFamily(NetworkFamily[MaskVat]):
    """Meets `families.base.Family`.  Latents are codes: D is the number of codebooks."""

    name = MaskVatConfig.family
    config_class = MaskVatConfig
    network_class = MaskVat

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
        """See `families.base.Family.sample`; `settings.steps` is the number of iterations, guidance steers logits."""
        check_window(self.spec, features, known, is_known, rngs)
        network, device = self.network, self.device
        batch = guidance_batch(features, network.config, known.shape[1], settings, device)
        conditions = network.encode_conditions(batch.inputs, known.shape[1])

        def predict(codes: Tensor, is_masked: Tensor) -> masked_tokens.LevelLogits:
            states = network(batch.repeat(codes), batch.repeat(is_masked), conditions)
            return lambda coarser: batch.guide(network.logits(states, batch.repeat(coarser)).float())

        sampled = masked_tokens.sample(
            predict,
            known.round().long().to(device),
            is_known.to(device),
            rngs,
            n_iterations=settings.steps,
            temperature=network.config.temperature,
            mask_temperature=network.config.mask_temperature,
            report=report,
        )
        return torch.where(is_known[..., None], known, sampled.to(known.device, known.dtype))
