"""Files that get their names at the same time, whatever happens on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foleycli.errors import FoleyError
from foleycli.media import together as module
from foleycli.media.output import remove_leftovers, replacing, temporary_beside
from foleycli.media.together import as_written, together

NAMES = ("mix.wav", "stems/1.wav", "stems/2.wav", "mix.json")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Old files in two folders."""
    (tmp_path / "all" / "stems").mkdir(parents=True)
    files = [tmp_path / "all" / name for name in NAMES]
    for file in files:
        file.write_text("old")
    return files


def write(file: Path, text: str, *, overwrite: bool = True) -> None:
    with replacing(file, overwrite=overwrite) as part:
        part.write_text(text)


def texts(files: list[Path]) -> list[str]:
    return [file.read_text() for file in files]


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".foley*")]


def test_they_wait_for_one_another_and_are_read_where_they_wait(files):
    other = files[0].with_name("other.wav")
    with together(files):
        for file in files:
            write(file, "new")
        write(other, "new")
        assert texts(files) == ["old"] * 4 and other.read_text() == "new"
        assert texts([as_written(file) for file in files]) == ["new"] * 4
        assert as_written(files[1]).suffix == ".wav"
        with temporary_beside(files[1], ""):  # which looks for what dead processes left
            assert as_written(files[1]).exists()
    assert texts(files) == ["new"] * 4 and as_written(files[0]) == files[0]
    assert not hidden(files[0].parent)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_where_one_fails_all_stay_as_they_were(files, error):
    with pytest.raises(error), together(files):
        for file in files[:3]:
            write(file, "new")
        raise error
    assert texts(files) == ["old"] * 4 and not hidden(files[0].parent)


def test_nothing_is_renamed_where_one_of_them_must_not_be_replaced(files):
    with pytest.raises(FoleyError, match=r"mix\.json was written by somebody else meanwhile"), together(files):
        for file in files:
            write(file, "new", overwrite=file.suffix != ".json")
    assert texts(files) == ["old"] * 4 and not hidden(files[0].parent)


DYING = """
import os, signal, sys
from pathlib import Path
from foleycli.media import output, together
files, n_left, rename = [Path(one) for one in sys.argv[2:]], int(sys.argv[1]), os.replace
def dying(source, target):
    global n_left
    if n_left == 0: os.kill(os.getpid(), signal.SIGKILL)
    n_left -= 1
    rename(source, target)
with together.together(files):
    for file in files:
        with output.replacing(file) as part: part.write_text("new")
    os.replace = dying
"""


@pytest.mark.parametrize(("n_renames", "where"), [(0, "stems"), (1, "stems"), (3, "."), (5, ".")])
def test_a_process_that_is_killed_between_has_changed_nothing_or_the_next_one_finishes(files, n_renames, where):
    """The first rename is the journal's; the folder is moved as a whole before the next run."""
    command = [sys.executable, "-c", DYING, str(n_renames), *map(str, files)]
    assert subprocess.run(command).returncode == (0 if n_renames == 5 else -signal.SIGKILL)
    assert sum(text == "new" for text in texts(files)) == max(0, n_renames - 1)
    moved = files[0].parent.rename(files[0].parent.with_name("moved"))
    for folder in (moved / where, moved, moved / "stems"):
        remove_leftovers(folder, again=True)
        assert texts([moved / name for name in NAMES]) == ["old" if n_renames == 0 else "new"] * 4
    assert not hidden(moved)


@pytest.mark.parametrize("where", [".", "stems", "../elsewhere"])
def test_the_next_one_finishes_also_where_a_folder_is_a_link(files, tmp_path, where):
    (files[1].parent).rename(tmp_path / "elsewhere")
    files[1].parent.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert subprocess.run([sys.executable, "-c", DYING, "2", *map(str, files)]).returncode == -signal.SIGKILL
    assert texts(files) == ["new", "old", "old", "old"]
    remove_leftovers(files[0].parent / where, again=True)
    assert texts(files) == ["new"] * 4


def test_a_file_that_cannot_be_replaced_now_is_by_the_next_run(files, monkeypatch):
    rename = os.replace

    def refusing(source: Path, target: Path) -> None:
        if target == files[2]:
            raise PermissionError(13, "it is open")
        rename(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    with pytest.raises(FoleyError, match=r"2\.wav cannot be replaced \(it is open\)"), together(files):
        for file in files:
            write(file, "new")
    remove_leftovers(files[2].parent, again=True)  # it is still open
    assert texts(files) == ["new", "new", "old", "old"]
    monkeypatch.undo()
    remove_leftovers(files[0].parent, again=True)
    remove_leftovers(files[2].parent, again=True)
    assert texts(files) == ["new"] * 4 and not hidden(files[0].parent)


@pytest.mark.parametrize("lure", ["a name elsewhere", "another user's folder"])
def test_nobody_else_says_what_is_renamed(files, tmp_path, monkeypatch, lure):
    folder = files[0].parent / ".foley-run-lure"
    folder.mkdir()
    (folder / "0.wav").write_text("lure")
    target = tmp_path / "mine.wav" if lure == "a name elsewhere" else files[0]
    (folder / module.JOURNAL).write_text(f'[["0.wav", "{os.path.relpath(target, folder)}"]]')
    if lure != "a name elsewhere":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    remove_leftovers(files[0].parent, again=True)
    assert texts(files) == ["old"] * 4 and not (tmp_path / "mine.wav").exists()
    assert folder.exists() == (lure != "a name elsewhere")
    shutil.rmtree(folder, ignore_errors=True)
