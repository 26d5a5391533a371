"""MMAudio's codec: published keys, measured numbers, lengths, pieces."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from madeup import FIXTURES, made_up_input
from mmaudio_parts import error_of, made_up, published, shapes, write_miniature

from foleycli.codecs.mmaudio.codec import PIECE_STEPS, MMAudioCodec, load
from foleycli.codecs.mmaudio.mel import MEL_16K, MEL_44K, LogMel
from foleycli.codecs.mmaudio.vae import VAE_16K, VAE_44K, Vae, normalise_weights
from foleycli.codecs.mmaudio.vocoder import BIGVGAN_16K, BIGVGAN_44K, AntiAliasedSnake, BigVGAN, half_band_filter
from foleycli.errors import FoleyError
from foleycli.nn.weight_norm import fold_weight_norm
from foleycli.windows.compose import decode_chunks

CLOSE = 1e-4
SIZES = {"16k": (MEL_16K, VAE_16K, BIGVGAN_16K), "44k": (MEL_44K, VAE_44K, BIGVGAN_44K)}


@pytest.mark.parametrize("size", SIZES)
def test_autoencoder_has_the_published_keys(size):
    with torch.device("meta"):
        assert shapes(Vae(SIZES[size][1])) == published(f"vae_{size}")


@pytest.mark.parametrize(("size", "file"), [("16k", "bigvgan_16k"), ("44k", "bigvgan_v2_44k")])
def test_vocoder_has_the_published_keys_with_and_fold_weight_norm(size, file):
    with torch.device("meta"):
        assert shapes(BigVGAN(SIZES[size][2])) == published(f"{file}_plain")
        normed = {key: torch.empty(shape) for key, shape in published(f"{file}_weightnorm").items()}
        older = {
            key.replace("parametrizations.weight.original0", "weight_g").replace(
                "parametrizations.weight.original1", "weight_v"
            ): value
            for key, value in normed.items()
        }
        for state in (normed, older):
            folded = fold_weight_norm(state)
            assert {key: list(value.shape) for key, value in folded.items()} == published(f"{file}_plain")


def test_folded_weight_norm_is_what_torch_computes():
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(6, 4, 8))
    network = torch.nn.Sequential(layer)
    folded = fold_weight_norm(network.state_dict())
    assert torch.allclose(folded["0.weight"], layer.weight, atol=1e-6) and folded.keys() == {"0.weight", "0.bias"}


@pytest.mark.parametrize("size", SIZES)
def test_mel_frames_are_as_measured(size):
    numbers = np.load(FIXTURES / f"mmaudio_mel_{size}.npz")
    assert error_of(LogMel(SIZES[size][0])(torch.from_numpy(numbers["wav"])[None]), numbers["mel"]) < CLOSE


@pytest.mark.parametrize("size", SIZES)
def test_autoencoder_is_as_measured(size):
    numbers, config = np.load(FIXTURES / f"mmaudio_vae_{size}.npz"), replace(SIZES[size][1], width=64)
    vae = Vae(config)
    state = made_up(vae)
    state |= {name: torch.from_numpy(numbers[name])[None, :, None] for name in ("data_mean", "data_std")}
    vae.load_state_dict(normalise_weights(state))
    with torch.inference_mode():
        mean, std = vae.encode(made_up_input("mel", (1, config.n_mels, 24)))
        decoded = vae.decode(made_up_input("z", (1, config.latent_dim, 13)))
    assert error_of(mean, numbers["mean"]) < CLOSE
    assert error_of(std, numbers["std"]) < CLOSE
    assert error_of(decoded, numbers["decoded"]) < CLOSE


@pytest.mark.parametrize(("size", "file", "name"), [("16k", "bigvgan_16k", "melv"), ("44k", "bigvgan_v2_44k", "melv2")])
def test_vocoder_is_as_measured(size, file, name):
    vocoder = BigVGAN(replace(SIZES[size][2], width=64))
    vocoder.load_state_dict(made_up(vocoder, 0.75))
    with torch.inference_mode():
        made = vocoder(made_up_input(name, (1, vocoder.config.n_mels, 6)))
    assert error_of(made[:, None], np.load(FIXTURES / f"{file}.npz")["wav"]) < CLOSE


def test_filter_halves_the_band():
    response = torch.fft.rfft(half_band_filter()[0, 0], 256).abs()
    assert abs(response[0] - 1) < 1e-5 and response[110:].max() < 0.02 and response[:20].min() > 0.97


@pytest.mark.parametrize(
    ("n_rows", "width", "n_steps"), [(2, 5, 1), (1, 7, 15), (2, 3, 16), (1, 2, 33), (1, 3, 4097), (2, 40, 5000)]
)
def test_snakes_made_in_pieces_are_those_of_the_whole(n_rows, width, n_steps):
    torch.manual_seed(0)
    snake, x = AntiAliasedSnake(width).requires_grad_(False), torch.randn(n_rows, width, n_steps)
    torch.nn.init.normal_(snake.act.alpha), torch.nn.init.normal_(snake.act.beta)
    snake.downsample.lowpass.filter *= 1.01  # files hold the filters: they may be others
    whole = snake.downsample(snake.act(snake.upsample(x)))
    with torch.inference_mode():
        pieces = snake(x)
    assert (pieces - whole).abs().max() < 1e-5 * whole.abs().max()


@pytest.fixture(scope="module")
def codec(tmp_path_factory) -> MMAudioCodec:
    folder = tmp_path_factory.mktemp("models")
    write_miniature(folder)
    return load(folder / "mmaudio-codec-16k", torch.device("cpu"))


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 16000])
def test_lengths(codec, n_samples):
    latents = codec.encode(0.1 * made_up_input("sound", (2, n_samples)))
    assert latents.shape == (2, -(-n_samples // 512), 20) and latents.isfinite().all()
    assert codec.decode(latents).shape == (2, latents.shape[1] * 512)


def test_long_sounds_are_encoded_in_pieces_that_fit(codec):
    sound = 0.1 * made_up_input("long", (1, 512 * (PIECE_STEPS + 60)))
    pieces = codec.encode(sound)
    codec.read_weights()
    whole, _ = codec.vae.encode(codec.mel(sound))
    error = (pieces - whole.transpose(1, 2)).abs().max() / whole.abs().max()
    assert error < 0.05  # only attention hears across the border


def test_pieces_decoded_one_by_one_join_without_a_step(codec):
    track = made_up_input("track", (120, 20))
    joined = torch.cat(list(decode_chunks(codec, track, chunk_steps=50)))
    assert len(joined) == 120 * 512
    step = joined.diff().abs()
    seams = [50 * 512, 100 * 512]
    typical = step.quantile(0.999)
    assert all(step[seam - 3 : seam + 3].max() <= typical for seam in seams)


def test_a_folder_of_another_kind_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"kind": "codec", "class": "mmaudio", "network": "48k"}')
    with pytest.raises(FoleyError, match="48k"):
        load(tmp_path, torch.device("cpu"))


def test_codes_are_refused(tmp_path):
    with pytest.raises(FoleyError, match="no residual codes"):
        load(tmp_path, torch.device("cpu"), with_codes=True)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_full_size_there_and_back(size):
    mel, vae, vocoder = (kind(config) for kind, config in zip((LogMel, Vae, BigVGAN), SIZES[size], strict=True))
    codec = MMAudioCodec(mel, vae, vocoder).eval()
    with torch.inference_mode():
        latents = codec.encode(0.1 * torch.randn(1, codec.rate_hz // 2))
        sound = codec.decode(latents)
    assert sound.shape == (1, latents.shape[1] * codec.hop) and sound.isfinite().all()
