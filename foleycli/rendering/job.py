"""Jobs: everything that one output needs, checked before a model is loaded; a job plans and runs itself.

analyze -> plan -> generate -> write
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from foleycli.errors import FoleyError, UsageError
from foleycli.media.audio import read_audio
from foleycli.media.finish import choose_tracks
from foleycli.media.mux import check_mux, foretell_notes
from foleycli.media.output import check_ending, check_rate, files_of_takes, is_video_name, temporary_beside
from foleycli.media.part import choose_part, copyable_part
from foleycli.media.probe import probe_audio
from foleycli.records import Report, Video, silent
from foleycli.rendering.cost import TAKES_AT_ONCE
from foleycli.rendering.plan import RenderPlan, WindowSpec, plan_render, seeds_from
from foleycli.rendering.result import RenderResult, StageClock, subprogress
from foleycli.settings.checking import short_repr
from foleycli.settings.settings import Settings
from foleycli.timebase import steps_to_cover

if TYPE_CHECKING:
    from torch import Tensor

    from foleycli.models.model import Model
    from foleycli.rendering.recordings import RecordingChoice

EXTRA_S = 10.0  # that an extension adds where no length is given
WHOLE_S = 0.1  # a result may be longer or shorter by so much: pictures and codec blocks are not split
LEAST_SPAN_S = 0.02  # of a result that is made anew: half a picture
LEAST_S = 0.001  # of a take that a video must hold: less can round to no sample at all


def is_whole_sound(path: Path, duration_s: float) -> bool:
    """Whether a file has sound of this length, to within two pictures or two blocks of a lossy codec."""
    try:
        return abs(probe_audio(path)[0] - duration_s) < WHOLE_S
    except FoleyError:
        return False


def _length_s(sound: Path) -> float:
    """How long a sound is; a library's is asked for once where thousands of cues have its timbre."""
    return _length_of_version(sound, sound.stat().st_mtime_ns)


@lru_cache(1024)
def _length_of_version(sound: Path, _mtime_ns: int) -> float:
    return probe_audio(sound)[0]


def check_span(start_s: float, duration_s: float | None, video: Video) -> None:
    """Errors: UsageError for a part that is not within the video."""
    if not 0 <= start_s < video.duration_s:
        raise UsageError(
            f"--start is {start_s:g}, but {video.path} lasts {video.duration_s:.2f} s", "Choose a start within it"
        )
    if duration_s is not None and not 0 < duration_s < float("inf"):
        raise UsageError(f"--duration is {duration_s:g}", "Give a number of seconds above 0")


@dataclass(frozen=True)
class RenderJob:
    """A video in, the same video (or its sound alone) out."""

    video: Video
    out: Path  # a video or a sound file, by its ending
    settings: Settings
    start_s: float = 0.0  # part of the video, from its first picture
    duration_s: float | None = None  # None: to the end
    reference: Path | None = None  # a sound whose timbre is matched
    reference_start_s: float | None = None  # None: its most characteristic part
    sounds: Path | None = None  # a folder of recordings, in place of the shipped library
    takes: int = 1  # so many are generated, each with the seed after the one before
    pick_best: bool = False  # of several keep only the best, as `out`
    name_pattern: str | None = None  # of the files of several takes, with {stem}, {take} and {seed}
    pcm: bool | None = None  # whether the sound of a .mov is PCM; None: as in the video
    exact: bool = False  # encode a part's pictures again where a copy cannot begin or end
    original_tracks: tuple[int, ...] | None = None  # of the video's own sound, counted from 0; None: all
    overwrite: bool = True  # replace an output that appears while the job runs
    kind: ClassVar[str] = "render"

    def inputs(self) -> list[Path]:
        """The files and folders that `run` reads, beside the model and the library that ships."""
        return [path for path in (self.video.path, self.reference, self.sounds) if path is not None]

    def outputs(self) -> list[Path]:
        """The files that `run` writes, the best take's first."""
        if self.name_pattern is None or self.takes == 1 or self.pick_best:
            return files_of_takes(self.out, self.takes, self.pick_best)
        stem, seed = self.video.path.stem, self.settings.seed
        ranks = range(1, self.takes + 1)
        return [self.out.with_name(self.name_pattern.format(stem=stem, take=rank, seed=seed)) for rank in ranks]

    def results(self) -> list[Path]:
        """Those of the files that are results, with a report of their own: no stems, no credits."""
        return self.outputs()

    def sampled_with(self, seed: int) -> list[int]:
        """The seeds of the batch in which the take with this seed is sampled."""
        seeds = seeds_from(self.settings.seed, self.takes)
        first = seeds.index(seed) // TAKES_AT_ONCE * TAKES_AT_ONCE
        return seeds[first : first + TAKES_AT_ONCE]

    def is_done(self) -> bool:
        """Whether all outputs are there, readable and of the right length: an earlier run has written them."""
        return all(is_whole_sound(out, self.length_s()) for out in self.outputs())

    def length_s(self) -> float:
        """Seconds of sound to generate."""
        return choose_part(self.video, self.start_s, self.duration_s).duration_s

    def check(self) -> None:
        """Refuse what cannot be done, before a model is loaded.

        Errors: UsageError for an unknown ending, or a part or reference start that is not within its file;
        FoleyError for a reference or a recording of `sounds` that cannot be read, or a video that the output's
        container cannot hold.
        """
        check_ending(self.out)
        check_rate(self.out, self.settings.rate_hz, self.pcm)
        check_span(self.start_s, self.duration_s, self.video)
        if self.settings.loudness_per != "mix" and self.kind == "render":
            raise UsageError(
                f"--loudness-per {self.settings.loudness_per} is given, but there are no cues", "Add --cues or --stems"
            )
        if self.sounds is not None and self.settings.prompt:
            from foleycli.library.library import open_library

            for match in open_library(self.sounds, self.settings.allow_licence).find(self.settings.prompt):
                probe_audio(match.recording.path)
        if self.settings.allow_licence:
            from foleycli.library.library import SHIPPED_LIBRARY, open_library

            open_library(self.sounds or SHIPPED_LIBRARY, self.settings.allow_licence)  # refuses unknown licences
        if self.reference is not None:
            length_s, _, _ = probe_audio(self.reference)
            if self.reference_start_s is not None and not 0 <= self.reference_start_s < length_s:
                raise UsageError(
                    f"--ref-start is {self.reference_start_s:g}, but {self.reference} lasts {length_s:.2f} s",
                    "Choose a start within it",
                )
            from foleycli.rendering.timbre import check_timbre

            check_timbre(self.reference, self.reference_start_s, self.settings.ref_s)
        if self.settings.mix and self.video.has_audio:
            choose_tracks(self.video.path, self.original_tracks)
        if is_video_name(self.out):
            check_mux(self.video, self.out)
        copyable_part(self.video, self.out, self.start_s, self.duration_s, self.exact)

    def needed_bytes(self) -> int:
        """Room that the outputs and the temporary files beside them take at most."""
        sound = round(self.length_s() * max(48_000, self.settings.rate_hz) * 4)  # of one channel
        copied = self.video.path.stat().st_size if is_video_name(self.out) else 0
        copied = round(copied * min(1.0, self.length_s() / self.video.duration_s))
        n = len(self.results())
        return (n + 2) * sound + 4 * sound + n * (copied + 2 * sound)

    def needed_by_folder(self) -> dict[Path, int]:
        """`needed_bytes` beside the result, and the room that other files take in their folders."""
        return {self.out.parent: self.needed_bytes()}

    def video_notes(self) -> tuple[str, ...]:
        """What is odd about the video, or lacking in it."""
        lacks_sound = self.settings.mix and not self.video.has_audio
        return self.video.notes + (("the video has no sound of its own that --mix could keep",) if lacks_sound else ())

    def foretell(self) -> tuple[str, ...]:
        """What the user should know before the work: streams that are left out, pictures that are hidden."""
        part = choose_part(self.video, self.start_s, self.duration_s)
        notes = self.video_notes() + part.notes
        return notes + foretell_notes(self.video, self.out, part, self.exact) if is_video_name(self.out) else notes

    def plan(self, spec: WindowSpec) -> RenderPlan:
        """What is known without watching the video: scene cuts can add windows."""
        return plan_render(self.length_s(), spec, self.settings, n_reference=self.n_reference(spec))

    def n_reference(self, spec: WindowSpec) -> int:
        """Latent steps of the reference, as far as it is known before the picture is watched."""
        path = self.reference
        if path is None and self.settings.prompt:
            from foleycli.rendering.timbre import find_reference

            path = find_reference(self.settings, sounds=self.sounds)
        if path is None:
            return 0
        reference_s = min(self.settings.ref_s, _length_s(path) - (self.reference_start_s or 0.0))
        return steps_to_cover(reference_s, spec.latent_rate_hz)

    def note(self, result: RenderResult) -> str:
        """Which recordings a result has, or whose timbre, where the user did not name the very file."""
        if result.recordings:
            names = ", ".join(match.recording.name for match in result.recordings)
            credit = " (credits: --json or --report)" if self.sounds is None else ""
            return f"it has recordings of {names}{credit}"
        if self.reference is None and result.reference is not None:
            from foleycli.library.library import SHIPPED_LIBRARY

            is_bundled = SHIPPED_LIBRARY in result.reference.parents
            sound = f"the library sound {result.reference.stem}" if is_bundled else result.reference
            return f"it has the timbre of {sound}"
        if self.sounds is not None or (self.settings.engine == "recordings" and self.reference is None):
            words = f"the prompt {self.settings.prompt!r}" if self.settings.prompt else "what is seen"
            return f"nothing in {self.sounds or 'the library'} is called like {words}"
        if self.reference is None and not self.settings.prompt and not result.labels:
            return "nothing was recognised in the picture: say with --prompt what is heard"
        if self.reference is None and self.settings.prompt and self.settings.library:
            words = short_repr(self.settings.prompt)
            return f"no bundled recording is called like {words}: the model makes it alone (--ref gives it a timbre)"
        return ""

    def heard(self) -> str:
        """What makes the sound, as far as it is known before the picture is watched."""
        from foleycli.rendering.recordings import INSIDE, OUTSIDE, choose_recordings

        if not self.settings.prompt and self.reference is None:
            return "what is recognised in the picture: no prompt is given"
        choice = choose_recordings(
            self.settings, sounds=self.sounds, reference=self.reference, in_video=is_video_name(self.out)
        )
        parts = (
            [] if self.settings.engine == "recordings" and choice.matches else [f"the model {self._timbre()}".strip()]
        )
        if choice.matches:
            found = (f"{one.recording.name} (for {one.span!r}, likeness {one.score:.2f})" for one in choice.matches)
            parts.append("recordings of " + ", ".join(found))
        if choice.room_tone is not None:
            is_named = choice.room_tone.name not in (INSIDE, OUTSIDE)
            parts.append(f"room tone: {choice.room_tone.name if is_named else 'indoors or outdoors, as is seen'}")
        if left_out := self._left_out(choice):
            parts.append(f"left out by --allow-licence: {', '.join(left_out)}")
        return "; ".join(parts)

    def _left_out(self, choice: RecordingChoice) -> list[str]:
        """Library sounds that would be used, were their licences allowed."""
        from foleycli.rendering.recordings import choose_recordings

        if not self.settings.allow_licence:
            return []
        free = choose_recordings(
            replace(self.settings, allow_licence=""),
            sounds=self.sounds,
            reference=self.reference,
            in_video=is_video_name(self.out),
        )
        found = [match.recording for match in free.matches] + ([free.room_tone] if free.room_tone else [])
        used = [match.recording for match in choice.matches] + [choice.room_tone]
        barred = [one for one in found if one not in used and not one.is_allowed(self.settings.allow_licence)]
        return [f"{one.name} ({', '.join(one.licences)})" for one in barred]

    def references(self) -> list[Path]:
        """The sounds that single cues name: none."""
        return []

    def heard_by_cue(self) -> list[dict[str, Any]]:
        """Each cue as it will be made: there are none."""
        return []

    def _timbre(self) -> str:
        from foleycli.rendering.timbre import find_reference

        reference = self.reference or find_reference(self.settings, sounds=self.sounds)
        return (
            f"with the timbre of {reference.name}"
            if reference is not None
            else "alone: no recording matches the prompt"
        )

    def run(self, model: Model, report: Report = silent) -> list[RenderResult]:
        """Make the sound and write `outputs()`; same settings, same seed, same bytes.

        The pictures are watched once for all takes; takes are sampled in batches, decoded and scored one by one,
        and written when their order is known.
        Errors: FoleyError when the video or the reference cannot be read, or the output not be written.
        """
        import torch

        from foleycli.device import oom_as_foley_error
        from foleycli.rendering.generate import sample_latents
        from foleycli.rendering.render import decode_take, prepare, write_takes
        from foleycli.rendering.takes import Take, keep_best

        with oom_as_foley_error(), torch.inference_mode(), ExitStack() as files:
            clock = StageClock()
            prepared = prepare(self, model, clock, report)
            ranked: list[Take] = []
            seeds = seeds_from(self.settings.seed, self.takes)
            for first in range(0, self.takes, TAKES_AT_ONCE):
                batch = seeds[first : first + TAKES_AT_ONCE]
                tracks: Sequence[Tensor | None] = [None] * len(batch)
                if not prepared.recorded.is_alone(self.settings.engine):
                    with clock.stage("sampler"):
                        tracks = sample_latents(
                            model.family,
                            prepared.features,
                            prepared.plan,
                            self.settings,
                            batch,
                            reference=prepared.reference_latents,
                            report=subprogress(report, first, len(batch), self.takes),
                        ).unbind()  # [L, D] each
                for k, (seed, latents) in enumerate(zip(batch, tracks, strict=True), start=first):
                    wav = files.enter_context(temporary_beside(self.out, ".wav"))
                    progress = subprogress(report, k, 1, self.takes)
                    take = decode_take(
                        prepared, latents, seed, wav, job=self, model=model, clock=clock, report=progress
                    )
                    ranked = keep_best(ranked, take, len(self.outputs()))
            return write_takes(self, prepared, ranked, model, clock, report)


@dataclass(frozen=True)
class SpanEdit:
    """A span of a result that is made anew, in seconds from the result's beginning."""

    start_s: float
    end_s: float
    seed: int
    prompt: str | None = None  # None: that of the whole
    negative_prompt: str | None = None

    def with_words(self, settings: Settings) -> Settings:
        """The settings of the whole, with the span's own words where it has some."""
        return replace(
            settings,
            prompt=settings.prompt if self.prompt is None else self.prompt,
            negative_prompt=settings.negative_prompt if self.negative_prompt is None else self.negative_prompt,
        )


def check_edits(edits: Sequence[SpanEdit], length_s: float) -> None:
    """Errors: UsageError for a span that is not within a result of so many seconds."""
    for edit in edits:
        if not 0 <= edit.start_s < edit.end_s:
            raise UsageError(
                f"the span from {edit.start_s:g} to {edit.end_s:g} s has no length", "Give --to after --from"
            )
        if edit.end_s - edit.start_s < LEAST_SPAN_S or edit.start_s >= length_s:
            raise UsageError(
                f"the span from {edit.start_s:g} to {edit.end_s:g} s is too short, or after the end at "
                f"{length_s:.2f} s",
                f"Choose a span of {LEAST_SPAN_S:g} s or more within the sound",
            )


@dataclass(frozen=True)
class SpanJob(RenderJob):
    """A render with spans that are made anew afterwards, one edit after the other, all else kept."""

    edits: tuple[SpanEdit, ...] = field(default=(), metadata={"is_reported": False})
    # The result before the last edit, whose samples are kept; None: it is made again.
    kept: Path | None = field(default=None, metadata={"is_reported": False})
    # Seeds that were sampled together, the job's own among them: alone it differs in the last bit.  (): alone.
    batch: tuple[int, ...] = field(default=(), metadata={"is_reported": False})
    # What its report says on, where it is one of several takes: see `report.session`.
    siblings: Mapping[str, Any] = field(default_factory=dict, metadata={"is_reported": False})

    def sampled_with(self, seed: int) -> list[int]:
        """See `RenderJob.sampled_with`."""
        return list(self.batch) or [seed]

    def check(self) -> None:
        """See `RenderJob.check`; errors: UsageError for a span that is not within the result, too."""
        super().check()
        check_edits(self.edits, self.length_s())

    def run(self, model: Model, report: Report = silent) -> list[RenderResult]:
        """Make the sound, then each span anew, and write the result; errors as `RenderJob.run`."""
        if not self.edits and not self.batch:
            return super().run(model, report)
        import torch

        from foleycli.device import oom_as_foley_error
        from foleycli.rendering.redo import redo_spans

        with oom_as_foley_error(), torch.inference_mode():
            return [redo_spans(self, model, report)]


@dataclass(frozen=True)
class ExtendJob:
    """A take in, the take and what follows it out, alone or along a video."""

    take: Path
    video: Video | None
    out: Path
    settings: Settings
    at_s: float = 0.0  # where in the video the take begins
    duration_s: float | None = None  # without a video; None: EXTRA_S more than the take
    loop: bool = False  # the end meets the beginning; without a video only
    overwrite: bool = True  # replace an output that appears while the job runs
    # Spans of what was generated that are made anew afterwards, one edit after the other, all else kept.
    edits: tuple[SpanEdit, ...] = field(default=(), metadata={"is_reported": False})
    # The result before the last edit, whose samples are kept; None: it is made again.
    kept: Path | None = field(default=None, metadata={"is_reported": False})
    takes: ClassVar[int] = 1

    def inputs(self) -> list[Path]:
        """The files that `run` reads, beside the model."""
        return [self.take] if self.video is None else [self.take, self.video.path]

    def outputs(self) -> list[Path]:
        """The file that `run` writes."""
        return [self.out]

    def results(self) -> list[Path]:
        """The same: it is a result."""
        return self.outputs()

    def is_done(self) -> bool:
        """Whether the output is there, readable and of the right length: an earlier run has written it."""
        return is_whole_sound(self.out, self.length_s())

    def check(self) -> None:
        """Refuse what cannot be done, before a model is loaded.

        Errors: UsageError for places, lengths and spans that make no sense together; FoleyError where nothing is left
        to make.
        """
        check_ending(self.out)
        if isinstance(self.settings.room, float):
            raise UsageError(
                f"--room is {self.settings.room:g}, but an extension goes on with its take's own room noise",
                "Give --room auto, or --room off for none",
            )
        take_s, _, _ = probe_audio(self.take)
        self._check_edits(take_s)
        if self.out.suffix.lower() == ".flac" and np.abs(read_audio(self.take).samples).max() > 1:
            raise FoleyError(f"{self.take} goes above full scale, which .flac cannot hold", "Write to .wav")
        if self.video is None:
            if is_video_name(self.out):
                hint = "Name a sound file with -o, or give the video"
                raise UsageError(f"{self.out} is a video, but none is given", hint)
            if self.duration_s is not None and self.duration_s <= take_s:
                raise UsageError(
                    f"--duration is {self.duration_s:g}, but {self.take} alone lasts {take_s:.2f} s",
                    "Ask for more than the take",
                )
            return
        if not 0 <= self.at_s <= self.video.duration_s - LEAST_S:
            raise UsageError(
                f"--at is {self.at_s:g}, but {self.video.path} lasts {self.video.duration_s:.2f} s",
                "Choose a place within it",
            )
        if self.at_s == 0 and take_s >= self.video.duration_s:
            raise FoleyError(
                f"{self.take} lasts {take_s:.2f} s and covers all of {self.video.path} ({self.video.duration_s:.2f} s)",
                "Give a shorter take: there is nothing left to make",
            )
        if is_video_name(self.out):
            check_mux(self.video, self.out)

    def needed_bytes(self) -> int:
        """Room that the output and the temporary files beside it take at most."""
        _, rate_hz, channels = probe_audio(self.take)
        copied = self.video.path.stat().st_size if self.video is not None and is_video_name(self.out) else 0
        decoded = round(self.length_s() * 48_000 * 4)  # the model's sound, of one channel
        n_channels = min(channels, 2) + (2 + 3 * len(self.edits)) * channels
        return copied + decoded + round(self.length_s() * rate_hz * 4) * n_channels

    def needed_by_folder(self) -> dict[Path, int]:
        """`needed_bytes`, by where they are needed."""
        return {self.out.parent: self.needed_bytes()}

    def _check_edits(self, take_s: float) -> None:
        check_edits(self.edits, self.length_s())
        first_s = self.at_s if self.video is not None else 0.0
        last_s = first_s + take_s
        for edit in self.edits:
            if first_s <= edit.start_s and edit.end_s <= last_s:
                raise UsageError(
                    f"from {edit.start_s:g} to {edit.end_s:g} s the take itself is heard, which stays as it is",
                    f"Choose a span before {first_s:g} s or after {last_s:.2f} s",
                )

    def foretell(self) -> tuple[str, ...]:
        """What the user should know before the work: streams that are left out, and a take that is cut short."""
        if self.video is None or not is_video_name(self.out):
            return self.take_notes()
        return self.take_notes() + self.video.notes + foretell_notes(self.video, self.out)

    def take_notes(self) -> tuple[str, ...]:
        """That the video is over before the take is."""
        if self.video is None:
            return ()
        heard_s, take_s = self.video.duration_s - self.at_s, probe_audio(self.take)[0]
        if take_s - heard_s < LEAST_S:
            return ()
        return (f"only {heard_s:.2f} s of the take are heard, not {take_s:.2f} s: the video is over then",)

    def length_s(self) -> float:
        """Seconds of the result."""
        if self.video is not None:
            return self.video.duration_s
        return self.duration_s or probe_audio(self.take)[0] + EXTRA_S

    def plan(self, spec: WindowSpec) -> RenderPlan:
        """What is known without watching the video: scene cuts can add windows."""
        return plan_render(self.length_s(), spec, self.settings)

    def heard(self) -> str:
        """What makes the sound."""
        name = self.take.name
        room = "" if self.settings.room == "off" else ", over its room noise"
        if self.settings.engine == "flow":
            return f"the model, going on from {name}{room}"
        when = "in its own rhythm" if self.video is None else "at what is seen"
        beside = " and the model, going on from it" if self.settings.engine == "both" else ""
        return f"the own sound of {name} again, {when}{beside}{room}"

    def heard_by_cue(self) -> list[dict[str, Any]]:
        """Each cue as it will be made: there are none."""
        return []

    def note(self, result: RenderResult) -> str:
        """Nothing: the user named the take."""
        return ""

    def run(self, model: Model, report: Report = silent) -> list[RenderResult]:
        """Carry on the take and write the output; the take's own samples are not touched.

        Errors: FoleyError when the take or the video cannot be read, or the output not be written.
        """
        import torch

        from foleycli.device import oom_as_foley_error
        from foleycli.rendering.extend import extend_take

        with oom_as_foley_error(), torch.inference_mode():
            return [extend_take(self, model, report)]
