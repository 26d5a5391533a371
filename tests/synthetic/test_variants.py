"""Other sounds for the same picture: which kinds are drawn, with and without recordings of everyday sounds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.soundset.bank import SoundBank
from foleycli.soundset.kinds import EVEN_KINDS, SOUND_KINDS
from foleycli.soundset.library_sound import N_SAMPLES
from foleycli.synthetic.config import RATE_HZ, SILENT_WORDS, Event, Track
from foleycli.synthetic.variants import sounds_for

HITS = Track(1.0, 25, "train", "hits", ("wood",), (Event(0.3, 0.8, "wood hit"), Event(0.7, 0.5, "wood hit")), "strike")
TEXTURE = Track(1.0, 25, "train", "texture", ("rain",), (), "still_view")
SILENCE = Track(1.0, 25, "train", "silence", ("place",), (), "waving")


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> SoundBank:
    """Recordings of a rough, a voice and a loop kind that only recordings make."""
    folder = tmp_path_factory.mktemp("everyday")
    t = np.arange(RATE_HZ) / RATE_HZ
    burst = np.where(t > 0.1, np.exp(-(t - 0.1) / 0.05), 0) * np.sin(2 * np.pi * 700 * t)
    noise = 0.3 * np.random.default_rng(0).standard_normal(2 * RATE_HZ)
    rows = []
    for category, sub, samples in (("coin", "coins", burst), ("animal", "cat", burst), ("water", "waves", noise)):
        (folder / category).mkdir()
        for k in range(6):
            soundfile.write(folder / category / f"{k}.wav", samples, RATE_HZ)
            rows.append({"file": f"{category}/{k}.wav", "category": category, "sub": sub})
    (Path(folder) / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SoundBank(folder)


def labels_drawn(track: Track, bank: SoundBank, n: int = 400) -> set[str]:
    return {sound.words[0] for sound in sounds_for(track, bank, np.random.default_rng(0), n)}


def main_labels(*names: str) -> set[str]:
    return {SOUND_KINDS[name].labels[0] for name in names}


def test_recorded_everyday_kinds_are_drawn_beside_the_game_kinds(bank) -> None:
    drawn = labels_drawn(HITS, bank)
    assert drawn >= main_labels("coins", "cat", "waves", "dog", "metal")
    assert drawn.isdisjoint(main_labels("phone", "rooster", "piano"))  # nobody recorded them
    assert labels_drawn(TEXTURE, bank, 200) == main_labels(*EVEN_KINDS, "waves")


def test_without_recordings_only_game_kinds_are_drawn() -> None:
    everyday = {kind.labels[0] for kind in SOUND_KINDS.values() if kind.is_everyday}
    drawn = labels_drawn(HITS, SoundBank())
    assert len(drawn) > 20 and drawn.isdisjoint(everyday)


def test_silence_has_no_library_sound_and_all_else_has_one(bank) -> None:
    for sound in sounds_for(SILENCE, bank, np.random.default_rng(1), 30):
        assert (sound.library_sound is None) == (sound.words == SILENT_WORDS)
        if sound.library_sound is not None:
            assert sound.library_sound.shape == (N_SAMPLES,) and np.abs(sound.samples).max() > 0.01
