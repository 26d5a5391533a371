"""The generated tables of README and guide are those of today's code."""

import pytest

from foleycli.errors import FoleyError
from foleycli.lab import docs


@pytest.mark.parametrize("page", docs.pages(), ids=lambda page: f"{page.parent.name}/{page.name}")
def test_tables_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert docs.updated(text) == text, "run: python -m foleycli.lab docs"


def test_a_table_that_drifted_is_written_anew():
    before = "# T\n\n<!-- begin presets -->\n| old |\n<!-- end presets -->\n\nend\n"
    after = docs.updated(before)
    assert "| `impacts` |" in after and "| old |" not in after
    assert after.startswith("# T\n\n<!-- begin presets -->\n") and after.endswith("<!-- end presets -->\n\nend\n")
    assert docs.updated(after) == after


def test_the_check_names_what_is_out_of_date(foley, monkeypatch, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- begin guide -->\n<!-- end guide -->\n")
    monkeypatch.setattr(docs, "pages", lambda: [page])
    with pytest.raises(docs.typer.Exit):
        docs.main(check=True)
    assert capsys.readouterr().out == f"{page}\tout of date\n" and page.stat().st_size < 100
    docs.main(check=False)
    docs.main(check=True)  # nothing to say any more
    assert capsys.readouterr().out == f"{page}\twritten\n"


def test_options_say_defaults_and_choices():
    table = docs.options_table("render")
    assert "| `--steps` |" in table and "| `-o`, `--out` OUT |" in table
    assert "auto, cpu, cuda, mps (default: auto)" in table and r"NAME\|FILE" in table


def test_an_unknown_table_is_an_error():
    with pytest.raises(FoleyError, match="'nonsense'"):
        docs.updated("<!-- begin nonsense -->\n<!-- end nonsense -->")
