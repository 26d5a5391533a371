"""Weights folders: written and read back, config.json checked key by key."""

import json
import os
from dataclasses import replace

import pytest
import torch
from torch import nn

from foleycli.errors import FoleyError
from foleycli.hub.catalog import entries
from foleycli.weights.checkpoint import load_strict, read
from foleycli.weights.config import ModelConfig, network_config, parse_config, read_config, write_config
from foleycli.weights.folder import save, sha256_of, verify


@pytest.mark.parametrize("name", ["plain", "caf\udce9"])  # the second is no UTF-8
def test_there_and_back(tmp_path, name):
    layer, folder = nn.Linear(2, 3), tmp_path / name
    config = ModelConfig(name="mine", kind="codec", loader_class="mel-vae", network={"width": 3}, training=[{"n": 1}])
    save(layer.state_dict(), folder, config, torch.float16)
    found, weights = read_config(folder), folder / "model.safetensors"
    assert found == replace(config, sha256=sha256_of(weights)) and verify(folder) == found.sha256
    assert read(weights)["weight"].dtype == torch.float16
    assert torch.equal(load_strict(lambda: nn.Linear(2, 3), weights).bias, layer.bias.half().float())
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors"]


def test_tensors_that_share_memory_are_saved(tmp_path):
    whole = torch.arange(6.0)
    save({"first": whole[:3], "all": whole}, tmp_path, ModelConfig())
    assert read(tmp_path / "model.safetensors")["first"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "dtype"), [(float("nan"), None), (float("inf"), torch.float16), (1e5, torch.float16)]
)
def test_a_training_that_diverged_is_not_written_over_a_good_one(tmp_path, value, dtype):
    save({"weight": torch.ones(2)}, tmp_path, ModelConfig(name="good"))
    with pytest.raises(FoleyError, match="'weight' holds values that are no finite numbers") as raised:
        save({"weight": torch.tensor([1.0, value])}, tmp_path, ModelConfig(name="bad"), dtype)
    assert "Nothing was written" in raised.value.hint
    assert read_config(tmp_path).name == "good" and verify(tmp_path)


@pytest.mark.parametrize("entry", [entry for entry in entries() if entry.is_shipped], ids=lambda entry: entry.name)
def test_shipped_configs_are_read_and_written_as_they_are(entry, tmp_path):
    config = read_config(entry.folder)
    write_config(tmp_path, config)
    written, own = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path, entry.folder))
    assert written == own


@pytest.mark.parametrize("entry", [entry for entry in entries() if not entry.is_shipped], ids=lambda entry: entry.name)
def test_published_models_are_described_by_a_config(entry, tmp_path):
    write_config(tmp_path, entry.model_config)
    assert read_config(tmp_path) == entry.model_config and entry.model_config.is_published


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "holds a list, not a mapping"),
        (None, "holds null, not a mapping"),
        ({"colour": "red"}, "has the unknown key 'colour'"),
        ({"loader_class": "dac"}, "has the unknown key 'loader_class'"),
        ({"kind": "banana"}, "kind is 'banana'"),
        ({"network": [1]}, "network is [1]"),
        ({"settings": {"gain_db": 1e9}}, "settings: gain_db is 1000000000.0"),
        ({"settings": {"guidance": float("nan")}}, "settings: guidance is nan"),
        ({"settings": {"gudiance": 3}}, "settings has the unknown setting 'gudiance'"),
        ({"settings": {"steps": "many"}}, "settings: steps is 'many'"),
        ({"settings": {"prompt": "\ud800"}}, r"settings: prompt is '\ud800'"),
        ({"settings": [1]}, "settings is [1]"),
        ({"codec": "../x"}, "codec is '../x', which is no plain name"),
        ({"weights": "/etc/passwd"}, "weights is '/etc/passwd', which is no plain name"),
        ({"vae": r"..\x"}, "vae is"),
        ({"sync": "hub:x/y"}, "sync is 'hub:x/y', which is no plain name"),
        ({"files": {"../a": {}}}, "files is '../a', which is no plain name"),
        ({"files": {"a": "b"}}, "files is {'a': 'b'}"),
        ({"vae_width": 1.5}, "vae_width is 1.5"),
        ({"event_threshold": 3}, "event_threshold is 3"),
        ({"name": 3}, "name is 3"),
        ({"name": "\ud800"}, r"name is '\ud800'"),
        ({"version": True}, "version is True"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, values, said):
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(FoleyError) as raised:
        read_config(tmp_path)
    assert raised.value.message.startswith(str(tmp_path / "config.json")) and said in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff\xfe{}", "cannot be read"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"version": ' + b"9" * 5000 + b"}", "cannot be read"),
        (b'{"name": "' + b"x" * (1 << 24) + b'"}', "too large"),
    ],
)
def test_files_that_are_no_json(tmp_path, content, said):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(FoleyError, match=said) as raised:
        read_config(tmp_path)
    assert len(raised.value.message) < 400


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(FoleyError, match="has no config.json"):
        read_config(tmp_path)
    with pytest.raises(FoleyError, match="is missing"):
        read(tmp_path / "model.safetensors")
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FoleyError, match="has no model.safetensors"):
        verify(tmp_path)


def test_hub_encoders_are_no_folders():
    assert parse_config({"semantic": "hub:google/siglip2", "text": "hub:a/b"}, "x").semantic == "hub:google/siglip2"


@pytest.mark.parametrize("width", [1 << 40, -(1 << 40), 10**400, float("inf"), float("nan")])
def test_sizes_beyond_sense_are_refused(width):
    from foleycli.nn.motionformer import MotionformerConfig

    with pytest.raises(FoleyError, match="the network: width is"):
        network_config(MotionformerConfig, {"width": width}, "the network")
