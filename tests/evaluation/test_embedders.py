"""VGGish, Cnn14 and PaSST against their publishers' code, with made-up weights in fewer and narrower layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from madeup import FIXTURES, made_up_input, made_up_state

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders import cnn14, passt, vggish
from foleycli.evaluation.embedders.base import build, read_published

SOUND = made_up_input("listeners", [2 * 16000 + 123], 0.1).clamp(-1, 1).numpy()
NARROW = (1, 8, 16, 24, 32, 40, 48)


@pytest.fixture(scope="module")
def measured():
    return np.load(FIXTURES / "embedders.npz")


@pytest.fixture(scope="module")
def small_vggish() -> vggish.VggishEmbedder:
    network = vggish.Vggish(hidden=16).eval()
    network.load_state_dict(made_up_state({k: v.shape for k, v in network.state_dict().items()}, prefix="vggish."))
    return vggish.VggishEmbedder(network, torch.device("cpu"))


@pytest.fixture(scope="module")
def small_cnn14(measured) -> cnn14.Cnn14Embedder:
    network = cnn14.Cnn14(NARROW).eval()
    shapes = {key: value.shape for key, value in network.state_dict().items() if key != "mel_filters"}
    filters = torch.from_numpy(measured["cnn14_filters"])
    network.load_state_dict(made_up_state(shapes, prefix="cnn14.") | {"mel_filters": filters})
    return cnn14.Cnn14Embedder(network, torch.device("cpu"))


@pytest.fixture(scope="module")
def small_passt() -> passt.PasstEmbedder:
    network = passt.Passt(width=24, n_blocks=2, n_heads=4).eval()
    network.load_state_dict(made_up_state({k: v.shape for k, v in network.state_dict().items()}, prefix="passt."))
    return passt.PasstEmbedder(network, torch.device("cpu"))


def test_vggish_hears_what_the_publishers_does(small_vggish, measured):
    np.testing.assert_allclose(
        vggish.log_mel(SOUND)[:192].reshape(2, 96, 64)[:, ::16], measured["vggish_examples"], atol=1e-5
    )
    np.testing.assert_allclose(small_vggish.embed(SOUND).vectors, measured["vggish"], atol=1e-5)


def test_cnn14_hears_what_the_publishers_does(small_cnn14, measured):
    embedding = small_cnn14.embed(SOUND)
    np.testing.assert_allclose(embedding.vectors[0], measured["cnn14_embedding"], atol=1e-5)
    np.testing.assert_allclose(embedding.logits, measured["cnn14_logits"], atol=1e-5)


def test_passt_hears_what_the_publishers_does(small_passt):
    measured, sound = np.load(FIXTURES / "passt.npz"), made_up_input("passt", [3 * 32000 + 77], 0.1).clamp(-1, 1)
    padded = torch.nn.functional.pad(sound, (0, passt.PIECE - len(sound)))[None]
    np.testing.assert_allclose(passt.log_mel(padded)[0, :, ::64], measured["mel"], atol=5e-5)
    embedding = small_passt.embed(sound.numpy())
    np.testing.assert_allclose(embedding.vectors[0], measured["embedding"], atol=2e-5)
    np.testing.assert_allclose(embedding.logits, measured["logits"], atol=2e-5)


def test_passt_hears_a_long_sound_by_pieces(small_passt):
    sound = made_up_input("long", [12 * 32000], 0.1).numpy()
    whole, first, rest = (small_passt.embed(part) for part in (sound, sound[: passt.PIECE], sound[passt.PIECE :]))
    np.testing.assert_allclose(whole.vectors, np.concatenate([first.vectors, rest.vectors]), atol=1e-5)
    np.testing.assert_allclose(whole.logits, (first.logits + rest.logits) / 2, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 300, 15000])
def test_short_sounds_and_silence(small_vggish, small_cnn14, small_passt, n):
    for embedder in (small_vggish, small_cnn14, small_passt):
        embedding = embedder.embed(np.zeros(n, np.float32))
        assert len(embedding.vectors) == 1 and np.isfinite(embedding.vectors).all()


def test_cnn14s_file_brings_its_filters_and_more_than_is_needed(small_cnn14, tmp_path):
    """As PANNs' files: the tensors under "model", numpy numbers beside them, a Fourier transform as convolutions."""
    own = small_cnn14.network.state_dict()
    published = {"logmel_extractor.melW" if key == "mel_filters" else key: value for key, value in own.items()}
    published["spectrogram_extractor.stft.conv_real.weight"] = torch.zeros(257, 1, 512)
    path = tmp_path / "Cnn14_16k_mAP=0.438.pth"
    torch.save({"iteration": np.int64(3), "sampler": {"indexes": np.arange(3)}, "model": published}, path)
    again = build(lambda: cnn14.Cnn14(NARROW), cnn14.renamed(read_published(path)), path)
    embedder = cnn14.Cnn14Embedder(again, torch.device("cpu"))
    np.testing.assert_array_equal(embedder.embed(SOUND).logits, small_cnn14.embed(SOUND).logits)


@pytest.mark.parametrize("module", [vggish, cnn14, passt])
def test_another_file_is_refused(module, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"layer.weight": torch.zeros(2)}, path)
    with pytest.raises(FoleyError, match="does not hold the weights"):
        module.load(path, torch.device("cpu"))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(FoleyError, match="cannot be read"):
        module.load(path, torch.device("cpu"))
