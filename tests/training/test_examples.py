"""Examples: read as they were written, and arranged behind a reference."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from foleycli.soundset.library_sound import N_SAMPLES
from foleycli.synthetic.clips import WEIGHTS
from foleycli.training.clips import ClipData
from foleycli.training.examples import (
    EncodedSounds,
    Example,
    ExampleMaker,
    FamilyData,
    read_example,
    write_example,
)
from foleycli.training.family import ReferencePrefix, make_window


def example(n_frames: int = 50, n_steps: int = 80, n_library_sound: int = 12) -> Example:
    """Two sounds; every number of one tells which sound, and where in it."""

    def sounds(n: int, first: int) -> EncodedSounds:
        steps = first + torch.arange(2)[:, None] * 1000 + torch.arange(n)
        heard = first + torch.arange(2)[:, None] * 1000 + torch.arange(n // 4)
        return EncodedSounds(steps[..., None].float(), steps[..., None].to(torch.int16), heard[..., None].float())

    frames = torch.arange(n_frames)[:, None].float()
    return Example(
        frames, sounds(n_steps, 0), sounds(n_library_sound, 500), torch.tensor([True, False]), (("a",), ("b",)), None
    )


def test_a_library_sound_stands_before_the_beginning_of_its_sound():
    latents, codes, heard, frames = make_window(
        example(), 1, n_steps=40, prefix=ReferencePrefix(8, is_library_sound=True)
    )
    assert latents[:, 0].tolist() == [*range(1500, 1508), *range(1000, 1032)]
    assert torch.equal(codes.float(), latents)
    assert heard[:, 0].tolist() == [1500, 1501, 1502, 1502, *range(1000, 1016)]  # the library sound's own end is held
    assert frames[:, 0].tolist() == [0] * 10 + list(range(40))  # a fifth of the window, the first picture


def test_a_reference_of_the_same_sound_is_its_end():
    latents, _, _, _ = make_window(example(), 0, n_steps=40, prefix=ReferencePrefix(8))
    assert latents[:, 0].tolist() == [*range(32, 40), *range(32)]


def test_an_example_is_read_as_it_was_written(tmp_path):
    written = replace(example(), events_s=np.array([0.5, 1.25]))
    write_example(written, tmp_path / "0.npz")
    found = read_example(tmp_path / "0.npz")
    assert torch.equal(found.sync, written.sync) and found.words == written.words
    assert found.has_library_sound.tolist() == [True, False] and found.events_s.tolist() == [0.5, 1.25]
    for kind in ("sounds", "library_sounds"):
        for name in ("latents", "codes", "audio_features"):
            assert torch.equal(getattr(getattr(found, kind), name), getattr(getattr(written, kind), name))


def test_a_missing_or_damaged_example_is_none(tmp_path):
    path = tmp_path / "0.npz"
    assert read_example(path) is None
    write_example(example(), path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:500], whole[:-100], b"no archive"):
        path.write_bytes(damaged)
        assert read_example(path) is None


def test_what_sounds_in_an_example_has_a_library_sound_and_silence_has_none():
    clips = ClipData(duration_s=2.0, scene_weights={name: 0 for name in WEIGHTS} | {"waving": 1, "strike": 1})
    data = FamilyData(codec="mel-mini", sync="sync-mini", clips={}, sounds_per_clip=3)
    made = list(islice(ExampleMaker(data, clips, "train").stream(0, 1), 6))
    assert {bool(has) for one in made for has in one.has_library_sound} == {True, False}
    for one in made:
        assert one.library_sounds.latents.shape == (3, math.ceil(N_SAMPLES / 1024), 64)
        assert [words[0] == "silence" for words in one.words] == [not has for has in one.has_library_sound]
