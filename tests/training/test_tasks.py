"""`foley train` for each kind, two steps of small networks: on no files at all, on sounds, on filmed videos.

The parts are trained one after the other, as a user would, and what comes out renders a clip.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from clips import run_ffmpeg
from safetensors.torch import load_file

from foleycli.codecs.melvae import MelVae, MelVaeConfig
from foleycli.soundset.sounds import read_sounds
from foleycli.training import run
from foleycli.training.discriminator import AdversarialTrainer, MelDiscriminator
from foleycli.training.mel_codec import measure_gain
from foleycli.weights.config import read_config

COMMON = {"steps": 2, "batch_size": 2, "lr": 1e-3, "warmup_steps": 1, "log_every": 1, "precision": "float32"}
CODEC = {"encoder_dim": 8, "decoder_dim": 64, "n_codebooks": 2, "codebook_size": 32}
MEL = {"width": 16, "n_encoder": 1, "n_decoder": 1, "n_codebooks": 2, "codebook_size": 32, "phase_rounds": 2}
SYNC = {"size_px": 32, "width": 14, "video_channels": [8, 8, 8], "audio_channels": [4, 8, 8], "n_queries": 1}
SALSAV = {"size": "mini", "width": 32, "n_heads": 2, "n_joint": 1, "n_single": 1, "sync_dim": 16, "window_steps": 43}
VAURA = {"size": "mini", "width": 32, "n_heads": 2, "n_layers": 1, "visual_width": 8, "visual_dim": 16,
         "n_visual": 25, "window_steps": 43, "n_codebooks": 2, "codebook_size": 32}  # fmt: skip
MASKVAT = {"size": "mini", "conditioning": "hybrid", "width": 32, "n_heads": 2, "n_blocks": 1, "n_encoder": 1,
           "sync_dim": 16, "heard_dim": 14, "window_steps": 43, "n_codebooks": 2, "codebook_size": 32}  # fmt: skip
FOLEYFLOW = {"size": "mini", "width": 32, "n_heads": 2, "n_blocks": 1, "sync_dim": 16, "window_steps": 43,
             "video_width": 16, "video_heads": 2, "video_layers": 1, "audio_width": 16, "audio_heads": 2,
             "audio_layers": 1, "decoder_layers": 1}  # fmt: skip
CLIPS = {"duration_s": 1.2, "size_px": 40, "pool": 8}


@pytest.fixture
def train(foley, tmp_path):  # noqa: ANN001, ANN201
    def call(kind: str, out: Path, name: str, *options: str, **recipe: object):  # noqa: ANN202
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**COMMON, "name": name, **recipe}))
        return foley("train", kind, "--config", path, "--out", out, "--device", "cpu", "--quiet", *options)

    return call


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:  # noqa: ANN001
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:  # noqa: ANN001
    """Two kinds, three files, one of which is kept back."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for file, rate_hz in (("hit/a.wav", 44100), ("hit/b.flac", 22050), ("rain/c.wav", 48000)):
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.3 * rng.standard_normal(rate_hz) * np.exp(-np.arange(rate_hz) / rate_hz * 8), rate_hz)
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:  # noqa: ANN001
    """Two short films with sound, one without, one too short."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "door").mkdir()
    picture, sound = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=30"), ("-f", "lavfi", "-i", "sine=f=300")
    h264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
    for name, seconds in (("door/a.mp4", 2), ("door/b.mp4", 1.6), ("short.mp4", 0.5)):
        run_ffmpeg(*picture, *sound, *h264, "-t", seconds, folder / name)
    run_ffmpeg(*picture, *h264, "-t", 2, folder / "silent.mp4")
    return folder


def log_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_codec_from_a_folder_of_sounds(train, runs, sounds):
    told = train("codec", runs / "codec", "dac-test", network=CODEC, data={"sounds": str(sounds), "crop_steps": 8})
    assert (told.code, told.out) == (0, f"{runs / 'codec' / 'model'}\n")
    config = read_config(runs / "codec" / "model")
    assert (config.name, config.kind, config.training["steps"]) == ("dac-test", "codec", 2)
    lines = log_of(runs / "codec")
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert {"mel_latents", "mel_codes"} <= set(lines[-1]["validation"])


def test_mel_codec_from_a_folder_of_sounds(train, runs, sounds):
    data = {"sounds": str(sounds), "crop_steps": 8, "first": 3, "pool": 6, "fresh_per_step": 4}
    told = train("mel-codec", runs / "mel", "mel-test", network=MEL, data=data)
    assert told.code == 0, told.err
    config = read_config(runs / "mel" / "model")
    assert (config.loader_class, config.training["steps"], config.network_values["width"]) == ("mel-vae", 2, 16)
    assert {"mel_latents", "mel_codes", "power_latents"} <= set(log_of(runs / "mel")[-1]["validation"])
    spread = load_file(runs / "mel" / "model" / "model.safetensors")["latent_std"]
    assert spread.shape == (64,) and (spread > 0).all() and not (spread == 1).any()  # measured


def test_mel_codec_against_a_discriminator(train, tmp_path, sounds):
    data = {"sounds": str(sounds), "crop_steps": 8, "first": 3, "pool": 6, "fresh_per_step": 1}
    out = tmp_path / "run"
    objective = {"adversarial": 0.1, "discriminator_width": 4}
    assert train("mel-codec", out, "mel-gan", network=MEL, data=data, objective=objective).code == 0
    assert all(line["discriminator"] > 0 for line in log_of(out) if "loss" in line)
    weights = torch.load(out / "last.pt", weights_only=True)["task"]["network"]
    assert weights["0.score.bias"].abs().sum() > 0 and len(weights) == 15  # kept, to go on


def test_a_step_trains_the_discriminator_and_gives_the_codec_a_gradient():
    torch.manual_seed(0)
    discriminator, decoded, real = (
        MelDiscriminator(4),
        torch.zeros(2, 40, 40, requires_grad=True),
        torch.randn(2, 40, 40),
    )
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    trainer = AdversarialTrainer([discriminator], lr=1e-3)
    losses = [trainer.step(decoded, real)["discriminator"].item() for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    assert not any(torch.equal(before[name], value) for name, value in discriminator.state_dict().items())
    (gradient,) = torch.autograd.grad(trainer.step(decoded, real)["adversarial"], decoded)
    assert gradient.abs().max() > 0
    resumed = AdversarialTrainer([MelDiscriminator(4)], lr=1e-3)
    resumed.load_state(deepcopy(trainer.state()))
    assert resumed.step(decoded, real)["adversarial"] == trainer.step(decoded, real)["adversarial"]


def test_the_mel_codecs_gain_evens_out_levels(sounds):
    torch.manual_seed(0)
    codec = MelVae(MelVaeConfig(**MEL)).eval()
    read = [sound for is_held_out in (False, True) for sound in read_sounds(sounds, held_out=is_held_out)]
    measure_gain(codec, read)
    changes_db = []
    for sound in read:
        samples = torch.from_numpy(sound.as_float())[None]
        with torch.no_grad():
            made = codec.synthesise(codec.posterior(samples).mean)
        changes_db.append(10 * np.log10(made.square().mean().item() / samples.square().mean().item()))
    assert len(changes_db) == 3 and codec.output_gain != 1
    assert np.mean(changes_db) == pytest.approx(0, abs=0.01)


def test_codec_against_a_discriminator(train, tmp_path, sounds):
    data = {"sounds": str(sounds), "crop_steps": 8}
    objective = {"adversarial": 1.0, "adversarial_from": 1}
    out = tmp_path / "run"
    assert train("codec", out, "dac-gan", network=CODEC, data=data, objective=objective).code == 0
    first, second = (line for line in log_of(out) if "loss" in line)
    assert "discriminator" not in first and second["discriminator"] > 0 and second["feature"] > 0


def test_killed_codec_training_goes_on_as_if_it_had_not_been(tmp_path, sounds):
    """With a discriminator, which learns too, and with all noise."""
    recipe = {**COMMON, "name": "dac", "steps": 3, "save_every": 2, "network": CODEC}
    recipe |= {"data": {"sounds": str(sounds), "crop_steps": 4}, "objective": {"adversarial": 1.0}}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))

    class KilledError(Exception):
        """As SIGKILL, this leaves no time to save."""

    def kill(stage: str, done: float, total: float) -> None:
        if done == total:
            raise KilledError

    run.train("codec", path, tmp_path / "whole", device="cpu")
    with pytest.raises(KilledError):
        run.train("codec", path, tmp_path / "parts", device="cpu", report=kill)
    assert not (tmp_path / "parts" / "model").exists()
    run.train("codec", path, tmp_path / "parts", resume=True, device="cpu")
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_sync_from_worlds_without_a_file(train, runs):
    data = {**CLIPS, "fresh_per_step": 1}
    told = train("sync", runs / "sync", "sync-test", network=SYNC, data=data, objective={"validation_clips": 2})
    assert told.code == 0
    config = read_config(runs / "sync" / "model")
    assert config.kind == "sync" and 0 < config.event_threshold < 1
    assert "own_snippet" in log_of(runs / "sync")[-1]["validation"]


def test_sync_from_filmed_videos(train, tmp_path, videos):
    data = {**CLIPS, "videos": str(videos), "fresh_per_step": 1}
    told = train("sync", tmp_path / "run", "film", network=SYNC, data=data, objective={"validation_clips": 1})
    assert told.code == 0
    losses = [line for line in log_of(tmp_path / "run") if "loss" in line]
    assert [line["event"] for line in losses] == [0, 0]  # no times are known
    assert all(line["contrast"] > 0 and line["loudness"] > 0 for line in losses)


@pytest.mark.parametrize("source", ["worlds", "videos"])
def test_salsa_v_on_the_trained_parts(train, runs, videos, source):
    clips = {**CLIPS, "videos": str(videos)} if source == "videos" else CLIPS
    data = {"codec": str(runs / "codec" / "model"), "sync": str(runs / "sync" / "model"), "clips": clips}
    data |= {"fresh_per_step": 1, "validation_clips": 2, "sounds_per_clip": 2}
    objective = {"max_span": 20} if source == "worlds" else {}
    out = runs / f"salsav-{source}"
    told = train("salsa-v", out, "salsav-test", network=SALSAV, data=data, objective=objective)
    assert told.code == 0, told.err
    config = read_config(out / "model")
    assert (config.kind, config.family, config.codec, config.sync) == (
        "family", "salsa-v", "dac-test", "sync-test",
    )  # fmt: skip
    assert "flow" in log_of(out)[-1]["validation"]


def test_salsa_v_on_the_mel_codec(train, runs, tmp_path):
    data = {"codec": str(runs / "mel" / "model"), "sync": str(runs / "sync" / "model"), "clips": CLIPS}
    data |= {"fresh_per_step": 1, "validation_clips": 2, "sounds_per_clip": 1}
    told = train("salsa-v", tmp_path / "run", "on-mel", network=SALSAV, data=data)
    assert told.code == 0, told.err
    assert read_config(tmp_path / "run" / "model").codec == "mel-test"
    assert read_config(tmp_path / "run" / "model" / "mel-test").loader_class == "mel-vae"  # it comes along


def test_what_was_trained_renders(foley, runs, clips, tmp_path):
    """The model folder holds its codec and encoder: it can be moved, and used by its path."""
    moved = tmp_path / "mine"
    (runs / "salsav-worlds" / "model").rename(moved)
    args = ("--model", moved, "--steps", "2", "--device", "cpu", "--json")
    told = foley("render", clips("short.mp4"), "-o", tmp_path / "out.wav", *args)
    assert told.code == 0
    assert told.lines[0]["model"] == "salsav-test"
    assert soundfile.info(tmp_path / "out.wav").frames == round(0.2 * 48000)


def test_vaura_on_the_trained_parts_renders(foley, train, runs, clips, tmp_path):
    data = {"codec": str(runs / "codec" / "model"), "sync": str(runs / "sync" / "model"), "clips": CLIPS}
    data |= {
        "fresh_per_step": 1,
        "validation_clips": 2,
        "sounds_per_clip": 2,
        "p_reference": 0.3,
        "p_library_sound": 0.5,
    }
    told = train("vaura", tmp_path / "run", "vaura-test", network=VAURA, data=data)
    assert told.code == 0, told.err
    config = read_config(tmp_path / "run" / "model")
    assert (config.family, config.codec, config.settings["guidance"]) == ("vaura", "dac-test", 6.0)
    figures = log_of(tmp_path / "run")[-1]["validation"]
    assert {"seen_nats", "unseen_nats"} <= set(figures)
    args = ("--model", tmp_path / "run" / "model", "--device", "cpu")
    assert foley("render", clips("short.mp4"), "-o", tmp_path / "out.wav", *args).code == 0
    told = train("vaura", tmp_path / "wrong", "x", network={**VAURA, "n_codebooks": 3}, data=data)
    assert told.code == 1 and "n_codebooks" in told.err


def test_maskvat_on_the_trained_parts_renders(foley, train, runs, clips, tmp_path):
    data = {"codec": str(runs / "codec" / "model"), "sync": str(runs / "sync" / "model"), "clips": CLIPS}
    data |= {
        "fresh_per_step": 1,
        "validation_clips": 2,
        "sounds_per_clip": 2,
        "p_reference": 0.3,
        "p_library_sound": 0.5,
    }
    told = train("maskvat", tmp_path / "run", "maskvat-test", network=MASKVAT, data=data)
    assert told.code == 0, told.err
    config = read_config(tmp_path / "run" / "model")
    assert (config.family, config.codec, config.network_values["conditioning"]) == ("maskvat", "dac-test", "hybrid")
    figures = log_of(tmp_path / "run")[-1]["validation"]
    assert {"codes", "coarsest", "regression", "contrast"} <= set(figures)
    args = ("--model", tmp_path / "run" / "model", "--device", "cpu", "--json")
    told = foley("render", clips("short.mp4"), "-o", tmp_path / "out.wav", *args)
    assert told.code == 0 and told.lines[0]["settings"]["steps"] == config.settings["steps"] == 16
    for wrong, word in (({"codebook_size": 64}, "codebook_size"), ({"heard_dim": 20}, "heard_dim")):
        told = train("maskvat", tmp_path / word, "x", network={**MASKVAT, **wrong}, data=data)
        assert told.code == 1 and word in told.err


def test_foley_flow_stage_by_stage_renders(foley, train, runs, clips, tmp_path):
    """Each stage reads the folders of those before; the last one sounds, in the steps that it brings with it."""
    data = {"codec": str(runs / "codec" / "model"), "sync": str(runs / "sync" / "model"), "clips": CLIPS}
    data |= {"fresh_per_step": 0, "first": 3, "validation_clips": 2, "sounds_per_clip": 1}
    data["cache"] = str(tmp_path / "cache")
    earlier = {"align": {"video": "video", "audio": "audio"}, "flow": {"aligned": "align"}}
    for stage in ("video", "audio", "align", "flow"):
        reads = {key: str(tmp_path / name / "model") for key, name in earlier.get(stage, {}).items()}
        objective = {"stage": stage, **reads}
        told = train("foley-flow", tmp_path / stage, f"ff-{stage}", network=FOLEYFLOW, data=data, objective=objective)
        assert told.code == 0, told.err
    figures = log_of(tmp_path / "align")[-1]["validation"]
    assert {"align", "align_shuffled", "align_no_audio", "align_no_audio_shuffled"} == figures.keys()
    aligned, final = (load_file(tmp_path / stage / "model" / "model.safetensors") for stage in ("align", "flow"))
    frozen = [name for name in final if name.startswith("video.")]
    assert frozen and all(torch.equal(final[name], aligned[name]) for name in frozen)
    args = ("--model", tmp_path / "flow" / "model", "--device", "cpu", "--json")
    told = foley("render", clips("short.mp4"), "-o", tmp_path / "out.wav", *args)
    assert told.code == 0 and told.lines[0]["settings"]["steps"] == 25
    wrong = {"stage": "flow", "aligned": str(tmp_path / "video" / "model")}
    told = train("foley-flow", tmp_path / "wrong", "x", network=FOLEYFLOW, data=data, objective=wrong)
    assert told.code == 1 and "'video', not 'align'" in told.error
    told = train("foley-flow", tmp_path / "none", "x", network=FOLEYFLOW, data=data)
    assert told.code == 1 and "video, audio, align, flow" in told.err


def test_training_goes_on_only_when_asked(train, runs, sounds):
    data = {"sounds": str(sounds), "crop_steps": 8}
    told = train("codec", runs / "codec", "dac-test", network=CODEC, data=data)
    assert told.code == 1
    assert "--resume" in told.error
    told = train("codec", runs / "codec", "dac-test", "--resume", "--set", "steps=3", network=CODEC, data=data)
    assert told.code == 0
    assert [line["step"] for line in log_of(runs / "codec") if "loss" in line] == [1, 2, 3]


def test_what_cannot_be_trained_on_is_told(train, tmp_path, videos):
    told = train("codec", tmp_path / "a", "x", network=CODEC, data={"sounds": str(tmp_path / "none")})
    assert told.code == 1 and "none" in told.error
    told = train("sync", tmp_path / "b", "x", network=SYNC, data={**CLIPS, "videos": str(videos), "duration_s": 9.0})
    assert told.code == 1 and "holds 0 videos" in told.error
    told = train("sync", tmp_path / "c", "x", network={"widht": 3}, data=CLIPS)
    assert told.code == 1 and "widht" in told.error


def test_what_cannot_be_begun_or_resumed_is_two_lines(train, tmp_path, sounds):
    data = {"sounds": str(sounds), "crop_steps": 8}
    (tmp_path / "bare").mkdir()
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "last.pt").touch()
    cases = {
        "config.json": train("codec", tmp_path / "a", "x", network=CODEC, data=data, init_from=str(tmp_path / "bare")),
        "cannot be made": train("codec", tmp_path / "file", "x", network=CODEC, data=data),
        "damaged": train("codec", tmp_path / "empty", "x", "--resume", network=CODEC, data=data),
    }
    for words, result in cases.items():
        assert result.code == 1 and words in result.error, words
    assert (tmp_path / "file").read_text() == "in the way"
