"""The part of a report that makes the result again: every input by its path and SHA-256, and how the job was asked.

Paths are relative to the report, so that a folder with video, result and report can be moved as one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from foleycli import __version__
from foleycli.cues.cue import Cue, CueSheet
from foleycli.cues.times import ReelClock
from foleycli.errors import FoleyError
from foleycli.hub.resolve import resolve
from foleycli.library.library import SHIPPED_LIBRARY, Recording, open_library, read_library
from foleycli.media.ffmpeg import ffmpeg_version
from foleycli.media.together import as_written
from foleycli.records import Video
from foleycli.rendering.cue_edits import CueEdit, CueEditJob
from foleycli.rendering.delivery import StemDelivery
from foleycli.rendering.job import ExtendJob, SpanEdit
from foleycli.rendering.timelines import TimelineDelivery
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.weights.folder import sha256_of, weights_sha256

if TYPE_CHECKING:
    from foleycli.models.model import Model
    from foleycli.rendering.job import RenderJob
    from foleycli.rendering.result import RenderResult

VERSION = 1  # of the "session" part; raised when what is in it changes its meaning
AGAIN = "Make the result again with --report"
LIBRARY = "library"  # the key of a file that comes with foley, in place of "path"

T = TypeVar("T")


@dataclass(frozen=True)
class NamedFile:
    """A file that a report names; `library` ones are in the library that comes with foley."""

    path: Path
    sha256: str
    is_shipped: bool = False


@dataclass(frozen=True)
class TakeFile:
    """One of several takes: its rank, its seed, its file."""

    take: int
    seed: int
    file: NamedFile


@dataclass(frozen=True)
class Session:
    """A report that has been read: what is needed to make its result again."""

    report: Path
    kind: str  # "render", "extend" or "cues"
    foley: str  # the version that wrote it
    model: str  # a name or a folder
    model_sha256: str
    device: str
    dtype: str
    settings: Settings
    job: dict[str, Any]  # what else the job was asked, by the names of its fields
    applied_db: float  # the gain of the whole
    output: NamedFile
    asked: Path  # the name that was asked for, also where several takes have names of their own
    cue_models: dict[str, str]  # SHA-256 of models that single cues name, by their names
    inputs: dict[str, NamedFile]  # "video", "reference", "take"
    sounds: tuple[Path, str] | None  # a folder of recordings, and the digest of what was used of it
    recordings: tuple[NamedFile, ...]  # library sounds that were used
    used: tuple[str, ...]  # and what they are called
    batch: tuple[int, ...]  # seeds that were sampled together
    takes: tuple[TakeFile, ...]
    edits: tuple[SpanEdit, ...]
    told: dict[str, Any]  # all of the report

    def check_inputs(self) -> None:
        """Errors: FoleyError for the first input that is gone or not as it was, with what to do about it."""
        for role, file in self.inputs.items():
            check_file(file, f"the {role} of {self.report.name}", f"Put it there again, or render another {role} anew")
        for file in self.recordings:
            hint = f"Use foley {self.foley}" if file.is_shipped else "Put it there again, or render anew"
            check_file(file, f"a recording that {self.report.name} used", hint)
        if self.sounds is not None:
            folder, digest = self.sounds
            if not folder.is_dir():
                raise FoleyError(f"the folder {folder} is gone, whose sounds {self.report.name} used", AGAIN)
            if folder_digest(folder, self.used) != digest:
                hint = "Put its files back as they were, or render anew"
                raise FoleyError(f"{folder} has other recordings than when {self.report.name} was written", hint)

    @property
    def reference(self) -> Path | None:
        """The sound whose timbre was given."""
        return self.inputs["reference"].path if "reference" in self.inputs else None

    @property
    def sounds_folder(self) -> Path | None:
        """The folder of recordings that was used in place of the library that comes with foley."""
        return None if self.sounds is None else self.sounds[0]

    @property
    def original_tracks(self) -> tuple[int, ...] | None:
        """Those of the video's own sound tracks that were kept; None: all."""
        tracks = self.job["original_tracks"]
        return None if tracks is None else tuple(tracks)

    def stem_files(self) -> list[NamedFile]:
        """The stems that were written."""
        return [_file(one, self.report.parent) for one in self.told["session"]["stem_files"]]

    def paths(self) -> list[Path]:
        """Every file and folder that is read, none of which may be written over."""
        folders = [] if self.sounds_folder is None else [self.sounds_folder]
        return [*(file.path for file in self.inputs.values()), *folders]


def check_file(file: NamedFile, what: str, hint: str) -> None:
    """Errors: FoleyError where a file is gone, or has another SHA-256 than a report says."""
    if not file.path.is_file():
        raise FoleyError(f"{file.path} is not there: {what}", hint)
    if (found := sha256_of(file.path)) != file.sha256:
        raise FoleyError(
            f"{file.path} has changed: {what} had SHA-256 {file.sha256[:12]}…, this has {found[:12]}…", hint
        )


def session_facts(
    report: Path,
    job: RenderJob | ExtendJob,
    result: RenderResult,
    results: Sequence[RenderResult],
    model: Model,
) -> dict[str, Any]:
    """The "session" part of the report of one of a job's results, as plain values for JSON.

    results   all of the job: its takes
    """
    import numpy as np
    import torch

    folder = report.parent
    earlier = getattr(job, "earlier", {}).get("session", {})  # of cues that were kept
    kind = "extend" if isinstance(job, ExtendJob) else job.kind
    video = {"video": job.video.path} if job.video is not None else {}
    if isinstance(job, ExtendJob):
        inputs, sounds, batch = {**video, "take": job.take}, None, []
    else:
        inputs = {**video, **({"reference": job.reference} if job.reference else {})}
        sounds = job.sounds
        batch = job.sampled_with(result.settings.seed) if kind == "render" else []
    edits: Sequence[SpanEdit] = getattr(job, "edits", ()) if kind != "cues" else ()
    recordings = used_recordings(result, job)
    used = list(dict.fromkeys([*earlier.get("used", ()), *(one.name for one in recordings)]))
    files = [*earlier.get("recordings", ()), *(_named(one.path, folder) for one in recordings)]
    return {
        "version": VERSION,
        "kind": kind,
        **_model_facts(model, folder),
        "applied_db": result.applied_db,
        "output": _named(result.out, folder),
        "asked": _relative(job.out, folder),
        "inputs": {role: _named(path, folder) for role, path in inputs.items()},
        "sounds": None
        if sounds is None
        else {
            "path": _relative(sounds, folder),
            "sha256": folder_digest(sounds, used),
        },
        "recordings": [one for k, one in enumerate(files) if one not in files[:k]],
        "used": used,
        "takes": [
            {"take": one.take, "seed": one.settings.seed, **_named(one.out, folder)}
            for one in results
            if one.take is not None
        ],
        "batch": batch,
        **(_cue_facts(job, result, folder) if kind == "cues" else {}),
        **getattr(job, "siblings", {}),
        "edits": [asdict(edit) for edit in edits],
        "versions": {
            "foley": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "ffmpeg": ffmpeg_version(),
        },
    }


def _cue_facts(job: Any, result: RenderResult, folder: Path) -> dict[str, Any]:
    """The cues as they were first asked for, what was changed since, and where stems and timelines went."""
    stems = [one for one in job.deliveries if isinstance(one, StemDelivery)]
    return {
        "cues": [
            {
                **{one.name: plain(getattr(cue, one.name)) for one in fields(cue)},
                "reference": _named(cue.reference, folder) if cue.reference is not None else None,
                "settings": asdict(settings),
            }
            for cue, settings in zip(job.sheet.cues, job.cue_settings, strict=True)
        ],
        "cue_models": {name: weights_sha256(of) for name, of in job.model_folders.items()},
        "cue_edits": [asdict(edit) for edit in getattr(job, "edits", ())],
        "handle_s": str(job.handle_s),
        "stems": [
            {"path": _relative(one.folder, folder), "by": one.by, "pattern": one.pattern, "bits": one.sample_format}
            for one in stems
        ],
        "stem_files": [_named(path, folder) for path in result.files if path.suffix == ".wav"],
        "timelines": [
            {"path": _relative(one.path, folder)} for one in job.deliveries if isinstance(one, TimelineDelivery)
        ],
    }


def _model_facts(model: Model, folder: Path) -> dict[str, Any]:
    """A model by its name where that leads to it, else by its folder."""
    is_known = model.folder is None
    with suppress(FoleyError):
        is_known = is_known or (model.folder is not None and resolve(model.name).samefile(model.folder))
    name = model.name if is_known or model.folder is None else _relative(model.folder, folder)
    return {"model": name, "model_is_folder": not is_known, "dtype": str(model.dtype).removeprefix("torch.")}


def used_recordings(result: RenderResult, job: RenderJob | ExtendJob) -> list[Recording]:
    """The library sounds of a result, each once: placed ones, the room tone, a timbre that was found in a library."""
    own = getattr(job, "reference", None) or getattr(job, "take", None)
    found = [match.recording for match in result.recordings]
    found += [result.room_tone] if result.room_tone is not None else []
    found += [match.recording for cue in result.cues for match in cue.recordings]
    if result.reference is not None and result.reference != own:
        found.append(Recording(result.reference, (result.reference.stem,)))
    return list({one.path: one for one in reversed(found)}.values())[::-1]


def folder_digest(folder: Path, used: Sequence[str]) -> str:
    """SHA-256 over what decides which of a folder's recordings are found, and over the contents of those used."""
    digest = hashlib.sha256()
    for one in sorted(read_library(folder), key=lambda one: one.path.relative_to(folder).as_posix()):
        content = _hashed(one.path) if one.name in used else ""
        digest.update(
            f"{one.path.relative_to(folder).as_posix()}\n{one.phrases}\n{content}\n".encode("utf-8", "replace")
        )
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """A value of a cue or a job for JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (Fraction, Path)):
        return str(value)
    return [plain(one) for one in value] if isinstance(value, tuple) else value


def _named(path: Path, folder: Path) -> dict[str, str]:
    if SHIPPED_LIBRARY in path.parents:
        return {LIBRARY: path.relative_to(SHIPPED_LIBRARY).as_posix(), "sha256": _hashed(path)}
    return {"path": _relative(path, folder), "sha256": _hashed(as_written(path))}


def _hashed(path: Path) -> str:
    """SHA-256 of a file, read once for several takes."""
    facts = path.stat()
    return _hash_of(path.resolve(), facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=256)
def _hash_of(path: Path, mtime_ns: int, size: int) -> str:
    return sha256_of(path)


def _relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes; absolute on another drive of Windows."""
    try:
        return Path(os.path.relpath(os.path.abspath(path), os.path.abspath(folder))).as_posix()
    except ValueError:
        return Path(os.path.abspath(path)).as_posix()


def moved(told: dict[str, Any], old: Path, new: Path) -> dict[str, Any]:
    """A report's "session" part for a report in another folder: the same files, seen from there."""

    def seen(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: _relative(old / each, new) if key in ("path", "asked") else seen(each)
                for key, each in value.items()
            }
        return [seen(each) for each in value] if isinstance(value, list) else value

    changed = seen(told)
    return {**changed, "model": _relative(old / told["model"], new)} if told["model_is_folder"] else changed


def renamed(session: Session, out: Path, report: Path) -> dict[str, Any]:
    """The report of a copy of a session's result, in another place."""
    part = moved(session.told["session"], session.report.parent, report.parent)
    part = {**part, "output": {**part["output"], "path": _relative(out, report.parent)}}
    return {**session.told, "output": str(out), "session": part}


def read_session(path: Path) -> Session:
    """What a report says; errors: FoleyError for what is no report, is damaged, or is too old or too new."""
    if path.exists() and not path.is_file() and not path.is_dir():  # it would be waited for without end
        raise FoleyError(f"{path} is a pipe or a device", "Save it to a file first")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FoleyError(f"{path} is no report of foley: it is not JSON", "Give the .json beside a result") from error
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FoleyError(f"{path} is not there, or no file", "Give the .json that --report writes") from error
    if not isinstance(told, dict) or "model_sha256" not in told:
        raise FoleyError(f"{path} is no report of foley", "Give the .json that --report writes beside a result")
    part = told.get("session")
    if part is None:
        version = told.get("foley", "an earlier version")
        raise FoleyError(f"{path} is of foley {version}, whose reports did not say enough to go on from", AGAIN)
    if not isinstance(part, dict) or part.get("version") != VERSION:
        raise FoleyError(f"{path} is of another version of foley ({told.get('foley')})", "Update foley, or render anew")
    try:
        return _session(path, told, part)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FoleyError(f"{path} is damaged: {type(error).__name__} at {error}", AGAIN) from error


def _session(path: Path, told: dict[str, Any], part: dict[str, Any]) -> Session:
    folder = path.parent
    sounds = part["sounds"]
    model = _checked(part["model"], str)
    return Session(
        report=path,
        kind=_checked(part["kind"], str),
        foley=str(told["foley"]),
        model=str(_joined(folder, model)) if part["model_is_folder"] else model,
        model_sha256=_checked(told["model_sha256"], str),
        device=_checked(told["device"], str),
        dtype=_checked(part["dtype"], str),
        settings=resolve_settings(overrides=_checked(told["settings"], dict)),
        job=_checked(told["input"], dict),
        applied_db=float(part["applied_db"]),
        output=_file(part["output"], folder),
        asked=_joined(folder, part["asked"]),
        cue_models=_checked(part.get("cue_models", {}), dict),
        inputs={role: _file(file, folder) for role, file in [*part["inputs"].items(), *_cue_references(part)]},
        sounds=None if sounds is None else (_joined(folder, sounds["path"]), _checked(sounds["sha256"], str)),
        recordings=tuple(_file(file, folder) for file in part["recordings"]),
        used=tuple(_checked(name, str) for name in part["used"]),
        batch=tuple(int(seed) for seed in part["batch"]),
        takes=tuple(TakeFile(int(one["take"]), int(one["seed"]), _file(one, folder)) for one in part["takes"]),
        edits=tuple(SpanEdit(**one) for one in part["edits"]),
        told=told,
    )


def _cue_references(part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The references of single cues, as inputs."""
    given = [(f"reference of cue {cue['number']}", cue["reference"]) for cue in part.get("cues", ())]
    return [(role, file) for role, file in given if file is not None]


def cue_job(session: Session, video: Video, out: Path) -> CueEditJob:
    """The job of a session's cues as they were first rendered, with what was changed since; stems go where they were.

    Errors: FoleyError for a report that is damaged.
    """
    part, asked, folder = session.told["session"], session.job, session.report.parent
    try:
        cues = tuple(_cue(one, folder) for one in part["cues"])
        edits = tuple(CueEdit.of_report(one) for one in part["cue_edits"])
        stems = [
            StemDelivery(_joined(folder, one["path"]), one["by"], one["pattern"], one["bits"]) for one in part["stems"]
        ]
        timelines = [TimelineDelivery(_joined(folder, one["path"]), stems[0]) for one in part["timelines"]]
        return CueEditJob(
            video=video,
            out=out,
            settings=session.settings,
            start_s=asked["start_s"],
            duration_s=asked["duration_s"],
            reference=session.reference,
            reference_start_s=asked["reference_start_s"],
            sounds=session.sounds_folder,
            takes=asked["takes"],
            pcm=asked["pcm"],
            exact=asked["exact"],
            original_tracks=session.original_tracks,
            sheet=CueSheet(cues),
            cue_settings=tuple(resolve_settings(overrides=one["settings"]) for one in part["cues"]),
            clock=ReelClock.of(video),
            between=asked["between"],
            handle_s=Fraction(part["handle_s"]),
            model_folders={cue.model: resolve(cue.model) for cue in cues if cue.model is not None},
            deliveries=(*stems, *timelines),
            edits=edits,
            sample_format=stems[0].sample_format if stems else "pcm24",
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FoleyError(f"{session.report} is damaged: {type(error).__name__} at {error}", AGAIN) from error


def _cue(told: dict[str, Any], folder: Path) -> Cue:
    """A cue of a report's "session" part."""
    values = {one.name: told[one.name] for one in fields(Cue)}
    hits = told["hits_s"]
    return Cue(
        **{
            **values,
            "start_s": Fraction(told["start_s"]),
            "end_s": Fraction(told["end_s"]),
            "hits_s": None if hits is None else tuple(Fraction(one) for one in hits),
            "reference": None if told["reference"] is None else _file(told["reference"], folder).path,
        }
    )


def credited(session: Session, number: str | None) -> tuple[Recording, ...]:
    """The library sounds of all cues, or all but one, and the room tone, as the report names them."""
    others = [cue for cue in session.told["cues"] if cue["number"] != number]
    names = {one["name"] for cue in others for one in cue["recordings"]}
    files = {cue["timbre"] for cue in others} | {(session.told["room_tone"] or {}).get("file")}
    library = open_library(session.sounds_folder or SHIPPED_LIBRARY)
    known = [*library.recordings, *open_library().recordings]
    return tuple(one for one in known if one.name in names or str(one.path) in files)


def _checked(value: Any, kind: Callable[..., T]) -> T:
    """A value of the type that it must have; errors: TypeError."""
    if not isinstance(value, kind):  # type: ignore[arg-type] # a class
        raise TypeError(f"{value!r:.40}")
    return value


def _file(told: dict[str, Any], folder: Path) -> NamedFile:
    if LIBRARY in told:
        return NamedFile(SHIPPED_LIBRARY / _checked(told[LIBRARY], str), _checked(told["sha256"], str), is_shipped=True)
    return NamedFile(_joined(folder, told["path"]), _checked(told["sha256"], str))


def _joined(folder: Path, path: Any) -> Path:
    """A path of a report; folder/../clip.mp4 is shown as clip.mp4 beside the folder."""
    joined = os.path.join(folder, _checked(path, str))
    return Path(os.path.normpath(joined))
