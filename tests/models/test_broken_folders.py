"""Model folders with odd contents: refused in a sentence that names the file, before anything large is built."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from foleycli.errors import FoleyError
from foleycli.hub.catalog import SHIPPED
from foleycli.models.model import load_model


def model_with(folder: Path, part: str, change: dict[str, Any], network: dict[str, Any] | None = None) -> Path:
    """A copy of the default model, or of another family, with changed keys in the config.json of one of its parts."""
    family = part if (SHIPPED / part / "config.json").read_text().count('"family"') > 1 else "salsav-mini"
    places = {family: folder, "mel-mini": folder / "mel-mini", "sync-mini": folder / "sync-mini"}
    for name, place in places.items():
        place.mkdir(exist_ok=True)
        config = json.loads((SHIPPED / name / "config.json").read_text())
        if name == part:
            config |= change
            config["network"] |= network or {}
        (place / "config.json").write_text(json.dumps(config))
        os.symlink(SHIPPED / name / "model.safetensors", place / "model.safetensors")
    return folder


def test_the_copy_itself_loads(tmp_path):
    assert load_model(model_with(tmp_path, "sync-mini", {}), "cpu").name == "salsav-mini"


@pytest.mark.parametrize(
    ("part", "network"),
    [
        ("salsav-mini", {"width": 10**18}),
        ("salsav-mini", {"width": 0}),
        ("salsav-mini", {"width": 1_000_000}),
        ("salsav-mini", {"n_heads": 0}),
        ("salsav-mini", {"n_heads": 3}),
        ("salsav-mini", {"n_single": 1_000_000}),
        ("salsav-mini", {"n_single": -1}),
        ("salsav-mini", {"mlp_ratio": "many"}),
        ("salsav-mini", {"latent_rate_hz": "1/0"}),
        ("salsav-mini", {"latent_rate_hz": 44}),
        ("salsav-mini", {"sync_rate_hz": 24}),
        ("salsav-mini", {"semantic_rate_hz": "1/3"}),
        ("salsav-mini", {"window_steps": 10**9}),
        ("salsav-mini", {"window_steps": 0}),
        ("salsav-mini", {"text_dim": None}),
        ("maskvat-mini", {"conditioning": []}),
        ("maskvat-mini", {"codebook_size": 10**7}),
        ("vaura-mini", {"stream": "smell"}),
        ("vaura-mini", {"visual_rate_hz": 24}),
        ("vaura-mini", {"n_layers": 0}),
        ("vaura-mini", {"n_heads": 0}),
        ("vaura-mini", {"n_heads": 5}),
        ("foleyflow-mini", {"video_heads": 5}),
        ("mel-mini", {"n_fft": 1_000_000}),
        ("mel-mini", {"n_fft": 1023}),
        ("mel-mini", {"hop": 1000}),
        ("mel-mini", {"rate_hz": 0}),
        ("mel-mini", {"rate_hz": 22050}),
        ("mel-mini", {"phase_rounds": 10**6}),
        ("mel-mini", {"width": 10**6}),
        ("sync-mini", {"size_px": 0}),
        ("sync-mini", {"size_px": 10**6}),
        ("sync-mini", {"dilations": [1, 2, 4, 10**6]}),
        ("sync-mini", {"dilations": 3}),
        ("sync-mini", {"video_channels": [32, 64]}),
        ("sync-mini", {"audio_channels": [10**6] * 3}),
    ],
)
def test_senseless_networks(tmp_path, part, network):
    with pytest.raises(FoleyError) as raised:
        load_model(model_with(tmp_path, part, {}, network), "cpu")
    told = raised.value.message
    assert str(tmp_path) in told or "is for" in told or "has no encoder" in told  # or the parts do not fit the model
    assert len(raised.value.message) < 500 and raised.value.hint


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("sync-mini", {"event_threshold": "high"}),
        ("sync-mini", {"event_threshold": None}),
        ("sync-mini", {"class": "lidar"}),
        ("mel-mini", {"class": ["mel-vae"]}),
        ("mel-mini", {"sha256": 5}),
        ("salsav-mini", {"family": "dada"}),
        ("salsav-mini", {"family": None}),
        ("salsav-mini", {"kind": "codec"}),
        ("salsav-mini", {"codec": "sync-mini"}),
        ("salsav-mini", {"sync": "mel-mini"}),
        ("salsav-mini", {"codec": "../../etc"}),
        ("salsav-mini", {"codec": ""}),
        ("salsav-mini", {"codec": "nobody"}),
        ("salsav-mini", {"settings": {"gain_db": 1e9}}),
        ("salsav-mini", {"weights": "other.safetensors"}),
        ("salsav-mini", {"sha256": "0" * 64}),
    ],
)
def test_odd_configs(tmp_path, part, change):
    with pytest.raises(FoleyError) as raised:
        load_model(model_with(tmp_path, part, change), "cpu")
    assert raised.value.hint


@pytest.mark.parametrize("part", ["salsav-mini", "mel-mini", "sync-mini"])
@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path, part, odd):
    folder = model_with(tmp_path, part, {"sha256": ""})
    path = (folder if part == "salsav-mini" else folder / part) / "model.safetensors"
    weights = load_file(path)
    name = max(weights, key=lambda key: weights[key].numel())
    weights[name] = torch.full_like(weights[name], odd)
    path.unlink()
    save_file(weights, path)
    with pytest.raises(FoleyError, match=f"{path} is damaged: '{name}' holds values that are no finite numbers"):
        load_model(folder, "cpu")


HEADERS = {
    "empty": b"",
    "short": b"\x10\0\0\0\0\0\0\0{",
    "huge": b"\xff" * 8,
    "list": b"\x02\0\0\0\0\0\0\0[]",
    "null": b"\x04\0\0\0\0\0\0\0null",
    "no shape": b'\x09\0\0\0\0\0\0\0{"a": {}}',
    "shape of words": b'\x3b\0\0\0\0\0\0\0{"a": {"dtype": "F32", "shape": ["x"], "data_offsets":[0,4]}}',
    "beyond the end": b'\x3b\0\0\0\0\0\0\0{"a": {"dtype": "F32", "shape": [999], "data_offsets":[0,9]}}',
    "no dtype": b'\x36\0\0\0\0\0\0\0{"a": {"dtype": "X", "shape": [1], "data_offsets":[0,4]}}    ',
}


@pytest.mark.parametrize("header", HEADERS)
def test_odd_headers_are_named_at_loading_and_at_import(tmp_path, monkeypatch, header):
    from foleycli.hub.foreign import import_files

    folder = model_with(tmp_path, "salsav-mini", {"sha256": ""})
    path = folder / "model.safetensors"
    path.unlink()
    path.write_bytes(HEADERS[header])
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "home"))
    for load in (lambda: load_model(folder, "cpu"), lambda: import_files(path, "mmaudio", "mine")):
        with pytest.raises(FoleyError, match=str(path)):
            load()
