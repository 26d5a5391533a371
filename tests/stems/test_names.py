"""Names of stems: categories, patterns, and that every system can write them."""

from __future__ import annotations

from dataclasses import replace

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleycli.errors import UsageError
from foleycli.library.library import read_library
from foleycli.settings import plain_yaml
from foleycli.stems.names import StemFields, check_pattern, fx_name, safe_name, stem_names
from foleycli.stems.ucs import TABLE, cat_id_of, class_of, find_cat_id, is_cat_id

DOOR = StemFields(cat_id="DOORWood", fx="Door Slam", source="reel_2", cue="3")


def test_every_library_sound_has_a_category_and_the_table_names_no_other() -> None:
    library = read_library()
    table = plain_yaml.read(TABLE)
    assert isinstance(table, dict)
    assert {one.category for one in library} <= set(table["categories"])
    named = [name for names in table["sounds"].values() for name in names]
    assert len(named) == len(set(named)) and set(named) <= {one.name for one in library}
    assert all(is_cat_id(cat_id) for cat_id in (*table["sounds"], *table["categories"].values()))
    by_name = {one.name: cat_id_of(one) for one in library}
    # As the list 8.2 has them, with and without a sub-category of their own.
    assert [by_name[name] for name in ("dog bark", "rain", "horse hooves", "high heels", "whoosh", "gunshot")] == [
        "ANMLDog",
        "RAIN",
        "FEETHors",
        "FEETHmn",
        "WHSH",
        "GUNMisc",
    ]


def test_a_prompt_finds_its_category() -> None:
    assert find_cat_id("a wooden door slams shut") == "DOORWood"
    assert find_cat_id("footsteps on gravel") == "FEETHmn"
    assert find_cat_id("") == "FOLYMisc"


@pytest.mark.parametrize(
    ("cat_id", "kind"),
    [("FEETHmn", "footsteps"), ("CLOTHMvmt", "movement"), ("AMBRoom", "ambience"), ("WATRWave", "ambience"),
     ("WATRSplsh", "effects"), ("FOLYMisc", "effects")],
)  # fmt: skip
def test_classes(cat_id: str, kind: str) -> None:
    assert class_of(cat_id) == kind


def test_the_default_is_a_ucs_name() -> None:
    assert stem_names([DOOR, replace(DOOR, take=2)]) == [
        "DOORWood_Door Slam_FOLEY_reel 2_3T1.wav",
        "DOORWood_Door Slam_FOLEY_reel 2_3T2.wav",
    ]
    assert fx_name("heavy wooden door slams, then footsteps walk away") == "Heavy Wooden Door Slams"
    assert fx_name("Ünïcode_names: ok?") == "Ünïcode Names Ok"


def test_patterns() -> None:
    check_pattern("{cue:0>3}-{kind}.wav")
    assert stem_names([DOOR], "{cue:0>3}-{take:02}-{timecode}.wav") == ["003-01-00.00.00.00.wav"]
    for pattern, words in [
        ("{nmae}", "has the field"),
        ("{take.real}", "has the field"),
        ("{take", "is no pattern"),
        ("{take:%}/{cue}", "is no pattern"),
        ("{cue:>9999999999}", "is no pattern"),
        ("../{cue}", "is no pattern"),
        ("{cue}.flac", "ends in .flac"),
    ]:
        with pytest.raises(UsageError, match=words):
            check_pattern(pattern)


def test_names_that_some_system_holds_alike_differ() -> None:
    same = [replace(DOOR, fx=fx) for fx in ("Tür", "TÜR", "Tu\u0308r", "tür")]
    names = stem_names(same, "{fx}")
    assert len({name.casefold() for name in names}) == 4
    assert names[0] == "Tür.wav" and names[3] == "tür-4.wav"


@pytest.mark.parametrize(
    ("text", "safe"),
    [("a/b\\c:d", "a b c d"), ("CON", "CON-"), ("nul.take", "nul-take"), (" .. ", "stem"), ("a\tb. ", "a b"),
     ("", "stem")],
)  # fmt: skip
def test_safe_names(text: str, safe: str) -> None:
    assert safe_name(text) == safe


@hypothesis.settings(max_examples=30)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=5))
def test_any_text_makes_names_that_can_be_written(texts: list[str]) -> None:
    names = stem_names([replace(DOOR, fx=text, track=text) for text in texts], "{fx}{track}")
    assert len({name.casefold() for name in names}) == len(texts)
    for name in names:
        assert len(name.encode("utf-8", "replace")) <= 255
        assert not set(name) & set('/\\:*?"<>|') and name.isprintable() and name == name.strip(" ")
