"""Which part of a reference says most about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foleycli.errors import FoleyError
from foleycli.library.library import SHIPPED_LIBRARY
from foleycli.rendering.timbre import characteristic_start_s, encode_reference, find_reference
from foleycli.settings.settings import Settings

RATE_HZ = 44100


def noise(duration_s: float, level: float, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)


def test_a_short_sound_is_taken_whole() -> None:
    assert characteristic_start_s(noise(1.5, 0.1), RATE_HZ, 2.0) == 0.0


def test_the_loud_part_is_found() -> None:
    sound = np.concatenate([noise(4, 0.0005), noise(2.5, 0.2), noise(4, 0.0005)])
    assert 3.5 <= characteristic_start_s(sound, RATE_HZ, 2.0) <= 4.6


def test_the_part_begins_just_before_a_strike() -> None:
    sound = noise(8, 0.0005)
    for k in range(4):
        first = round((5.0 + 0.4 * k) * RATE_HZ)
        sound[first : first + 4410] += noise(0.1, 0.3, k) * np.exp(-np.arange(4410) / 800).astype(np.float32)
    start_s = characteristic_start_s(sound, RATE_HZ, 2.0)
    assert 4.6 <= start_s <= 5.0


def test_the_part_lies_in_the_sound() -> None:
    sound = np.concatenate([noise(3, 0.0005), noise(0.5, 0.3)])
    start_s = characteristic_start_s(sound, RATE_HZ, 2.0)
    assert start_s == pytest.approx(1.5, abs=0.06)


def test_channels_that_cancel_each_other_are_not_silence(tmp_path: Path, kept_model) -> None:
    sound = noise(1.0, 0.2)
    soundfile.write(tmp_path / "one.wav", sound, RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "cancelled.wav", np.stack([-sound, sound], axis=1), RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "silent.wav", np.zeros((RATE_HZ, 2)), RATE_HZ, subtype="FLOAT")
    one, cancelled = (
        encode_reference(tmp_path / name, None, kept_model, Settings()) for name in ("one.wav", "cancelled.wav")
    )
    assert one.shape == cancelled.shape and np.corrcoef(one.flatten(), cancelled.flatten())[0, 1] > 0.9
    with pytest.raises(FoleyError, match="is silent"):
        encode_reference(tmp_path / "silent.wav", None, kept_model, Settings())


def test_a_shipped_recording_is_encoded_once_for_all_runs(tmp_path: Path, kept_model, monkeypatch) -> None:
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "home"))
    bell, calls = SHIPPED_LIBRARY / "bell.ogg", []
    encode = kept_model.codec.encode
    monkeypatch.setattr(kept_model.codec, "encode", lambda samples: calls.append(samples) or encode(samples))
    first = encode_reference(bell, None, kept_model, Settings())
    assert torch.equal(encode_reference(bell, None, kept_model, Settings()), first) and len(calls) == 1
    encode_reference(bell, 0.1, kept_model, Settings())  # another part
    encode_reference(bell, None, kept_model, Settings(ref_s=1.0))
    monkeypatch.setattr("foleycli.rendering.kept_latents._digests", {kept_model.codec: "other weights"})
    encode_reference(bell, None, kept_model, Settings())
    assert len(calls) == 4
    monkeypatch.undo()
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "home"))
    for kept in (tmp_path / "home" / "references").iterdir():
        kept.write_bytes(kept.read_bytes()[:-5])
    assert torch.equal(encode_reference(bell, None, kept_model, Settings()), first)


def test_sounds_of_the_users_own_are_not_kept(tmp_path: Path, kept_model, monkeypatch) -> None:
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "home"))
    soundfile.write(tmp_path / "own.wav", noise(1.0, 0.2), RATE_HZ)
    encode_reference(tmp_path / "own.wav", None, kept_model, Settings())
    assert not (tmp_path / "home").exists()


def test_only_so_many_recordings_are_kept(tmp_path: Path, kept_model, monkeypatch) -> None:
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path))
    monkeypatch.setattr("foleycli.rendering.kept_latents.MOST_KEPT", 4)
    for tenth in range(6):
        encode_reference(SHIPPED_LIBRARY / "bell.ogg", tenth / 10, kept_model, Settings(ref_s=0.2))
    assert len(list((tmp_path / "references").iterdir())) == 4


def test_a_place_is_a_reference_only_where_it_is_asked_for() -> None:
    def found(prompt: str, *labels: tuple[str, float]) -> str | None:
        path = find_reference(Settings(prompt=prompt, library=True), labels)
        return path.stem if path else None

    assert found("a dog barks in a forest") == "dog_bark"
    assert found("forest sounds") == "forest"
    assert found("", ("quiet room", 0.7)) is None
    assert found("", ("quiet room", 0.7), ("dog bark", 0.4)) == "dog_bark"


@pytest.mark.parametrize("start_s", [None, 1500.0])
def test_of_a_long_reference_only_a_part_is_read(tmp_path: Path, kept_model, start_s: float | None) -> None:
    """Half an hour at 4 kHz would be 0.6 GB at the codec's rate and with room to resample."""
    import tracemalloc

    path = tmp_path / "long.wav"
    quiet, loud = np.full(4000 * 1800, 100, np.int16), np.random.default_rng(6).integers(-9000, 9000, 8000)
    quiet[4000 * 300 : 4000 * 302] = loud  # found within the first ten minutes
    quiet[4000 * 1500 : 4000 * 1502] = loud  # where it is asked for
    soundfile.write(path, quiet, 4000)
    tracemalloc.start()
    latents = encode_reference(path, start_s, kept_model, Settings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    soundfile.write(tmp_path / "short.wav", loud.astype(np.int16), 4000)
    alone = encode_reference(tmp_path / "short.wav", 0.0, kept_model, Settings())
    assert latents is not None and alone is not None and latents.shape == alone.shape
    assert float(((latents - alone) ** 2).mean()) < 0.6 * float((alone**2).mean())
    assert peak < 600e6


def test_a_reference_of_a_few_samples_is_refused(kept_model, tmp_path) -> None:
    soundfile.write(tmp_path / "tick.wav", noise(0.02, 0.2), RATE_HZ)
    with pytest.raises(FoleyError, match=r"tick\.wav has 0\.020 s of sound there: too short"):
        encode_reference(tmp_path / "tick.wav", None, kept_model, Settings())
    soundfile.write(tmp_path / "knock.wav", noise(0.12, 0.2), RATE_HZ)
    assert encode_reference(tmp_path / "knock.wav", None, kept_model, Settings()) is not None
