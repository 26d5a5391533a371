"""The shape of a MaskVAT network and how it is sampled, as saved in a weights folder; the sizes that have names."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from foleycli.errors import FoleyError
from foleycli.families.spec import ConditioningSpec, FamilySpec
from foleycli.settings.checking import bounded, short_repr

# How the picture reaches the tokens, the paper's three architectures.  adaln: video features, brought to the sound's
# length, modulate every block; seq2seq: every block attends to the tokens of an encoder; hybrid: both.
Conditioning = Literal["adaln", "seq2seq", "hybrid"]


@dataclass(frozen=True, kw_only=True)
class MaskVatConfig(ConditioningSpec):
    """The paper (arXiv 2407.10387) states no widths and depths: the defaults are our choice for its codec, DAC."""

    family = "maskvat"

    conditioning: Conditioning = "adaln"
    width: int = 1024
    n_heads: int = 16
    n_blocks: int = 24
    n_encoder: int = 6  # blocks of the encoder, where there is one
    sync_dim: int = 768
    semantic_dim: int = 1152
    text_dim: int = 1152
    heard_dim: int = 768  # width of the audio features that the encoder learns to predict: BEATs in the paper
    latent_rate_hz: Fraction = bounded(1, 1000, default=Fraction(44100, 512))
    window_steps: int = bounded(2, 100_000, default=862)  # 10 s
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8  # of a code's vector before it is brought to the width
    mlp_ratio: float = 2.0
    modulation_rank: int = 0  # 0: the full projection of DiT; see nn.transformer.Modulation
    head_rank: int = 0  # of the way from a state to a level's logits; 0: one full layer
    # Whether a level's logits depend on the coarser codes of their own frame; if not, the levels of a frame are
    # drawn independently of one another.
    hears_coarser: bool = False
    temperature: float = 1.0
    mask_temperature: float = 10.5  # of the noise on frames' confidence (VampNet, arXiv 2307.04686)

    def __post_init__(self) -> None:
        if self.conditioning not in get_args(Conditioning):
            known = ", ".join(get_args(Conditioning))
            raise FoleyError(
                f"the network's conditioning is {short_repr(self.conditioning)}", f"Choose one of: {known}"
            )

    @property
    def mlp_hidden(self) -> int:
        return round(self.width * self.mlp_ratio)

    @property
    def head_dim(self) -> int:
        return self.width // self.n_heads

    @property
    def is_modulated(self) -> bool:
        return self.conditioning != "seq2seq"

    @property
    def has_encoder(self) -> bool:
        return self.conditioning != "adaln"

    def spec(self) -> FamilySpec:
        return FamilySpec(
            name=self.family,
            width=self.width,
            latent_rate_hz=self.latent_rate_hz,
            latent_dim=self.n_codebooks,
            window_steps=self.window_steps,
            stream_dims=self.stream_dims,
            stream_rates_hz=self.stream_rates_hz,
            text_dim=self.text_dim,
            latents="codes",
        )


SIZES: dict[str, MaskVatConfig] = {
    "large": MaskVatConfig(),
    # Ours: on the shipped codec's 43 Hz codes and the shipped synchronisation features; windows of 5 s.
    "mini": MaskVatConfig(
        width=224,
        n_heads=4,
        n_blocks=6,
        n_encoder=2,
        sync_dim=130,
        semantic_dim=256,
        text_dim=256,
        semantic_rate_hz=Fraction(2),
        heard_dim=128,  # of the shipped synchronisation encoder's audio tower, in the place of BEATs
        latent_rate_hz=Fraction(44100, 1024),
        window_steps=215,
        modulation_rank=64,
        head_rank=48,
        hears_coarser=True,
    ),
}
