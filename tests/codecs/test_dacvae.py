"""The codec's shapes, codes, fixed noise, and its weights folder; small and with random weights."""

from __future__ import annotations

import warnings
from fractions import Fraction

import pytest
import torch

from foleycli.codecs import dacvae
from foleycli.codecs.dacvae import DacVae, DacVaeConfig, mu_law
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save

SMALL = DacVaeConfig(encoder_dim=8, decoder_dim=64, n_codebooks=3, codebook_size=64)


@pytest.fixture(scope="module")
def codec() -> DacVae:
    torch.manual_seed(0)
    return DacVae(SMALL).eval()


def test_geometry_is_salsa_vs() -> None:
    config = DacVaeConfig()
    assert (config.hop, config.latent_dim) == (1024, 64)
    assert DacVae(SMALL).latent_rate_hz == Fraction(11025, 256)


@pytest.mark.parametrize("n_samples", [1, 1024, 5000])
def test_shapes(codec, n_samples):
    n_steps = -(-n_samples // 1024)
    samples = torch.randn(2, n_samples)
    with torch.no_grad():
        latents, codes = codec.encode(samples), codec.encode_codes(samples)
        assert latents.shape == (2, n_steps, 64)
        assert codec.decode(latents).shape == (2, n_steps * 1024)
        assert codes.shape == (2, n_steps, 3) and codes.dtype == torch.int64
        assert codes.min() >= 0 and codes.max() < 64
        assert codec.codes_to_latents(codes).shape == latents.shape


def test_more_codebooks_stand_for_more(codec):
    samples = torch.randn(1, 8 * 1024)
    with torch.no_grad():
        codes = codec.encode_codes(samples)
        raw = codec.posterior(samples).mean
        quantised = codec.quantizer(raw)[0]
        assert torch.allclose(codec.codes_to_latents(codes), codec.normalise(quantised), atol=1e-4)
        first = codec.codes_to_latents(codes[..., :1])
    assert not torch.allclose(first, codec.codes_to_latents(codes))


def test_noise_belongs_to_the_place_on_the_track(codec):
    latents = torch.randn(1, 30, 64)
    with torch.no_grad():
        here, again, there = codec.decode(latents), codec.decode(latents), codec.decode(latents, start_step=7)
    assert torch.equal(here, again)
    assert not torch.allclose(here, there)


def test_normalised_latents_are_the_raw_ones_scaled(codec):
    raw = torch.randn(1, 64, 5)
    codec.latent_mean.fill_(0.5)
    codec.latent_std.fill_(2.0)
    try:
        assert torch.allclose(codec.denormalise(codec.normalise(raw)), raw, atol=1e-6)
        assert torch.allclose(codec.normalise(raw), ((raw - 0.5) / 2).transpose(1, 2))
    finally:
        codec.latent_mean.zero_()
        codec.latent_std.fill_(1.0)


def test_mu_law_lifts_what_is_quiet() -> None:
    x = torch.tensor([0.0, 0.001, -0.001, 1.0])
    y = mu_law(x)
    assert y[0] == 0 and y[1] == -y[2] and abs(y[3] - 1) < 1e-6
    assert 0.09 < y[1] < 0.15


def test_folder_keeps_the_codec(codec, tmp_path):
    save(codec.state_dict(), tmp_path, ModelConfig(kind="codec", network=SMALL.to_dict()), torch.float16)
    loaded = dacvae.load(tmp_path, torch.device("cpu"))
    assert not any(hasattr(module, "weight_g") for module in loaded.modules())
    latents = torch.randn(1, 12, 64)
    with torch.no_grad():
        there, back = codec.decode(latents), loaded.decode(latents)
    assert (there - back).abs().max() < 0.02 * there.abs().max()  # fp16 on disk


def test_making_one_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DacVae(SMALL)
