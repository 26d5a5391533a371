"""Licences are asked for once, and only where use is limited."""

import pytest

from foleycli.errors import FoleyError
from foleycli.hub import licences
from foleycli.hub.catalog import entries, find


def test_open_until_accepted(here):
    entry = find("mmaudio-small-16k")
    asked = licences.open_questions(entry)
    assert set(asked) == {"mmaudio-small-16k", "mmaudio-codec-16k", "dfn5b-clip"}  # Synchformer is MIT
    licences.accept(asked)
    assert licences.open_questions(entry) == {}
    assert set(licences.open_questions(find("mmaudio-large-44k"))) == {"mmaudio-large-44k", "mmaudio-codec-44k"}


def test_the_text_names_models_terms_and_address(here):
    told = licences.text(licences.open_questions(find("mmaudio-small-16k"))).splitlines()
    assert len(told) == 2
    assert "mmaudio-codec-16k, mmaudio-small-16k: CC-BY-NC-4.0, NOT for commercial use" in told[0]
    assert "https://creativecommons.org/licenses/by-nc/4.0/" in told[0] and "Apple" in told[1]


def test_shipped_models_ask_nothing(here):
    assert all(licences.open_questions(entry) == {} for entry in entries() if entry.is_shipped)


def test_a_damaged_memory_asks_again(here):
    entry = find("vaura")
    licences.accept(licences.open_questions(entry))
    (here / "foley" / "licences.json").write_text("[")
    assert licences.open_questions(entry)
    licences.accept(licences.open_questions(entry))
    assert not licences.open_questions(entry)


def test_a_home_that_cannot_be_written(here):
    (here / "foley").write_text("a file")
    with pytest.raises(FoleyError, match="cannot be made"):
        licences.accept(licences.open_questions(find("vaura")))
