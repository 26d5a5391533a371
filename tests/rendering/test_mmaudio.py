"""The whole path with MMAudio in miniature, in the published file forms: render, extend, --ref, long clips."""

import json

import numpy as np
import pytest
import soundfile
from clips import run_ffmpeg
from mmaudio_parts import write_miniature

from foleycli.models.model import load_model
from foleycli.settings.settings import Settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_miniature(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module", autouse=True)
def kept(folder):
    """The model is loaded once."""
    from foleycli.models import model as models

    model = load_model(folder, "cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load_model", lambda *args, **kwargs: model)
        yield model


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """21 s of moving colours, 30 pictures per second, wider than high."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=s=192x108:r=30:d=21")
    run_ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", str(path))
    return path


@pytest.fixture
def render(foley, folder):
    def call(*args):
        told = foley("render", *args, "--model", folder, "--device", "cpu", "--steps", "2", "--json")
        assert told.code == 0, told.err
        return told.lines[0]

    return call


def test_a_long_clip_gets_sound_of_its_length_in_windows_of_eight_seconds(render, long_clip, tmp_path):
    made = render(long_clip, "-o", tmp_path / "a.wav", "--rate", "48000")
    sound, rate_hz = soundfile.read(tmp_path / "a.wav")
    assert rate_hz == 48000 and len(sound) == 21 * 48000
    windows = made["windows"]
    assert len(windows) >= 3 and max(window["n_steps"] for window in windows) <= 250
    # Each window begins on a segment of Synchformer: every 0.32 s, 10 latent steps.
    assert all(window["start_step"] % 10 == 0 for window in windows)
    assert sound.std() > 0


def test_seams_are_no_rougher_than_the_rest(kept, long_clip, tmp_path):
    """Latents at the joins of windows: steps between neighbours, against steps elsewhere."""
    import torch

    from foleycli.rendering.analyze import analyze
    from foleycli.rendering.generate import build_features, sample_latents
    from foleycli.rendering.plan import plan_render

    settings = Settings(steps=8, guidance=2.0, context_s=1.6, cuts=False)
    with torch.inference_mode():
        analysis = analyze(long_clip, kept, duration_s=21.0, detect_cuts=False)
        plan = plan_render(21.0, kept.family.spec, settings, n_steps=656)
        features = build_features(analysis.streams, kept, settings)
        [track] = sample_latents(kept.family, features, plan, settings, [settings.seed])
    jumps = kept.family.network.normalise(track)[0].diff(dim=0).norm(dim=1)  # [L - 1]
    seams = [window.start_step + window.n_context - 1 for window in plan.windows[1:]]
    assert jumps[seams].max() <= jumps.quantile(0.99)


def test_seams_cannot_be_told_from_the_rest_in_the_finished_sound(kept, long_clip):
    from foleycli.lab.seams import measure

    joins, others = measure(kept, long_clip, Settings(steps=4, guidance=2.0, context_s=1.6, cuts=False))
    assert len(joins) >= 2 and others.max() > 0
    assert (joins.max(axis=0) <= np.quantile(others, 0.99, axis=0)).all()  # level, mel bands


def test_words_and_seed_change_the_sound(render, clips, tmp_path):
    clip, heard = clips("short.mp4"), []
    choices = [(), (), ("--seed", "1"), ("--prompt", "rain"), ("--negative-prompt", "music"), ("--guidance", "1")]
    for k, options in enumerate(choices):
        render(clip, "-o", tmp_path / f"{k}.wav", *options)
        heard.append((tmp_path / f"{k}.wav").read_bytes())
    assert heard[0] == heard[1] and len(set(heard)) == len(choices) - 1


def test_reference_changes_the_sound(render, clips, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "ref.wav", 0.2 * rng.standard_normal(32000), 16000)
    render(clips("short.mp4"), "-o", tmp_path / "plain.wav")
    render(clips("short.mp4"), "-o", tmp_path / "with.wav", "--ref", tmp_path / "ref.wav")
    assert (tmp_path / "plain.wav").read_bytes() != (tmp_path / "with.wav").read_bytes()


def test_a_take_goes_on_and_stays_as_it_was(foley, folder, tmp_path):
    take = (0.2 * np.sin(np.arange(24000) / 20) * 32000).astype(np.int16)
    soundfile.write(tmp_path / "take.wav", take, 16000)
    told = foley("extend", "--ref", tmp_path / "take.wav", "-o", tmp_path / "out.wav", "--duration", "3",
                 "--model", folder, "--device", "cpu")  # fmt: skip
    assert told.code == 0, told.err
    made, rate_hz = soundfile.read(tmp_path / "out.wav", dtype="int32")
    assert rate_hz == 16000 and len(made) == 48000
    assert np.array_equal(made[:24000] >> 16, take) and np.ptp(made[24000:] >> 16) > 0


def test_a_dry_run_knows_the_windows_of_published_networks(foley, long_clip, tmp_path):
    config = {"name": "m", "kind": "family", "family": "mmaudio", "network": "large_44k_v2"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = foley("render", long_clip, "--model", tmp_path, "--dry-run", "--json")
    assert told.code == 0, told.err
    assert told.lines[0]["window_s"] == 8.01 and told.lines[0]["windows"] == 3
    assert told.lines[0]["expected_s"] is None and told.lines[0]["expected_memory_mb"] is None
    assert "unknown: m was never measured" in foley("render", long_clip, "--model", tmp_path, "--dry-run").out


def test_a_dry_run_tells_as_many_windows_as_are_made(foley, folder, render, long_clip, tmp_path):
    (tmp_path / "far.yaml").write_text("context_s: 1.7\ncuts: false\n")
    options = (long_clip, "-o", tmp_path / "a.wav", "--preset", tmp_path / "far.yaml")
    (plan,) = foley("render", *options, "--model", folder, "--device", "cpu", "--dry-run", "--json").lines
    assert plan["windows"] == len(render(*options)["windows"]) == 3


def test_video_in_video_out(render, clips, tmp_path):
    made = render(clips("short.mp4"), "-o", tmp_path / "out.mp4")
    assert made["model"] == "mmaudio-miniature" and made["model_sha256"] == "0" * 64
