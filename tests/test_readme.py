"""What the README promises: short, words first, commands that work."""

import re
from pathlib import Path

from commands import foley_lines

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


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
    assert lines[1].endswith(" -m pytest")  # .ci/run runs this one
