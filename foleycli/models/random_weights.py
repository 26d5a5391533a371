"""A published model without its files: networks of full size with random weights, for timing alone.

The catalogue's entry, or a folder's config.json files, say which networks; nothing is fetched or written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foleycli.codecs.tokens import TokenCodec
from foleycli.device import choose_device, choose_dtype
from foleycli.errors import FoleyError
from foleycli.families import family_class
from foleycli.features.tagger import ImageTagger
from foleycli.features.text import WordLlamaText
from foleycli.hub.catalog import find
from foleycli.hub.resolve import resolve
from foleycli.models.model import Model, part_folder
from foleycli.nn.motionformer import Motionformer, MotionformerConfig
from foleycli.nn.weight_norm import fuse_weight_norm
from foleycli.settings.checking import short_repr
from foleycli.weights.config import ModelConfig, network_config, read_config

ROLES = ("codec", "sync", "semantic", "text")
ENCODERS = ("sync", "semantic", "text")
SEED = 0


def random_model(
    name_or_folder: str, device: str = "auto", dtype: str = "auto", without_encoders: bool = False
) -> Model:
    """What `model.load_model` gives for that model, with random weights; the codec is in float32, as there.

    `without_encoders`: encoders of pictures and words are not run, their features are random numbers at once.
    Errors: FoleyError for a model whose networks are not known here, or that is larger than the free memory.
    """
    chosen = choose_device(device)
    precision = choose_dtype(dtype, chosen)
    name, configs = _configs(name_or_folder)
    parts = {role: _builder(role, config)(config) for role, config in configs.items()}  # on the meta device
    left_out = ENCODERS if without_encoders else ()
    for role in parts.keys() & left_out:
        for tower in parts[role][0]:
            answer_at_random(tower)
    networks = [network for role, (built, _) in parts.items() for network in built if role not in left_out]
    for network in networks:
        network.to(torch.float32 if network in parts["codec"][0] else precision)
    _check_memory(networks, name, chosen)
    generator = torch.Generator(chosen).manual_seed(SEED)
    for network in networks:
        fill(network, chosen, generator)
    family, codec, sync, *rest = (wrap(chosen) for _, wrap in parts.values())
    semantic, text = rest or (ImageTagger(words := WordLlamaText(), chosen), words)
    codec = TokenCodec(codec) if family.spec.latents == "codes" else codec
    return Model(
        name=name,
        sha256="random weights",
        family=family,
        codec=codec,
        sync=sync,
        semantic=semantic,
        text=text,
        device=chosen,
        dtype=precision,
    )


def fill(network: nn.Module, device: torch.device, generator: torch.Generator) -> None:
    """Give a network on the meta device numbers that keep signals at about their size; for no training."""
    network.to_empty(device=device).eval().requires_grad_(False)
    for name, value in network.state_dict().items():
        leaf = name.rpartition(".")[2]
        if value.ndim > 1 and leaf not in ("latent_mean", "latent_std", "data_mean", "data_std"):
            bound = math.sqrt(3 / math.prod(value.shape[1:]))
            value.uniform_(-bound, bound, generator=generator)
        else:
            # Norms' weights and deviations are factors; biases, means and logarithms of factors are added.
            value.fill_(1.0 if leaf in ("weight", "latent_std", "data_std") else 0.0)


def answer_at_random(tower: nn.Module) -> None:
    """A network on the meta device stays there: only the shape of its output is taken, which is filled
    with random numbers."""
    generator = torch.Generator().manual_seed(SEED)

    def fill_answer(_: nn.Module, __: tuple, answer: torch.Tensor) -> torch.Tensor:
        return torch.randn(answer.shape, generator=generator)

    tower.eval().requires_grad_(False).register_forward_hook(fill_answer)


def _configs(name_or_folder: str) -> tuple[str, dict[str, ModelConfig]]:
    """The model's name, and config.json of the family and of every part, by role."""
    entry = find(name_or_folder)
    if entry is None or entry.is_shipped:
        folder = resolve(name_or_folder)
        config = read_config(folder)
        parts = {role: read_config(part_folder(folder, config, role)) for role in ROLES if getattr(config, role)}
        return config.name or folder.name, {"family": config, **parts}
    if entry.kind != "family":
        raise FoleyError(f"{entry.name} is a part of models, it does not render", "See: foley models list")
    configs = {"family": entry.model_config}
    for role in ROLES:
        if role in entry.inner_parts:
            configs[role] = ModelConfig(loader_class=entry.inner_parts[role])
        elif part := find(getattr(entry.model_config, role)):
            configs[role] = part.model_config
    return entry.name, configs


# Of a part: its networks, and what makes the part of them when they are filled.
Built = tuple[list[nn.Module], Callable[[torch.device], Any]]


def _builder(role: str, config: ModelConfig) -> Callable[[ModelConfig], Built]:
    if role == "family":
        return _family
    kind = config.loader_class
    if (role, kind) not in BUILDERS:
        known = ", ".join(name for known_role, name in BUILDERS if known_role == role)
        raise FoleyError(
            f"there are no random weights for the {role} {short_repr(kind)}", f"Only for: {known}; leave them out"
        )
    return BUILDERS[role, kind]


def _family(config: ModelConfig) -> Built:
    family = family_class(config.family).build_empty(config.network)
    return [family.network], lambda device: family


def _mmaudio_codec(config: ModelConfig) -> Built:
    from foleycli.codecs.mmaudio import codec as mmaudio

    mel, vae_config, vocoder_config = mmaudio.NETWORKS[str(config.network)]
    with torch.device("meta"):
        vae = mmaudio.Vae(replace(vae_config, width=config.vae_width or vae_config.width))
        vocoder = mmaudio.BigVGAN(replace(vocoder_config, width=config.vocoder_width or vocoder_config.width))
    return [vae, vocoder], lambda device: mmaudio.MMAudioCodec(mmaudio.LogMel(mel).to(device), vae, vocoder)


def _dac(config: ModelConfig) -> Built:
    from foleycli.codecs.dac import Dac, DacConfig

    with torch.device("meta"):
        codec = Dac(network_config(DacConfig, config.network))
    fuse_weight_norm(codec)
    return [codec], lambda device: codec


def _tower(config: ModelConfig) -> Motionformer:
    with torch.device("meta"):
        return Motionformer(network_config(MotionformerConfig, config.network))


def _synchformer(config: ModelConfig) -> Built:
    from foleycli.features.synchformer import Synchformer

    tower = _tower(config)
    return [tower], lambda device: Synchformer(tower, batch=16 if device.type == "cuda" else 2)


def _avclip(config: ModelConfig) -> Built:
    from foleycli.features.avclip import AvclipExtractor

    tower = _tower(config)
    return [tower], lambda device: AvclipExtractor(tower)


def _clip_vision(config: ModelConfig) -> Built:
    from foleycli.features.dfn_clip import ClipConfig, ClipVision, DfnVision

    shape = network_config(ClipConfig, config.network)
    with torch.device("meta"):
        tower = ClipVision(shape)
    return [tower], lambda device: DfnVision(tower, shape, batch=64 if device.type == "cuda" else 4)


def _clip_text(config: ModelConfig) -> Built:
    from foleycli.features.dfn_clip import ClipConfig, ClipText, DfnText

    with torch.device("meta"):
        tower = ClipText(network_config(ClipConfig, config.network))
    return [tower], lambda device: DfnText(tower)


BUILDERS: dict[tuple[str, str], Callable[[ModelConfig], Built]] = {
    ("codec", "mmaudio"): _mmaudio_codec,
    ("codec", "dac"): _dac,
    ("sync", "synchformer"): _synchformer,
    ("sync", "avclip"): _avclip,
    ("semantic", "dfn-clip"): _clip_vision,
    ("text", "dfn-clip"): _clip_text,
}


def _check_memory(networks: list[nn.Module], name: str, device: torch.device) -> None:
    wanted = sum(value.nbytes for network in networks for value in network.state_dict().values())
    free = _free_bytes(device)
    if free is not None and wanted > free:
        raise FoleyError(
            f"{name} has {wanted / 1e9:.1f} GB of weights, {device} has {free / 1e9:.1f} GB free",
            "Halve most of it with --dtype bfloat16, or choose a smaller model: foley models list",
        )


def _free_bytes(device: torch.device) -> int | None:
    """None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # no Linux
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
