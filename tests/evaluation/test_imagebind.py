"""IB score: the spectrogram against torchaudio's, published names and sizes, and a real video with made-up weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import run_ffmpeg
from madeup import FIXTURES, made_up_input, made_up_state

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders import imagebind
from foleycli.evaluation.embedders.imagebind import ImageBind, ImageBindConfig

SMALL = ImageBindConfig(16, 32, 2, 4, 24, 2, 4, side_px=28)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file with the published names, of a small network, and with some of what is left out."""
    state = made_up_state({key: value.shape for key, value in ImageBind(SMALL).state_dict().items()}, prefix="ib.")
    rest = {"modality_postprocessors.audio.1.log_logit_scale": torch.ones(()),
            "modality_trunks.text.blocks.0.norm_1.weight": torch.ones(8)}  # fmt: skip
    path = tmp_path_factory.mktemp("ib") / "imagebind_huge.pth"
    torch.save(state | rest, path)
    return path


def film(folder, source: str, size: str = "96x56", duration_s: float = 6.5):
    path = folder / f"{source}-{size}-{duration_s}.mp4"
    run_ffmpeg("-f", "lavfi", "-i", f"{source}=s={size}:r=25:d={duration_s}", "-pix_fmt", "yuv420p", path)
    return path


@pytest.mark.parametrize(("name", "n_samples"), [("whole", 32000), ("short", 20000)])
def test_spectrogram_is_torchaudios(name, n_samples):
    """Against torchaudio 2.8's kaldi.fbank with the publisher's options; a short piece is filled with zeros."""
    made = imagebind.log_mel(made_up_input(f"imagebind {n_samples}", [n_samples], 0.1) + 0.05)
    np.testing.assert_allclose(made[::7, ::5], np.load(FIXTURES / "imagebind_audio.npz")[name], atol=2e-5)


def test_published_parameters_have_their_places():
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in ImageBind(ImageBindConfig()).state_dict().items()}
    before, trunks, heads = "modality_preprocessors", "modality_trunks", "modality_heads"
    for key, shape in {
        f"{before}.vision.rgbt_stem.proj.1.weight": (1280, 3, 2, 14, 14),
        f"{before}.vision.pos_embedding_helper.pos_embed": (1, 257, 1280),
        f"{before}.audio.rgbt_stem.proj.weight": (768, 1, 16, 16),
        f"{before}.audio.rgbt_stem.norm_layer.weight": (768,),
        f"{before}.audio.pos_embedding_helper.pos_embed": (1, 229, 768),
        f"{before}.audio.cls_token": (1, 1, 768),
        f"{trunks}.vision.pre_transformer_layer.0.bias": (1280,),
        f"{trunks}.vision.blocks.31.attn.in_proj_weight": (3840, 1280),
        f"{trunks}.audio.blocks.11.attn.bias_k": (1, 1, 768),
        f"{trunks}.audio.blocks.0.mlp.fc1.weight": (3072, 768),
        f"{heads}.vision.2.weight": (1024, 1280),
        f"{heads}.audio.0.weight": (768,),
    }.items():
        assert shapes[key] == shape, key
    assert not any(key.startswith(f"{trunks}.audio.pre") or ("vision" in key and "bias_k" in key) for key in shapes)


def test_score_is_a_cosine_that_heeds_sound_and_picture(published, tmp_path):
    scorer = imagebind.load(published, CPU, SMALL)
    bars, colours = film(tmp_path, "testsrc2"), film(tmp_path, "rgbtestsrc")
    sounds = [made_up_input(name, [6 * 16000], 0.1).numpy() for name in ("one", "two")]
    sounds[1][::2] *= 0.1
    scores = [scorer.score(sound, picture) for sound in sounds for picture in (bars, colours)]
    assert all(-1 <= score <= 1 for score in scores) and len({round(score, 4) for score in scores}) == 4
    assert scorer.score(sounds[0], bars) == scores[0]


@pytest.mark.parametrize(("size", "duration_s", "n_pairs"), [("96x56", 6.5, 3), ("56x96", 2.5, 1), ("64x64", 1.0, 1)])
def test_pictures_are_pairs_two_seconds_apart_in_three_crops(published, tmp_path, size, duration_s, n_pairs):
    scorer = imagebind.load(published, CPU, SMALL)
    frames = scorer.read_crops(film(tmp_path, "testsrc2", size, duration_s))
    assert frames.shape[1:] == (3, 3, 28, 28)
    assert imagebind.pairs(frames).shape == (3 * n_pairs, 3, 2, 28, 28)
    ends_differ = not torch.equal(frames[:, 0], frames[:, 2])
    assert ends_differ == (size != "64x64")


def test_pieces_of_sound_go_from_the_first_to_the_last():
    samples = torch.arange(16000 * 7)
    assert [piece[0].item() for piece in imagebind.pieces(samples)] == [0, 40000, 80000]
    assert [len(piece) for piece in imagebind.pieces(samples[:9000])] == [9000] * 3


def test_next_to_no_sound_says_nothing_and_another_file_is_refused(published, tmp_path):
    assert imagebind.load(published, CPU, SMALL).score(np.zeros(100, np.float32), published) is None
    torch.save({"something.weight": torch.zeros(2)}, tmp_path / "imagebind_huge.pth")
    with pytest.raises(FoleyError, match="does not hold the weights"):
        imagebind.load(tmp_path / "imagebind_huge.pth", CPU, SMALL)
