"""What is known of a network from its configuration alone: shapes, rates, window lengths.  Imports no torch.

A family's config.py describes its networks by a dataclass that derives from `NetworkConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, TypeVar

from foleycli.settings.checking import bounded
from foleycli.weights.config import network_config

ConfigT = TypeVar("ConfigT", bound="NetworkConfig")


@dataclass(frozen=True)
class FamilySpec:
    """Facts of one network that windows, features and codec must agree with; known from its configuration alone."""

    name: str  # of the family, as in config.json
    width: int  # of the network: with the family's name, it says which size this is
    latent_rate_hz: Fraction  # latent steps per second
    latent_dim: int
    window_steps: int  # the longest window that the network was trained on
    stream_dims: Mapping[str, int]  # feature streams that the network reads, by name, with their width
    stream_rates_hz: Mapping[str, Fraction]  # of the same streams: steps per second
    text_dim: int  # 0: it reads no text
    # "codes": latents are codebook indices, whole numbers, one per codebook, and the codec is asked for those.
    latents: Literal["vectors", "codes"] = "vectors"
    window_grid_s: Fraction = Fraction(0)  # windows begin at multiples of this, where it is not 0
    whole_windows: bool = False  # trained on windows of one length: see `windows.plan.plan_windows`


@dataclass(frozen=True)
class NetworkConfig:
    """Base of the frozen dataclasses that say a network's shape: to and from the plain values of config.json."""

    family: ClassVar[str]  # the family's name, as in config.json

    def spec(self) -> FamilySpec:
        """The facts of a network of this shape."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; rates as "11025/256"."""
        return {key: str(value) if isinstance(value, Fraction) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[ConfigT], values: Any) -> ConfigT:
        """The inverse of `to_dict`.

        Errors: FoleyError for keys that this version does not know, missing ones, and values of a wrong type.
        """
        return network_config(cls, values)

    @classmethod
    def parse(cls: type[ConfigT], network: Any) -> ConfigT:
        """The "network" part of a config.json; errors: FoleyError."""
        return cls.from_dict(network)


@dataclass(frozen=True, kw_only=True)
class ConditioningSpec(NetworkConfig):
    """The part of a network's configuration that says what it reads and at which rates."""

    sync_dim: int  # of the synchronisation stream, a step a frame
    semantic_dim: int  # of the semantic stream: what the picture shows
    text_dim: int
    semantic_rate_hz: Fraction = bounded(0.1, 1000, default=Fraction(8))
    sync_rate_hz: Fraction = bounded(0.1, 1000, default=Fraction(25))
    latent_rate_hz: Fraction = bounded(1, 1000, default=Fraction(44100, 1024))
    window_steps: int = bounded(2, 100_000, default=431)  # 10 s

    @property
    def stream_dims(self) -> dict[str, int]:
        return {"sync": self.sync_dim, "semantic": self.semantic_dim}

    @property
    def stream_rates_hz(self) -> dict[str, Fraction]:
        return {"sync": self.sync_rate_hz, "semantic": self.semantic_rate_hz}

    @property
    def frames_per_step(self) -> float:
        """Steps of the synchronisation stream per latent step."""
        return float(self.sync_rate_hz / self.latent_rate_hz)


@dataclass(frozen=True, kw_only=True)
class FlowConfig(ConditioningSpec):
    """What the shapes of such networks have in common."""

    width: int
    n_heads: int
    latent_dim: int = 64
    mlp_ratio: float = 4.0
    modulation_rank: int = 0  # 0: the full projection of DiT; see nn.transformer.Modulation

    @property
    def mlp_hidden(self) -> int:
        return round(self.width * self.mlp_ratio)

    def spec(self) -> FamilySpec:
        return FamilySpec(
            name=self.family,
            width=self.width,
            latent_rate_hz=self.latent_rate_hz,
            latent_dim=self.latent_dim,
            window_steps=self.window_steps,
            stream_dims=self.stream_dims,
            stream_rates_hz=self.stream_rates_hz,
            text_dim=self.text_dim,
        )
