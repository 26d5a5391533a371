"""aisfx's network against the publisher's own, with made-up weights, and the files that it is read from."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch
from madeup import FIXTURES, made_up_input, made_up_state

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders import aisfx


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    shapes = {key: value.shape for key, value in aisfx.Aisfx().state_dict().items()}
    return made_up_state(shapes, prefix="aisfx.")


@pytest.fixture(scope="module")
def published(state) -> bytes:
    """A checkpoint as the publisher's: tensors, a classifier that is not needed, and numpy integers."""
    tensors = {f"embedding_net.{key}": value for key, value in state.items()} | {"fc.0.0.weight": torch.zeros(2, 2)}
    file = io.BytesIO()
    torch.save((tensors, {"prosfx": (np.int64(0), 78)}), file)
    return file.getvalue()


SOUND = made_up_input("aisfx", [4 * 44100 + 321], 0.1).clamp(-1, 1).numpy()


def test_spectrogram_is_essentias():
    measured = np.load(FIXTURES / "aisfx.npz")
    made = aisfx.log_mel(SOUND)
    assert len(made) == measured["n_frames"]
    np.testing.assert_allclose(made[::24], measured["spectrogram"], atol=2e-5)


def test_embeddings_are_the_publishers(state):
    measured = np.load(FIXTURES / "aisfx.npz")["embeddings"]
    network = aisfx.Aisfx().eval()
    network.load_state_dict(state)
    spectrogram = torch.from_numpy(aisfx.log_mel(SOUND)) / aisfx.MAX_LOG_MEL
    with torch.inference_mode():
        made = network(aisfx.blocks(spectrogram)).numpy()
    np.testing.assert_allclose(made, measured, atol=1e-5)


def test_reads_the_checkpoint_and_the_wheel(published, tmp_path):
    alone, wheel = tmp_path / "aisfx.pth", tmp_path / "aisfx-0.1.2-py2.py3-none-any.whl"
    alone.write_bytes(published)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(aisfx.IN_WHEEL, published)
    one, two = (aisfx.load(path, torch.device("cpu")).embed(SOUND).vectors for path in (alone, wheel))
    assert one.shape == (2, 512) and one.std() > 0.01
    np.testing.assert_array_equal(one, two)


def test_level_does_not_matter_and_silence_and_clicks_are_heard(published, tmp_path):
    path = tmp_path / "aisfx.pth"
    path.write_bytes(published)
    embedder = aisfx.load(path, torch.device("cpu"))
    np.testing.assert_allclose(embedder.embed(0.05 * SOUND).vectors, embedder.embed(SOUND).vectors, atol=1e-4)
    for short in (np.zeros(44100, np.float32), np.ones(1, np.float32), np.zeros(0, np.float32)):
        vectors = embedder.embed(short).vectors
        assert vectors.shape == (1, 512) and np.isfinite(vectors).all()


@pytest.mark.parametrize("content", [b"this is no checkpoint", b""])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "aisfx.pth"
    path.write_bytes(content)
    with pytest.raises(FoleyError, match=r"aisfx\.pth cannot be read"):
        aisfx.load(path, torch.device("cpu"))


def test_another_networks_weights_are_refused(tmp_path):
    path = tmp_path / "aisfx.pth"
    torch.save({"embedding_net.conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(FoleyError, match="does not hold the weights"):
        aisfx.load(path, torch.device("cpu"))


def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    path = tmp_path / "aisfx.pth"
    torch.save((Evil(), {}), path)
    with pytest.raises(FoleyError, match="cannot be read"):
        aisfx.load(path, torch.device("cpu"))
