"""Finding ffmpeg, its failures in words, and no child left behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg


def test_order_of_the_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FOLEY_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    carried = ffmpeg.find_ffmpeg()
    assert "imageio_ffmpeg" in str(carried)
    if sys.platform != "win32":
        (tmp_path / "ffmpeg").symlink_to(carried)
        monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
        assert ffmpeg.find_ffmpeg() == tmp_path / "ffmpeg"
    monkeypatch.setenv("FOLEY_FFMPEG", str(carried))
    assert ffmpeg.find_ffmpeg() == carried
    assert ffmpeg.ffmpeg_version()[0] in "nN0123456789"


def test_a_wanted_ffmpeg_that_does_not_run_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOLEY_FFMPEG", str(tmp_path / "none"))
    with pytest.raises(FoleyError, match="FOLEY_FFMPEG"):
        ffmpeg.find_ffmpeg()


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_a_binary_is_asked_what_it_is_once_and_again_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary, asked = tmp_path / "ffmpeg", tmp_path / "asked"
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOLEY_FFMPEG", str(binary))

    def version_in_a_new_run(version: str | None = None) -> str:
        if version:
            binary.write_text(f"#!/bin/sh\necho >> {asked}\necho ffmpeg version {version}\n")
            binary.chmod(0o755)
        ffmpeg._find.cache_clear(), ffmpeg._version_text.cache_clear()
        return ffmpeg.ffmpeg_version()

    assert [version_in_a_new_run("7.1"), version_in_a_new_run(), version_in_a_new_run()] == ["7.1"] * 3
    assert len(asked.read_text()) == 1
    assert version_in_a_new_run("8.0.1") == "8.0.1" and len(asked.read_text()) == 2
    told = json.dumps({str(binary): {"state": [], "asked_s": "now", "said": 1}})
    for n_asked, broken in enumerate(('{"broken": ', "[]", '{"ffmpeg": 1}', told), start=3):
        (tmp_path / "home" / ffmpeg.REMEMBERED).write_text(broken)
        assert version_in_a_new_run() == "8.0.1" and len(asked.read_text()) == n_asked
    assert [path.name for path in (tmp_path / "home").iterdir()] == [ffmpeg.REMEMBERED]
    binary.unlink()
    with pytest.raises(FoleyError, match="does not run"):
        version_in_a_new_run()


def test_failure_carries_ffmpegs_words(tmp_path: Path) -> None:
    args = ffmpeg.command(ffmpeg.output_of([ffmpeg.open_input(tmp_path / "none.mp4")], tmp_path / "out.mp4"))
    with pytest.raises(FoleyError, match="while copying.*none.mp4.*No such file"):
        ffmpeg.run(args, "copying")
    with pytest.raises(FoleyError, match="No such file"):
        list(ffmpeg.read_stdout(args, 100, "reading"))


def test_progress_is_told(tmp_path: Path) -> None:
    import ffmpeg as compose

    tone = compose.input("sine=d=3", f="lavfi")
    told: list[tuple[str, float, float]] = []
    args = ffmpeg.command(ffmpeg.output_of([tone], tmp_path / "tone.wav"))
    ffmpeg.run(args, "making a tone", lambda *step: told.append(step), "tone", 3.0)
    assert told[-1][0] == "tone" and told[-1][1] == pytest.approx(3.0, abs=0.1) and told[-1][2] == 3.0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux sets the size of pipes")
def test_its_output_comes_through_a_large_pipe() -> None:
    import fcntl

    with ffmpeg._child([sys.executable, "-c", "print('here')"]) as (child, _):
        assert child.stdout is not None
        assert fcntl.fcntl(child.stdout, fcntl.F_GETPIPE_SZ) >= ffmpeg.PIPE_BYTES
        assert child.stdout.read().strip() == b"here"
