"""SALSA-V as the rest of foley sees it."""

from __future__ import annotations

from torch import Tensor

from foleycli.families.flow import FlowFamily
from foleycli.families.salsav.config import SalsaVConfig
from foleycli.families.salsav.network import SalsaV, SalsaVConditions
from foleycli.sampling import times


class SalsaVFamily(FlowFamily[SalsaV]):
    """Sampled with shortcut steps, whose sizes are powers of two."""

    name = "salsa-v"
    config_class = SalsaVConfig
    network_class = SalsaV

    @staticmethod
    def flow_times(n_steps: int) -> list[float]:
        return times.shortcut(n_steps)

    def velocity(self, x: Tensor, t: Tensor, d: Tensor, conditions: SalsaVConditions, is_known: Tensor) -> Tensor:
        return self.network(x, t, d, conditions, is_known)
