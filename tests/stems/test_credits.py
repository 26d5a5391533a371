"""Who is credited for what is heard."""

from __future__ import annotations

from foleycli.library.library import Recording, read_library
from foleycli.stems.credits import credits_text


def test_every_part_of_a_sound_is_credited_once(tmp_path) -> None:
    dog = next(one for one in read_library() if one.name == "dog bark")
    text = credits_text([dog, dog, Recording(tmp_path / "mine.wav", ("mine",))], "reel.mov")
    assert text.startswith("Library sounds used in reel.mov\n\ndog bark\n") and text.count("dog bark") == 1
    for origin in dog.origins:
        assert f"{origin['licence']}  by {origin['authors']} ({origin['package']})" in text
    lines = text.splitlines()
    assert len(lines) == len(set(filter(None, lines))) + lines.count("")  # nobody twice
    assert "  CC-BY-3.0  https://creativecommons.org/licenses/by/3.0/" in lines
    assert "  mine.wav: no licence is stated" in lines


def test_none_is_said_too() -> None:
    assert credits_text([], "reel.mov") == "No library sounds are used in reel.mov.\n"
