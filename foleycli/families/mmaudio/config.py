"""The shapes of MMAudio's five published networks, and the lengths that follow from a window's duration."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction

from foleycli.errors import FoleyError

CLIP_RATE_HZ = Fraction(8)  # pictures for CLIP per second
SYNC_FPS = Fraction(25)  # pictures for Synchformer per second
SEGMENT_FRAMES, SEGMENT_STEP = 16, 8  # pictures that Synchformer sees at once, and from one segment to the next
SEGMENT_TOKENS = 8
SEGMENT_RATE_HZ = SYNC_FPS / SEGMENT_STEP
TEXT_TOKENS = 77


@dataclass(frozen=True)
class MMAudioConfig:
    """Widths, depths, rates (peers.md B.1.2)."""

    latent_dim: int
    width: int
    n_heads: int
    n_joint: int  # blocks in which latents, pictures and words attend to one another
    n_fused: int  # blocks on the latents alone
    latent_rate_hz: Fraction
    window_steps: int  # 8 s, the length that all of them were trained on
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


_16K = {"latent_dim": 20, "latent_rate_hz": Fraction(16000, 512), "window_steps": 250}
_44K = {"latent_dim": 40, "latent_rate_hz": Fraction(44100, 1024), "window_steps": 345}
_LARGE = MMAudioConfig(width=896, n_heads=14, n_joint=7, n_fused=14, **_44K)

NETWORKS = {
    "small_16k": MMAudioConfig(width=448, n_heads=7, n_joint=4, n_fused=8, **_16K),
    "small_44k": MMAudioConfig(width=448, n_heads=7, n_joint=4, n_fused=8, **_44K),
    "medium_44k": MMAudioConfig(width=896, n_heads=14, n_joint=4, n_fused=8, **_44K),
    "large_44k": _LARGE,
    "large_44k_v2": replace(_LARGE, is_v2=True),
}


def config_of(network: str | dict) -> MMAudioConfig:
    """What config.json says under "network": the name of a published network, or all of its numbers."""
    if isinstance(network, str):
        if network not in NETWORKS:
            raise FoleyError(f"MMAudio has no network {network!r}", f"known: {', '.join(NETWORKS)}")
        return NETWORKS[network]
    unknown = sorted(set(network) - {field.name for field in fields(MMAudioConfig)})
    if unknown:
        raise FoleyError(f"the network configuration has unknown keys: {', '.join(unknown)}", "update foley")
    try:
        return MMAudioConfig(**network | {"latent_rate_hz": Fraction(network["latent_rate_hz"])})
    except (KeyError, TypeError) as error:
        raise FoleyError(f"the network configuration is incomplete: {error}", "get the model folder again") from error


def n_clip_steps(duration_s: Fraction) -> int:
    """CLIP vectors in a window; the rest of a step is dropped, as in training."""
    return max(1, int(duration_s * CLIP_RATE_HZ))


def n_segments(duration_s: Fraction) -> int:
    """Whole Synchformer segments in a window; a window shorter than one gets one (the original fails there)."""
    return max(1, (int(duration_s * SYNC_FPS) - SEGMENT_FRAMES) // SEGMENT_STEP + 1)
