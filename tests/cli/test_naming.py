"""Names, folders and prompts of many inputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foleycli.cli.naming import Source, check_pattern, expand, read_prompts
from foleycli.errors import FoleyError, UsageError


@pytest.fixture
def shots(tmp_path) -> Path:
    """Two scenes with a shot of one name, and files that are no videos."""
    for name in ("a/one.mp4", "a/two.MOV", "b/one.mkv", "b/.hidden.mp4", "b/notes.txt", ".cache/three.mp4"):
        (tmp_path / "shots" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shots" / name).touch()
    return tmp_path / "shots"


def test_a_folder_is_the_videos_in_it_with_their_sub_folders(shots):
    found = expand([shots])
    assert [(str(one.path.relative_to(shots)), str(one.folder)) for one in found] == [
        ("a/one.mp4", "a"),
        ("a/two.MOV", "a"),
        ("b/one.mkv", "b"),
    ]


def test_files_of_different_names_lie_side_by_side(shots):
    assert expand([shots / "a/one.mp4", shots / "a/two.MOV"]) == [
        Source(shots / "a/one.mp4"),
        Source(shots / "a/two.MOV"),
    ]


def test_files_of_one_name_get_their_folders(shots):
    assert [str(one.folder) for one in expand([shots / "a/one.mp4", shots / "b/one.mkv"])] == ["a", "b"]


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no video in"):
        expand([tmp_path])


@pytest.mark.parametrize("pattern", ["{stem}.wav", "{stem}_{take:02}.mp4", "x{seed}.flac"])
def test_patterns_that_name_files(pattern):
    check_pattern(pattern, 1)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{stem", "is no pattern"),
        ("{name}.wav", "is no pattern"),
        ("{}.wav", "is no pattern"),
        ("{stem.parent}.wav", "is no pattern"),
        ("{stem.__class__}.wav", "has a field that is unknown"),
        ("{stem[0]}.wav", "has a field that is unknown"),
        ("{stem:d}.wav", "is no pattern"),
        ("{stem:>9999999999}.wav", "is no pattern"),
        ("../{stem}.wav", "gives no file name"),
        ("{stem}", "gives no file name"),
        ("", "gives no file name"),
    ],
)
def test_patterns_that_name_none(pattern, message):
    with pytest.raises(UsageError, match=message):
        check_pattern(pattern, 1)


def test_every_take_needs_its_own_name():
    check_pattern("{stem}.wav", 1)
    with pytest.raises(UsageError, match="gives all takes one name"):
        check_pattern("{stem}.wav", 2)


FILES = {
    "p.csv": 'file,prompt\none.mp4,boots on gravel\ntwo,"rain, heavy"\n',
    "bare.csv": '\ufeffone.mp4,boots on gravel\r\ntwo,"rain, heavy"\r\n',
    "p.json": '{"one": "boots on gravel", "two.mov": "rain, heavy"}',
    "p.yaml": "one.mp4: boots on gravel\ntwo: rain, heavy\n",
}


@pytest.mark.parametrize("name", FILES)
def test_prompts_by_file(tmp_path, name):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    inputs = [Path("in/one.mp4"), Path("in/two.mov"), Path("in/three.mp4")]
    assert read_prompts(tmp_path / name, inputs) == {inputs[0]: "boots on gravel", inputs[1]: "rain, heavy"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "one.mp4,a,b\n", "row 1, has not two columns"),
        ("p.csv", "file,prompt\none.mp4\n", "row 1, has not two columns"),
        ("p.csv", "four.mp4,rain\n", "none of the inputs"),
        ("p.json", "[1]", "holds no prompts by file"),
        ("p.json", '{"one": 3}', "has 3 as the prompt for 'one'"),
        ("p.json", '{"one": "\\ud800"}', r"has '.ud800' as the prompt for 'one'"),
        ("p.json", '{"one": "rain", "one": "door"}', "is there twice"),
        ("p.yaml", "a: &a [b]\none: *a", "alias .a stands for another value"),
        ("p.yaml", "[" * 3000, "nested too deeply"),
        ("p.csv", f"one,{'x' * 200_000}", "field larger than field limit"),
        ("p.yaml", "a: [", "cannot be read"),
        ("p.yaml", "one: 2026-99-99", "cannot be read"),
        ("missing.csv", None, "does not exist"),
    ],
)
def test_broken_prompts_are_refused(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(FoleyError, match=message):
        read_prompts(tmp_path / name, [Path("one.mp4")])


def test_prompts_from_a_pipe_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    with pytest.raises(FoleyError, match="is a pipe or a device"):
        read_prompts(tmp_path / "p.csv", [Path("one.mp4")])
