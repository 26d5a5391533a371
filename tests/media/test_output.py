"""What may be written, and that nothing half done stays."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import run_ffmpeg

from foleycli.errors import FoleyError, UsageError
from foleycli.media import output
from foleycli.media.held import LOCK_NAME
from foleycli.media.output import (
    check_free_space,
    check_output,
    check_outputs,
    check_rate,
    is_blind_to_case,
    is_sound_name,
    is_video_name,
    name_on_disk,
    remove_leftovers,
    replacing,
    temporary_beside,
)


def test_kinds() -> None:
    assert is_video_name(Path("a.MOV")) and not is_video_name(Path("a.wav"))
    assert is_sound_name(Path("a.Flac")) and not is_sound_name(Path("a.mkv"))


@pytest.mark.parametrize(
    ("name", "rate_hz", "pcm"),
    [("a.mp4", 96000, None), ("a.mp3", 96000, None), ("a.mp4", 48000, True), ("a.mov", 96000, False)],
)
def test_rates_and_pcm_that_a_format_does_not_hold(name: str, rate_hz: int, pcm: bool | None) -> None:
    with pytest.raises(UsageError, match="--rate 96000|--pcm"):
        check_rate(Path(name), rate_hz, pcm)
    for fine in ("a.wav", "a.mov", "a.mkv", "a.flac"):
        check_rate(Path(fine), 96000, None)


def test_refusals(tmp_path: Path) -> None:
    there = tmp_path / "there.wav"
    there.touch()
    with pytest.raises(UsageError, match=r"\.avi is no known output format"):
        check_output(tmp_path / "a.avi", force=False)
    with pytest.raises(UsageError, match=r"\.mxf is not written"):
        check_output(tmp_path / "a.mxf", force=False)
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
            assert temporary.suffix == ".wav" and temporary.parent.parent == out.parent
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


def test_no_output_goes_over_an_input_in_any_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    clip = tmp_path / "clip.png"
    clip.write_text("an animated PNG")
    (tmp_path / "link.png").symlink_to(clip)
    (tmp_path / "hard.png").hardlink_to(clip)
    spellings = ["clip.png", "./clip.png", "sub/../clip.png", "link.png", "hard.png", str(clip)]
    for spelling in spellings:
        for source in spellings:
            with pytest.raises(FoleyError, match="is the input itself"):
                check_outputs([tmp_path / "clip.wav", Path(spelling)], [Path(source)], force=True)
    assert clip.read_text() == "an animated PNG"


def test_no_output_goes_over_a_file_in_an_input_folder(tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    (sounds / "deep").mkdir(parents=True)
    (tmp_path / "other").symlink_to(sounds)
    for path in (sounds / "door.wav", sounds / "deep" / "step.wav"):
        path.write_text("mine")
    for out in (sounds / "door.wav", sounds / "deep" / "step.wav", tmp_path / "other" / "door.wav"):
        with pytest.raises(FoleyError, match="is in the input folder"):
            check_output(out, force=True, inputs=[sounds])
    check_output(sounds / "new.wav", force=False, inputs=[sounds])  # nothing is lost there


def test_each_output_and_input_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(output, "_identity", lambda path: looked.append(path) or str(path))
    outs, sources = [tmp_path / f"{k}.wav" for k in range(100)], [tmp_path / f"{k}.mp4" for k in range(100)]
    check_outputs(outs, sources * 2, force=False)
    assert len(looked) == 200


def test_a_disk_says_whether_case_counts(tmp_path: Path) -> None:
    (tmp_path / "Sub").mkdir()
    is_blind = (tmp_path / "sUB").exists()
    assert is_blind_to_case(tmp_path / "Sub") == is_blind_to_case(tmp_path / "Sub" / "not" / "there") == is_blind
    (tmp_path / "sUB").symlink_to(tmp_path / "Sub")  # one folder by both names, as where case does not count
    assert is_blind_to_case(tmp_path / "Sub")
    names = {name_on_disk(Path(name), blind_to_case=True) for name in ("Ä.wav", "a\u0308.WAV", "ä.wav")}
    assert len(names) == 1 and name_on_disk(Path("X"), blind_to_case=False) != name_on_disk(
        Path("x"), blind_to_case=False
    )


def test_two_outputs_must_not_be_one_file(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    with pytest.raises(FoleyError, match="written twice"):
        check_outputs([tmp_path / "a.wav", tmp_path / "here" / "a.wav"], [], force=True)


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(FoleyError, match="has 256 bytes"):
        check_output(tmp_path / f"{'x' * 252}.wav", force=False)
    with pytest.raises(FoleyError, match="has 258 bytes"):  # bytes count, not letters
        check_output(tmp_path / f"{'ü' * 127}.wav", force=False)
    longest = tmp_path / f"{'ü' * 125}x.wav"
    check_output(longest, force=False)
    with replacing(longest) as temporary:
        temporary.write_text("new")
    assert longest.read_text() == "new"


def test_a_pipe_or_device_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(FoleyError, match="no regular file"):
        check_output(tmp_path / "pipe.wav", force=True)


def test_without_overwriting_the_first_result_stays(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    with pytest.raises(FoleyError, match="meanwhile"), replacing(out, overwrite=False) as temporary:
        temporary.write_text("second")
        out.write_text("first")
    assert out.read_text() == "first"
    assert list(tmp_path.iterdir()) == [out]
    with replacing(out, overwrite=True) as temporary:
        temporary.write_text("forced")
    assert out.read_text() == "forced"


HOLDER = """
import sys, time
from pathlib import Path
from foleycli.media.output import replacing, temporary_beside
with temporary_beside(Path(sys.argv[1]), ".wav") as a, replacing(Path(sys.argv[1])) as b:
    a.write_text("half"); b.write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_next_run_removes_what_a_killed_one_left_and_never_what_a_living_one_holds(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    runs = [
        subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        for run in runs:
            assert run.stdout is not None and run.stdout.readline() == "held\n"
        assert len(list(tmp_path.rglob("part.wav"))) == 4
        runs[0].send_signal(signal.SIGKILL)
        runs[0].wait()
        with temporary_beside(out, ".wav"):
            assert len(list(tmp_path.rglob("part.wav"))) == 2  # the living run's
        runs[1].send_signal(signal.SIGKILL)
        runs[1].wait()
        with replacing(tmp_path / "other.wav") as temporary:
            temporary.write_text("whole")
        assert len(list(tmp_path.rglob("part.wav"))) == 2, "a process looks through a folder once"
        output._looked_through.clear()
        with replacing(tmp_path / "other.wav") as temporary:
            temporary.write_text("whole")
        assert [path.name for path in tmp_path.iterdir()] == ["other.wav"]
    finally:
        for run in runs:
            run.kill()
            run.communicate()


DYING = """
import os, signal, sys, tempfile
from pathlib import Path
import filelock
from foleycli.media import output
def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "before the lock": filelock.FileLock.acquire = die
elif sys.argv[2] == "before the name": Path.rename = die
else: filelock.FileLock.release = die
with output.temporary_beside(Path(sys.argv[1]), ".wav") as a:
    a.write_text("whole")
"""


@pytest.mark.parametrize("when", ["before the lock", "before the name", "before it is removed"])
def test_whenever_a_process_is_killed_the_next_one_removes_its_folder(tmp_path: Path, when: str) -> None:
    out = tmp_path / "out.wav"
    died = subprocess.run([sys.executable, "-c", DYING, str(out), when])
    assert died.returncode == -signal.SIGKILL and len(list(tmp_path.glob(".foley-*"))) == 1
    with replacing(out) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("when", ["before the lock", "before the name"])
def test_a_folder_that_is_taken_for_a_dead_processs_is_made_once_more(
    tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    removed: list[Path] = []

    def remove() -> None:
        """Once: what another process does that looks through the folder just then."""
        if not removed:
            removed.extend(tmp_path.iterdir())
            shutil.rmtree(removed[0])

    acquire, rename = filelock.FileLock.acquire, Path.rename
    if when == "before the lock":
        monkeypatch.setattr(filelock.FileLock, "acquire", lambda *args, **kw: (remove(), acquire(*args, **kw))[1])
    else:
        monkeypatch.setattr(Path, "rename", lambda *args: (remove(), rename(*args))[1])
    with temporary_beside(tmp_path / "out.wav", ".wav") as temporary:
        temporary.write_text("whole")
        assert removed and temporary.parent not in removed
        assert [path.name for path in tmp_path.iterdir()] == [temporary.parent.name]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_being_removed_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    left, rmtree, seen = tmp_path / ".foley-run-left", shutil.rmtree, []

    def watched(path: Path, **options: bool) -> None:
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(path / LOCK_NAME, is_singleton=False).acquire(timeout=0)
        seen.append(path)
        rmtree(path, **options)

    left.mkdir()
    monkeypatch.setattr(shutil, "rmtree", watched)
    remove_leftovers(tmp_path)
    assert seen == [left] and not left.exists()


def _too_much(path: Path, how: str) -> None:
    if how == "file":
        path.write_bytes(bytes(2_000_000))
    elif how == "soundfile":
        soundfile.write(path, np.zeros(2_000_000, np.float32), 44100, "FLOAT")
    else:
        run_ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=30", "-c:a", "pcm_s24le", path)


@pytest.mark.parametrize("how", ["file", "soundfile", "ffmpeg"])
def test_full_disk_is_one_error_with_the_place(tiny_disk: Path, how: str) -> None:
    out = tiny_disk / "out.wav"
    out.write_text("old")
    with pytest.raises(FoleyError, match=r"no space is left in .*tiny .*about 8\.0 MB are needed") as caught:  # noqa: SIM117
        with replacing(out, needed_bytes=8_000_000) as temporary:
            _too_much(temporary, how)
    assert caught.value.hint
    assert out.read_text() == "old" and list(tiny_disk.iterdir()) == [out]


@pytest.mark.parametrize("how", ["file", "soundfile"])
def test_a_file_that_may_not_be_so_large_is_one_error_with_the_place(tmp_path: Path, how: str) -> None:
    """In a process of its own, which may write files of 100 kB: as `ulimit -f`, or a disk of FAT at 4 GB."""
    out = tmp_path / "out.wav"
    code = (
        "import resource, sys; from pathlib import Path\n"
        "import numpy as np, soundfile; from foleycli.errors import FoleyError\n"
        "from foleycli.media.output import replacing\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    with replacing(Path(sys.argv[1])) as part:\n"
        "        if sys.argv[2] == 'file': part.write_bytes(bytes(200_000))\n"
        "        else: soundfile.write(part, np.zeros(200_000, np.float32), 44100, 'FLOAT')\n"
        "except FoleyError as error: print(error, error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code, out, how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"a file in {tmp_path} could not be written to its end" in done.stdout and "ulimit" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_space_is_asked_for_before_the_work(tiny_disk: Path) -> None:
    sub = tiny_disk / "sub"
    sub.mkdir()
    check_free_space({tiny_disk: 500_000, sub: 400_000, tiny_disk.parent: 2_000_000})
    with pytest.raises(FoleyError, match=r"tiny has 1\.0 MB of free space, about 8\.0 MB are needed"):
        check_free_space({tiny_disk: 8_000_000})
    with pytest.raises(FoleyError, match=r"sub and .*tiny have 1\.0 MB of free space, about 1\.2 MB are needed"):
        check_free_space({sub: 600_000, tiny_disk: 600_000})


def test_other_errors_are_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, replacing(tmp_path / "out.wav"):
        raise OSError(errno.EIO, "broken")
    assert caught.value.errno == errno.EIO
