"""A folder's index: what is taken, and that a broken line is one clear error with its number."""

from __future__ import annotations

import json

import pytest

from foleycli.errors import FoleyError
from foleycli.library.index import index_rows

GOOD = {"file": "a.wav", "words": ["wood hit"]}


def test_lines_in_their_order_and_none_without_an_index(tmp_path):
    assert index_rows(tmp_path) == []
    lines = (json.dumps(GOOD), "", json.dumps({**GOOD, "file": "b.wav"}))
    (tmp_path / "index.jsonl").write_text("\n".join(lines), "utf-8-sig")
    assert [row["file"] for row in index_rows(tmp_path)] == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    "line",
    [
        "[1]", "3", "null", '"a.wav"', "{", '{"words": []}', "[" * 5000 + "]" * 5000,
        json.dumps({**GOOD, "file": None}), json.dumps({**GOOD, "file": 3}), json.dumps({**GOOD, "file": ""}),
        json.dumps({**GOOD, "file": ["a.wav"]}), json.dumps({**GOOD, "words": None}), json.dumps({**GOOD, "words": 3}),
        json.dumps({**GOOD, "words": ["wood", None]}), json.dumps({**GOOD, "words": {"a": 1}}),
        json.dumps({**GOOD, "words": [1.5]}), json.dumps({**GOOD, "category": 7}),
    ],
)  # fmt: skip
def test_a_broken_line_is_named_by_its_number(tmp_path, line):
    (tmp_path / "index.jsonl").write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(FoleyError, match=r"index\.jsonl, line 2") as raised:
        index_rows(tmp_path)
    assert "Write lines like" in raised.value.hint


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_told(tmp_path, encoding):
    (tmp_path / "index.jsonl").write_text(json.dumps({**GOOD, "words": ["Tür"]}, ensure_ascii=False), encoding)
    with pytest.raises(FoleyError, match="cannot be read as UTF-8"):
        index_rows(tmp_path)
