"""V-AURA's published Lightning checkpoint to a model folder: network, codec and visual tower as safetensors.

The pickle is read by torch's restricted unpickler: it makes tensors, plain containers and, for a few named classes of
hyper-parameters, empty stand-ins; no code of the file runs.
"""

from __future__ import annotations

import shutil
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from foleycli.codecs.dac import Dac, DacConfig
from foleycli.errors import FoleyError
from foleycli.families.vaura.config import VAuraConfig
from foleycli.families.vaura.network import VAura
from foleycli.nn.motionformer import UNUSED, Motionformer, MotionformerConfig
from foleycli.weights.checkpoint import read
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save

SAMPLER, CODEC = "sampler.", "audio_encoder.model."
TOWER_MARK = "patch_embed_3d.proj.weight"  # the tower's keys have the prefix that comes before this
AGAIN = "Download it again, or pass the .ckpt file of V-AURA"


class Inert:
    """Stand-in for objects of classes that are not needed: accepts any state and keeps none."""

    def __new__(cls, *_: object, **__: object) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# Classes in a Lightning checkpoint beside tensors: hyper-parameters, as OmegaConf's or Lightning's own objects.
INERT = (
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.nodes.AnyNode",
    "omegaconf.nodes.StringNode",
    "omegaconf.nodes.IntegerNode",
    "omegaconf.nodes.FloatNode",
    "omegaconf.nodes.BooleanNode",
    "omegaconf.nodes.ValueNode",
    "typing.Any",
    "pathlib.PosixPath",
    "pathlib.Path",
)
DICTS = (
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)
STAND_INS: dict[str, Any] = {
    **{name: type(name.rpartition(".")[2], (Inert,), {}) for name in INERT},
    **dict.fromkeys(DICTS, dict),  # the unpickler can only fill plain dictionaries
    "collections.defaultdict": defaultdict,
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.int": int,
}


@contextmanager
def unpacked_checkpoint(path: Path, folder: Path) -> Iterator[Path]:
    """The checkpoint itself; one out of an archive is kept in `folder` for as long as it is needed.

    Errors: FoleyError for an archive that is damaged or holds no checkpoint.
    """
    if not path.name.endswith((".tar.gz", ".tgz", ".tar")):
        yield path
        return
    target = folder / ".checkpoint.ckpt"
    try:
        with tarfile.open(path) as archive, target.open("wb") as out:
            shutil.copyfileobj(_best_checkpoint(archive, path), out, 1 << 20)
        yield target
    except (tarfile.TarError, EOFError) as error:
        raise FoleyError(f"{path} is no archive that can be read: {error}", "Download it again") from error
    finally:
        target.unlink(missing_ok=True)


def _best_checkpoint(archive: tarfile.TarFile, path: Path) -> IO[bytes]:
    """The checkpoint with the lowest validation loss in its name, as the publisher chooses too, else the only one."""
    found = [member for member in archive.getmembers() if member.isfile() and member.name.endswith(".ckpt")]
    if not found:
        raise FoleyError(f"{path} holds no .ckpt", "Pass V-AURA's published archive, or its checkpoint")
    stream = archive.extractfile(min(found, key=lambda member: _validation_loss(member.name)))
    assert stream is not None  # a regular file has content
    return stream


def _validation_loss(name: str) -> float:
    """0.5 of `epoch=3-val_loss=0.5.ckpt`; infinite where no loss is named."""
    digits = name.removesuffix(".ckpt").rpartition("loss=")[2]
    try:
        return float(digits.split("-")[0])
    except ValueError:
        return float("inf")


def convert(path: Path, out_folder: Path) -> Path:
    """The .ckpt at `path` as a model folder that renders; every weight keeps its own dtype.

    Errors: FoleyError when the file is no such checkpoint, is damaged, or names anything beyond `STAND_INS`.
    """
    state = read(path, AGAIN, STAND_INS)
    network = _part(state, SAMPLER, path)
    config = network_config(network)
    tower = _part(state, tower_prefix(state, path), path)
    tower = {key: value for key, value in tower.items() if key not in UNUSED}
    codec = _part(state, CODEC, path)
    codec_shape, tower_shape = codec_config(codec), tower_config(tower)
    parts: list[tuple[str, dict[str, Tensor], Callable[[], nn.Module], ModelConfig]] = [
        (
            "codec",
            {f"model.{key}": value for key, value in codec.items()},
            lambda: Dac(codec_shape),
            ModelConfig(name="vaura-codec", kind="codec", loader_class="dac", network=codec_shape.to_dict()),
        ),
        (
            "avclip",
            tower,
            lambda: Motionformer(tower_shape),
            ModelConfig(name="vaura-avclip", kind="sync", loader_class="avclip", network=asdict(tower_shape)),
        ),
        (
            ".",
            network,
            lambda: VAura(config),
            ModelConfig(
                name="vaura", kind="family", family="vaura", codec="codec", sync="avclip", network=config.to_dict()
            ),
        ),
    ]
    for name, tensors, build, facts in parts:
        _check(tensors, build, name, path)
        save(tensors, out_folder / name, facts)
    return out_folder


def _part(state: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not found:
        raise FoleyError(f"{path} holds no {prefix}* weights", AGAIN)
    return found


def tower_prefix(state: Mapping[str, Tensor], path: Path) -> str:
    """What the visual tower's keys begin with, which depends on how it was wrapped in training."""
    for key in state:
        if key.startswith("visual_feature_extractor.") and key.endswith(TOWER_MARK):
            return key.removesuffix(TOWER_MARK)
    raise FoleyError(f"{path} holds no visual tower", AGAIN)


def network_config(state: Mapping[str, Tensor]) -> VAuraConfig:
    """The published configuration; a smaller network's sizes are read off its shapes, heads stay 96 wide."""
    published = VAuraConfig()
    try:
        width = state["norm.weight"].shape[0]
        head_dim = published.width // published.n_heads
        return replace(
            published,
            width=width,
            n_heads=max(1, width // head_dim),
            n_layers=_count(state, "layers."),
            n_codebooks=_count(state, "lm_heads."),
            codebook_size=state["lm_heads.0.weight"].shape[0],
            codebook_dim=state["tok_embeddings.0.emb.weight"].shape[1],
            visual_width=state["empty_video_emb"].shape[-1],
            visual_dim=state["cls_embeddings.uncond_embedding"].shape[1],
            n_visual=state["cls_embeddings.uncond_embedding"].shape[0],
        )
    except KeyError as missing:
        raise FoleyError(f"the checkpoint's network has no {missing}", AGAIN) from missing


def tower_config(state: Mapping[str, Tensor]) -> MotionformerConfig:
    """Sizes of the picture tower, from the shapes of its published weights."""
    published = MotionformerConfig()
    width, n_patches = state["pos_embed"].shape[2], state["pos_embed"].shape[1] - 1
    return replace(
        published,
        width=width,
        n_heads=max(1, width // (published.width // published.n_heads)),
        n_blocks=_count(state, "blocks."),
        hidden=state["blocks.0.mlp.fc1.weight"].shape[0],
        size_px=round(n_patches**0.5) * published.patch_px,
    )


def codec_config(state: Mapping[str, Tensor]) -> DacConfig:
    """Sizes of the codec, from the shapes of its published weights."""
    return replace(
        DacConfig(),
        encoder_dim=state["encoder.block.0.weight_v"].shape[0],
        decoder_dim=state["decoder.model.0.weight_v"].shape[0],
        n_codebooks=_count(state, "quantizer.quantizers."),
        codebook_size=state["quantizer.quantizers.0.codebook.weight"].shape[0],
        codebook_dim=state["quantizer.quantizers.0.codebook.weight"].shape[1],
    )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many different numbers follow `prefix` in the keys."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _check(tensors: Mapping[str, Tensor], build: Callable[[], nn.Module], name: str, path: Path) -> None:
    """Errors: FoleyError unless every key and shape of the part is there, and no other."""
    with torch.device("meta"):
        own = {key: value.shape for key, value in build().state_dict().items()}
    wrong = sorted(key for key in own.keys() | tensors.keys() if own.get(key) != getattr(tensors.get(key), "shape", 0))
    if wrong:
        part = "network" if name == "." else name
        raise FoleyError(f"{path}: {len(wrong)} weights of the {part} do not fit (first: {wrong[0]})", AGAIN)
