"""The codec's round trip: what the table says of sounds; clicks are found, and hits are not taken for clicks."""

import json
import sys

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from foleycli.codecs.dacvae import DacVae, DacVaeConfig
from foleycli.errors import FoleyError
from foleycli.evaluation.metrics.clicks import clicks
from foleycli.lab import round_trip
from foleycli.lab.round_trip import RoundTrip, measure, row_of, unseen_series_files
from foleycli.report import picture
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.sounds import Sound
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save

RATE_HZ = 44100


def noise(seed: int, duration_s: float = 1.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))


def hits(seed: int, ring_s: float, late_s: float = 0.0) -> np.ndarray:
    """Three strikes, each a burst of noise and a tone that fade within `ring_s`."""
    samples = np.zeros(2 * RATE_HZ)
    for start_s in (0.2, 0.7, 1.3):
        start = round((start_s + late_s) * RATE_HZ)
        time_s = np.arange(len(samples) - start) / RATE_HZ
        tone = 0.3 * np.sin(2 * np.pi * 800 * time_s)
        samples[start:] += (noise(seed, 2)[start:] + tone) * np.exp(-time_s / ring_s)
    return samples


class Echo:
    """A codec whose latents are the sound itself, played back at a gain and through `change`."""

    rate_hz, hop = RATE_HZ, 1024

    def __init__(self, gain: float = 1.0, change=lambda samples: samples) -> None:  # noqa: ANN001
        self.gain, self.change = gain, change

    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        return samples

    encode_codes = codes_to_latents = encode

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.gain * self.change(latents.numpy().copy()))


def sound(samples: np.ndarray, category: str = "hit") -> Sound:
    return Sound("hit/a.wav", category, "a", (samples * 32767).astype(np.int16))


@pytest.mark.parametrize(
    ("background", "height"), [("silence", 0.01), ("sine", 0.01), ("hits", 0.5), ("soft noise", 0.3)]
)
def test_an_injected_click_is_found_where_it_is(background, height):
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    real = {"silence": 0 * time_s, "sine": 0.5 * np.sin(2 * np.pi * 220 * time_s), "hits": hits(0, 0.05),
            "soft noise": 0.1 * noise(0, 2)}[background]  # fmt: skip
    made = real.copy()
    made[round(1.1 * RATE_HZ)] += height
    assert clicks(made, real, RATE_HZ) == pytest.approx([1.1], abs=0.001)


def test_a_jump_is_a_click_and_so_is_each_join_of_chunks():
    real = 0.5 * np.sin(2 * np.pi * 220 * np.arange(RATE_HZ) / RATE_HZ + 1)
    made = real.copy()
    made[20000:] *= 0.8
    made[30000:] *= 0.8
    assert clicks(made, real, RATE_HZ) == pytest.approx([20000 / RATE_HZ, 30000 / RATE_HZ], abs=0.001)


@pytest.mark.parametrize("ring_s", [0.003, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("late_s", [0.0, 0.003, 0.012])
def test_hits_of_other_noise_and_slightly_late_are_not_clicks(ring_s, late_s):
    assert len(clicks(hits(1, ring_s, late_s), hits(2, ring_s), RATE_HZ)) == 0


def test_noise_against_other_noise_has_no_clicks_and_a_real_tick_may_be_one_in_the_made_sound():
    assert len(clicks(noise(1, 20), noise(2, 20), RATE_HZ)) == 0
    real, made = 0.01 * noise(3), 0.01 * noise(4)
    real[22050] += 0.4
    made[22050 + 300] += 0.4
    assert len(clicks(made, real, RATE_HZ)) == 0


def test_nothing_changes_in_a_perfect_round_trip():
    figures = measure(Echo(), sound(noise(0)))
    assert (figures.mel_latents, figures.mel_codes, figures.clicks) == (0, 0, 0)
    assert figures.level_db == pytest.approx(0, abs=1e-6) and figures.zimtohrli_latents is None


def test_level_changes_are_in_db_and_clicks_are_counted():
    def clicking(samples: np.ndarray) -> np.ndarray:
        samples[:, 10000] += 0.9
        return samples

    quiet = measure(Echo(gain=0.5), sound(noise(0)))
    assert quiet.level_db == pytest.approx(-6.02, abs=0.01)
    assert quiet.mel_latents == pytest.approx(7 * np.log10(2), rel=0.02)  # seven resolutions, log10
    assert measure(Echo(change=clicking), sound(0.1 * noise(0))).clicks == 1


def test_an_offset_is_no_level():
    offset = Echo(change=lambda samples: samples - samples.mean())
    assert measure(offset, sound(0.3 * noise(0) + 0.5)).level_db == pytest.approx(0, abs=0.01)


def test_rows_are_means_with_the_worst_level_beside_them():
    row = row_of([RoundTrip(1, 2, None, None, 0.5, 1), RoundTrip(3, 4, None, None, -1.5, 2)])
    assert (row.sounds, row.mel_latents, row.mel_codes) == (2, 2, 3)
    assert (row.level_db, row.level_worst_db, row.clicks) == (-0.5, -1.5, 3)


def test_zimtohrli_where_it_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "zimtohrli", None)
    with pytest.raises(FoleyError, match="zimtohrli") as caught:
        round_trip.zimtohrli(RATE_HZ)
    assert "foleycli[evaluate]" in caught.value.hint


def test_zimtohrli_hears_what_is_near_and_what_is_far():
    pytest.importorskip("zimtohrli")
    distance = round_trip.zimtohrli(RATE_HZ)
    real = hits(0, 0.05)
    assert distance(real, real) == pytest.approx(0, abs=1e-3)
    assert distance(real, real + 0.001 * noise(5, 2)) < distance(real, noise(5, 2))
    assert np.isfinite(distance(real[:200], real[:200]))  # shorter than what it can be given


@pytest.fixture
def kept(tmp_path):
    """A small codec of random weights and a folder of sounds, of which it keeps some back."""
    torch.manual_seed(0)
    config = DacVaeConfig(encoder_dim=8, decoder_dim=64, n_codebooks=2, codebook_size=32)
    codec = ModelConfig(name="tiny", kind="codec", codec="dacvae", network=config.to_dict())
    save(DacVae(config).state_dict(), tmp_path / "tiny", codec, torch.float16)
    for k in range(30):
        path = tmp_path / "sounds" / ("hit" if k % 2 else "rain") / f"{k}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(k, 0.1), RATE_HZ)
    return tmp_path


def test_tables_json_and_pictures_of_held_out_sounds(kept, lab):
    def call(*options: object) -> list[str]:
        told = lab("round_trip", "--sounds", kept / "sounds", "--model", kept / "tiny", *options)
        assert told.code == 0, told.err
        return told.out.splitlines()

    rows = [json.loads(line) for line in call("--json", "--pictures", kept / "worst", "--worst", 2)]
    of_all = next(row for row in rows if row["kind"] == "all")
    assert of_all["sounds"] == sum(row["sounds"] for row in rows if row["kind"] != "all") > 1
    assert of_all["mel_latents"] > 0 and of_all["zimtohrli_latents"] is None
    assert [path.name[:3] for path in sorted((kept / "worst" / "tiny").iterdir())] == ["01-", "02-"]
    name, _, head, _, *lines = call()
    assert name == str(kept / "tiny") and "zimtohrli" not in head
    assert len(lines) == len(rows) and lines[-1].startswith(f"| all | {of_all['sounds']} |")


def test_unseen_series_are_those_of_which_no_file_was_trained_on(tmp_path):
    """Series are told by names: "hit 1" and "hit 2" are one; what is held out is told by the file."""
    names = [f"{kind}{k}" for kind in ("bell", "gong", "drum") for k in range(12)]
    held_out = held_out_of(f"hit/{name}.wav" for name in names)
    alone = next(name for name in names if f"hit/{name}.wav" in held_out)  # its siblings are taken away
    for name in names:
        if name == alone or not name.startswith(alone.rstrip("0123456789")):
            path = tmp_path / "hit" / f"{name}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, noise(0, 0.1), RATE_HZ)
    assert held_out_of(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.wav")) <= held_out
    assert unseen_series_files(tmp_path) == {f"hit/{alone}.wav"}


def test_unseen_series_have_a_row_of_their_own():
    two = [sound(noise(0)), Sound("hit/b.wav", "hit", "b", np.zeros(9, np.int16))]
    measured = [RoundTrip(1, 2, None, None, 0.5, 1), RoundTrip(3, 4, None, None, -1.5, 2)]
    rows = round_trip.by_category(two, measured, {"hit/b.wav"})
    assert [*rows] == ["hit", "all", round_trip.UNSEEN_SERIES]
    assert (rows["all"].sounds, rows[round_trip.UNSEEN_SERIES].sounds, rows[round_trip.UNSEEN_SERIES].mel_latents) == (
        2,
        1,
        3,
    )


def test_the_real_sound_is_drawn_above_the_made_one(tmp_path):
    real, made = np.zeros(RATE_HZ), np.zeros(RATE_HZ)
    real[11025:11500], made[33075:33500] = noise(0)[:475], noise(1)[:425]
    picture.draw_pair(tmp_path / "p.png", real=real, generated=made, rate_hz=RATE_HZ, title="hit: a", facts="mel 1.00")
    with Image.open(tmp_path / "p.png") as image:
        page = np.asarray(image.convert("L")).astype(int)[:, picture.LEFT : picture.LEFT + picture.PANEL]
    above = picture.HEADER + picture.WAVE + picture.GAP
    below = above + picture.WAVE + picture.MEL + 3 * picture.GAP
    for top, part in ((above, 0.25), (below, 0.75)):
        spectrogram = page[top : top + picture.MEL].sum(axis=0)
        assert spectrogram.argmax() / picture.PANEL == pytest.approx(part, abs=0.02)
