"""The page of a batch: whole HTML, links that lead to files, no request to anywhere; and in a real browser."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from urllib.parse import unquote

import html5lib
import pytest
from chromium import BINARY, Page

from foleycli.batch import page as pages
from foleycli.batch.work import failure
from foleycli.errors import FoleyError

ODD = "<i>&\"'#?%20 é"  # in a name and in a prompt


@pytest.fixture
def page(foley, kept_model, model_name, clips, tmp_path) -> Path:
    """index.html of a batch with a video, two takes of a sound, and a row that failed."""
    source = tmp_path / "shots" / f"{ODD}.mp4"
    source.parent.mkdir()
    shutil.copy(clips("plain.mp4"), source)
    rows = [
        ("file", "prompt", "takes", "out"),
        (f"shots/{source.name}", ODD, "", ""),
        (f"shots/{source.name}", "", "2", f"{ODD}.wav"),
        ("gone.mp4", "", "", ""),
    ]
    with (tmp_path / "m.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    cheap = (
        "--steps",
        1,
        "--engine",
        "flow",
        "--room",
        "off",
        "--no-library",
        "--model",
        model_name,
        "--device",
        "cpu",
    )
    told = foley("batch", tmp_path / "m.csv", "--out-dir", tmp_path / "out", *cheap)
    assert told.code == 3, told.err
    return tmp_path / "out" / "index.html"


def links(path: Path) -> list[str]:
    """Every address in a page, strictly parsed."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree = parser.parse(path.read_text(encoding="utf-8"))
    names = ("src", "href", "poster", "data-src")
    return [node.get(name) for node in tree.iter() for name in names if node.get(name)]


def test_the_page_is_whole_and_every_link_leads_to_a_file(page):
    text, found = page.read_text(encoding="utf-8"), links(page)
    media = [link for link in found if not link.startswith("data:")]
    assert all((page.parent / unquote(link)).is_file() for link in media)
    made = {path for path in page.parent.rglob("*") if path.suffix in (".mp4", ".wav")}
    assert made <= {(page.parent / unquote(link)).resolve() for link in media} and len(made) == 3
    assert sum(link.startswith("data:image/webp") for link in found) == 5  # two stills, three spectrograms
    assert "http://" not in text and "https://" not in text and "gone.mp4 does not exist" in text
    assert ODD[:3] not in text and "&lt;i&gt;&amp;" in text


def test_many_rows_go_on_several_pages_and_old_pages_go(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROWS_A_PAGE", 2)
    rows = [failure(number, Path(f"{number}.mp4"), FoleyError("it broke", "Mend it")) for number in range(1, 6)]
    assert pages.write_pages(tmp_path, rows, "many", {"failed": "5"}) == tmp_path / "index.html"
    names = ["index-2.html", "index-3.html", "index.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(sorted(set(links(tmp_path / name)) - {"data:,"}) == names for name in names)
    assert "4.mp4" in (tmp_path / "index-2.html").read_text()
    pages.write_pages(tmp_path, rows[:2], "few", {})
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


@pytest.mark.slow
@pytest.mark.skipif(BINARY is None, reason="there is no Chromium: apt install chromium")
def test_takes_are_played_and_compared_in_a_real_browser(page, tmp_path):
    with Page(page.as_uri(), tmp_path / "profile") as browser:
        assert browser.value("document.documentElement.dataset.ready") == "1"
        shown = "[...document.images].every((image) => image.complete && image.naturalWidth > 100)"
        assert browser.value(shown), "spectrograms are drawn"
        assert browser.value("document.querySelectorAll('article').length") == 3
        # A video plays with its sound.
        browser.value("document.querySelectorAll('article button')[0].click()")
        video = "document.querySelectorAll('video')[0]"
        browser.until(f"{video}.currentTime > 0.3 && {video}.videoWidth > 0")
        assert browser.value(f"{video}.webkitAudioDecodedByteCount > 0")
        # The second take of a sound plays beside the silent picture, which is the source's.
        browser.value("document.querySelectorAll('article')[1].querySelectorAll('button')[1].click()")
        video, sound = "document.querySelectorAll('video')[1]", "document.querySelector('audio')"
        browser.until(f"{video}.currentTime > 0.5 && {sound}.currentTime > 0.3")
        assert browser.value(f"{video}.muted && decodeURIComponent({sound}.src).endsWith('.take2.wav')")
        assert abs(browser.value(f"{video}.currentTime - {sound}.currentTime")) < 0.25
        pressed = "[...document.querySelectorAll('button')].map((one) => one.getAttribute('aria-pressed')).join()"
        assert browser.value(pressed) == "true,false,true"
        # Words hide the rows that lack them.
        browser.value(
            "document.getElementById('filter').value = 'GONE';"
            "document.getElementById('filter').dispatchEvent(new Event('input'))"
        )
        hidden = "[...document.querySelectorAll('article')].map((one) => one.hidden).join()"
        assert browser.value(hidden) == "true,true,false"
        asked = {url.split(":")[0] for url in browser.asked_for()}
        assert asked <= {"file", "data"}, "the page asks the network for nothing"
        assert not browser.complaints()
