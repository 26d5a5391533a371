"""V-AURA's Lightning checkpoint: read without running anything of it, converted strictly, and it renders."""

import json
import os
import pickle
import sys
import types

import pytest
import torch
from vaura_parts import CODEC, NETWORK, checkpoint_weights, save_checkpoint

from foleycli.codecs import dac
from foleycli.errors import FoleyError
from foleycli.families import load_family
from foleycli.families.vaura.config import VAuraConfig
from foleycli.families.vaura.convert import convert
from foleycli.features import avclip
from foleycli.weights.config import read_config
from foleycli.weights.folder import verify


@pytest.fixture
def settings_classes(monkeypatch):
    """Lightning's and OmegaConf's classes as they are in a checkpoint, gone again when it is read."""
    settings = types.ModuleType("lightning.fabric.utilities.data")
    config = types.ModuleType("omegaconf.dictconfig")

    class AttributeDict(dict):
        __module__, __qualname__ = settings.__name__, "AttributeDict"

    class DictConfig:
        __module__, __qualname__ = config.__name__, "DictConfig"

    settings.AttributeDict, config.DictConfig = AttributeDict, DictConfig
    modules = {module.__name__: module for module in (settings, config)}
    for name in ("lightning", "lightning.fabric", "lightning.fabric.utilities", "omegaconf"):
        modules[name] = types.ModuleType(name)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(settings=AttributeDict, config=DictConfig, forget=monkeypatch.undo)


def test_checkpoint_becomes_a_folder_that_loads(tmp_path, settings_classes):
    config = settings_classes.config()
    config.content = {"lr": 1e-4}
    path = tmp_path / "epoch=3.ckpt"
    extras = {"hyper_parameters": settings_classes.settings(sampler=config), "optimizer_states": [{"state": {}}]}
    save_checkpoint(path, state := checkpoint_weights(), **extras)
    settings_classes.forget()
    folder = convert(path, tmp_path / "vaura")
    described = read_config(folder)
    assert (described.kind, described.family) == ("family", "vaura")
    for part in (folder, folder / described.codec, folder / described.sync):
        verify(part)
    network = load_family(folder, "cpu", torch.float32).network
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[f"sampler.{key}"])
    assert network.config == NETWORK
    tower = avclip.load(folder / described.sync, "cpu").tower
    assert torch.equal(tower.pos_embed, state["visual_feature_extractor.pos_embed"])
    codec = dac.load(folder / described.codec, "cpu")
    assert codec.config == CODEC
    book = codec.model.quantizer.quantizers[8].codebook.weight
    assert torch.equal(book, state["audio_encoder.model.quantizer.quantizers.8.codebook.weight"].float())


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    path, touched = tmp_path / "bad.ckpt", tmp_path / "touched"
    save_checkpoint(path, {}, callbacks=Bomb(touched))
    with pytest.raises(FoleyError, match="system"):
        convert(path, tmp_path / "out")
    assert not touched.exists() and not (tmp_path / "out").exists()
    pickle.loads(pickle.dumps(Bomb(touched)))  # an ordinary reader would have run it
    assert touched.exists()


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut off"])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "half.ckpt"
    path.write_bytes(content)
    with pytest.raises(FoleyError, match=r"half\.ckpt") as raised:
        convert(path, tmp_path / "out")
    assert "mmap" not in str(raised.value)  # torch's way of reading is not what is wrong
    with pytest.raises(FoleyError, match=r"none\.ckpt"):
        convert(tmp_path / "none.ckpt", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("sampler.layers.1.ffn_norm.weight"), "layers.1.ffn_norm"),
        (lambda state: state.update({"sampler.norm.gain": torch.ones(1)}), "norm.gain"),
        (lambda state: state.update({"sampler.layers.0.attention.wo.weight": torch.ones(2, 2)}), "attention.wo"),
        (lambda state: state.pop("sampler.norm.weight"), "norm.weight"),
        (lambda state: state.pop("visual_feature_extractor.blocks.0.norm3.bias"), "norm3"),
        (lambda state: state.pop("visual_feature_extractor.patch_embed_3d.proj.weight"), "visual tower"),
        (lambda state: state.pop("audio_encoder.model.decoder.model.1.block.0.alpha"), "alpha"),
        (lambda state: [state.pop(key) for key in list(state) if key.startswith("audio_encoder")], "audio_encoder"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(tmp_path, change, said):
    state = checkpoint_weights()
    change(state)
    path = tmp_path / "odd.ckpt"
    save_checkpoint(path, state)
    with pytest.raises(FoleyError, match=said):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()


def test_other_pickles_are_refused(tmp_path):
    path = tmp_path / "plain.ckpt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(FoleyError, match=r"holds no sampler\.\* weights"):
        convert(path, tmp_path / "out")
    torch.save([1, 2], path)
    with pytest.raises(FoleyError, match="holds a list, not weights"):
        convert(path, tmp_path / "out")


def test_config_is_plain_json(tmp_path):
    folder = convert(save_checkpoint(tmp_path / "ok.ckpt"), tmp_path / "out")
    network = json.loads((folder / "config.json").read_text())["network"]
    assert VAuraConfig.from_dict(network) == NETWORK
