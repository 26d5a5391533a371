"""DAC through descript-audio-codec: chunks equal the whole, codes come back, keys and folder."""

import pytest
import torch

from foleycli.codecs import dac
from foleycli.codecs.dac import Dac, DacConfig
from foleycli.codecs.tokens import TokenCodec
from foleycli.errors import FoleyError
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save
from foleycli.windows.compose import decode_chunks

TINY = DacConfig(encoder_dim=8, decoder_dim=64, codebook_size=16)


@pytest.fixture(scope="module")
def codec() -> Dac:
    torch.manual_seed(0)
    return Dac(TINY).eval().requires_grad_(False)


def noise(n_samples: int, n_rows: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(n_rows, n_samples, generator=torch.Generator().manual_seed(1))


def decode_in_chunks(codec: Dac, codes: torch.Tensor, chunk_steps: int) -> torch.Tensor:
    return torch.cat(list(decode_chunks(codec, codec.codes_to_latents(codes)[0], chunk_steps)))[None]


def test_chunks_give_what_the_whole_at_once_gives(codec, monkeypatch):
    samples = noise(90 * 512, n_rows=2)
    codes = codec.encode_codes(samples)
    monkeypatch.setattr(codec, "chunk_steps", 17)
    assert torch.equal(codec.encode_codes(samples), codes)
    whole = codec.decode(codec.codes_to_latents(codes[:1]))
    assert torch.allclose(decode_in_chunks(codec, codes[:1], 17), whole, atol=1e-5)


def test_less_context_would_be_heard(codec, monkeypatch):
    """The context is not just large: without it chunks do differ."""
    samples = noise(90 * 512)
    codes = codec.encode_codes(samples)
    whole = codec.decode(codec.codes_to_latents(codes))
    monkeypatch.setattr(codec, "chunk_steps", 17)
    monkeypatch.setattr(Dac, "context_steps", 4)
    assert not torch.equal(codec.encode_codes(samples), codes)
    assert (decode_in_chunks(codec, codes, 17) - whole).abs().max() > 1e-4


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 5000])
def test_lengths(codec, n_samples):
    codes = codec.encode_codes(noise(n_samples))
    n_steps = -(-n_samples // 512)
    assert codes.shape == (1, n_steps, 9) and codes.dtype == torch.int64
    assert codes.min() >= 0 and codes.max() < TINY.codebook_size
    assert codec.decode(codec.codes_to_latents(codes)).shape == (1, n_steps * 512)


def test_codes_are_those_of_the_package(codec):
    samples = noise(20 * 512)
    package = codec.model.encode(samples[:, None])
    assert torch.equal(codec.encode_codes(samples), package[1].transpose(1, 2))
    assert torch.allclose(codec.encode(samples), package[0].transpose(1, 2), atol=1e-5)
    assert torch.allclose(codec.decode(codec.encode(samples)), codec.model.decode(package[0])[:, 0], atol=1e-5)


def test_codes_as_latents_lose_nothing(codec):
    tokens, samples = TokenCodec(codec), noise(30 * 512)
    latents = tokens.encode(samples)
    assert latents.shape == (1, 30, tokens.latent_dim) and latents.dtype == torch.float32
    assert torch.equal(latents.long(), codec.encode_codes(samples))
    assert torch.equal(tokens.decode(latents), codec.decode(codec.encode(samples)))
    assert tokens.latent_rate_hz == codec.latent_rate_hz and tokens.context_steps == codec.context_steps


def test_published_geometry():
    with torch.device("meta"):
        codec = Dac(DacConfig())
    assert (codec.hop, codec.latent_dim, codec.n_codebooks) == (512, 1024, 9)
    n_weights = sum(weight.numel() for weight in codec.parameters())
    assert 76e6 < n_weights < 77e6  # the paper: 76 M


def test_folder_goes_there_and_back(codec, tmp_path):
    save(codec.state_dict(), tmp_path, ModelConfig(kind="codec", network=TINY.to_dict()), torch.float16)
    loaded = dac.load(tmp_path, "cpu")
    samples = noise(10 * 512)
    assert torch.allclose(loaded.decode(codec.encode(samples)), codec.decode(codec.encode(samples)), atol=1e-3)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(FoleyError, match="cannot be read"):
        dac.load(tmp_path, "cpu")
