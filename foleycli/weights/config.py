"""What a weights folder's config.json says, checked: every key, every type, every name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from foleycli.errors import FoleyError
from foleycli.settings.checking import from_mapping, short_repr
from foleycli.settings.preset import check_settings

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
KINDS = ("", "family", "codec", "sync", "dynamics", "clip", "stage")
MAX_CONFIG_BYTES = 1 << 24
MAX_SIZE = 1 << 24  # of a number in a network's description: widths, lengths and rates are far below it
AGAIN = "Get the model folder again"

T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """What config.json says of a weights folder, by the keys' own names but for `class` and `from`."""

    name: str = ""
    kind: str = field(default="", metadata={"choices": KINDS})  # family: it renders; stage: of a training in several
    family: str = ""  # the name in `families.FAMILIES`
    loader_class: str = field(
        default="", metadata={"key": "class"}
    )  # of a codec or encoder: see `models.model.LOADERS`
    stage: str = ""  # of a training that has several
    version: int = 1  # of this format
    codec: str = ""  # names of the folders of its parts
    sync: str = ""
    semantic: str = ""  # or "hub:OWNER/NAME", as for `text`
    text: str = ""
    settings: dict[str, Any] = field(default_factory=dict)  # that it is best rendered with, by names of `Settings`
    cpu_bfloat16: bool = False  # whether `--dtype auto` is bfloat16 on CPUs that have it: see `device.choose_dtype`
    network: dict[str, Any] | str = field(default_factory=dict)  # its shape, or the name of a published network
    event_threshold: float | None = field(default=None, metadata={"low": 0.0, "high": 1.0})  # of a sync encoder
    weights: str = WEIGHTS_NAME  # the name of its weights file; of codecs in two files:
    vae: str = ""
    vocoder: str = ""
    vae_width: int | None = None  # where they are narrower than the published ones
    vocoder_width: int | None = None
    training: list[Any] | dict[str, Any] = field(default_factory=dict)  # how it was trained, for people
    files: dict[str, dict[str, str]] = field(default_factory=dict)  # of published weights: sha256, source, commit
    published_from: dict[str, dict[str, str]] = field(default_factory=dict, metadata={"key": "from"})  # as `files`
    sha256: str = ""  # of the weights file

    def __post_init__(self) -> None:
        for key in ("codec", "sync", "semantic", "text", "weights", "vae", "vocoder"):
            value = getattr(self, key)
            if not (key in ("semantic", "text") and value.startswith("hub:")):
                _check_name_in_folder(key, value)
        for name in self.files:
            _check_name_in_folder("files", name)

    @property
    def is_published(self) -> bool:
        """Whether others published the weights."""
        return bool(self.files or self.published_from)

    @property
    def default_settings(self) -> dict[str, Any]:
        """What the model is best rendered with; published networks were not trained to take a timbre from a sound."""
        return {"library": False, **self.settings} if self.is_published else self.settings

    @property
    def network_values(self) -> dict[str, Any]:
        """The network's shape as values; errors: FoleyError where config.json has a published network's name."""
        if isinstance(self.network, str):
            raise FoleyError(f"the network is {short_repr(self.network)}, where its shape is expected", AGAIN)
        return self.network

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without those that say nothing."""
        values = {}
        for each in fields(self):
            value = getattr(self, each.name)
            default = each.default_factory() if each.default_factory is not MISSING else each.default
            if value != default or each.name == "version":
                values[each.metadata.get("key", each.name)] = value
        return values


def _check_name_in_folder(key: str, name: str) -> None:
    """A name of something in a folder must not lead out of it."""
    if not _is_file_name(name):
        raise FoleyError(f"{key} is {short_repr(name)}, which is no plain name", AGAIN)


def _is_file_name(name: str) -> bool:
    return name.isprintable() and name not in (".", "..") and not set(name) & set("/\\")


def file_name(name: str, otherwise: str) -> str:
    """A file's name, if config.json can hold it; undecodable bytes and control characters it cannot."""
    return name if _is_file_name(name) else otherwise


@contextmanager
def naming(where: Path | str) -> Iterator[None]:
    """Have the errors of the block begin with the file, or the part of one, that they are about."""
    try:
        yield
    except FoleyError as error:
        message = error.message if error.message.startswith(str(where)) else f"{where}: {error.message}"
        raise FoleyError(message, error.hint) from None


def parse_config(values: object, where: str) -> ModelConfig:
    """A ModelConfig from the plain values of JSON; errors: FoleyError that begins with `where`."""
    with naming(where):
        config = from_mapping(ModelConfig, values, where, hint="Get the model folder again, or update foley")
    return replace(config, settings=check_settings(config.settings, f"{where}: settings", AGAIN))


def read_config(folder: Path) -> ModelConfig:
    """The folder's config.json; errors: FoleyError when it is missing or has keys that foley does not have."""
    path = folder / CONFIG_NAME
    if not os.path.isfile(path):  # a pipe would be waited for
        raise FoleyError(f"{folder} is not a model folder: it has no {CONFIG_NAME}", "See: foley models list")
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError("it is too large")
        values = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise FoleyError(f"{path} cannot be read: it is nested too deeply", AGAIN) from None
    except (OSError, ValueError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", AGAIN) from error
    return parse_config(values, str(path))


def write_config(folder: Path, config: ModelConfig) -> None:
    """Write config.json aside and rename it into place."""
    part = folder / (CONFIG_NAME + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(json.dumps(config.to_dict(), indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / CONFIG_NAME)


def network_config(kind: type[T], values: object, where: str = "the network configuration") -> T:
    """The "network" part of a config.json as the dataclass of its network; errors: FoleyError naming `where`.

    Numbers beyond any sense are refused here, before something of that size is built.
    """
    if isinstance(values, dict):
        for key, value in values.items():
            if isinstance(value, (int, float)) and not 0 <= value <= MAX_SIZE:
                raise FoleyError(f"{where}: {key} is {short_repr(value)}", AGAIN)
    return from_mapping(kind, values, where, hint="Get the model folder again, or update foley")
