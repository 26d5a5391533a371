"""AAF through pyaaf2 (the extra `foleycli[session]`): sounds by reference, in samples.

Files are named by absolute address: the format has no other.  Further takes are on tracks of their own beside that of
the first, as AAF has no takes that editors agree on.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

from foleycli.errors import FoleyError
from foleycli.timeline.timeline import Clip, Media, Timeline

MISSING = "Install it: pip install 'foleycli[session]'"


def check_aaf() -> None:
    """Errors: FoleyError where pyaaf2 is missing."""
    _library()


def _library() -> Any:
    try:
        import aaf2
    except ImportError as error:
        raise FoleyError("an .aaf needs the package pyaaf2, which is not installed", MISSING) from error
    return aaf2


def write_aaf(timeline: Timeline, path: Path) -> None:
    """Write the file; errors: FoleyError where pyaaf2 is missing."""
    with _library().open(str(path), "w") as file:
        composition = file.create.CompositionMob(timeline.name)
        composition.usage = "Usage_TopLevel"
        file.content.mobs.append(composition)
        clock = timeline.clock
        timecode = file.create.Timecode(round(clock.fps), drop=clock.is_drop)
        timecode.start, timecode.length = clock.start_frame, timeline.n_frames
        slot = composition.create_timeline_slot(_rate(clock.fps))
        slot.name, slot.segment = "Timecode", timecode
        picture = _master(file, timeline, timeline.video, timeline.n_frames, clock.fps, _picture(file, timeline))
        slot = composition.create_picture_slot(_rate(clock.fps))
        slot.name = "Picture"
        slot.segment.components.append(picture.create_source_clip(1, 0, timeline.n_frames))
        slot.segment.length = timeline.n_frames
        for track in timeline.tracks:
            for k in range(max(len(clip.takes) for clip in track.clips)):
                name = track.name if k == 0 else f"{track.name}, take {k + 1}"
                _sounds(
                    file,
                    composition,
                    timeline,
                    name,
                    [(one, one.takes[k]) for one in track.clips if k < len(one.takes)],
                )


def _sounds(file: Any, composition: Any, timeline: Timeline, name: str, clips: list[tuple[Clip, Media]]) -> None:
    rate, done = Fraction(timeline.rate_hz), 0
    slot = composition.create_sound_slot(_rate(rate))
    slot.name = name
    for clip, take in clips:
        if clip.start > done:
            slot.segment.components.append(file.create.Filler("sound", clip.start - done))
        master = _master(file, timeline, take.path, take.n_samples, rate, _pcm(file, timeline, take))
        slot.segment.components.append(master.create_source_clip(1, clip.start - take.start, clip.n_samples))
        done = clip.end
    slot.segment.length = done


def _master(file: Any, timeline: Timeline, path: Path, n: int, rate: Fraction, descriptor: Any) -> Any:
    """A master mob of one slot that leads to a file."""
    locator = file.create.NetworkLocator()
    locator["URLString"].value = Path(os.path.abspath(path)).as_uri()
    descriptor["Locator"].append(locator)
    descriptor["SampleRate"].value = _rate(rate)
    descriptor["Length"].value = n
    kind = "sound" if rate == timeline.rate_hz else "picture"
    source = file.create.SourceMob(path.name)
    source.descriptor = descriptor
    file.content.mobs.append(source)
    slot = source.create_empty_sequence_slot(_rate(rate), media_kind=kind)
    slot.segment.components.append(file.create.SourceClip(media_kind=kind, length=n))
    slot.segment.length = n
    master = file.create.MasterMob(path.name)
    file.content.mobs.append(master)
    slot = master.create_empty_sequence_slot(_rate(rate), media_kind=kind)
    slot.segment.components.append(source.create_source_clip(1, 0, n))
    slot.segment.length = n
    return master


def _pcm(file: Any, timeline: Timeline, take: Media) -> Any:
    descriptor, bits = file.create.PCMDescriptor(), take.bits
    descriptor["AudioSamplingRate"].value = _rate(Fraction(timeline.rate_hz))
    descriptor["Channels"].value = take.channels
    descriptor["QuantizationBits"].value = bits
    descriptor["BlockAlign"].value = take.channels * bits // 8
    descriptor["AverageBPS"].value = timeline.rate_hz * take.channels * bits // 8
    return descriptor


def _picture(file: Any, timeline: Timeline) -> Any:
    descriptor = file.create.CDCIDescriptor()
    descriptor["ComponentWidth"].value = 8
    descriptor["HorizontalSubsampling"].value = 2
    descriptor["FrameLayout"].value = "FullFrame"
    descriptor["ImageAspectRatio"].value = f"{timeline.width_px}/{timeline.height_px}"
    descriptor["StoredWidth"].value, descriptor["StoredHeight"].value = timeline.width_px, timeline.height_px
    descriptor["VideoLineMap"].value = [0, 0]
    return descriptor


def _rate(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
