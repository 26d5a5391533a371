"""The shape of Foley-Flow's networks, as it is saved in a weights folder, and the sizes that have names."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from foleycli.errors import FoleyError
from foleycli.families.spec import FlowConfig
from foleycli.settings.checking import short_repr

CONDITIONS = ("dynamic", "static")


@dataclass(frozen=True, kw_only=True)
class FoleyFlowConfig(FlowConfig):
    """Widths and depths of both stages; the paper (arXiv 2603.08126) states none of them: our choice."""

    family = "foley-flow"

    # The flow.
    n_blocks: int
    condition_width: int  # of the video at each latent step, before it meets the text
    # The encoders that are pretrained apart and then aligned.
    video_width: int
    video_heads: int
    video_layers: int
    audio_width: int
    audio_heads: int
    audio_layers: int
    decoder_layers: int  # recovers masked audio from the video and the audio that is left
    column_steps: int  # latent steps that are masked together
    encoder_mlp_ratio: float = 4.0
    condition: str = "dynamic"  # "static": the window's mean instead, at all steps (the paper's ablation)

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            raise FoleyError(
                f"the network's condition is {short_repr(self.condition)}", f"Choose {' or '.join(CONDITIONS)}"
            )


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
