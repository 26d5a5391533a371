"""What the README promises: short, words first, commands that work."""

import re
import textwrap
from pathlib import Path

import pytest
import soundfile
from clips import Clips
from commands import foley_lines

from foleycli.cli.guide import read

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(README.split()) <= 900


def test_the_first_example_has_a_prompt_and_most_others_too():
    lines = [line for line in foley_lines(README) if line.startswith("foley render")]
    assert "--prompt" in lines[0] and README.index(lines[0]) < README.index("## ")
    assert sum("--prompt" in line for line in lines) >= 5


def test_the_commands_to_start_with_are_there():
    lines = re.findall(r"^ {4}(python3 -m venv .*)$", README, flags=re.MULTILINE)
    assert len(lines) == 2
    assert "foleycli/shipped/demo.mp4" in lines[0] and "--prompt" in lines[0]
    assert " -m pytest" in lines[1]  # .ci/run runs this one


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="not in a source distribution")
def test_the_folders_that_ci_tests_twice_are_there():
    named = re.findall(r"tests/[\w/.]+", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert named and [path for path in named if not (ROOT / path).exists()] == []


def python_example(text: str) -> str:
    """The first block of indented code that imports foleycli."""
    blocks = re.findall(r"(?:^ {4}.*\n|^\n)+", text, flags=re.MULTILINE)
    return textwrap.dedent(next(block for block in blocks if "import foleycli" in block))


@pytest.fixture
def beside_a_clip(clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with clip.mp4."""
    (tmp_path / "clip.mp4").symlink_to(clips("silent.mp4"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_example_runs(beside_a_clip, capsys):
    exec(python_example(README), names := {})
    assert names["audio"].samples.shape == (1, round(1.6 * names["audio"].rate_hz))
    assert capsys.readouterr().out == f"{names['audio'].samples.shape} {names['audio'].rate_hz}\n"


def test_the_python_example_of_the_guide_runs(beside_a_clip):
    exec(python_example(read("usage")), {})
    assert soundfile.info("longer.wav").duration == 4
    assert (beside_a_clip / "out.mp4").stat().st_size > 1000
