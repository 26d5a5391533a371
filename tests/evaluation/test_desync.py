"""Synchformer's audio half against the published layers, and DeSync on a real video, with made-up weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import run_ffmpeg
from madeup import FIXTURES, made_up_input, made_up_state

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders import desync
from foleycli.evaluation.metrics.offset import OFFSETS_S
from foleycli.features.synchformer import PREFIX
from foleycli.nn.motionformer import Motionformer, MotionformerConfig

SMALL = MotionformerConfig(width=32, n_heads=4, n_blocks=2, hidden=64, size_px=32)


def state_of(module: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return made_up_state({key: value.shape for key, value in module.state_dict().items()}, prefix=prefix)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file with the published names, of a small network."""
    tower = {PREFIX + key: value for key, value in state_of(Motionformer(SMALL), "tower.").items()}
    path = tmp_path_factory.mktemp("sync") / "synchformer_state_dict.pth"
    torch.save(tower | state_of(desync.OffsetClassifier(SMALL), "judge."), path)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """6 s: long enough for two different parts of 4.8 s."""
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6", "-pix_fmt", "yuv420p", path)
    return path


def test_spectrogram_is_torchaudios():
    measured = np.load(FIXTURES / "synchformer_audio.npz")["mel"]
    made = desync.log_mel(made_up_input("desync", [2, desync.SEGMENT], 0.1))
    assert made.shape == (2, desync.N_MELS, desync.FRAMES)
    np.testing.assert_allclose(made[:, :, ::13], measured, atol=2e-5)


def test_sound_tower_is_the_hubs_spectrogram_transformer():
    tower = desync.AudioTower(SMALL).eval()
    tower.load_state_dict(state_of(tower, "sync."))
    with torch.inference_mode():
        x = tower.ast(made_up_input("ast", [3, 128, 66]))
    np.testing.assert_allclose(x[:2, ::9], np.load(FIXTURES / "synchformer_audio.npz")["hidden"], atol=1e-5)


def test_every_published_parameter_has_its_place():
    """The published safetensors of 32-bit floats have 950 MB: both halves, and what the visual one never uses."""
    with torch.device("meta"):
        whole = [desync.OffsetClassifier(MotionformerConfig()), Motionformer()]
    n = sum(value.numel() for module in whole for value in module.state_dict().values())
    unused = 768 * 3 * 16 * 16 + 768
    assert (n + unused) * 4 / 1e6 == pytest.approx(950, abs=0.5)


def test_desync_is_the_mean_of_the_first_and_last_offsets(published, video):
    scorer = desync.load(published, torch.device("cpu"), SMALL)
    asked = []

    def offset_s(pictures, sound):
        asked.append((pictures.shape, sound.shape))
        return (-0.4, 0.2)[len(asked) - 1]

    samples = made_up_input("six", [6 * 16000], 0.1).numpy()
    found = scorer.score(samples, video)
    assert found in {round(k * 0.1, 1) for k in range(21)}
    scorer.offset_s = offset_s
    assert scorer.score(samples, video) == pytest.approx(0.3)
    assert asked == [((14, 8, 32), (14, 6, 32))] * 2
    assert desync.first_and_last(17) == (slice(0, 14), slice(3, 17))


def test_offsets_are_of_the_papers_classes_and_listen(published):
    """With other weights of the last layer another class wins, and other sounds give other logits."""
    scorer = desync.load(published, torch.device("cpu"), SMALL)
    pictures, sound = made_up_input("seen", [14, 8, 32]), made_up_input("heard", [14, 6, 32])
    with torch.inference_mode():
        for k in (0, 7, 20):
            bias = torch.zeros(21).index_fill(0, torch.tensor(k), 1e3)
            scorer.classifier.transformer.off_head.bias.copy_(bias)
            assert scorer.offset_s(pictures, sound) == pytest.approx(float(OFFSETS_S[k]))
        logits = [
            scorer.classifier.transformer(pictures.flatten(0, 1)[None], h.flatten(0, 1)[None])
            for h in (sound, sound.flip(0))
        ]
        assert (logits[0] - logits[1]).abs().max() > 1e-3


def test_less_than_five_seconds_say_nothing(published, video):
    scorer = desync.load(published, torch.device("cpu"), SMALL)
    for n_samples in (0, 5000, 4 * 16000):
        assert scorer.score(np.zeros(n_samples, np.float32), video) is None


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "synchformer_state_dict.pth"
    torch.save({"something.weight": torch.zeros(2)}, path)
    with pytest.raises(FoleyError, match="does not hold the weights"):
        desync.load(path, torch.device("cpu"), SMALL)
