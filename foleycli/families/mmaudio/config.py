"""The shapes of MMAudio's five published networks, and the lengths that follow from a window's duration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from foleycli.errors import FoleyError
from foleycli.families.spec import FamilySpec, NetworkConfig
from foleycli.settings.checking import bounded, short_repr

CLIP_RATE_HZ = Fraction(8)  # frames for CLIP per second
SYNC_FPS = Fraction(25)  # frames for Synchformer per second
SEGMENT_FRAMES, SEGMENT_STEP = 16, 8  # frames that Synchformer reads at once, and from one segment to the next
SEGMENT_TOKENS = 8
SEGMENT_RATE_HZ = SYNC_FPS / SEGMENT_STEP
TEXT_TOKENS = 77


@dataclass(frozen=True)
class MMAudioConfig(NetworkConfig):
    """Widths, depths and rates (arXiv 2412.15322; github.com/hkchengrex/MMAudio)."""

    family = "mmaudio"

    latent_dim: int
    width: int
    n_heads: int
    n_joint: int  # blocks in which latents, pictures and text attend to one another
    n_fused: int  # blocks on the latents alone
    latent_rate_hz: Fraction = bounded(1, 1000)
    window_steps: int = bounded(2, 100_000)  # 8 s, the length that all of them were trained on
    is_v2: bool = False  # SiLU where v1 has SELU, one more in front of two MLPs, and faster time frequencies
    clip_dim: int = 1024
    sync_dim: int = 768
    text_dim: int = 1024

    @property
    def mlp_hidden(self) -> int:
        """Two thirds of four times the width, rounded up to a multiple of 256."""
        return -(-int(2 * 4 * self.width / 3) // 256) * 256

    @property
    def time_dim(self) -> int:
        return self.width if self.is_v2 else 256

    @property
    def time_scale(self) -> float:
        """What flow time 0..1 is multiplied with before the sinusoids."""
        return 10_000.0 if self.is_v2 else 1.0

    @classmethod
    def parse(cls, network: Any) -> MMAudioConfig:
        """The name of a published network, or all of its numbers; errors: FoleyError."""
        if not isinstance(network, str):
            return cls.from_dict(network)
        if network not in NETWORKS:
            raise FoleyError(f"MMAudio has no network {short_repr(network)}", f"Known are {', '.join(NETWORKS)}")
        return NETWORKS[network]

    def spec(self) -> FamilySpec:
        return FamilySpec(
            name=self.family,
            width=self.width,
            latent_rate_hz=self.latent_rate_hz,
            latent_dim=self.latent_dim,
            window_steps=self.window_steps,
            stream_dims={"sync": SEGMENT_TOKENS * self.sync_dim, "semantic": self.clip_dim},
            stream_rates_hz={"sync": SEGMENT_RATE_HZ, "semantic": CLIP_RATE_HZ},
            text_dim=self.text_dim,
            window_grid_s=1 / SEGMENT_RATE_HZ,
            whole_windows=True,
        )


_SMALL_44K = MMAudioConfig(
    latent_dim=40,
    width=448,
    n_heads=7,
    n_joint=4,
    n_fused=8,
    latent_rate_hz=Fraction(44100, 1024),
    window_steps=345,
)
_LARGE_44K = replace(_SMALL_44K, width=896, n_heads=14, n_joint=7, n_fused=14)

NETWORKS = {
    "small_16k": replace(_SMALL_44K, latent_dim=20, latent_rate_hz=Fraction(16000, 512), window_steps=250),
    "small_44k": _SMALL_44K,
    "medium_44k": replace(_SMALL_44K, width=896, n_heads=14),
    "large_44k": _LARGE_44K,
    "large_44k_v2": replace(_LARGE_44K, is_v2=True),
}


def n_clip_steps(duration_s: Fraction) -> int:
    """CLIP vectors in a window; an incomplete step is dropped, as in training."""
    return max(1, int(duration_s * CLIP_RATE_HZ))


def n_segments(duration_s: Fraction) -> int:
    """Whole Synchformer segments in a window; a window shorter than one gets one (the original fails there)."""
    return max(1, (int(duration_s * SYNC_FPS) - SEGMENT_FRAMES) // SEGMENT_STEP + 1)
