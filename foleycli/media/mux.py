"""A video's picture, bit for bit, with a new sound: one ffmpeg run that copies every stream but the sound.

The result starts at its first picture (time 0), and so does the sound, whatever start offset, edit list
or reordered pictures the source has.  Sound codecs: AAC in .mp4 and .mov (in .mov PCM of 24 bit where the source's
sound is PCM), FLAC of 24 bit in .mkv, Opus in .webm.
What was written is checked before the caller renames it into place.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.check import Promise, check_result
from foleycli.media.edit_list import shorten_picture
from foleycli.media.finish import EXACT
from foleycli.media.loudness import PRINTED_DB, measure_file, peak_of_file
from foleycli.media.output import temporary_beside
from foleycli.media.part import EDIT_LIST_ENDINGS, TICK_S, Cut, Part, find_cut, packets_before
from foleycli.media.probe import picture_start_s, probe_audio
from foleycli.media.source import open_container, open_input, session_folder
from foleycli.media.streams import (
    HELD_VIDEO,
    StreamPlan,
    describe_streams,
    lost_marks,
    lost_tags,
    may_have_marks,
    plan_streams,
)
from foleycli.media.subtitles import CODECS, cut_subtitles
from foleycli.media.timecode import advance_timecode, start_timecode
from foleycli.records import Report, Video, silent
from foleycli.settings.loudness import CEILING_DBTP

TRIES = 5  # a lossy encoder moves peaks: encode, measure, turn down, again
SEEK_LATE_S = 0.2  # by this much later ffmpeg seeks where it takes reordered pictures into account
PART_SUBTITLES = {".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}  # .mkv takes them as they are
TOLD_DB = 1.0  # a change of level that is worth a note
MOST_AAC_HZ = 48_000  # of what we write: more is asked for by those who want the samples themselves
# At this rate the plain search comes as near to the sound as ffmpeg's default (signal to noise 32 and 30 dB, and 14 dB
# both in the worst twentieth of all bands) in three quarters of the time, if it replaces no band by noise or by the
# other channel's.
AAC_OPTIONS = {"aac_coder": "fast", "aac_pns": 0, "aac_is": 0}
TIMESCALE = 90_000  # of pictures that are encoded again: a multiple of every usual rate


@dataclass(frozen=True)
class Muxed:
    """What was written: `lowered_db` is the extra gain that kept the encoded sound under its ceiling."""

    peak_dbtp: float | None  # None: silence
    lowered_db: float
    notes: tuple[str, ...]  # what is left out or otherwise than in the source, a line each


@dataclass(frozen=True)
class _Inputs:
    """What one run of ffmpeg reads, and how the picture gets from it into the result."""

    video: Video
    part: Part | None  # None: the whole video
    cut: Cut
    is_encoded: bool
    streams: StreamPlan
    subtitles: dict[int, Path]  # of a part, by the source's stream: its words on the part's clock
    timecode: str  # of the result's first picture; "": none
    is_pcm: bool  # the sound is written sample for sample, into .mov
    folder: Path  # for files that are attached

    @property
    def zero_s(self) -> float:
        """The source's time stamp at which the result begins."""
        return self.video.start_s + (self.part.start_s if self.part else 0.0)


@dataclass
class _Take:
    """One sound on its way into a file."""

    sound_wav: Path
    out: Path
    lowered_db: float  # by how much it is turned down: 0 or less
    sound_late_s: float = 0.0
    peak_dbtp: float = -math.inf  # of what was written last


def check_mux(video: Video, out: Path) -> None:
    """Refuse a picture that the container of `out` cannot hold; before any work is done."""
    ending = out.suffix.lower()
    held = HELD_VIDEO.get(ending)
    if held is not None and video.video_codec not in held and not _is_written(video, ending):
        raise FoleyError(
            f"{ending} cannot hold the {video.video_codec} picture of {video.path.name} without encoding it again",
            "Write to .mkv, which holds any picture, or to the input's own format",
        )
    if ending == ".webm" and not ffmpeg.has_library("libopus"):
        raise FoleyError("this ffmpeg cannot write Opus, the sound of .webm", "Write to .mkv, or use another ffmpeg")
    if ending in (".mkv", ".webm") and (video.is_mirrored or video.rotation_deg and not _turns_matroska()):
        how = "mirrored" if video.is_mirrored else f"turned by {video.rotation_deg} degrees"
        raise FoleyError(
            f"ffmpeg {ffmpeg.ffmpeg_version()} cannot write into {ending} that the picture is shown {how}",
            "Write to .mp4 or .mov" + ("" if video.is_mirrored else ", or use ffmpeg 7 or newer (FOLEY_FFMPEG)"),
        )


def _turns_matroska() -> bool:
    """Whether this ffmpeg writes rotations into Matroska; unknown versions are asked by the check of the result."""
    found = re.match(r"n?(\d+)\.", ffmpeg.ffmpeg_version())
    return found is None or int(found[1]) >= 7


def _is_written(video: Video, ending: str) -> bool:
    """Whether ffmpeg writes the picture's first packet into a file like its own: a codec that no list names."""
    if video.path.suffix.lower() != ending:
        return False
    with temporary_beside(session_folder() / "trial", ending) as trial:
        output = ffmpeg.output_of([open_input(video.path)["V:0"]], trial, c="copy", **{"frames:v": 1})
        try:
            ffmpeg.run(ffmpeg.command(output), "trying the container")
        except FoleyError:
            return False
        return any(facts.codec == video.video_codec for facts in describe_streams(trial).values())


def foretell_notes(video: Video, out: Path, part: Part | None = None, exact: bool = False) -> tuple[str, ...]:
    """The notes of `mux` that are known before it: streams that are left out, pictures that are hidden."""
    ending = out.suffix.lower()
    is_whole = part is None or part.start_s == 0 and part.duration_s >= video.duration_s - TICK_S
    part = None if is_whole else part
    cut = find_cut(video, part)
    is_encoded = exact and part is not None and not cut.is_clean()
    return (*plan_streams(video, out).notes, *_cut_notes(part, cut, ending, is_encoded))


def mux(
    video: Video,
    sound_wav: Path,
    out: Path,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    exact: bool = False,
    ceiling_dbtp: float = CEILING_DBTP,
    pcm: bool | None = None,
    report: Report = silent,
) -> Muxed:
    """Write `out`: the picture of `video` (or its part) with `sound_wav` as its only sound.

    The picture's packets, rotation, colour tags and mutual timing are copied; subtitles, chapters,
    metadata, further pictures and fonts go along where the container holds them (text subtitles are
    converted), and `notes` name what it cannot hold.  A part (start_s, duration_s) must be one that
    `copyable_part` gave; its time code, subtitles and chapters begin with it.  With `exact` its pictures are
    encoded again where a copy would have to hide some.  The sound is as long as `sound_wav`.  `pcm` says whether
    .mov holds it as PCM; None: where the source's own sound is, and above 48 kHz.

    Errors: FoleyError where the result lacks pictures, sound or streams; `out` must not be used then.
    """
    (muxed,) = mux_takes(
        video,
        [(sound_wav, out)],
        start_s=start_s,
        duration_s=duration_s,
        exact=exact,
        ceiling_dbtp=ceiling_dbtp,
        pcm=pcm,
        report=report,
    )
    return muxed


def mux_takes(
    video: Video,
    takes: Sequence[tuple[Path, Path]],
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    exact: bool = False,
    ceiling_dbtp: float = CEILING_DBTP,
    pcm: bool | None = None,
    report: Report = silent,
) -> list[Muxed]:
    """`mux` for several sounds of one length, each to an output of its own, all of one ending: the video is read once.

    takes   the WAV and the output of each
    """
    first_wav, first_out = takes[0]
    check_mux(video, first_out)
    ending = first_out.suffix.lower()
    is_whole = start_s == 0 and duration_s is None
    part = None if is_whole else Part(start_s, video.duration_s - start_s if duration_s is None else duration_s)
    cut = find_cut(video, part)
    is_encoded = exact and part is not None and not cut.is_clean()
    if part and not (is_encoded or cut.is_clean() or ending in EDIT_LIST_ENDINGS):
        raise FoleyError(f"{ending} cannot show this part of {video.path.name} by copying", "Use --exact, or .mp4")
    streams = plan_streams(video, first_out)
    with temporary_beside(first_out, "") as place:
        subtitles = _subtitles_of_part(video, part, streams, place.parent) if part else {}
        inputs = _Inputs(
            video=video,
            part=part,
            cut=cut,
            is_encoded=is_encoded,
            streams=streams,
            subtitles=subtitles,
            timecode=_timecode(video, part),
            is_pcm=ending == ".mov" and writes_pcm(video, pcm, probe_audio(first_wav)[1]),
            folder=place.parent,
        )
        written = [_Take(sound_wav, out, lowered_db=_headroom_db(sound_wav, ceiling_dbtp)) for sound_wav, out in takes]
        _write_until_below(inputs, written, ceiling_dbtp, report)
    muxed = []
    for take in written:
        if ending in EDIT_LIST_ENDINGS and cut.has_hidden_end and not is_encoded:
            shorten_picture(take.out, part.duration_s if part else video.duration_s)
        check_result(take.out, _promise(inputs, take.sound_wav, ending))
        notes = [*streams.notes, *_cut_notes(part, cut, ending, is_encoded), *_sound_notes(inputs, take.lowered_db)]
        notes += _lost(inputs, take.out)
        peak_dbtp = take.peak_dbtp if math.isfinite(take.peak_dbtp) else None
        muxed.append(Muxed(peak_dbtp, round(take.lowered_db, 2), tuple(notes)))
    return muxed


def _write_until_below(inputs: _Inputs, takes: Sequence[_Take], ceiling_dbtp: float, report: Report) -> None:
    """Write, and again softer what peaks above the ceiling once it is encoded."""
    todo = list(takes)
    for attempt in range(TRIES):
        _write(inputs, todo, report if attempt == 0 else silent)  # progress never goes back
        if todo[0].out.suffix.lower() == ".webm" and attempt == 0:
            # Opus begins before 0: ffmpeg 5 makes room for that by moving the picture, and leaves the sound early.
            for take in todo:
                take.sound_late_s = picture_start_s(take.out) or 0.0
            if late := [take for take in todo if take.sound_late_s > TICK_S]:
                _write(inputs, late, silent)
        todo = [take for take in todo if not _is_below(inputs, take, ceiling_dbtp)]
        if not todo:
            return


def _is_below(inputs: _Inputs, take: _Take, ceiling_dbtp: float) -> bool:
    """Measure a written take; where it peaks above the ceiling, it is to be turned down."""
    take.peak_dbtp = peak_of_file(take.out)
    excess_db = take.peak_dbtp + PRINTED_DB - ceiling_dbtp
    if excess_db <= 0 or inputs.is_pcm or take.out.suffix.lower() == ".mkv":  # PCM and FLAC peak where the WAV did
        return True
    take.lowered_db -= excess_db + 2 * PRINTED_DB
    return False


def _headroom_db(sound_wav: Path, ceiling_dbtp: float) -> float:
    """By how much a sound is turned down that passes full scale, which only a WAV of floats can: 0 or less."""
    if soundfile.info(sound_wav).subtype != "FLOAT":
        return 0.0
    peak_dbtp = measure_file(sound_wav).peak_dbtp
    return ceiling_dbtp - peak_dbtp - PRINTED_DB if peak_dbtp > 0 else 0.0


def _write(inputs: _Inputs, takes: Sequence[_Take], report: Report) -> None:
    """Write all takes in one run of ffmpeg; where pictures are encoded, each in its own."""
    if inputs.is_encoded and len(takes) > 1:
        for take in takes:
            _write(inputs, [take], report)
        return
    video, part = inputs.video, inputs.part
    # -copyts and our own offset instead of ffmpeg's: it would put the earliest stream at 0, not the picture.
    seek, n_skipped = _seek(inputs) if part else ({}, 0)
    # Not "accurate": ffmpeg would cut by the time stamps before our offset.
    source = open_input(video.path, itsoffset=f"{-inputs.zero_s:.6f}", noaccurate_seek=None, **seek)
    output = ffmpeg.merge_outputs([_output(inputs, source, n_skipped, take) for take in takes])
    args = ffmpeg.command(output, "-copyts")
    for take in takes:
        place = args.index(ffmpeg.file_url(take.out))
        args[place:place] = _attach_options(inputs)
    total_s = part.duration_s if part else video.duration_s
    ffmpeg.run(args, f"writing {takes[0].out.name}", report, "mux", total_s)


def _output(inputs: _Inputs, source: Any, n_skipped: int, take: _Take) -> Any:
    """The ffmpeg-python output of one take."""
    part, ending = inputs.part, take.out.suffix.lower()
    sound = ffmpeg.open_input(take.sound_wav, itsoffset=f"{take.sound_late_s:.6f}").audio
    if take.lowered_db:
        sound = sound.filter("volume", f"{take.lowered_db:.4f}dB")
    picture = _encoded_picture(source["V:0"], part) if inputs.is_encoded and part else source["V:0"]
    others, options = _other_streams(inputs, source, ending)
    options |= _picture_options(inputs, ending, n_skipped) | _sound_options(ending, inputs.is_pcm)
    options |= _file_options(inputs, ending)
    if part:
        options["t"] = f"{part.duration_s + TICK_S:.6f}"  # of the other streams; the picture ends by its packets
    return ffmpeg.output_of([picture, sound, *others], take.out, **options)


def _attach_options(inputs: _Inputs) -> list[str]:
    """Covers as attachments; options that stand several times, for which ffmpeg-python has no form."""
    options: list[str] = []
    first = sum(kept.kind == "attachment" for kept in inputs.streams.kept)
    for k, cover in enumerate(inputs.streams.covers, start=first):
        file = inputs.folder / f"cover{k}"
        file.write_bytes(cover.data)
        options += ["-attach", str(file)]
        options += [f"-metadata:s:t:{k}", f"mimetype={cover.mime_type}"]
        options += [f"-metadata:s:t:{k}", f"filename={cover.name}"]
    return options


def _other_streams(inputs: _Inputs, source: Any, ending: str) -> tuple[list[Any], dict[str, Any]]:
    """The streams beside picture and sound, and their options."""
    streams: list[Any] = []
    options: dict[str, Any] = {}
    n_subtitles = 0
    for kept in inputs.streams.kept:
        if kept.kind == "subtitle":
            n, n_subtitles = n_subtitles, n_subtitles + 1
            if inputs.part and kept.is_text:
                if kept.index not in inputs.subtitles:
                    n_subtitles -= 1
                    continue
                streams.append(ffmpeg.open_input(inputs.subtitles[kept.index])["s:0"])
                options[f"c:s:{n}"] = PART_SUBTITLES.get(ending) or CODECS[inputs.subtitles[kept.index].suffix]
                options[f"map_metadata:s:s:{n}"] = f"0:s:{kept.index}"
                continue
            options[f"c:s:{n}"] = kept.codec
        streams.append(source[str(kept.index)])
        if inputs.part and kept.kind in ("subtitle", "data"):  # what was before the part
            options[f"bsf:{len(streams) + 1}"] = "noise=drop='lt(pts,0)'"
    return streams, options


def _picture_options(inputs: _Inputs, ending: str, n_skipped: int) -> dict[str, Any]:
    """How the picture is written: its packets, less those that the part does not need, or encoded again."""
    if inputs.is_encoded:
        return {**_encoder(inputs.video, ending), "fps_mode:v:0": "passthrough", "enc_time_base:v:0": f"1:{TIMESCALE}"}
    options: dict[str, Any] = {}
    if inputs.part:
        # Counted, not timed: what `tb` and `pts` mean to a bitstream filter differs between versions of ffmpeg.
        end = n_skipped + inputs.cut.n_packets
        dropped = [f"gte(n,{end})"] + ([f"lt(n,{n_skipped})"] if n_skipped else [])
        dropped += [f"eq(n,{n_skipped + k})" for k in inputs.cut.leading]
        options["bsf:v:0"] = f"noise=drop='{'+'.join(dropped)}'"
    if ending in EDIT_LIST_ENDINGS and inputs.video.video_codec == "hevc":
        with open_container(inputs.video.path) as container:
            if "mp4" not in container.format.name:
                options["tag:v:0"] = "hvc1"  # Apple's players take no other
    return options


def _encoded_picture(picture: Any, part: Part) -> Any:
    """The pictures of the part, on a clock that every rate divides."""
    shown = picture.filter("select", f"gte(t,-{TICK_S})*lt(t,{part.duration_s - TICK_S:.6f})")
    return shown.filter("settb", f"1/{TIMESCALE}")


def _encoder(video: Video, ending: str) -> dict[str, Any]:
    """A codec like the source's, at a quality at which hardly anything is lost."""
    if ending == ".webm":
        return {"c:v:0": "libvpx-vp9", "crf:v:0": 18, "b:v:0": 0, "deadline:v:0": "good", "cpu-used:v:0": 3}
    if video.video_codec == "hevc" and ffmpeg.has_library("libx265"):
        tag = {"tag:v:0": "hvc1"} if ending in EDIT_LIST_ENDINGS else {}
        return {"c:v:0": "libx265", "crf:v:0": 15, "x265-params:v:0": "log-level=error", **tag}
    if not ffmpeg.has_library("libx264"):
        raise FoleyError("this ffmpeg cannot encode H.264", "Leave out --exact, or use another ffmpeg (FOLEY_FFMPEG)")
    return {"c:v:0": "libx264", "crf:v:0": 14}


def writes_pcm(video: Video, pcm: bool | None, rate_hz: int) -> bool:
    """Whether the sound of a .mov is PCM: as asked, else as in the source, and wherever AAC has no such rate."""
    if rate_hz > MOST_AAC_HZ:
        return True
    return video.audio_codec.startswith("pcm_") if pcm is None else pcm


def _sound_options(ending: str, is_pcm: bool) -> dict[str, Any]:
    default = {"disposition:a:0": "default"}
    if is_pcm:
        return {"c:a": "pcm_s24le", **default}
    if ending in EDIT_LIST_ENDINGS:
        return {"c:a": "aac", "b:a": "256k", **AAC_OPTIONS, **default}
    if ending == ".webm":
        return {"c:a": "libopus", "b:a": "192k", **default}
    return {"c:a": "flac", "sample_fmt": "s32", "bits_per_raw_sample": 24, **default}


def _file_options(inputs: _Inputs, ending: str) -> dict[str, Any]:
    options: dict[str, Any] = {"c": "copy", "map_chapters": 0, "map_metadata": 0, **EXACT}
    if ending in EDIT_LIST_ENDINGS:
        # Phones' tags need a place of their own, to which ordinary tags move too: only where there are any.
        options["movflags"] = "+faststart" + ("+use_metadata_tags" if inputs.streams.has_phone_tags else "")
        options["strict"] = "unofficial"  # Dolby Vision's and 360-degree descriptions
    if inputs.timecode:
        options["metadata"] = options["metadata:s:v:0"] = f"timecode={inputs.timecode}"
    return options


def _seek(inputs: _Inputs) -> tuple[dict[str, Any], int]:
    """Options that have ffmpeg begin at the cut's key frame, and how many packets come before it nevertheless.

    Where ffmpeg lands is tried first: it depends on the format, its index, and the version.  Where no way leads to
    the key frame the file is read from its beginning.
    """
    video, cut = inputs.video, inputs.cut
    with open_container(video.path) as container:
        start_s = (container.start_time or 0) / 1e6
    key_s = video.start_s + cut.first.time_s - start_s  # -ss counts from the container's start
    late_s = min(SEEK_LATE_S, (cut.next_key_s - cut.first.time_s) / 2)
    for seek_s in (key_s + TICK_S, key_s + late_s):
        if seek_s > 1 and _lands_on(inputs, seek_s):
            return {"ss": f"{seek_s:.6f}"}, 0
    return {}, packets_before(video, cut)


def _lands_on(inputs: _Inputs, seek_s: float) -> bool:
    """Whether ffmpeg, sent there, reads the cut's key frame first."""
    source = open_input(inputs.video.path, ss=f"{seek_s:.6f}")
    output = source["V:0"].output("pipe:1", c="copy", format="framecrc", **{"frames:v": 1})
    told = b"".join(ffmpeg.read_stdout(ffmpeg.command(output, "-copyts"), 1 << 16, "seeking")).decode()
    tick = re.search(r"#tb 0: (\d+)/(\d+)", told)
    packet = re.search(r"^0,\s*-?\d+,\s*(-?\d+),\s*\d+,\s*(\d+),", told, re.MULTILINE)
    if not tick or not packet:
        return False
    time_s = int(packet[1]) * int(tick[1]) / int(tick[2]) - inputs.video.start_s
    return abs(time_s - inputs.cut.first.time_s) < 2 * TICK_S and int(packet[2]) == inputs.cut.first.n_bytes


def _subtitles_of_part(video: Video, part: Part, streams: StreamPlan, folder: Path) -> dict[int, Path]:
    """The words of the part, in a file for each stream that has any."""
    facts = describe_streams(video.path)
    cut = {
        kept.index: cut_subtitles(
            video.path,
            kept.index,
            facts[kept.index].codec,
            folder,
            start_s=video.start_s + part.start_s,
            duration_s=part.duration_s,
        )
        for kept in streams.kept
        if kept.kind == "subtitle" and kept.is_text
    }
    return {index: path for index, path in cut.items() if path}


def _timecode(video: Video, part: Part | None) -> str:
    """The time code of the result's first picture; "" where the source has none."""
    timecode, fps = start_timecode(video)
    n_frames = round(part.start_s * fps) if part else 0
    return advance_timecode(timecode, n_frames, fps) if timecode else ""


def _promise(inputs: _Inputs, sound_wav: Path, ending: str) -> Promise:
    video, cut, kept = inputs.video, inputs.cut, inputs.streams.kept
    n_streams: Counter[str] = Counter(stream.kind for stream in kept if not (inputs.part and stream.is_text))
    n_streams["subtitle"] += len(inputs.subtitles)
    n_streams["attachment"] += len(inputs.streams.covers)
    shows_all = ending not in EDIT_LIST_ENDINGS and not inputs.is_encoded
    hidden_s = max(0.0, -cut.first_s) if shows_all and inputs.part is None else 0.0
    return Promise(
        n_pictures=cut.n_packets - len(cut.leading) if shows_all else cut.n_shown,
        last_s=cut.last_s - (inputs.part.start_s if inputs.part else 0.0) + hidden_s,
        sound_start_s=hidden_s,
        sound_s=probe_audio(sound_wav)[0],
        fps=video.fps,
        n_streams=dict(n_streams),
        rotation_deg=0 if inputs.is_encoded else video.rotation_deg,
        is_mirrored=video.is_mirrored and not inputs.is_encoded,
    )


def _cut_notes(part: Part | None, cut: Cut, ending: str, is_encoded: bool) -> list[str]:
    """What is otherwise than in the source, for the part's sake."""
    if is_encoded:
        return ["the picture of this part is encoded again (--exact)"]
    if part and cut.hidden_s > TICK_S:
        seconds = f"{cut.hidden_s:.2f} s of pictures before the part"
        return [f"{seconds} are in the file, hidden by its edit list (--exact leaves them out)"]
    if part is None and cut.has_hidden and ending not in EDIT_LIST_ENDINGS:
        return [f"{ending} has no edit lists: pictures that the source hides show"]
    return []


def _sound_notes(inputs: _Inputs, lowered_db: float) -> list[str]:
    n_words = sum(stream.is_text for stream in inputs.streams.kept)
    n_silent = n_words - len(inputs.subtitles) if inputs.part else 0
    notes = [f"{n_silent} subtitle streams have no words in this part: they are left out"] if n_silent else []
    if lowered_db < -TOLD_DB:
        notes.append(f"the sound is {-lowered_db:.1f} dB softer: in this file it would be clipped")
    return notes


def _lost(inputs: _Inputs, out: Path) -> list[str]:
    """Notes on what the source says about itself and the result does not."""
    with open_container(inputs.video.path) as source, open_container(out) as result:
        before, after = dict(source.metadata), dict(result.metadata)
        tags = [result.metadata, *(stream.metadata for stream in result.streams)]
        timecodes = {value for tag in tags for key, value in tag.items() if key.lower() == "timecode"}
    marks = lost_marks(inputs.video.path, out) if may_have_marks(inputs.video) else []
    notes = marks + lost_tags(before, after)
    if inputs.timecode and inputs.timecode not in timecodes:
        notes.append(f"the time code {inputs.timecode} cannot be kept at this rate: it is left out")
    return notes
