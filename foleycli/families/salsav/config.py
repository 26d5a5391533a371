"""The shape of a SALSA-V network, as it is saved in a weights folder, and the sizes that have names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from foleycli.families.base import NetworkConfig


@dataclass(frozen=True)
class SalsaVConfig(NetworkConfig):
    """Widths, depths, rates; papers.md 1.4 where SALSA-V says them, our choice elsewhere."""

    width: int
    n_heads: int
    n_joint: int  # MMDiT-X blocks: audio and semantic tokens attend to one another
    n_x: int  # the first of them that have the extra audio self-attention
    n_single: int  # DiT blocks on audio alone
    sync_dim: int
    semantic_dim: int
    text_dim: int
    semantic_rate_hz: Fraction = Fraction(8)
    sync_rate_hz: Fraction = Fraction(25)
    latent_dim: int = 64
    latent_rate_hz: Fraction = Fraction(44100, 1024)
    window_steps: int = 431  # 10 s
    mlp: str = "gelu"  # or "swiglu"
    mlp_ratio: float = 4.0
    modulation_rank: int = 0  # 0: the full projection of DiT; see nn.transformer.Modulation
    base_steps: int = 128  # the smallest step size is 1 / base_steps; flow matching is trained at it

    @property
    def mlp_hidden(self) -> int:
        return round(self.width * self.mlp_ratio)


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
    # The paper's two sizes, 347M and 643M; it does not say the widths, these come nearest.
    "small": replace(_LARGE, width=1216, n_heads=19, n_joint=4, n_x=2, n_single=4),
    "large": _LARGE,
}
