"""The shape of a SALSA-V network, as it is saved in a weights folder, and the sizes that have names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from foleycli.errors import FoleyError
from foleycli.families.spec import FlowConfig
from foleycli.settings.checking import short_repr

MLPS = ("gelu", "swiglu")  # the keys of nn.transformer.MLPS, which imports torch


@dataclass(frozen=True, kw_only=True)
class SalsaVConfig(FlowConfig):
    """Depths are the paper's for its two sizes (arXiv 2510.02916); it states neither widths nor heads: our choice."""

    family = "salsa-v"

    n_joint: int  # MMDiT-X blocks: audio and semantic tokens attend to one another
    n_x: int  # the first of them that have the extra audio self-attention
    n_single: int  # DiT blocks on audio alone
    mlp: str = "gelu"  # one of MLPS
    base_steps: int = 128  # the smallest step size is 1 / base_steps; flow matching is trained at it

    def __post_init__(self) -> None:
        if self.mlp not in MLPS:
            raise FoleyError(f"the network's mlp is {short_repr(self.mlp)}", f"Choose {' or '.join(MLPS)}")


_LARGE = SalsaVConfig(
    width=1344, n_heads=21, n_joint=6, n_x=3, n_single=6, sync_dim=768, semantic_dim=1152, text_dim=1152
)

SIZES: dict[str, SalsaVConfig] = {
    # Ours: trained on a CPU, renders on a laptop.
    "mini": SalsaVConfig(
        width=256,
        n_heads=4,
        n_joint=2,
        n_x=1,
        n_single=4,
        sync_dim=130,
        semantic_dim=256,
        text_dim=256,
        semantic_rate_hz=Fraction(2),
        window_steps=215,
        mlp_ratio=2.0,
        modulation_rank=64,
    ),
    # The paper's two sizes, of 347 and 643 million parameters; these widths come nearest.
    "small": replace(_LARGE, width=1216, n_heads=19, n_joint=4, n_x=2, n_single=4),
    "large": _LARGE,
}
