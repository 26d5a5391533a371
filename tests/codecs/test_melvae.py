"""The spectrogram codec's shapes, codes, chunks, levels and its weights folder; small and with random weights."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from foleycli.codecs import melvae
from foleycli.codecs.melvae import MelVae, MelVaeConfig
from foleycli.dsp.griffin_lim import griffin_lim
from foleycli.hub.resolve import resolve
from foleycli.models.model import load_vae_codec
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save
from foleycli.windows.compose import decode_chunks

SMALL = MelVaeConfig(width=32, n_encoder=1, n_decoder=1, n_codebooks=3, codebook_size=64, phase_rounds=4)


@pytest.fixture(scope="module")
def codec() -> MelVae:
    torch.manual_seed(0)
    return MelVae(SMALL).eval().requires_grad_(False)


def test_geometry_is_salsa_vs(codec) -> None:
    assert (MelVaeConfig().hop, MelVaeConfig().latent_dim, MelVaeConfig().frames_per_step) == (1024, 64, 4)
    assert codec.latent_rate_hz == Fraction(11025, 256)


@pytest.mark.parametrize("n_samples", [1, 1024, 5000])
def test_shapes(codec, n_samples):
    n_steps = -(-n_samples // 1024)
    samples = torch.randn(2, n_samples)
    latents, codes = codec.encode(samples), codec.encode_codes(samples)
    assert latents.shape == (2, n_steps, 64)
    assert codec.decode(latents).shape == (2, n_steps * 1024)
    assert codes.shape == (2, n_steps, 3) and codes.dtype == torch.int64
    assert codes.min() >= 0 and codes.max() < 64
    assert codec.codes_to_latents(codes).shape == latents.shape


def test_frames_are_folded_into_steps_and_back(codec):
    """With an encoder and a decoder that pass everything on, mels come back as they went in."""
    passing = MelVae(MelVaeConfig(latent_dim=400, n_codebooks=1, codebook_size=8))
    passing.encoder = torch.nn.Sequential(torch.nn.Conv1d(400, 800, 1))
    passing.decoder = torch.nn.Identity()
    torch.nn.init.zeros_(passing.encoder[0].weight)
    torch.nn.init.zeros_(passing.encoder[0].bias)
    passing.encoder[0].weight.data[:400, :, 0] = torch.eye(400)
    mels = torch.rand(1, 100, 24) * 4 - 5
    assert torch.allclose(passing.decode_mels(passing.posterior_of_mels(mels).mean), mels, atol=1e-4)


def test_sound_in_chunks_is_the_sound_at_once(codec):
    torch.manual_seed(1)
    track = torch.randn(150, 64)
    at_once = codec.decode(track[None])[0]
    in_chunks = torch.cat(list(decode_chunks(codec, track, chunk_steps=40)))
    assert at_once.abs().max() > 1e-4
    assert (in_chunks - at_once).abs().max() < 1e-3 * at_once.abs().max()


@pytest.mark.parametrize("hop", [256, 1024])
def test_clicks_reach_no_further_than_the_context(hop):
    torch.manual_seed(0)
    small = MelVae(replace(SMALL, hop=hop, phase_rounds=1)).eval().requires_grad_(False)
    track = 3 * torch.randn(150, 64)
    at_once, in_chunks = small.decode(track[None])[0], torch.cat(list(decode_chunks(small, track, chunk_steps=40)))
    assert (in_chunks - at_once).abs().max() < 1e-3 * at_once.abs().max()


def test_noise_belongs_to_the_place_on_the_track(codec):
    latents = torch.randn(1, 30, 64)
    here, again, there = codec.decode(latents), codec.decode(latents), codec.decode(latents, start_step=7)
    assert torch.equal(here, again)
    assert not torch.allclose(here, there)


def test_folder_keeps_the_codec_and_its_kind(codec, tmp_path):
    config = ModelConfig(kind="codec", loader_class="mel-vae", network=SMALL.to_dict())
    save(codec.state_dict(), tmp_path, config, torch.float16)
    loaded = load_vae_codec(tmp_path, torch.device("cpu"))
    assert isinstance(loaded, MelVae) and not any(hasattr(module, "weight_g") for module in loaded.modules())
    assert isinstance(melvae.load(tmp_path, torch.device("cpu")), MelVae)
    raw = torch.randn(1, 64, 12)
    assert torch.allclose(codec.decode_mels(raw), loaded.decode_mels(raw), atol=0.02)  # fp16 on disk


@pytest.fixture(scope="module")
def shipped() -> MelVae:
    return load_vae_codec(resolve("mel-mini"), torch.device("cpu"))


def test_latents_are_the_same_without_the_quantiser(shipped):
    samples = 0.1 * torch.randn(1, 20 * 1024)
    without = melvae.load(resolve("mel-mini"), torch.device("cpu"), with_codes=False)
    assert not any("quantizer" in name for name in without.state_dict())
    with torch.inference_mode():
        latents = without.encode(samples)
        assert torch.equal(latents, shipped.encode(samples))
        assert torch.equal(without.decode(latents), shipped.decode(latents))


def sounds() -> dict[str, torch.Tensor]:
    """Mono sounds [1, N] of kinds whose level a spectrogram with few bands misses in different ways."""
    torch.manual_seed(0)
    time_s = torch.arange(2 * 44100) / 44100
    burst = torch.randn(2 * 44100) * torch.exp(-15 * (time_s % 0.5)) * 0.2
    return {
        "noise": 0.1 * torch.randn(1, 2 * 44100),
        "tone": 0.3 * torch.sin(2 * torch.pi * 1000 * time_s)[None],  # where two parts meet it would be 2 dB off
        "hits": burst[None],
        "hits, then quiet": (burst * torch.where(time_s < 1, 1.0, 0.1))[None],
        "odd length": 0.1 * torch.randn(1, 30001),
    }


def level_db(samples: torch.Tensor) -> float:
    return 10 * samples.square().mean().log10().item()


@pytest.mark.parametrize("kind", sounds())
def test_sound_comes_back_as_loud_as_it_was(shipped, kind):
    samples = sounds()[kind]
    with torch.inference_mode():
        made = shipped.decode(shipped.encode(samples))[:, : samples.shape[1]]
    assert level_db(made) == pytest.approx(level_db(samples), abs=0.5)


def test_a_long_take_comes_back_as_loud_as_it_was_with_one_decoding(shipped, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        melvae, "griffin_lim", lambda *args, **options: decoded.append(1) or griffin_lim(*args, **options)
    )
    monkeypatch.setattr(melvae, "LONG_STEPS", 20)
    samples = sounds()["hits"]
    with torch.inference_mode():
        latents = shipped.encode(samples)
        assert len(decoded) == 1
        assert level_db(shipped.decode(latents)) == pytest.approx(level_db(samples), abs=0.5)


@pytest.mark.parametrize("kind", ["noise", "hits", "hits, then quiet", "odd length"])  # codes cannot hold a lone tone
def test_sound_comes_back_from_codes_as_loud_as_it_was(shipped, kind):
    samples = sounds()[kind]
    with torch.inference_mode():
        made = shipped.decode(shipped.codes_to_latents(shipped.encode_codes(samples)))[:, : samples.shape[1]]
    assert level_db(made) == pytest.approx(level_db(samples), abs=1.5)  # codes are coarse


def test_levels_are_right_before_and_after_a_change(shipped):
    samples = sounds()["hits, then quiet"]
    with torch.inference_mode():
        made = shipped.decode(shipped.encode(samples))
    for part in (slice(0, 40000), slice(48000, 2 * 44100)):
        assert level_db(made[:, part]) == pytest.approx(level_db(samples[:, part]), abs=0.7)


def test_a_long_sound_is_levelled_in_pieces_as_at_once(shipped, monkeypatch):
    samples = torch.cat([sounds()["hits"], sounds()["noise"]], dim=1)
    with torch.inference_mode():
        at_once = shipped.encode(samples)
        monkeypatch.setattr(melvae, "PIECE_STEPS", 50)
        in_pieces = shipped.encode(samples)
    assert (in_pieces - at_once).abs().max() < 1.5e-3 * at_once.abs().max()


@pytest.mark.parametrize("hz", [0, 10, 25, 6830, 15700])
def test_what_the_codec_cannot_hold_makes_nothing_else_louder(shipped, hz):
    """An offset, rumble or a lone high tone over quiet noise: the noise between 300 and 3000 Hz stays as loud."""
    torch.manual_seed(0)
    time_s = torch.arange(2 * 44100) / 44100
    quiet = 0.01 * torch.randn(1, 2 * 44100)
    samples = quiet + 0.1 * torch.cos(2 * torch.pi * hz * time_s)
    with torch.inference_mode():
        made = shipped.decode(shipped.encode(samples))[:, : samples.shape[1]]
    assert level_db(middle(made)) == pytest.approx(level_db(middle(quiet)), abs=1.5)


def middle(samples: torch.Tensor) -> torch.Tensor:
    spectrum = torch.fft.rfft(samples)
    frequencies_hz = torch.linspace(0, 22050, spectrum.shape[-1])
    return torch.fft.irfft(spectrum * ((frequencies_hz > 300) & (frequencies_hz < 3000)), n=samples.shape[-1])


def test_silence_beside_a_sound_stays_silence(shipped, monkeypatch):
    """Also where the sound beside it is made louder."""
    samples = sounds()["hits"].clone()
    samples[:, 50000:] = 0
    monkeypatch.setattr(MelVae, "_level_correction", lambda self, wanted, raw: torch.full((1, 5, 1), 0.5))
    seen = []
    monkeypatch.setattr(MelVae, "posterior_of_mels", lambda self, mels: seen.append(mels) or melvae.Posterior(
        torch.zeros(1, 64, mels.shape[2] // 4), torch.ones(1)))  # fmt: skip
    shipped.encode(samples)
    assert torch.equal(seen[0][..., 220:], seen[-1][..., 220:]) and seen[-1][..., 220:].max() <= -4.99
    assert (seen[-1][..., :100] - seen[0][..., :100]).mean() > 0.8


def test_gradients_reach_every_weight():
    torch.manual_seed(0)
    codec = MelVae(SMALL)
    posterior = codec.posterior_of_mels(torch.rand(1, 100, 32) * 3 - 4)
    quantised, _, _, commitment, codebook = codec.quantizer(posterior.mean)
    (
        codec.decode_mels(quantised + posterior.sample()).square().mean() + commitment + codebook + posterior.kl()
    ).backward()
    assert all(weight.grad is not None for weight in codec.parameters())
