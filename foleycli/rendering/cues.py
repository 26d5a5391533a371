"""A reel and its cue sheet in, one sound for the whole out, and the stem of every cue and take.

The picture is watched once.  Each cue is a sound of its own, with its own words, seed and reference; windows of all
cues go through the network in batches; the mix is the plain sum of the first takes and what lies between the cues.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from foleycli.cues.check import check_cues
from foleycli.cues.cue import Cue, CueSheet, Stem
from foleycli.cues.times import ReelClock, nearest
from foleycli.errors import UsageError
from foleycli.media.output import is_video_name
from foleycli.media.part import Part, choose_part
from foleycli.records import Report, silent
from foleycli.rendering.job import RenderJob, SpanEdit, is_whole_sound
from foleycli.rendering.plan import RenderPlan, WindowSpec, plan_render, seeds_from
from foleycli.rendering.result import RenderResult
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings

if TYPE_CHECKING:
    from foleycli.media.finish import FinishedSound
    from foleycli.models.model import Model

Between = Literal["room", "silence", "auto"]
HANDLE_S = Fraction(1, 5)  # in which a cue's sound rings out, and its neighbour's comes in
LEAST_GAP_S = Fraction(1, 5)  # between cues, to be filled from the picture
SEEDS = 1_000_000  # a cue's own seed is the call's and so much at most
WHOLE_SETTINGS = (  # of the mix
    *("rate_hz", "channels", "width", "loudness_lufs", "loudness_per", "mix", "original_gain_db", "gain_db"),
)


class Delivery(Protocol):
    """Somebody who takes the stems: writes them out, or puts them on a timeline."""

    def outputs(self, job: CueJob) -> list[Path]:
        """The files that `deliver` will write; none of them may be an input or exist without --force."""
        ...

    def check(self, job: CueJob) -> None:
        """Refuse what cannot be written, before a model is loaded; errors: UsageError."""
        ...

    def needed_bytes(self, job: CueJob) -> dict[Path, int]:
        """Room that the files take, by the folders that they go to; nothing for what is small."""
        ...

    def deliver(self, job: CueJob, stems: Sequence[Stem], report: Report) -> tuple[str, ...]:
        """Write them; the stems' own files are gone afterwards.  Returns notes for the user."""
        ...


@dataclass(frozen=True)
class PlacedCue:
    """A cue, or a gap between cues, in the part that is rendered; exact seconds from the part's beginning."""

    cue: Cue | None  # None: a gap that is filled from the picture
    settings: Settings
    takes: int
    start_s: Fraction
    end_s: Fraction
    begin_s: Fraction  # of its sound: the handles included
    stop_s: Fraction

    @property
    def silent(self) -> bool:
        """Whether nothing is heard."""
        return self.cue is not None and self.cue.silent

    @property
    def duration_s(self) -> Fraction:
        """Of its sound."""
        return self.stop_s - self.begin_s

    def samples(self, rate_hz: int) -> tuple[int, int, int, int]:
        """Where its sound begins, the cue starts and ends, and its sound stops: samples from the part's beginning."""
        begin, start, end, stop = (
            nearest(time_s * rate_hz) for time_s in (self.begin_s, self.start_s, self.end_s, self.stop_s)
        )
        return begin, start, end, stop

    @property
    def hits_s(self) -> tuple[Fraction, ...] | None:
        """The times that must be struck, from the reel's first picture."""
        return None if self.cue is None else self.cue.hits_s


@dataclass(frozen=True)
class CueJob(RenderJob):
    """A reel and its cues in; the reel with one sound for all of it out.

    `settings` are those of the whole: rate, channels, loudness, the video's own sound.  `takes` is what a cue has
    that says nothing else.
    """

    sheet: CueSheet = field(default=CueSheet(()), metadata={"is_reported": False})
    cue_settings: tuple[Settings, ...] = field(default=(), metadata={"is_reported": False})  # one for each cue
    clock: ReelClock = field(default=ReelClock(Fraction(25)), metadata={"is_reported": False})
    between: Between = "room"
    handle_s: Fraction = field(default=HANDLE_S, metadata={"is_reported": False})
    cue_seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict, metadata={"is_reported": False})  # by number
    # Spans of single takes that are made anew after all of the take, by the cue's number and the take's seed.
    cue_spans: Mapping[tuple[str, int], tuple[SpanEdit, ...]] = field(
        default_factory=dict, metadata={"is_reported": False}
    )
    model_folders: Mapping[str, Path] = field(default_factory=dict, metadata={"is_reported": False})  # of cues, by name
    deliveries: tuple[Delivery, ...] = field(default=(), metadata={"is_reported": False})
    kind: ClassVar[str] = "cues"

    def inputs(self) -> list[Path]:
        """The files that `run` reads, references of single cues too."""
        return [*super().inputs(), *(cue.reference for cue in self.sheet.cues if cue.reference is not None)]

    def outputs(self) -> list[Path]:
        """The file with the mix, and what the stems go to."""
        return [self.out, *(path for delivery in self.deliveries for path in delivery.outputs(self))]

    def results(self) -> list[Path]:
        """The file with the mix."""
        return [self.out]

    def is_done(self) -> bool:
        """Whether the mix is there, readable and of the right length, and all else is there that goes with it."""
        return is_whole_sound(self.out, self.length_s()) and all(path.is_file() for path in self.outputs()[1:])

    def check(self) -> None:
        """Refuse what cannot be done, before a model is loaded; see `RenderJob.check`."""
        from foleycli.rendering.timbre import check_timbre

        super().check()
        if self.pick_best:
            raise UsageError(
                "--pick is given beside --cues or --stems", "All takes of a cue are kept, the first is in the mix"
            )
        if self.name_pattern is not None:
            raise UsageError("--name is given beside --cues", "Name the mix with -o")
        check_cues(self.sheet.cues, self.clock, Fraction(self.video.duration_s))
        for cue in self.sheet.cues:
            if cue.reference is not None:
                check_timbre(cue.reference)
        if not self.placed():
            raise UsageError("no cue of the sheet lies in the part that is rendered", "Choose another part")
        for delivery in self.deliveries:
            delivery.check(self)

    def placed(self, part: Part | None = None) -> list[PlacedCue]:
        """The cues that lie in the part, cut to it, and the gaps between them where those are filled."""
        part = part or choose_part(self.video, self.start_s, self.duration_s)
        length_s, begin_s = Fraction(part.duration_s), Fraction(part.start_s)
        placed = []
        for cue, settings in zip(self.sheet.cues, self.cue_settings, strict=True):
            start_s, end_s = max(Fraction(0), cue.start_s - begin_s), min(length_s, cue.end_s - begin_s)
            if start_s < end_s:
                takes = 1 if cue.silent else cue.takes or self.takes
                placed.append(self._place(cue, settings, takes, start_s, end_s, length_s))
        if self.between == "auto":
            placed += [
                self._place(None, self.settings, 1, start_s, end_s, length_s)
                for start_s, end_s in _gaps([(one.start_s, one.end_s) for one in placed], length_s)
            ]
        return placed

    def _place(
        self, cue: Cue | None, settings: Settings, takes: int, start_s: Fraction, end_s: Fraction, length_s: Fraction
    ) -> PlacedCue:
        handle_s = Fraction(0) if cue is not None and cue.silent else self.handle_s
        begin_s, stop_s = max(Fraction(0), start_s - handle_s), min(length_s, end_s + handle_s)
        return PlacedCue(cue, settings, takes, start_s, end_s, begin_s, stop_s)

    def wants_room_tone(self) -> bool:
        """Whether there is room tone under all."""
        room = self.settings.room
        is_usual = room != "auto" or is_video_name(self.out)  # as in a render without cues
        return room != "off" and (self.between == "room" or (self.between == "auto" and is_usual))

    def seeds(self, one: PlacedCue) -> tuple[int, ...]:
        """The seeds of a cue's takes: its own where they were chosen one by one, else those from its seed on."""
        own = self.cue_seeds.get(one.cue.number) if one.cue is not None else None
        return own or tuple(seeds_from(one.settings.seed, one.takes))

    def spans(self, one: PlacedCue, seed: int) -> tuple[SpanEdit, ...]:
        """The spans of a cue's take that are made anew, in seconds from the part's beginning."""
        return () if one.cue is None else self.cue_spans.get((one.cue.number, seed), ())

    def leaves_open(self, one: PlacedCue, seed: int) -> bool:
        """Whether somebody else puts a take's last span into the sound around it: no."""
        return False

    def write_mix(self, part: Part, mix: Path, report: Report) -> FinishedSound:
        """Write the result around the sum of the first takes, a WAV with all its channels."""
        from foleycli.rendering.output import write_result

        return write_result(self.with_channels(), part, mix, self.out, None, report)

    def with_channels(self) -> CueJob:
        """The job for a mix that has its two channels already."""
        return replace(self, settings=replace(self.settings, width=0.0))

    def needed_bytes(self) -> int:
        """See `RenderJob.needed_bytes`: stems lie beside the result until it is whole."""
        stem = sum(float(one.duration_s) * one.takes for one in self.placed()) * 48_000 * 4 * 3
        return super().needed_bytes() + round(stem)

    def needed_by_folder(self) -> dict[Path, int]:
        """See `RenderJob.needed_by_folder`."""
        needed = Counter(super().needed_by_folder())
        for delivery in self.deliveries:
            needed.update(delivery.needed_bytes(self))
        return dict(needed)

    def foretell(self) -> tuple[str, ...]:
        """See `RenderJob.foretell`; what was odd about the sheet besides."""
        return super().foretell() + self.sheet.notes

    def plan(self, spec: WindowSpec) -> RenderPlan:
        """The windows of all cues; scene cuts within one can add some."""
        windows = []
        for one in self.placed():
            if not one.silent and one.settings.engine != "recordings":
                job = replace(self, settings=one.settings, reference=self._reference(one))
                n_reference = RenderJob.n_reference(job, spec)
                plan = plan_render(one.duration_s, spec, one.settings, n_reference=n_reference)
                windows += plan.windows * one.takes
        return RenderPlan(self.length_s(), 0, windows)

    def references(self) -> list[Path]:
        """The sounds that cues name."""
        return [cue.reference for cue in self.sheet.cues if cue.reference is not None]

    def _reference(self, one: PlacedCue) -> Path | None:
        return (one.cue.reference if one.cue is not None else None) or self.reference

    def heard(self) -> str:
        """What lies between the cues; what each of them will sound like is `heard_by_cue`."""
        between = {
            "room": "room tone under all",
            "silence": "nothing between them",
            "auto": "between them what is seen",
        }
        n = len(self.sheet.cues)
        return f"{n} cue{'' if n == 1 else 's'}, {between[self.between]}"

    def heard_by_cue(self) -> list[dict[str, Any]]:
        """Each cue as it will be made, as plain values: what `--dry-run` shows."""
        told = []
        for one in self.placed():
            if one.cue is None:
                continue
            job = replace(self, settings=one.settings, reference=self._reference(one), out=self.out.with_suffix(".wav"))
            heard = "silence" if one.silent else RenderJob.heard(job)
            told.append(
                {
                    "number": one.cue.number,
                    "name": one.cue.name,
                    "in": self.clock.timecode(one.cue.start_s),
                    "out": self.clock.timecode(one.cue.end_s),
                    "start_s": round(float(one.cue.start_s), 6),
                    "end_s": round(float(one.cue.end_s), 6),
                    "prompt": one.settings.prompt,
                    "takes": one.takes,
                    "seed": one.settings.seed,
                    "hits": None if one.cue.hits_s is None else len(one.cue.hits_s),
                    "gain_db": one.cue.gain_db,
                    "track": one.cue.track,
                    "notes": one.cue.notes,
                    "heard": heard,
                }
            )
        return told

    def note(self, result: RenderResult) -> str:
        """Which recordings are in the mix."""
        if not result.recordings:
            return ""
        names = ", ".join(match.recording.name for match in result.recordings)
        return f"it has recordings of {names}" + (" (credits: --json or --report)" if self.sounds is None else "")

    def run(self, model: Model, report: Report = silent) -> list[RenderResult]:
        """Make the sound of every cue, write the mix, and hand the stems over; same settings, same seeds, same bytes.

        Errors: FoleyError when the video or a reference cannot be read, a model reads no words where a cue has some,
        or an output cannot be written.
        """
        import torch

        from foleycli.device import oom_as_foley_error
        from foleycli.rendering.cue_sounds import render_cues

        with oom_as_foley_error(), torch.inference_mode():
            return [render_cues(self, model, report)]


def whole_as_cue(job: RenderJob, deliveries: tuple[Delivery, ...]) -> CueJob:
    """A render as a sheet of one cue that is all of it, so that its stems can be handed over."""
    settings, defaults = job.settings, Settings()
    end_s = Fraction(job.video.duration_s)
    return CueJob(
        video=job.video,
        out=job.out,
        settings=settings,
        start_s=job.start_s,
        duration_s=job.duration_s,
        reference=job.reference,
        reference_start_s=job.reference_start_s,
        sounds=job.sounds,
        takes=job.takes,
        pick_best=job.pick_best,
        name_pattern=job.name_pattern,
        pcm=job.pcm,
        exact=job.exact,
        original_tracks=job.original_tracks,
        overwrite=job.overwrite,
        sheet=CueSheet((Cue("1", Fraction(0), end_s, prompt=settings.prompt),)),
        cue_settings=(replace(settings, **{name: getattr(defaults, name) for name in WHOLE_SETTINGS}),),
        clock=ReelClock.of(job.video),
        between="auto",  # there is nothing between: room tone as in a render without cues
        deliveries=deliveries,
    )


def resolve_cue(
    cue: Cue,
    *,
    preset: str | None,
    model_defaults: Mapping[str, object],
    overrides: Mapping[str, object],
) -> Settings:
    """The settings of one cue: its own columns before the call's options before its preset (or the call's).

    A cue without a seed has the call's and a number of its own, made of its number in the sheet: two cues of like
    pictures do not sound alike, and a new cue leaves the others as they were.
    Errors: FoleyError for its preset.
    """
    own: dict[str, object] = {
        name: value for name in ("prompt", "negative_prompt", "seed") if (value := getattr(cue, name)) not in ("", None)
    }
    settings = resolve_settings(cue.preset or preset, model_defaults=model_defaults, overrides={**overrides, **own})
    defaults = Settings()
    settings = replace(settings, **{name: getattr(defaults, name) for name in WHOLE_SETTINGS})
    if cue.seed is not None:
        return settings
    return replace(settings, seed=(settings.seed + zlib.crc32(cue.number.encode()) % SEEDS) % 2**63)


def _gaps(spans: Sequence[tuple[Fraction, Fraction]], length_s: Fraction) -> list[tuple[Fraction, Fraction]]:
    """What no span covers, where it is long enough to be filled."""
    gaps, done_s = [], Fraction(0)
    for start_s, end_s in [*sorted(spans), (length_s, length_s)]:
        if start_s - done_s >= LEAST_GAP_S:
            gaps.append((done_s, start_s))
        done_s = max(done_s, end_s)
    return gaps
