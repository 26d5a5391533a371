"""Flow matching over latents with known steps kept clean: what the families SALSA-V and Foley-Flow share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from foleycli.families.base import check_window
from foleycli.families.inputs import Inputs, guidance_batch
from foleycli.families.network_family import ConfiguredNetwork, NetworkFamily, draw_noise
from foleycli.families.spec import FlowConfig
from foleycli.records import Features, Report, silent
from foleycli.sampling import masked_flow, times
from foleycli.settings.settings import Settings

FlowConfigT = TypeVar("FlowConfigT", bound=FlowConfig)


class FlowNetwork(ConfiguredNetwork[FlowConfigT], Generic[FlowConfigT]):
    """A network that gives velocities from noise to latents."""

    def encode_conditions(self, inputs: Inputs, n_steps: int) -> Any:
        """Everything of windows of `n_steps` latent steps that is the same at every flow time."""
        raise NotImplementedError


FlowNetworkT = TypeVar("FlowNetworkT", bound=FlowNetwork[Any])


class FlowFamily(NetworkFamily[FlowNetworkT], Generic[FlowNetworkT]):
    """Meets `families.base.Family`; a subclass names its classes, and says what its steps are."""

    # A shortcut model: its network reads the size of each step, which must be a power of two.
    is_shortcut: ClassVar[bool]

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
        network, device, n_steps = self.network, self.device, known.shape[1]
        batch = guidance_batch(features, network.config, n_steps, settings, device)
        conditions = network.encode_conditions(batch.inputs, n_steps)
        mask = batch.repeat(is_known.to(device))

        def guided_velocity(x: Tensor, t: float, d: float) -> Tensor:
            rows = batch.repeat(x)
            t_rows, d_rows = rows.new_full((len(rows),), t), rows.new_full((len(rows),), d)
            if self.is_shortcut:
                return batch.guide(network(rows, t_rows, d_rows, conditions, mask))
            return batch.guide(network(rows, t_rows, conditions, mask))

        sampled = masked_flow.sample(
            guided_velocity,
            noise=draw_noise(known.shape[1:], rngs).to(device),
            known=known.to(device),
            is_known=is_known.to(device),
            times=times.shortcut(settings.steps) if self.is_shortcut else times.uniform(settings.steps),
            report=report,
        )
        return sampled.to(known.device)
