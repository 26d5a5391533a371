"""The shape of Foley-Flow's networks, as it is saved in a weights folder, and the sizes that have names."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from foleycli.errors import FoleyError
from foleycli.families.base import NetworkConfig

CONDITIONS = ("dynamic", "static")


@dataclass(frozen=True)
class FoleyFlowConfig(NetworkConfig):
    """Widths, depths, rates of both stages; the paper gives none of them (papers.md 4.1): our choice."""

    # The flow.
    width: int
    n_heads: int
    n_blocks: int
    condition_width: int  # of what the picture says at each latent step, before it meets the text
    # The encoders that are pretrained apart and then aligned.
    video_width: int
    video_heads: int
    video_layers: int
    audio_width: int
    audio_heads: int
    audio_layers: int
    decoder_layers: int  # recovers masked audio from the video and the audio that is left
    column_steps: int  # latent steps that are masked together
    # What is read and made.
    sync_dim: int
    semantic_dim: int
    text_dim: int
    semantic_rate_hz: Fraction = Fraction(8)
    sync_rate_hz: Fraction = Fraction(25)
    latent_dim: int = 64
    latent_rate_hz: Fraction = Fraction(44100, 1024)
    window_steps: int = 431  # 10 s
    mlp_ratio: float = 4.0  # of the flow's blocks
    encoder_mlp_ratio: float = 4.0
    modulation_rank: int = 0  # 0: the full projection of DiT; see nn.transformer.Modulation
    condition: str = "dynamic"  # "static": the clip's mean instead, at all steps (the paper's ablation)

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            raise FoleyError(f"the network's condition is {self.condition!r}", f"one of: {', '.join(CONDITIONS)}")

    @property
    def mlp_hidden(self) -> int:
        return round(self.width * self.mlp_ratio)

    @property
    def frames_per_step(self) -> float:
        return float(self.sync_rate_hz / self.latent_rate_hz)


SIZES: dict[str, FoleyFlowConfig] = {
    # Ours: trained on a CPU, renders on a laptop.  Its encoders stand in for EVA-CLIP and AudioMAE.
    "mini": FoleyFlowConfig(
        width=256,
        n_heads=4,
        n_blocks=6,
        condition_width=80,
        video_width=192,
        video_heads=4,
        video_layers=4,
        audio_width=192,
        audio_heads=4,
        audio_layers=4,
        decoder_layers=3,
        column_steps=5,  # 116 ms
        sync_dim=130,
        semantic_dim=256,
        text_dim=256,
        semantic_rate_hz=Fraction(2),
        window_steps=215,
        mlp_ratio=1.5,
        encoder_mlp_ratio=1.0,
        modulation_rank=64,
    ),
    # Encoders as wide and deep as AudioMAE's, decoder and flow in proportion; window and features as SALSA-V's.
    "large": FoleyFlowConfig(
        width=1024,
        n_heads=16,
        n_blocks=20,
        condition_width=1024,
        video_width=768,
        video_heads=12,
        video_layers=12,
        audio_width=768,
        audio_heads=12,
        audio_layers=12,
        decoder_layers=8,
        column_steps=4,
        sync_dim=768,
        semantic_dim=1152,
        text_dim=1152,
    ),
}
