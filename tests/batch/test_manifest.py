"""Rows of CSV and JSON lines: what is read, and what is refused with its line."""

from __future__ import annotations

import pytest

from foleycli.batch.manifest import read_manifest
from foleycli.errors import FoleyError

COLUMNS = ("prompt", "negative_prompt", "takes", "mix", "loudness")


def read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_manifest(tmp_path / name, COLUMNS)


def test_a_csv_names_its_columns_as_options_are_named(tmp_path):
    text = (
        '\ufeffFile,Prompt,negative-prompt,#shot\na.mp4,"rain, then\nthunder",,12\n\nb.mp4,, music ,13\n'
        "c.mp4\n"  # short rows leave the rest out
    )
    rows = read(tmp_path, "m.csv", text)
    assert [(row.number, row.file, row.values, row.error) for row in rows] == [
        (2, "a.mp4", {"prompt": "rain, then\nthunder"}, None),
        (5, "b.mp4", {"negative_prompt": "music"}, None),
        (6, "c.mp4", {}, None),
    ]


def test_tabs_and_json_lines(tmp_path):
    assert read(tmp_path, "m.tsv", "prompt\tfile\nrain, wind\ta.mp4\n")[0].values == {"prompt": "rain, wind"}
    text = '{"file": "a.mp4", "takes": 3, "mix": true, "prompt": null, "#note": 1}\n\n{"file": "b.mp4"}\n'
    rows = read(tmp_path, "m.jsonl", text)
    assert [(row.number, row.file, row.values) for row in rows] == [
        (1, "a.mp4", {"takes": 3, "mix": True}),
        (3, "b.mp4", {}),
    ]


@pytest.mark.parametrize(
    ("name", "text", "numbers"),
    [
        ("m.csv", "file,prompt\na.mp4,rain, thunder\n,rain\nb.mp4,x\n", [2, 3]),
        ("m.jsonl", '{"file": "a.mp4"}\n[1]\nfile: x\n{"file": 3}\n{"file": "c", "promt": "x"}\n', [2, 3, 4, 5]),
        ("m.jsonl", "[" * 100_000 + "\n" + '{"file": "a.mp4"}\n', [1]),
    ],
)
def test_a_bad_row_is_known_by_its_line_and_leaves_the_others(tmp_path, name, text, numbers):
    rows = read(tmp_path, name, text)
    assert [row.number for row in rows if row.error] == numbers
    assert len(rows) > len(numbers)
    assert all(row.error.hint for row in rows if row.error)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.csv", "file,promt\na.mp4,x\n", "unknown column 'promt'"),
        ("m.csv", "prompt\nx\n", "has no column file"),
        ("m.csv", "file,prompt,Prompt\na,x,y\n", "column prompt twice"),
        ("m.csv", 'file,prompt\na.mp4,"x\n', "line 2"),
        ("m.csv", "file\n", "has no rows"),
        ("m.jsonl", "\n", "has no rows"),
        ("m.txt", "file\na.mp4\n", "its ending is not known"),
        ("m.csv", None, "UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(tmp_path, name, text, said):
    if text is None:
        (tmp_path / name).write_bytes(b"file\n\xff\xfe\n")
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(FoleyError) as error:
        read_manifest(tmp_path / name, COLUMNS)
    assert said in f"{error.value.message} {error.value.hint}"


def test_a_misspelt_column_is_met_with_the_right_one(tmp_path):
    with pytest.raises(FoleyError) as error:
        read(tmp_path, "m.csv", "file,loudnes\na.mp4,-23\n")
    assert error.value.hint.startswith("Did you mean 'loudness'? ")
