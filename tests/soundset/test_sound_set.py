"""The recorded sounds made again: real Debian packages, built here, from a server on this machine to a folder."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import re
import struct
import tarfile
import wave
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import server
import soundfile
import typer
from typer.testing import CliRunner

from foleycli.errors import FoleyError, UsageError
from foleycli.lab.sound_set import main
from foleycli.soundset.debian import origins
from foleycli.soundset.debian.archives import files_inside, files_of_deb
from foleycli.soundset.sounds import read_sounds

GAMES = "usr/share/games"
COPYRIGHT = b"Files: *\nCopyright: 2026 Ada\nLicense: CC0-1.0\n"


def a_sound(pitch_hz: float, rate_hz: int = 48000, channels: int = 2, duration_s: float = 0.3) -> bytes:
    """A WAV of a fading tone."""
    time_s = np.arange(round(rate_hz * duration_s)) / rate_hz
    tone = 0.5 * np.sin(2 * np.pi * pitch_hz * time_s) * np.exp(-5 * time_s)
    made = io.BytesIO()
    soundfile.write(made, np.repeat(tone[:, None], channels, axis=1), rate_hz, format="WAV")
    return made.getvalue()


def a_zip(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as held:
        for name, content in files.items():
            held.writestr(name, content)
    return made.getvalue()


def a_deb(files: dict[str, bytes], packed: str = "xz") -> bytes:
    """A package as dpkg-deb writes it: ar with debian-binary, control.tar and data.tar."""
    members = {"debian-binary": b"2.0\n", "control.tar.gz": a_tar({"control": b""}, "gz")}
    members[f"data.tar.{packed}"] = a_tar(files, packed)
    deb = b"!<arch>\n"
    for name, content in members.items():
        deb += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        deb += b"\n" * (len(content) % 2)
    return deb


def a_tar(files: dict[str, bytes], packed: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=f"w:{packed}") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


@dataclass(frozen=True)
class Game:
    """A package of the made-up archive."""

    name: str
    version: str
    deb: bytes
    rows: list[dict]

    @property
    def pool_path(self) -> str:
        return f"pool/main/{self.name[0]}/{self.name}/{self.name}_{self.version.split(':')[-1]}_all.deb"

    @property
    def facts(self) -> dict:
        return {"name": self.name, "version": self.version, "pool_path": self.pool_path,
                "size_bytes": len(self.deb), "sha256": hashlib.sha256(self.deb).hexdigest()}  # fmt: skip


def a_game(name: str, version: str, sounds: dict[str, tuple[str, bytes]], packed: str = "xz", **more: bytes) -> Game:
    """A package whose sounds are given as set file -> (path in the package, bytes); paths in .zip go into one."""
    files, zipped, rows = {f"usr/share/doc/{name}/copyright": COPYRIGHT, **more}, {}, []
    for file, (path, content) in sounds.items():
        category, label = file.split("/")[0], Path(path).stem
        rows.append({"file": file, "category": category, "name": label, "folder": "", "duration_s": 0.3,
                     "package": name, "version": version.replace(":", "%3a"), "path": path,
                     "md5": hashlib.md5(content).hexdigest()})  # fmt: skip
        archive, _, inner = path.partition(".zip/")
        if inner:
            zipped.setdefault(f"{archive}.zip", {})[inner] = content
        else:
            files[path] = content
    files |= {path: a_zip(held) for path, held in zipped.items()}
    return Game(name, version, a_deb(files, packed), rows)


TALES = a_game(
    "tales-data",
    "1:2.0+dfsg-1",
    {
        "door/0001.ogg": (f"{GAMES}/tales/door slam.wav", a_sound(200)),
        "wood/0002.ogg": (f"{GAMES}/tales/public.zip/audio/knock.wav", a_sound(700, 22050, 1)),
    },
    **{f"{GAMES}/tales/map.bin": np.random.default_rng(0).bytes(600_000)},  # more than one piece of a transfer
)
RACER = a_game("racer", "0.9-2", {"door/0003.ogg": (f"{GAMES}/racer/hatch.wav", a_sound(400))}, "gz")


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A mirror that has both packages, and a set made of them."""
    games = [TALES, RACER]
    lines = [json.dumps(row) for row in sorted((r for game in games for r in game.rows), key=lambda r: r["file"])]
    write_tables(tmp_path, monkeypatch, lines, games)
    hub, running = server.start()
    hub.plain = {game.pool_path: game.deb for game in games}
    yield hub
    running.shutdown()
    running.server_close()


def write_tables(folder, monkeypatch, lines, games) -> None:
    (folder / "index.jsonl.xz").write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode()))
    (folder / "packages.json").write_text(json.dumps([game.facts for game in games]))
    monkeypatch.setattr(origins, "INDEX", folder / "index.jsonl.xz")
    monkeypatch.setattr(origins, "PACKAGES", folder / "packages.json")


def make(hub, out: Path, *more: str):
    app = typer.Typer()
    app.command()(main)
    sources = ["--mirror", f"{hub.url}/plain", "--snapshot", f"{hub.url}/plain/snapshot"]
    return CliRunner().invoke(app, ["--out", str(out), *sources, *more])


def test_the_set_is_made_from_the_packages(archive, tmp_path):
    out = tmp_path / "set"
    told = make(archive, out)
    assert told.exit_code == 0, told.output
    assert told.stdout == f"{out}\n"
    assert [sound.words for sound in read_sounds(out)] == ["door slam", "hatch", "knock"]
    assert (out / "index.jsonl").read_text().splitlines() == origins.read_lines()
    assert (out / "licences" / "tales-data.copyright").read_bytes() == COPYRIGHT
    assert sorted(path.name for path in out.iterdir()) == ["door", "index.jsonl", "licences", "wood"]
    for file, pitch_hz, gain in (("door/0001.ogg", 200, 2**0.5), ("wood/0002.ogg", 700, 1.0)):  # stereo and mono
        samples, rate_hz = soundfile.read(out / file)
        wanted = gain * soundfile.read(io.BytesIO(a_sound(pitch_hz, 44100, 1)))[0]
        assert (rate_hz, samples.ndim, len(samples)) == (44100, 1, pytest.approx(len(wanted), abs=1024))
        n = min(len(samples), len(wanted)) - 200
        assert np.std(samples[:n] - wanted[:n]) < 0.1 * np.std(wanted[:n])  # time and level are the original's


def test_what_is_there_is_kept_and_a_lost_sound_is_made_again(archive, tmp_path):
    out = tmp_path / "set"
    make(archive, out)
    before_ns = (out / "wood" / "0002.ogg").stat().st_mtime_ns
    content = (out / "door" / "0003.ogg").read_bytes()
    archive.log.clear()
    assert make(archive, out).exit_code == 0 and not archive.log
    (out / "door" / "0003.ogg").write_bytes(content[:100])
    assert make(archive, out).exit_code == 0
    assert {path for _, path, *_ in archive.log} == {f"/plain/{RACER.pool_path}"}
    assert (out / "door" / "0003.ogg").read_bytes() == content  # same original, same bytes
    assert (out / "wood" / "0002.ogg").stat().st_mtime_ns == before_ns
    (out / "door" / "0003.ogg").write_bytes(b"")
    del archive.plain[RACER.pool_path]
    assert make(archive, out).exit_code == 3
    assert [sound.file for sound in read_sounds(out)] == ["door/0001.ogg", "wood/0002.ogg"]


def test_a_version_that_left_the_mirror_comes_from_the_snapshots(archive, tmp_path):
    del archive.plain[TALES.pool_path]
    sha1 = hashlib.sha1(TALES.deb).hexdigest()
    told = {"fileinfo": {sha1: [{"name": "tales-data_2.0+dfsg-1_all.deb", "size": len(TALES.deb)}]}}
    archive.plain["snapshot/mr/binary/tales-data/1:2.0+dfsg-1/binfiles"] = json.dumps(told).encode()
    archive.plain[f"snapshot/file/{sha1}"] = TALES.deb
    assert make(archive, tmp_path / "set").exit_code == 0
    asked = [path for method, path, *_ in archive.log if method == "GET" and "snapshot" in path]
    assert asked == [
        "/plain/snapshot/mr/binary/tales-data/1%3A2.0%2Bdfsg-1/binfiles?fileinfo=1",
        f"/plain/snapshot/file/{sha1}",
    ]
    assert len(read_sounds(tmp_path / "set")) == 3


def test_a_dropped_download_goes_on_where_it_ended(archive, tmp_path):
    archive.faults[TALES.pool_path] = server.Fault("cut", 500_000, times=1)
    assert make(archive, tmp_path / "set", "--debs", str(tmp_path / "debs")).exit_code == 0
    (_, first), (_, second) = archive.bodies(TALES.pool_path)
    assert first == "" and int(re.fullmatch(r"bytes=(\d+)-", second)[1]) > 200_000
    assert (tmp_path / "debs" / "tales-data_1%3a2.0+dfsg-1_all.deb").read_bytes() == TALES.deb  # apt's name for it


def test_a_bad_package_does_not_stop_the_others(archive, tmp_path):
    archive.plain[TALES.pool_path] = TALES.deb[:-1] + b"!"  # something on the way changes it
    told = make(archive, tmp_path / "set")
    assert told.exit_code == 3
    assert "2 sounds missing: tales-data" in told.stderr and "SHA-256" in told.stderr
    assert "apt-get download tales-data=1:2.0+dfsg-1" in told.stderr and "racer" not in told.stderr.split("error:")[1]
    assert [json.loads(line)["file"] for line in (tmp_path / "set" / "index.jsonl").open()] == ["door/0003.ogg"]


def test_packages_that_lie_there_need_no_network(archive, tmp_path):
    for game in (TALES, RACER):
        (tmp_path / f"{game.name}_{game.version.replace(':', '%3a')}_all.deb").write_bytes(game.deb)
    assert make(archive, tmp_path / "set", "--debs", str(tmp_path)).exit_code == 0
    assert not archive.log and (tmp_path / "racer_0.9-2_all.deb").is_file()
    (tmp_path / "racer_0.9-2_all.deb").write_bytes(RACER.deb[:-1])
    assert make(archive, tmp_path / "again", "--debs", str(tmp_path)).exit_code == 0  # a damaged one is fetched
    assert (tmp_path / "racer_0.9-2_all.deb").read_bytes() == RACER.deb


def test_another_original_than_the_index_names_is_no_sound_of_the_set(archive, tmp_path, monkeypatch):
    lines = [line.replace(TALES.rows[0]["md5"], "0" * 32) for line in origins.read_lines()]
    write_tables(tmp_path, monkeypatch, lines, [TALES, RACER])
    told = make(archive, tmp_path / "set")
    assert told.exit_code == 3 and "door slam.wav is not the file" in " ".join(told.stderr.split())
    assert not (tmp_path / "set" / "door" / "0001.ogg").exists() and (tmp_path / "set" / "wood" / "0002.ogg").exists()


def test_the_plan_fetches_and_writes_nothing(archive, tmp_path):
    told = make(archive, tmp_path / "set", "--dry-run", "--only", "wood")
    assert told.exit_code == 0 and not archive.log and not (tmp_path / "set").exists()
    header, row = told.stdout.splitlines()
    assert header.split("\t") == ["package", "version", "MB", "sounds", "where"]
    assert row.split("\t") == ["tales-data", "1:2.0+dfsg-1", f"{len(TALES.deb) / 1e6:.1f}", "1", "to fetch"]


def test_only_some_categories(archive, tmp_path):
    assert make(archive, tmp_path / "set", "--only", "wood").exit_code == 0
    assert [sound.category for sound in read_sounds(tmp_path / "set")] == ["wood"]
    told = make(archive, tmp_path / "set", "--only", "doors")
    assert isinstance(told.exception, UsageError) and "One of: door, wood" in told.exception.hint


def test_the_folder_of_another_set_is_left_alone(archive, tmp_path):
    (tmp_path / "index.jsonl").write_text('{"file": "hit/mine.wav", "category": "hit"}\n')
    told = make(archive, tmp_path)
    assert isinstance(told.exception, FoleyError) and "holds another set" in str(told.exception) and not archive.log


def test_names_that_lead_outside_are_only_compared(tmp_path, monkeypatch):
    path = f"{GAMES}/evil.zip/../../../evil.wav"
    evil = a_game("evil", "1", {"door/0001.ogg": (path, a_sound(300))}, **{"../../up.wav": a_sound(300)})
    write_tables(tmp_path, monkeypatch, [json.dumps(evil.rows[0])], [evil])
    deb = tmp_path / "debs" / "evil_1_all.deb"
    deb.parent.mkdir()
    deb.write_bytes(evil.deb)
    (tmp_path / "a" / "b").mkdir(parents=True)
    copies = {name: copy for name, copy in files_of_deb(deb, {"../../up.wav"}, tmp_path / "a" / "b")}
    assert copies == {"../../up.wav": tmp_path / "a" / "b" / "file.wav"}
    app = typer.Typer()
    app.command()(main)
    assert CliRunner().invoke(app, ["--out", str(tmp_path / "set"), "--debs", str(deb.parent)]).exit_code == 0
    assert {p.name for p in tmp_path.rglob("*.wav")} == set() and (tmp_path / "set" / "door" / "0001.ogg").is_file()
    write_tables(tmp_path, monkeypatch, [json.dumps({**evil.rows[0], "file": "../evil.ogg"})], [evil])
    with pytest.raises(FoleyError, match="outside the set"):
        origins.read_packages()


def test_sounds_of_a_wad(tmp_path):
    samples = bytes(range(200))
    lump = struct.pack("<HHI", 3, 11025, 16 + 200 + 16) + b"\x80" * 16 + samples + b"\x80" * 16
    wad = struct.pack("<4sII", b"PWAD", 1, 12 + len(lump)) + lump + struct.pack("<II8s", 12, len(lump), b"DSPISTOL")
    (tmp_path / "game.wad").write_bytes(wad)
    (name, content), *rest = files_inside(tmp_path / "game.wad", {"DSPISTOL.wav", "DSOTHER.wav"})
    with wave.open(io.BytesIO(content)) as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.readframes(1000)) == (11025, 1, samples)
    assert name == "DSPISTOL.wav" and not rest


@pytest.mark.parametrize("is_packed", [False, True])
def test_files_of_a_qt_resource(tmp_path, is_packed):
    content = a_sound(100) if not is_packed else struct.pack(">I", 0) + zlib.compress(a_sound(100))
    names, data = b"", struct.pack(">I", len(content)) + content
    offsets = []
    for name in ("sounds", "a.wav"):
        offsets.append(len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    node = struct.Struct(">IHII8x")
    tree = node.pack(0, 2, 1, 1) + node.pack(offsets[0], 2, 1, 2) + node.pack(offsets[1], int(is_packed), 0, 0)
    head = struct.pack(">4s5I", b"qres", 3, 24, 24 + len(tree), 24 + len(tree) + len(data), 0)
    (tmp_path / "a.rcc").write_bytes(head + tree + data + names)
    assert list(files_inside(tmp_path / "a.rcc", {"sounds/a.wav"})) == [("sounds/a.wav", a_sound(100))]


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", RACER.deb[: len(RACER.deb) // 2], b"PK\3\4broken", b"qres"])
def test_a_broken_archive_is_told(tmp_path, content):
    path = tmp_path / "broken.deb"
    path.write_bytes(content)
    with pytest.raises(FoleyError, match="broken.deb cannot be unpacked"):
        list(files_of_deb(path, {f"{GAMES}/racer/hatch.wav"}, tmp_path))
    with pytest.raises(FoleyError, match="broken.deb cannot be unpacked"):
        list(files_inside(path, {"a"}))


def test_the_shipped_tables_are_the_set_that_the_card_tells():
    packages = origins.read_packages()
    sounds = [sound for package in packages for sound in package.sounds]
    assert len(sounds) == len({sound.file for sound in sounds}) == len(origins.read_lines())
    assert all(re.fullmatch("[0-9a-f]{64}", package.sha256) and package.size_bytes > 0 for package in packages)
    card = Path(origins.INDEX).parents[2] / "shipped" / "SOUNDS.md"
    told: dict[str, int] = {}
    for name, version, n in re.findall(r"^\| (\S+) \| (\S+) \| \S+ \| (\d+) \|", card.read_text(), re.MULTILINE):
        told[f"{name} {version}"] = told.get(f"{name} {version}", 0) + int(n)
    assert told == {f"{package.name} {package.version}": len(package.sounds) for package in packages}
    assert origins.INDEX.stat().st_size < 150_000
