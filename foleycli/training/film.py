"""Filmed clips with known onsets, as a share of what the synchronisation encoder learns from.

A folder of film has an `index.jsonl`, a JSON object a line: `file`, `repo` (where it comes from), `onset_times` (of its
own sound, by `dsp.onsets.detect_onsets`) and `visible_cause` ("yes" where what sounds is in the picture).  Only when
and how loud something sounds is learnt from it.  Sources are kept apart: none is both trained on and held out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from foleycli.dsp.onsets import loudness_envelope
from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME, index_rows
from foleycli.media.audio import read_audio
from foleycli.media.frames import read_frames
from foleycli.media.probe import probe
from foleycli.records import Video
from foleycli.training.clips import FPS, MOST_BROKEN, ClipData, TrainingClip, to_grey

RATE_HZ = 44100
DETECTOR_DELAY_S = 0.022  # by which the detector's onsets are late, on clicks
HELD_OUT_OF_256 = 85  # a third of the sources


@dataclass(frozen=True)
class FilmedClip:
    """A line of a film folder's index."""

    path: Path
    source: str
    onsets_s: tuple[float, ...]
    is_cause_visible: bool

    @property
    def is_held_out(self) -> bool:
        """Whether its source is kept from training, by the source's name alone."""
        return hashlib.md5(f"source {self.source}".encode(), usedforsecurity=False).digest()[0] < HELD_OUT_OF_256


def read_film(folder: Path) -> list[FilmedClip]:
    """All clips of a folder; errors: FoleyError for a folder without an index, or with a broken one."""
    rows = index_rows(folder, needed=("file", "repo", "onset_times", "visible_cause"))
    if not rows:
        raise FoleyError(f"{folder} has no {INDEX_NAME}", "Set data.film to a folder of film with an index")
    return [
        FilmedClip(
            path=folder / row["file"],
            source=row["repo"],
            onsets_s=tuple(map(float, row["onset_times"])),
            is_cause_visible=row["visible_cause"] == "yes",
        )
        for row in rows
    ]


def film_clips(data: ClipData, seed: int, held_out: bool = False) -> Iterator[TrainingClip]:
    """Endless random cuts of `data.duration_s` from the film; a source is drawn by the root of its number of clips."""
    clips = [clip for clip in read_film(Path(data.film)) if clip.is_held_out == held_out]
    usable = [(clip, video) for clip in clips if (video := _long_enough(clip.path, data.duration_s)) is not None]
    if not usable:
        raise FoleyError(f"no clip of {data.film} is long enough", "Set data.duration_s lower, or give other film")
    n_of = Counter(clip.source for clip, _ in usable)
    weights = np.array([n_of[clip.source] ** -0.5 for clip, _ in usable])
    rng = np.random.default_rng((seed, held_out, 5))
    n_broken = 0  # in a row
    while True:
        clip, video = usable[int(rng.choice(len(usable), p=weights / weights.sum()))]
        start_s = float(rng.uniform(0, max(0.0, video.duration_s - data.duration_s)))
        try:
            yield cut_clip(clip, video, start_s, data)
            n_broken = 0
        except FoleyError:
            n_broken += 1
            if n_broken == MOST_BROKEN:
                raise


def cut_clip(clip: FilmedClip, video: Video, start_s: float, data: ClipData) -> TrainingClip:
    """`data.duration_s` of a filmed clip; where the cause is out of the picture its events are not known."""
    size_px, length_s = data.size_px, data.duration_s
    chunks = read_frames(video, Fraction(FPS), size_px, size_px, start_s=start_s, duration_s=length_s)
    frames = np.concatenate(list(chunks))
    audio = read_audio(clip.path, rate_hz=RATE_HZ, channels=1, start_s=start_s, duration_s=length_s)
    samples = np.zeros(round(length_s * RATE_HZ), np.float32)
    samples[: audio.samples.shape[1]] = audio.samples[0, : len(samples)]
    onsets_s = np.array(clip.onsets_s) - DETECTOR_DELAY_S - start_s
    loudness_db = loudness_envelope(samples, RATE_HZ, hop_s=1 / FPS, floor_db=-60.0)
    return TrainingClip(
        grey=to_grey(frames),
        samples=samples,
        events_s=onsets_s[(onsets_s >= 0) & (onsets_s < length_s)] if clip.is_cause_visible else None,
        loudness_db=np.clip(loudness_db, -60, 0).astype(np.float32),
        words=("",),
    )


def _long_enough(path: Path, duration_s: float) -> Video | None:
    try:
        video = probe(path)
    except FoleyError:
        return None
    return video if video.has_audio and video.duration_s >= duration_s else None
