"""The figures of the cards: every table is complete, shown, and nowhere else are figures written by hand."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from foleycli.errors import FoleyError
from foleycli.hub.catalog import entries
from foleycli.lab import docs, figures

SHIPPED = [entry.name for entry in entries() if entry.is_shipped]
BY_HAND = re.compile(r"(?<![\w.])[01]\.\d{2,}(?![\w.])")  # 0.83: an F1, a correlation, a distance


@pytest.mark.parametrize("model", SHIPPED)
def test_every_table_is_complete_and_shown_in_a_card(model):
    tables = figures.read_metrics(model)
    card = (figures.metrics_path(model).parent / "README.md").read_text(encoding="utf-8")
    for name, table in tables.items():
        assert f"<!-- begin figures {model}/{name} -->" in card
        assert table.rows and table.about and re.fullmatch(r"20\d\d-\d\d-\d\d", table.date)
        assert re.fullmatch(r"[0-9a-f]{7}", table.commit)


@pytest.mark.parametrize("model", SHIPPED)
def test_no_figure_is_written_by_hand(model):
    card = (figures.metrics_path(model).parent / "README.md").read_text(encoding="utf-8")
    assert not BY_HAND.findall(docs.MARKED.sub("", card))


@pytest.mark.parametrize("model", SHIPPED)
def test_metrics_have_a_line_for_each_row(model):
    text = figures.metrics_path(model).read_text(encoding="utf-8")
    assert figures.to_json(json.loads(text)) == text


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """salsav-mini's metrics.json where it may be changed."""
    path = tmp_path / "metrics.json"
    shutil.copy(figures.metrics_path("salsav-mini"), path)
    monkeypatch.setattr(figures, "metrics_path", lambda model: path)
    return path


def test_new_rows_replace_old_ones(copied, lab, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"changed": "nothing", "f1_60ms": 0.901, "steps": 8, "distance_db": null}\n')
    told = lab("figures", "salsav-mini/sweep", rows, "--commit", "abcdef0", "--command", "measure it")
    assert told.code == 0, told.err
    table = figures.read_metrics("salsav-mini")["sweep"]
    assert table.rows == ({"changed": "nothing", "f1_60ms": 0.901},)  # steps have no column
    assert (table.commit, table.command) == ("abcdef0", "measure it")
    assert "| nothing | 0.90 |" in figures.block("salsav-mini/sweep")
    assert figures.to_json(json.loads(copied.read_text())) == copied.read_text()


@pytest.mark.parametrize(
    ("table", "content", "error"),
    [
        ("salsav-mini/swep", "{}", "no figures 'swep'"),
        ("salsav-mini/sweep", "no json", "cannot be read"),
        ("salsav-mini/sweep", '{"f1_60ms": 1}', "no rows with 'changed'"),
        ("salsav-mini/sweep", "", "no rows with 'changed'"),
    ],
)
def test_rows_that_do_not_fit_are_refused(copied, lab, tmp_path, table, content, error):
    before, rows = copied.read_text(), tmp_path / "rows.jsonl"
    rows.write_text(content)
    told = lab("figures", table, rows, "--commit", "abcdef0")
    assert told.code == 1 and error in told.err and copied.read_text() == before


@pytest.mark.parametrize(
    "change",
    [
        {"source": "elsewhere"},
        {"command": ""},
        {"note": "more"},
        {"rows": [{"unknown": 1}]},
        {"columns": [{"key": "a"}]},
    ],
)
def test_incomplete_tables_are_refused(copied, change):
    tables = json.loads(copied.read_text())
    tables["sweep"] |= change
    copied.write_text(json.dumps(tables))
    with pytest.raises(FoleyError, match="'sweep'"):
        figures.read_metrics("salsav-mini")


def test_a_model_that_does_not_ship_has_no_figures():
    with pytest.raises(FoleyError, match="no shipped model"):
        figures.block("mmaudio-large-44k/sweep")
