"""SALSA-V behind the `Family` contract."""

from __future__ import annotations

from foleycli.families.flow import FlowFamily
from foleycli.families.salsav.config import SalsaVConfig
from foleycli.families.salsav.network import SalsaV


class SalsaVFamily(FlowFamily[SalsaV]):
    """Meets `families.base.Family`."""

    name = SalsaVConfig.family
    config_class = SalsaVConfig
    network_class = SalsaV
    is_shortcut = True
