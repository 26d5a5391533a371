"""Clips with sound for training: synthetic worlds made on the fly, or a folder of filmed videos.

Both come as `TrainingClip`s.  A pool keeps the latest of them, so that each clip is seen a few times
in other company and from another crop: making a clip costs more than learning from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from foleycli.datasets.listing import VIDEO_ENDINGS
from foleycli.dsp.onsets import loudness_envelope
from foleycli.errors import FoleyError
from foleycli.media.output import replacing
from foleycli.records import Video
from foleycli.soundset.bank import SoundBank, shared_bank
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.kinds import Split
from foleycli.synthetic import Clip, WorldConfig, make_clip
from foleycli.synthetic.config import VERSION

FPS = 25
MOST_BROKEN = 20  # cuts in a row that cannot be read end a training


@dataclass(frozen=True)
class ClipData:
    """Where clips come from: the `data` part of a recipe."""

    videos: str = ""  # a folder of filmed videos with sound; "" is synthetic worlds
    shards: str = ""  # a data set of `foley data prepare`: see `training.shard_clips`
    kept: str = ""  # the list of `foley data curate`: the examples of it that are used; "" uses all
    sounds: str | tuple[str, ...] = ""  # a folder of labelled sounds for the worlds, or several; "": synthesised ones
    duration_s: float = 5.0
    size_px: int = 112
    difficulty: float = 1.0
    scene_weights: dict[str, float] = field(default_factory=dict)  # how often a kind of scene is drawn, if not as usual
    pool: int = 1200  # batches are drawn from so many of the latest clips
    fresh_per_step: int = 2  # clips made anew for every step
    film: str = ""  # a folder of filmed clips with known onsets, mixed with the worlds: see training/film.py
    p_film: float = 0.3  # share of them, where there is such a folder
    cache: str = ""  # a folder in which synthetic clips are kept, for trainings that shall see the same; "" keeps none

    def described(self) -> dict[str, Any]:
        """What decides which clips there are, and not how they are used."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in ("pool", "fresh_per_step", "cache", "shards", "kept")
        }


@dataclass(frozen=True)
class TrainingClip:
    """One clip; events are known in worlds only."""

    grey: np.ndarray  # uint8 [T, H, W] at 25 fps
    samples: np.ndarray  # float32 [N] at 44.1 kHz
    events_s: np.ndarray | None  # None: not known
    loudness_db: np.ndarray  # float32 [T], -60..0
    words: tuple[str, ...]  # the label and other ways to say it


def from_world(clip: Clip) -> TrainingClip:
    """A synthetic clip as training reads it: grey pictures, event times, loudness of at least -60 dB."""
    return TrainingClip(
        grey=to_grey(clip.frames),
        samples=clip.samples,
        events_s=np.array([event.time_s for event in clip.events]),
        loudness_db=np.maximum(clip.loudness, -60.0),
        words=tuple(dict.fromkeys([clip.label, *clip.words])),
    )


def to_grey(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] to uint8 [T, H, W], in 16.16 arithmetic: three quarters of the memory saved."""
    weights = np.array([19595, 38470, 7471], np.uint32)  # 0.299, 0.587, 0.114
    return (frames.astype(np.uint32) @ weights >> 16).astype(np.uint8)


def world_config(data: ClipData, split: Split) -> WorldConfig:
    """The worlds that a recipe asks for."""
    return WorldConfig(
        duration_s=data.duration_s,
        fps=FPS,
        size_px=data.size_px,
        difficulty=data.difficulty,
        split=split,
        scene_weights=data.scene_weights,
        even_kinds=bank_of(data).even_kinds(split),
    )


def bank_of(data: ClipData) -> SoundBank:
    """The sounds of the worlds; errors: FoleyError for a folder of sounds of which they can use nothing."""
    folders = (data.sounds,) if isinstance(data.sounds, str) else data.sounds
    return shared_bank(*(Path(folder) for folder in folders if folder))


def world_clips(data: ClipData, first_seed: int, stride: int = 1, split: Split = "train") -> Iterator[TrainingClip]:
    """Endless synthetic clips from rising seeds, `stride` apart (one residue per process)."""
    bank = bank_of(data)
    config = world_config(data, split)
    for seed in itertools.count(first_seed, stride):
        yield from_world(make_clip(seed, config, bank))


def cached_clips(data: ClipData, first_seed: int, stride: int = 1) -> Iterator[TrainingClip]:
    """`world_clips` of the training split out of `data.cache`; what is not there yet is made and written."""
    key = json.dumps([VERSION, data.described()], sort_keys=True)
    folder = Path(data.cache) / f"clips-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in itertools.count(first_seed, stride):
        path = folder / f"{seed}.npz"
        clip = _read_clip(path)
        if clip is None:
            clip = next(world_clips(data, seed))
            with replacing(path) as part:
                np.savez(part, **{**vars(clip), "words": np.array(json.dumps(clip.words))})
        yield clip


def _read_clip(path: Path) -> TrainingClip | None:
    """A clip of the cache; None where there is none, or a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as held:
            return TrainingClip(
                grey=held["grey"],
                samples=held["samples"],
                events_s=held["events_s"],
                loudness_db=held["loudness_db"],
                words=tuple(json.loads(str(held["words"]))),
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def filmed_clips(data: ClipData, seed: int, held_out: bool = False) -> Iterator[TrainingClip]:
    """Endless random cuts from the videos of a folder; a sub-folder's name is the label of what is in it."""
    folder = Path(data.videos)
    if not folder.is_dir():
        raise FoleyError(f"there is no folder {folder}", "Set data.videos in the recipe to a folder of videos")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_ENDINGS)
    fitting = [video for video in _readable(paths) if video.has_audio and video.duration_s >= data.duration_s]
    names = {video.path.relative_to(folder).as_posix(): video for video in fitting}
    kept_back = held_out_of(names)
    videos = [video for name, video in names.items() if (name in kept_back) == held_out]
    if not videos:
        found = f"{folder} holds {len(fitting)} videos with sound of {data.duration_s:g} s or more"
        raise FoleyError(found, "Two are the fewest: one is trained on, one is held out; see data.videos")
    rng = np.random.default_rng((seed, held_out))
    n_broken = 0  # in a row: one file that breaks off midway must not end a training of days
    while True:
        video = videos[rng.integers(len(videos))]
        start_s = rng.uniform(0, video.duration_s - data.duration_s)
        label = video.path.parent.name if video.path.parent != folder else ""
        try:
            clip = _cut(video, start_s, data, label)
        except FoleyError:
            n_broken += 1
            if n_broken == MOST_BROKEN:
                raise
            continue
        n_broken = 0
        yield clip


def _readable(paths: Iterable[Path]) -> Iterator[Video]:
    """What can be probed; a broken file in a large folder is passed over."""
    from foleycli.media.probe import probe

    for path in paths:
        with contextlib.suppress(FoleyError):
            yield probe(path)


def _cut(video: Video, start_s: float, data: ClipData, label: str) -> TrainingClip:
    from foleycli.media.audio import read_audio
    from foleycli.media.frames import read_frames

    size, length = data.size_px, data.duration_s
    frames = np.concatenate(
        list(read_frames(video, fps=Fraction(FPS), width_px=size, height_px=size, start_s=start_s, duration_s=length))
    )
    audio = read_audio(video.path, rate_hz=44100, channels=1, start_s=start_s, duration_s=length)
    samples = np.zeros(round(length * 44100), np.float32)
    samples[: audio.samples.shape[1]] = audio.samples[0, : len(samples)]
    loudness = loudness_envelope(samples, 44100, hop_s=1 / FPS, floor_db=-60.0)
    return TrainingClip(
        grey=to_grey(frames),
        samples=samples,
        events_s=None,
        loudness_db=np.clip(loudness, -60, 0).astype(np.float32),
        words=(label,),
    )
