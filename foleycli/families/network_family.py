"""What families have in common: one network, described by a config.json, with its weights beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from foleycli.errors import FoleyError
from foleycli.families.spec import FamilySpec, NetworkConfig
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import CONFIG_NAME, naming, read_config

if TYPE_CHECKING:
    from typing_extensions import Self

ConfigT = TypeVar("ConfigT", bound=NetworkConfig)


class ConfiguredNetwork(nn.Module, Generic[ConfigT]):
    """A network that keeps the configuration it was built from."""

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config


NetworkT = TypeVar("NetworkT", bound=ConfiguredNetwork[Any])


class NetworkFamily(Generic[NetworkT]):
    """All of `families.base.Family` but `sample`; a subclass names its classes."""

    name: ClassVar[str]
    config_class: ClassVar[type[NetworkConfig]]
    network_class: ClassVar[type[Any]]  # called with a config
    published_endings: ClassVar[tuple[str, ...]] = ()
    computed_weights: ClassVar[tuple[str, ...]] = ()  # keys of published files that are computed here instead

    def __init__(self, network: NetworkT) -> None:
        self.network = network.eval().requires_grad_(False)
        self.spec = network.config.spec()

    @classmethod
    def spec_from_config(cls, network: Any) -> FamilySpec:
        """See `families.base.Family`."""
        return cls.config_class.parse(network).spec()

    @classmethod
    def build_empty(cls, network: Any) -> Self:
        """See `families.base.Family`."""
        config = cls.config_class.parse(network)
        with torch.device("meta"):
            return cls(cls.network_class(config))

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """See `families.base.Family`; errors: FoleyError."""
        config = read_config(folder)
        with naming(folder / CONFIG_NAME):
            shape = cls.config_class.parse(config.network)

        def select(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: value for name, value in found.items() if name not in cls.computed_weights}

        path = folder / config.weights
        return cls(load_strict(lambda: cls.network_class(shape), path, select=select, device=device, dtype=dtype))

    @classmethod
    def import_files(cls, path: Path, folder: Path) -> None:
        """See `families.base.Family`.  Errors: FoleyError, since nobody publishes such weights in another form."""
        raise FoleyError(f"{path}: there are no published files of the family {cls.name}", "See: foley models list")

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device


def draw_noise(shape: Sequence[int], rngs: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise float32 [B, *shape], each row by its own CPU generator."""
    return torch.stack([torch.randn(*shape, generator=rng) for rng in rngs])
