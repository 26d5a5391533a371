"""Foley-Flow behind the `Family` contract; its weights hold the aligned video encoder too."""

from __future__ import annotations

from foleycli.families.flow import FlowFamily
from foleycli.families.foleyflow.config import FoleyFlowConfig
from foleycli.families.foleyflow.network import FoleyFlow


class FoleyFlowFamily(FlowFamily[FoleyFlow]):
    """Meets `families.base.Family`."""

    name = FoleyFlowConfig.family
    config_class = FoleyFlowConfig
    network_class = FoleyFlow
    is_shortcut = False
