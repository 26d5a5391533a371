"""What may be written, and that nothing half done stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from foleycli.errors import FoleyError, UsageError
from foleycli.media.output import check_output, is_sound_name, is_video_name, replacing, temporary_beside


def test_kinds() -> None:
    assert is_video_name(Path("a.MOV")) and not is_video_name(Path("a.wav"))
    assert is_sound_name(Path("a.Flac")) and not is_sound_name(Path("a.mkv"))


def test_refusals(tmp_path: Path) -> None:
    there = tmp_path / "there.wav"
    there.touch()
    with pytest.raises(UsageError, match=r"\.avi is no known output format"):
        check_output(tmp_path / "a.avi", force=False)
    with pytest.raises(FoleyError, match="already exists"):
        check_output(there, force=False)
    with pytest.raises(FoleyError, match="is the input itself"):
        check_output(there, force=True, inputs=[tmp_path / "." / "there.wav"])
    with pytest.raises(FoleyError, match="does not exist"):
        check_output(tmp_path / "none" / "a.wav", force=True)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(FoleyError, match="is a folder"):
        check_output(tmp_path / "folder.wav", force=True)
    check_output(there, force=True)
    check_output(tmp_path / "new.mp4", force=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.wav", "there.wav"]


def test_folder_that_cannot_be_written_to() -> None:
    if not Path("/proc").is_dir():
        pytest.skip("needs Linux's read-only /proc")
    with pytest.raises(FoleyError, match="cannot be written to"):
        check_output(Path("/proc/a.wav"), force=False)


def test_replacing_takes_the_place_on_success_only(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    out.write_text("old")
    for interruption in (ValueError, KeyboardInterrupt):
        with pytest.raises(interruption), replacing(out) as temporary:
            assert temporary.suffix == ".wav" and temporary.parent == out.parent
            temporary.write_text("half")
            raise interruption
        assert out.read_text() == "old"
        assert list(tmp_path.iterdir()) == [out]
    with replacing(out) as temporary:
        temporary.write_text("new")
        assert out.read_text() == "old"
    assert out.read_text() == "new"
    assert list(tmp_path.iterdir()) == [out]
    assert out.stat().st_mode & 0o600 == 0o600


def test_temporary_beside_is_gone_afterwards(tmp_path: Path) -> None:
    with temporary_beside(tmp_path / "out.mp4", ".wav") as temporary:
        temporary.write_text("x")
    assert list(tmp_path.iterdir()) == []
