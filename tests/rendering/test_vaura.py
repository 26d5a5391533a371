"""V-AURA's checkpoint to a sound for a real clip: the whole path with a small network and made-up weights."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from clips import flash_clip
from vaura_parts import save_checkpoint

from foleycli.hub.catalog import fetched_models
from foleycli.hub.pull import import_network
from foleycli.media.probe import probe
from foleycli.models.model import load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("vaura")
    checkpoint = save_checkpoint(place / "small.ckpt")
    (place / "small").mkdir()
    import_network(checkpoint, place / "small", "small", fetched_models("vaura"), {"sha256": ""})
    return place / "small"


@pytest.fixture
def vaura(foley, folder):
    """`vaura("render", clip, "-o", out)`: the real command with the small model."""
    return lambda command, *args: foley(command, "--model", folder, "--device", "cpu", *args)


def test_clip_gets_sound_of_its_own_length(vaura, clips, tmp_path):
    clip, out = clips("plain.mp4"), tmp_path / "out.mp4"
    told = vaura("render", clip, "-o", out, "--seed", 4)
    assert told.code == 0, told.err
    made = probe(out)
    assert made.has_audio and made.duration_s == pytest.approx(probe(clip).duration_s, abs=0.05)


def test_windows_follow_each_other_and_seeds_decide(vaura, tmp_path):
    clip = flash_clip(tmp_path / "long.mp4", duration_s=3.2)  # two windows
    sounds = {}
    for name, seed in (("first", 4), ("again", 4), ("other", 5)):
        out = tmp_path / f"{name}.wav"
        told = vaura("render", clip, "-o", out, "--seed", seed)
        assert told.code == 0, told.err
        sounds[name], rate_hz = soundfile.read(out)
        assert len(sounds[name]) == round(probe(clip).duration_s * rate_hz)
    assert np.array_equal(sounds["first"], sounds["again"])
    assert not np.allclose(sounds["first"], sounds["other"], atol=1e-3)


def test_reference_is_heard(vaura, clips, write_take, tmp_path):
    take = write_take(tmp_path / "take.wav", 44100, 1)
    clip, sounds = clips("short.mp4"), []
    for name, extra in (("with", ("--ref", take)), ("without", ())):
        told = vaura("render", clip, "-o", tmp_path / f"{name}.wav", *extra)
        assert told.code == 0, told.err
        sounds.append(soundfile.read(tmp_path / f"{name}.wav")[0])
    assert sounds[0].shape == sounds[1].shape and not np.allclose(*sounds, atol=1e-3)


def test_take_is_carried_on_and_not_touched(vaura, write_take, tmp_path):
    take = write_take(tmp_path / "take.wav", 44100, 1)
    told = vaura("extend", "--ref", take, "-o", tmp_path / "out.wav", "--duration", 3)
    assert told.code == 0, told.err
    before, after = soundfile.read(take)[0], soundfile.read(tmp_path / "out.wav")[0]
    assert len(after) == 3 * 44100
    assert np.allclose(after[: len(before)], before, atol=2e-5)
    assert np.abs(after[len(before) :]).max() > 0


def test_its_own_settings_hold_where_the_user_says_nothing(vaura, clips, tmp_path):
    def settings(*args):
        told = vaura("render", clips("plain.mp4"), "-o", tmp_path / "out.wav", "--dry-run", "--json", *args)
        return {name: told.lines[0]["settings"][name] for name in ("guidance", "context_s", "steps")}

    assert settings() == {"guidance": 6.0, "context_s": 1.28, "steps": 8}
    assert settings("--guidance", 3) == {"guidance": 3.0, "context_s": 1.28, "steps": 8}
    assert settings("--preset", "ambience") == {"guidance": 3.0, "context_s": 1.0, "steps": 8}


def test_words_are_refused(vaura, clips, tmp_path):
    told = vaura("render", clips("plain.mp4"), "-o", tmp_path / "out.wav", "--prompt", "glass")
    assert told.code == 1 and "takes no prompt" in told.err and not list(tmp_path.iterdir())


def test_codec_of_a_token_family_gives_codes(folder):
    model = load_model(folder, "cpu")
    codes = model.codec.encode(0.1 * torch.randn(1, 5000))
    assert codes.shape == (1, 10, model.family.spec.latent_dim) and torch.equal(codes, codes.round())
