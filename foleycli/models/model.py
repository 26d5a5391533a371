"""Loaded weights that belong together: a family with its codec, picture features and words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from foleycli.codecs.base import Codec
from foleycli.codecs.tokens import TokenCodec
from foleycli.codecs.vae import VaeCodec
from foleycli.device import choose_device, choose_dtype
from foleycli.errors import FoleyError
from foleycli.families import load_family
from foleycli.families.base import Family
from foleycli.features.base import Extractor
from foleycli.features.tagger import ImageTagger
from foleycli.features.text import TextEncoder, WordLlamaText
from foleycli.hub.resolve import resolve
from foleycli.settings.checking import short_repr
from foleycli.weights.config import AGAIN, ModelConfig, read_config
from foleycli.weights.folder import weights_sha256

# What loads a part: "module:function", imported when it is needed, by the part's role in a model and the
# "class" in its config.json.  Codecs take (folder, device, with_codes), all others (folder, device, dtype).
LOADERS = {
    ("codec", "dac-vae"): "foleycli.codecs.dacvae:load",
    ("codec", "mel-vae"): "foleycli.codecs.melvae:load",
    ("codec", "dac"): "foleycli.codecs.dac:load",
    ("codec", "mmaudio"): "foleycli.codecs.mmaudio.codec:load",
    ("sync", "sync-mini"): "foleycli.features.sync:load_extractor",
    ("sync", "sync-large"): "foleycli.features.sync_large:load_extractor",
    ("sync", "avclip"): "foleycli.features.avclip:load",
    ("sync", "synchformer"): "foleycli.features.synchformer:load",
    ("semantic", "dfn-clip"): "foleycli.features.dfn_clip:load_vision",
    ("text", "dfn-clip"): "foleycli.features.dfn_clip:load_text",
}
# Of the large configurations: (hub name, device, dtype).
HUB_ENCODERS = {"semantic": "foleycli.features.hub:load_vision", "text": "foleycli.features.hub:load_text"}
SHIPPED_CLASSES = {"codec": "dac-vae", "sync": "sync-mini"}  # of parts whose config names none


@dataclass(frozen=True)
class Model:
    """What a render needs of a model."""

    name: str
    sha256: str
    family: Family
    codec: Codec
    sync: Extractor
    semantic: Extractor
    text: TextEncoder
    device: torch.device
    dtype: torch.dtype
    default_settings: Mapping[str, object] = field(default_factory=dict)  # that it is best rendered with, by name
    folder: Path | None = None  # it was loaded from


def load_model(folder: Path, device: str = "auto", dtype: str = "auto") -> Model:
    """A weights folder (see hub.resolve) with the codec and the encoders that its config names.

    Errors: FoleyError for a device that is not there, damaged files, or parts that do not fit.
    """
    chosen = choose_device(device)
    config = read_config(folder)
    precision = choose_dtype(dtype, chosen, config.cpu_bfloat16)
    if config.kind != "family":
        raise FoleyError(
            f"{folder} holds a {config.kind or 'part of a model'}, not a model that renders", "See: foley models list"
        )
    text = load_part(folder, config, "text", chosen, precision) if config.text else WordLlamaText()
    family = load_family(folder, chosen, precision)
    makes_codes = family.spec.latents == "codes"
    codec = load_part(folder, config, "codec", chosen, makes_codes)
    model = Model(
        name=config.name or folder.name,
        sha256=weights_sha256(folder),
        family=family,
        codec=TokenCodec(codec) if makes_codes else codec,
        sync=load_part(folder, config, "sync", chosen, precision),
        semantic=load_part(folder, config, "semantic", chosen, precision)
        if config.semantic
        else ImageTagger(text, chosen, precision),
        text=text,
        device=chosen,
        dtype=precision,
        default_settings=config.default_settings,
        folder=folder,
    )
    _check_fit(model)
    return model


def load_part(folder: Path, config: ModelConfig, role: str, *how: torch.device | torch.dtype | bool) -> Any:
    """The codec or encoder that a model's config names for a role, loaded by its loader with the arguments `how`.

    "hub:OWNER/NAME" is an encoder of pictures or words that transformers loads (SigLIP 2, CLIP).
    """
    name = getattr(config, role)
    if name.startswith("hub:"):
        return load_function(HUB_ENCODERS[role])(name.removeprefix("hub:"), *how)
    return load_part_folder(part_folder(folder, config, role), role, *how)


def load_part_folder(place: Path, role: str, *how: torch.device | torch.dtype | bool) -> Any:
    """A codec or encoder from its own weights folder, by the class that its config.json names.

    Errors: FoleyError for a class that is not known in this role.
    """
    kind = read_config(place).loader_class or SHIPPED_CLASSES.get(role, "")
    if (role, kind) not in LOADERS:
        known = ", ".join(name for known_role, name in LOADERS if known_role == role)
        raise FoleyError(
            f"{place}/config.json names the {role} class {short_repr(kind)}; known: {known}", "Update foley"
        )
    return load_function(LOADERS[role, kind])(place, *how)


def load_function(place: str) -> Callable[..., Any]:
    """The function at "module:function"."""
    module, function = place.split(":")
    return getattr(import_module(module), function)


def load_vae_codec(place: Path, device: torch.device) -> VaeCodec:
    """A codec that foley can train, with its codes, from its own weights folder, in float32.

    Errors: FoleyError for another kind of codec, or a damaged folder.
    """
    codec = load_part_folder(place, "codec", device, True)
    if not isinstance(codec, VaeCodec):
        raise FoleyError(f"{place} is a {type(codec).__name__}, families are trained on foley's own codecs",
                         "Choose mel-mini, or a codec from foley train")  # fmt: skip
    return codec


def part_folder(folder: Path, config: ModelConfig, role: str) -> Path:
    """A model's codec or encoder: a folder beside the model's or inside it, else a known name."""
    name = getattr(config, role)
    if not name:
        raise FoleyError(f"{folder}/config.json names no {role}", "Get the model folder again")
    for place in (folder / name, folder.parent / name):
        if place.is_dir():
            return place
    return resolve(name)


def _check_fit(model: Model) -> None:
    """Errors: FoleyError when the family reads or makes other features, text or latents than its parts."""
    spec, codec = model.family.spec, model.codec
    pairs = [("latents", (spec.latent_dim, spec.latent_rate_hz), (codec.latent_dim, codec.latent_rate_hz))]
    extractors = {extractor.name: extractor for extractor in (model.sync, model.semantic)}
    for name, dim in spec.stream_dims.items():
        if name not in extractors:
            raise FoleyError(f"{model.name} reads {name} features, and has no encoder for them", AGAIN)
        given = extractors[name]
        pairs.append((f"{name} features", (dim, spec.stream_rates_hz[name]), (given.dim, given.rate_hz)))
    for what, own, of_part in pairs:
        if own != of_part:
            told = [f"{dim} wide at {float(rate_hz):g} Hz" for dim, rate_hz in (own, of_part)]
            raise FoleyError(f"{model.name} is for {what} {told[0]}, its parts are for {told[1]}", AGAIN)
    if spec.text_dim not in (0, model.text.dim):
        raise FoleyError(f"{model.name} reads text {spec.text_dim} wide, its encoder gives {model.text.dim}", AGAIN)
