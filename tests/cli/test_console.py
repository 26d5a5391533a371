"""Progress and errors as a log sees them."""

from foleycli.cli import console
from foleycli.errors import FoleyError


def test_error_is_two_lines_whatever_it_says(capsys):
    console.show_error(FoleyError("[red]it\nbroke[/red]", "mend\nit"), about="a.mp4")
    assert capsys.readouterr().err == "error: a.mp4: [red]it broke[/red]\nhint: mend it\n"


def test_long_errors_are_not_broken(capsys):
    console.show_error(FoleyError("x" * 500))
    assert capsys.readouterr().err == f"error: {'x' * 500}\n"


def test_quiet_tells_nothing(capsys):
    with console.progress(quiet=True) as report:
        report("sampler", 1, 1)
    console.note("a note", quiet=True)
    assert capsys.readouterr() == ("", "")


def test_plain_lines_where_there_is_no_terminal(capsys):
    with console.progress() as report:
        for done in range(5):
            report("sampler", done, 4)
        report("sampler", 4, 4)
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(" in ")[0] for line in told.err.splitlines()] == ["sampler: done"]


def test_json_keeps_letters(capsys):
    console.result_json({"prompt": "Glöckchen"})
    assert capsys.readouterr().out == '{"prompt": "Glöckchen"}\n'
