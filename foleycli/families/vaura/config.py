"""The shape of a V-AURA network and how it is sampled, as saved in a weights folder; the sizes that have names."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from foleycli.errors import FoleyError
from foleycli.families.spec import FamilySpec, NetworkConfig
from foleycli.settings.checking import bounded


@dataclass(frozen=True)
class VAuraConfig(NetworkConfig):
    """The defaults are the published network (arXiv 2409.13689, github.com/ilpoviertola/V-AURA)."""

    family = "vaura"

    width: int = 1536
    n_heads: int = 16
    n_layers: int = 24
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8
    visual_width: int = 512  # channels of `width` for the picture; the rest is for the codes
    stream: str = "avclip"  # the feature stream that it reads
    visual_dim: int = 768
    visual_rate_hz: Fraction = bounded(0.1, 1000, default=Fraction(25, 2))
    n_visual: int = 32  # visual tokens in a window
    # Columns for which each visual token is repeated.  The published weights were trained with 7, which is 81.3 ms
    # where a token lasts 80 ms; 0: each column reads the token of its true time.
    visual_repeat: int = 7
    # False: a token covers a stretch of time, and a column reads the one it falls in.  True: it marks a moment, as
    # the vectors of single frames do, and a column reads between the two tokens nearest to its middle.
    visual_moments: bool = False
    latent_rate_hz: Fraction = bounded(1, 1000, default=Fraction(44100, 512))
    window_steps: int = bounded(2, 100_000, default=220)
    window_grid_s: Fraction = bounded(
        0, 100, default=Fraction(16, 25)
    )  # windows begin where a segment of 16 pictures does
    dropout: float = 0.1  # in training
    temperature: float = 1.0
    top_k: int = 128

    def __post_init__(self) -> None:
        if self.n_heads < 1 or self.width % self.n_heads:
            raise FoleyError(
                f"the network has {self.n_heads} heads, which do not divide its width of {self.width}",
                "Choose a number of heads that does",
            )

    @property
    def audio_width(self) -> int:
        return self.width - self.visual_width

    @property
    def mlp_hidden(self) -> int:
        """Two thirds of four times the width, rounded up to a multiple of 256 (Llama)."""
        return -(-int(2 * 4 * self.width / 3) // 256) * 256

    @property
    def special(self) -> int:
        """The code at places of the delay pattern that hold none."""
        return self.codebook_size

    def spec(self) -> FamilySpec:
        return FamilySpec(
            name=self.family,
            width=self.width,
            latent_rate_hz=self.latent_rate_hz,
            latent_dim=self.n_codebooks,
            window_steps=self.window_steps,
            stream_dims={self.stream: self.visual_dim},
            stream_rates_hz={self.stream: self.visual_rate_hz},
            text_dim=0,
            latents="codes",
            window_grid_s=self.window_grid_s,
        )


SIZES: dict[str, VAuraConfig] = {
    "published": VAuraConfig(),
    # Ours: on the shipped codec's 43 Hz codes and the shipped synchronisation features; windows of 5 s.
    "mini": VAuraConfig(
        width=192,
        n_heads=4,
        n_layers=6,
        visual_width=64,
        stream="sync",
        visual_dim=130,
        visual_rate_hz=Fraction(25),
        n_visual=125,
        visual_repeat=0,
        visual_moments=True,
        latent_rate_hz=Fraction(44100, 1024),
        window_steps=215,
        window_grid_s=Fraction(0),  # tokens are interpolated, so a window can begin anywhere
        dropout=0.0,
    ),
}
