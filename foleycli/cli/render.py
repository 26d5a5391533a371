"""`foley render`: silent videos in, the same videos with sound (or the sound alone) out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import WRAPPER_ASSIGNMENTS, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foleycli.cli import jobs, naming, options
from foleycli.cli import stems as stem_options
from foleycli.cli.cues import CueOptions, cue_job
from foleycli.errors import UsageError
from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.hub.resolve import default_settings
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings

if TYPE_CHECKING:
    from foleycli.rendering.job import RenderJob

MOST_TAKES = 32

Videos = Annotated[list[Path], typer.Argument(metavar="VIDEO", help="One video, or several; a folder is all in it.")]
OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="Where results go; sub-folders of the inputs are kept.",
        rich_help_panel=options.OUTPUT,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="PATTERN",
        help="What results are called, such as {stem}_{take:02}.wav; the ending chooses the format. "
        "With --stems: what stems are called.",
        rich_help_panel=options.OUTPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Skip inputs whose results are there and whole.", rich_help_panel=options.OUTPUT),
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="A prompt for each input: CSV (file,prompt), JSON or YAML; --prompt is for those that it lacks.",
        rich_help_panel=options.SOUND,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option("--ref", metavar="AUDIO", help="Match this sound's timbre.", rich_help_panel=options.SOUND),
]
ReferenceStart = Annotated[
    float | None,
    typer.Option(
        "--ref-start",
        metavar="SECONDS",
        help="Where in it the timbre is taken from; default: its most characteristic 2 s.",
        rich_help_panel=options.SOUND,
    ),
]
Sounds = Annotated[
    Path | None,
    typer.Option(
        "--sounds",
        metavar="FOLDER",
        help="Your own recordings in place of the bundled ones: the one that matches the prompt is the reference.",
        rich_help_panel=options.SOUND,
    ),
]
Takes = Annotated[
    int | None,
    typer.Option(
        "--takes",
        metavar="N",
        help=f"Make so many takes, with the seeds from --seed on; OUT.take1 fits the picture best (1 to {MOST_TAKES}).",
        show_default="1",
        rich_help_panel=options.OUTPUT,
    ),
]
Pick = Annotated[
    Literal["best"] | None,
    typer.Option("--pick", help="Of the takes keep the best alone, as OUT.", rich_help_panel=options.OUTPUT),
]
Cues = Annotated[
    Path | None,
    typer.Option(
        "--cues",
        metavar="FILE",
        help="A cue sheet of one reel: CSV, JSON, EDL, OTIO, FCPXML, SRT or Audacity labels.",
        rich_help_panel=options.SOUND,
    ),
]
BetweenCues = Annotated[
    Literal["room", "silence", "auto"] | None,
    typer.Option(
        "--between",
        help="What lies between cues: room tone, silence, or auto, the sound of what is seen.",
        show_default="room",
        rich_help_panel=options.SOUND,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="Begin here: seconds, frames (120f) or time code.",
        show_default="0",
        rich_help_panel=options.VIDEO,
    ),
]
Duration = Annotated[
    str | None,
    typer.Option(
        "--duration",
        metavar="TIME",
        help="Only so long: seconds, frames or time code.",
        rich_help_panel=options.VIDEO,
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Encode a part's pictures again where a copy of them cannot begin or end.",
        rich_help_panel=options.VIDEO,
    ),
]
Pcm = Annotated[
    bool | None,
    typer.Option(
        "--pcm/--no-pcm",
        help="Write the sound of a .mov as PCM, 24 bit.",
        show_default="as the video's own sound",
        rich_help_panel=options.OUTPUT,
    ),
]
Tracks = Annotated[
    str | None,
    typer.Option(
        "--tracks",
        metavar="LIST",
        help="Which of the video's own sound tracks --mix keeps, such as 1,3.",
        show_default="all",
        rich_help_panel=options.VIDEO,
    ),
]


def requests(
    videos: Videos,
    out: options.Out = None,
    out_dir: OutDir = None,
    name: Name = None,
    prompt: options.Prompt = None,
    prompts: Prompts = None,
    cues: Cues = None,
    between: BetweenCues = None,
    negative_prompt: options.NegativePrompt = None,
    preset: options.Preset = "default",
    model: options.Model = DEFAULT_MODEL,
    ref: Reference = None,
    ref_start: ReferenceStart = None,
    library: options.Library = None,
    sounds: Sounds = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    words_guidance: options.WordsGuidance = None,
    allow_licence: options.AllowLicence = None,
    engine: options.Engine = None,
    room: options.Room = None,
    ride: options.Ride = None,
    seed: options.Seed = None,
    start: Start = None,
    duration: Duration = None,
    exact: Exact = False,
    takes: Takes = None,
    pick: Pick = None,
    cuts: options.Cuts = None,
    mix: options.Mix = None,
    tracks: Tracks = None,
    original_gain_db: options.OriginalGain = None,
    gain_db: options.Gain = None,
    loudness_lufs: options.Loudness = None,
    loudness_per: options.LoudnessPer = None,
    rate_hz: options.Rate = None,
    channels: options.Channels = None,
    pcm: Pcm = None,
    width: options.Width = None,
    stems: stem_options.Stems = None,
    stems_by: stem_options.StemsBy = None,
    stem_bits: stem_options.StemBits = None,
    handles: stem_options.Handles = None,
    timeline: stem_options.Timelines = None,
    force: options.Force = False,
    resume: Resume = False,
    report: options.WithReport = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    threads: options.Threads = None,
    compiled: options.Compile = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
    dry_run: options.DryRun = False,
    accept_license: options.AcceptLicense = False,
) -> tuple[list[jobs.Request], jobs.RunOptions]:
    """What `foley render` is to do with these options; a row of `foley batch` comes through here too.

    Errors: UsageError for options that contradict one another or name no files.
    """
    overrides: dict[str, object] = dict(
        prompt=prompt,
        negative_prompt=negative_prompt,
        steps=steps,
        guidance=guidance,
        words_guidance=words_guidance,
        library=library,
        allow_licence=allow_licence,
        engine=engine,
        room=room,
        ride=ride,
        seed=seed,
        cuts=cuts,
        mix=mix,
        original_gain_db=original_gain_db,
        gain_db=gain_db,
        loudness_lufs=loudness_lufs,
        loudness_per=loudness_per,
        rate_hz=rate_hz,
        channels=channels,
        width=width,
    )
    settings = resolve_settings(preset, model_defaults=default_settings(model), overrides=overrides)
    _check_together(settings, original_gain_db, tracks, ref, ref_start)
    _check_sounds(sounds, ref, library)
    _check_takes(takes, pick)
    _check_cues(cues, between, handles, prompts, len(videos))
    run = jobs.RunOptions(
        model=model,
        device=device,
        dtype=dtype,
        force=force,
        quiet=quiet,
        json=json,
        dry_run=dry_run,
        report=report,
        accept_license=accept_license,
        compiled=compiled,
        threads=threads,
        resume=resume,
    )
    sources = naming.expand(videos)
    paths = [source.path for source in sources]
    asked = RenderRequest(
        settings=settings,
        prompts=naming.read_prompts(prompts, paths) if prompts else {},
        cues=CueOptions(cues, between or "room", handles, preset, overrides) if cues is not None else None,
        start=start,
        duration=duration,
        pcm=pcm,
        exact=exact,
        tracks=_track_numbers(tracks) if tracks is not None else None,
        reference=ref,
        reference_start_s=ref_start,
        sounds=sounds,
        takes=takes or 1,
        pick_best=pick is not None,
        name=name if stems is None else None,
        stems=stem_options.request(stems, stems_by, stem_bits, name, timeline or (), len(paths)),
        is_alone=len(paths) == 1,
        inputs=[*paths, *(path for path in (ref, sounds, prompts, cues, _file(preset), _file(model)) if path)],
        run=run,
    )
    outs = _outputs(sources, out, out_dir, asked)
    pairs = zip(paths, outs, strict=True)
    return [jobs.Request(video, partial(asked.job, video, to), to) for video, to in pairs], run


@wraps(requests, assigned=set(WRAPPER_ASSIGNMENTS) - {"__doc__", "__name__", "__qualname__"})
def render(**options: Any) -> None:
    """Give videos a sound that hits when the picture hits.

    OUT ending in .mp4 .mov .mkv .webm is the video with its picture untouched; in .wav .flac .mp3 .m4a
    .ogg the sound alone.  Without -o: clip.foley.mp4 beside clip.mp4.
    """
    jobs.run_jobs(*requests(**options))


@dataclass(frozen=True)
class RenderRequest:
    """What one call asks for every video."""

    settings: Settings
    prompts: dict[Path, str]  # of single inputs, in place of the settings' own
    cues: CueOptions | None
    start: str | None
    duration: str | None
    pcm: bool | None
    exact: bool
    tracks: tuple[int, ...] | None  # from 0
    reference: Path | None
    reference_start_s: float | None
    sounds: Path | None
    takes: int
    pick_best: bool
    name: str | None  # a pattern
    stems: stem_options.StemRequest | None
    is_alone: bool  # there is one video
    inputs: list[Path]  # none of them may be written over, whatever the order
    run: jobs.RunOptions

    def job(self, video_path: Path, out: Path) -> RenderJob:
        """The job of one video; everything that can be refused without a model is refused here."""
        from foleycli.media.probe import probe
        from foleycli.rendering.job import RenderJob

        video = probe(video_path)
        job = RenderJob(
            video=video,
            out=out,
            settings=replace(self.settings, prompt=self.prompts.get(video_path, self.settings.prompt)),
            start_s=0.0 if self.start is None else options.place_s("--start", self.start, video),
            duration_s=None if self.duration is None else options.length_s("--duration", self.duration, video),
            reference=self.reference,
            reference_start_s=self.reference_start_s,
            sounds=self.sounds,
            takes=self.takes,
            pick_best=self.pick_best,
            name_pattern=self.name,
            pcm=self.pcm,
            exact=self.exact,
            original_tracks=self.tracks,
            overwrite=self.run.force,
        )
        sub_folder = "" if self.is_alone else out.stem
        if self.cues is not None:
            deliveries = () if self.stems is None else self.stems.deliveries(sub_folder)
            job = cue_job(job, self.cues, self.run, deliveries)
        else:
            job = job if self.stems is None else self.stems.as_cue_job(job, sub_folder)
            job.check()
        if self.stems is not None and not self.run.dry_run:
            jobs.make_folder(self.stems.folder / sub_folder, "--stems")
        jobs.check_outputs(job, [*self.inputs, *job.references()], self.run)
        return job


def _file(name: str) -> Path | None:
    """A preset or model that is given as a file or folder."""
    path = Path(name)
    return path if path.exists() else None


def _track_numbers(text: str) -> tuple[int, ...]:
    """The tracks of --tracks, from 0; errors: UsageError for what is no list of numbers from 1 on."""
    numbers = text.replace(",", " ").split()
    if not numbers or not all(number.isascii() and number.isdigit() and 1 <= int(number) <= 999 for number in numbers):
        raise UsageError(f"--tracks is {text[:40]!r}", "Give numbers from 1 on, such as 1,3")
    return tuple(int(number) - 1 for number in numbers)


def _check_together(
    settings: Settings, original_gain_db: float | None, tracks: str | None, ref: Path | None, ref_start_s: float | None
) -> None:
    """Refuse options that say nothing without another one."""
    if tracks is not None and not settings.mix:
        raise UsageError("--tracks is given, but the video's own sound is not kept", "Add --mix")
    if original_gain_db is not None and not settings.mix:
        raise UsageError("--original-gain-db is given, but the video's own sound is not kept", "Add --mix")
    if ref_start_s is not None and ref is None:
        raise UsageError("--ref-start is given without --ref", "Add --ref AUDIO")


def _check_cues(
    cues: Path | None, between: str | None, handles: str | None, prompts: Path | None, n_videos: int
) -> None:
    """Refuse a sheet for several reels, and options that say nothing without one."""
    if cues is None:
        if between is not None:
            raise UsageError("--between is given, but there are no cues", "Add --cues FILE")
        if handles is not None:
            raise UsageError("--handles is given, but there are no cues", "Add --cues FILE")
        return
    if prompts is not None:
        raise UsageError("--cues and --prompts are both given", "Write the prompts into the cue sheet")
    if n_videos > 1:
        raise UsageError(f"--cues is of one reel, but {n_videos} videos are given", "Give one video, or foley batch")


def _check_sounds(sounds: Path | None, ref: Path | None, library: bool | None) -> None:
    """Refuse two sources of one timbre, and a folder in which there is no sound."""
    if sounds is None:
        return
    if ref is not None:
        raise UsageError("--sounds and --ref are both given", "Use one of them: --ref names the very sound")
    if library is False:
        raise UsageError("--sounds and --no-library are both given", "Use one of them: --sounds is a library")
    from foleycli.library.library import open_library

    open_library(sounds)


def _check_takes(takes: int | None, pick: str | None) -> None:
    """Refuse numbers of takes that are none, and a choice among nothing."""
    if takes is not None and not 1 <= takes <= MOST_TAKES:
        raise UsageError(f"--takes is {takes}", f"Give a whole number from 1 to {MOST_TAKES}")
    if pick is not None and takes is None:
        raise UsageError(f"--pick {pick} is given, but only one take is made", "Add --takes N")


def _outputs(sources: list[naming.Source], out: Path | None, out_dir: Path | None, asked: RenderRequest) -> list[Path]:
    """Where each video's result goes, the first take's where there are several."""
    if out is not None:
        if out_dir is not None:
            raise UsageError(
                "-o and --out-dir are both given", "Use one of them: -o names one file, --out-dir a folder"
            )
        if asked.name is not None:
            raise UsageError("-o and --name are both given", "Use one of them: -o names one file, --name a pattern")
        if len(sources) > 1:
            raise UsageError(f"-o names one file, but {len(sources)} videos are given", "Use --out-dir DIR")
        return [out]
    if asked.name is not None:
        naming.check_pattern(asked.name, 1 if asked.pick_best else asked.takes)
    outs = []
    for source in sources:
        name = asked.name or naming.default_name(source.path)
        named = name.format(stem=source.path.stem, take=1, seed=asked.settings.seed) if asked.name else name
        folder = out_dir / source.folder if out_dir is not None else source.path.parent
        outs.append(folder / named)
    from foleycli.media.output import is_blind_to_case, name_on_disk, report_files

    files = [report_files(path)[0] for path in outs] if asked.run.report else outs
    blind = len(files) > 1 and is_blind_to_case(out_dir or files[0].parent)
    n_named = Counter(name_on_disk(path, blind_to_case=blind) for path in files)
    twice = [path for path in files if n_named[name_on_disk(path, blind_to_case=blind)] > 1]
    if twice:
        raise UsageError(f"two inputs would both be written to {twice[0]}", "Give them different names, or two calls")
    if out_dir is not None and not asked.run.dry_run:
        for folder in dict.fromkeys(path.parent for path in outs):
            jobs.make_folder(folder)
    return outs
