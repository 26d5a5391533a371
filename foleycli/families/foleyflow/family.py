"""Foley-Flow as the rest of foley sees it; its weights hold the aligned video encoder too."""

from __future__ import annotations

from torch import Tensor

from foleycli.families.flow import FlowFamily
from foleycli.families.foleyflow.config import FoleyFlowConfig
from foleycli.families.foleyflow.network import FoleyFlow, FoleyFlowConditions
from foleycli.sampling import times


class FoleyFlowFamily(FlowFamily[FoleyFlow]):
    """Sampled with equal Euler steps."""

    name = "foley-flow"
    config_class = FoleyFlowConfig
    network_class = FoleyFlow

    @staticmethod
    def flow_times(n_steps: int) -> list[float]:
        return times.uniform(n_steps)

    def velocity(self, x: Tensor, t: Tensor, d: Tensor, conditions: FoleyFlowConditions, is_known: Tensor) -> Tensor:
        return self.network(x, t, conditions, is_known)
