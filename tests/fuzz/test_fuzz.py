"""Broken inputs of every kind against the command: two lines and an exit code, never a traceback, a hang or a flood.

Each case runs in a process forked from one that has everything imported and the shipped model loaded; its verdict is
the exit code, what stands on stderr, the seconds and the memory, and that nothing half-written is left.
"""

# ruff: noqa: E501

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from clips import Clips, run_ffmpeg
from forked import start
from mutate import SCALARS, bytes_of, json_of, text_of

from foleycli.hub.catalog import SHIPPED

MOST_S, MOST_MB = 20.0, 1500.0
EXIT_CODES = {0, 1, 2, 3}
MEDIA = ("plain.mp4", "2997.mp4", "variable.mp4", "portrait.mp4", "odd_size.mkv", "no_duration.webm", "subtitles.mkv",
         "text.mp4", "negative.mp4")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One call of the command in a folder of its own."""

    kind: str
    args: list[str]


@dataclass(frozen=True)
class Verdict:
    code: int
    stderr: str
    spent_s: float
    peak_mb: float
    left: list[str]

    @property
    def faults(self) -> list[str]:
        found = []
        if self.code not in EXIT_CODES:
            found.append(f"exit code {self.code}")
        if "Traceback" in self.stderr or "this is a bug" in self.stderr.lower():
            found.append("a traceback or a bug")
        lines = [line for line in self.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
        if self.code in (1, 2) and [line.split(":")[0] for line in lines] != ["error", "hint"]:
            found.append(f"{len(lines)} lines of error and hint")
        if any(len(line) > 2000 for line in lines):
            found.append("a line of more than 2,000 characters")
        if self.spent_s > MOST_S:
            found.append(f"{self.spent_s:.0f} s")
        if self.peak_mb > MOST_MB:
            found.append(f"{self.peak_mb:.0f} MB")
        if self.left:
            found.append(f"left behind: {', '.join(self.left)}")
        return found


class Cases:
    """Makes cases by number: the same number, the same case."""

    def __init__(self, folder: Path, clips: Clips) -> None:
        self.folder = folder
        self.media = [clips(name).read_bytes() for name in MEDIA]
        self.endings = [Path(name).suffix for name in MEDIA]
        self.sounds = dict(self._sounds())
        self.makers: list[tuple[str, Callable]] = [
            ("media", self.broken_video), ("media", self.broken_video), ("reference", self.broken_reference),
            ("take", self.broken_take), ("preset", self.broken_preset), ("index", self.broken_index),
            ("model", self.broken_model), ("prompts", self.broken_prompts), ("options", self.odd_options),
            ("names", self.odd_names), ("import", self.broken_import), ("evaluate", self.broken_pair),
        ]  # fmt: skip

    def _sounds(self):
        noise = np.random.default_rng(0).uniform(-0.3, 0.3, 22050)
        for ending, options in ((".wav", {}), (".flac", {}), (".ogg", {}), (".aiff", {}), (".mp3", {})):
            path = self.folder / f"sound{ending}"
            soundfile.write(path, noise, 44100, **options)
            yield ending, path.read_bytes()
        soundfile.write(self.folder / "float.wav", noise, 44100, subtype="FLOAT")
        for ending in (".m4a", ".caf"):
            run_ffmpeg("-i", self.folder / "sound.wav", self.folder / f"sound{ending}")
            yield ending, (self.folder / f"sound{ending}").read_bytes()
        yield ".float.wav", (self.folder / "float.wav").read_bytes()

    def case(self, number: int, at: Path) -> Case:
        rng = np.random.default_rng(number)
        kind, make = self.makers[number % len(self.makers)]
        (at / "good.mp4").write_bytes(self.media[0])
        return Case(kind, [str(arg) for arg in make(rng, at)])

    def broken_video(self, rng, at):
        which = int(rng.integers(len(self.media)))
        ending = self.endings[which] if rng.random() < 0.8 else str(rng.choice([".mp4", ".mov", ".mkv", ".ts", ".avi"]))
        (at / f"clip{ending}").write_bytes(bytes_of(self.media[which], rng))
        out = at / f"out{rng.choice(['.mp4', '.mov', '.mkv', '.webm', '.wav', '.flac'])}"
        part = ["--start", "0.2", "--duration", "0.4"] if rng.random() < 0.3 else ["--duration", "0.5"]
        more = ["--mix"] if rng.random() < 0.2 else ["--dry-run"] if rng.random() < 0.2 else []
        return ["render", at / f"clip{ending}", "-o", out, "--steps", 1, *part, *more]

    def _sound(self, rng, at, name="sound"):
        ending = str(rng.choice(list(self.sounds)))
        path = at / f"{name}{ending}"
        path.write_bytes(bytes_of(self.sounds[ending], rng))
        return path

    def broken_reference(self, rng, at):
        more = ["--ref-start", str(rng.choice(["0", "0.2", "99"]))] if rng.random() < 0.3 else []
        ref = self._sound(rng, at)
        return ["render", at / "good.mp4", "-o", at / "out.wav", "--steps", 1, "--duration", "0.5", "--ref", ref, *more]

    def broken_take(self, rng, at):
        video = [at / "good.mp4"] if rng.random() < 0.5 else []
        length = [] if video else ["--duration", "1.0"]
        ending = str(rng.choice([".wav", ".flac", ".mp3", ".m4a", ".ogg"]))
        return ["extend", "--ref", self._sound(rng, at), *video, *length, "-o", at / f"out{ending}", "--steps", 1]

    def broken_preset(self, rng, at):
        text = "# A preset.\nsteps: 4\nguidance: 3.5\nprompt: rain\ncuts: true\nrate_hz: 48000\nloudness_lufs: -23.0\n"
        path = at / "p.yaml"
        path.write_bytes(text_of(text, rng).encode("utf-8", "surrogatepass"))
        command = ["presets", "show", path] if rng.random() < 0.3 else None
        return command or ["render", at / "good.mp4", "-o", at / "out.wav", "--preset", path, "--dry-run"]

    def broken_index(self, rng, at):
        folder = at / "sounds"
        folder.mkdir()
        for name in ("a.wav", "b.wav"):
            (folder / name).write_bytes(self.sounds[".wav"])
        rows = [{"file": "a.wav", "words": ["rain"]}, {"file": "b.wav", "words": ["metal hit"], "category": "metal"}]
        text = json_of("\n".join(map(json.dumps, rows)), rng)
        encoding = str(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1"]))
        (folder / "index.jsonl").write_bytes(text.encode(encoding, "replace"))
        return ["render", at / "good.mp4", "-o", at / "out.wav", "--sounds", folder, "--prompt", "rain", "--steps", 1,
                "--duration", "0.5"]  # fmt: skip

    def broken_model(self, rng, at):
        part = str(rng.choice(["salsav-mini", "maskvat-mini", "vaura-mini", "foleyflow-mini"]))
        folder = at / "model"
        folder.mkdir()
        config, weights = SHIPPED / part / "config.json", SHIPPED / part / "model.safetensors"
        if rng.random() < 0.75:
            (folder / "config.json").write_text(json_of(config.read_text(), rng))
            os.symlink(weights, folder / "model.safetensors")
        else:
            shutil.copy(config, folder / "config.json")
            head = 200_000
            data = weights.read_bytes()
            (folder / "model.safetensors").write_bytes(bytes_of(data[:head], rng) + data[head:])
        dry = ["--dry-run"] if rng.random() < 0.3 else []
        return [
            "render",
            at / "good.mp4",
            "-o",
            at / "out.wav",
            "--model",
            folder,
            "--steps",
            1,
            "--duration",
            "0.3",
            *dry,
        ]

    def broken_prompts(self, rng, at):
        ending = str(rng.choice([".csv", ".json", ".yaml"]))
        good = {".csv": "file,prompt\ngood.mp4,rain\n", ".json": '{"good.mp4": "rain"}', ".yaml": "good.mp4: rain\n"}
        text = json_of(good[ending], rng) if ending == ".json" else text_of(good[ending], rng)
        (at / f"p{ending}").write_bytes(text.encode("utf-8", "replace"))
        return ["render", at / "good.mp4", "-o", at / "out.wav", "--prompts", at / f"p{ending}", "--dry-run"]

    def odd_options(self, rng, at):
        names = ["--steps", "--guidance", "--words-guidance", "--seed", "--start", "--duration", "--takes", "--rate",
                 "--channels", "--loudness", "--gain-db", "--ride", "--ref-start", "--device", "--dtype", "--preset",
                 "--model", "--prompt", "--name", "--ref", "--sounds", "--prompts"]  # fmt: skip
        values = ["", " ", "nan", "inf", "-inf", "1e309", "-0", "0x10", "9" * 400, "½", "１", "true", "None", "~nosuchuser",
                  "\u202e", "{stem", "{0}", "%s", "..", "/dev/null", "-1", "1.5"]  # fmt: skip
        options = []
        for name in rng.choice(names, size=int(rng.integers(1, 4)), replace=False):
            options += [str(name), str(rng.choice(values))]
        return [
            "render",
            at / "good.mp4",
            "-o",
            at / "out.wav",
            "--duration",
            "0.3",
            "--steps",
            1,
            "--dry-run",
            *options,
        ]

    def odd_names(self, rng, at):
        name = str(rng.choice(["a" * 251 + ".wav", "a" * 252 + ".wav", "é" * 120 + ".wav", "x.wav/", ".wav", "a\nb.wav", "-x.wav",
                               "~nosuchuser/x.wav", "no/such/x.wav", "x.WAV", "x.tar.gz", "x", "..", ".", "a\\b.wav",
                               "\udcff.wav", "CON.wav", "x.mp4.wav", " .wav"]))  # fmt: skip
        source = at / str(
            rng.choice(["good.mp4", "folder", "missing.mp4", "fifo", "/dev/zero", "/dev/null", "loop.mp4"])
        )
        (at / "folder").mkdir()
        os.mkfifo(at / "fifo")
        os.symlink(at / "loop.mp4", at / "loop.mp4")
        more = ["--takes", 2] if rng.random() < 0.3 else ["--report"] if rng.random() < 0.3 else []
        return ["render", source, "-o", f"{at}/{name}", "--steps", 1, "--duration", "0.3", *more]

    def broken_import(self, rng, at):
        source = at / "weights.safetensors"
        data = (SHIPPED / "sync-mini" / "model.safetensors").read_bytes()
        source.write_bytes(bytes_of(data[:2000], rng) + data[2000:])
        name = str(SCALARS[int(rng.integers(len(SCALARS)))])
        family = str(rng.choice(["mmaudio", "vaura", "salsa-v", "nothing"]))
        return [
            "models",
            "import",
            source,
            "--family",
            family,
            *(["--name", name.replace("\0", "")] * (rng.random() < 0.7)),
        ]

    def broken_pair(self, rng, at):
        for side in ("real", "made"):
            (at / side).mkdir()
        (at / "real" / "a.wav").write_bytes(self.sounds[".wav"])
        self._sound(rng, at / "made", "a")
        return ["evaluate", at / "real", at / "made"]


def run_case(case: Case, at: Path) -> Verdict:
    """Call the command in a forked process and judge what came of it."""
    before = {path.name for path in at.iterdir()}
    began_s = time.monotonic()
    call = start(case.args, at.with_name(at.name + ".out"), at.with_name(at.name + ".err"), cpu_s=3 * MOST_S)
    code, used = call.wait(6 * MOST_S)
    spent_s = used.ru_utime + used.ru_stime  # of the processor: other work on the machine is no fault of the case
    wall_s = time.monotonic() - began_s
    spent_s = max(spent_s, wall_s) if wall_s > 5 * MOST_S else spent_s
    left = sorted(
        path.name for path in at.iterdir()
        if path.name not in before and (path.name.startswith(".foley") or ".part" in path.name)
    )  # fmt: skip
    return Verdict(code, call.stderr, spent_s, used.ru_maxrss / 1e3, left)


def test_broken_inputs(request, loaded, clips, tmp_path_factory):
    n_cases, first = request.config.getoption("--cases"), request.config.getoption("--fuzz-seed")
    cases, fallen, codes = Cases(tmp_path_factory.mktemp("made"), clips), [], {}
    root = tmp_path_factory.mktemp("cases")
    for number in range(first, first + n_cases):
        at = root / str(number)
        at.mkdir()
        case = cases.case(number, at)
        verdict = run_case(case, at)
        codes[verdict.code] = codes.get(verdict.code, 0) + 1
        if verdict.faults:
            first_lines = " | ".join(verdict.stderr.strip().splitlines()[-3:])[:400]
            fallen.append(f"case {number} ({case.kind}): {'; '.join(verdict.faults)}: {first_lines}")
        else:
            shutil.rmtree(at, ignore_errors=True)
    print(f"\n{n_cases} cases from seed {first}, exit codes {dict(sorted(codes.items()))}, {len(fallen)} fallen")
    assert not fallen, "\n".join(fallen)
