"""Every hint of every error in the source is a sentence: a capital letter at its beginning, no full stop at its end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "foleycli"
ERRORS = {"FoleyError", "UsageError"}


def hints_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each hint that can be read from the source; `{}` stands for what is filled in.

    A hint that is a name is looked up among the constants and assignments of the file; what a function gives or a
    parameter brings is written, and checked, where that is.
    """
    tree = ast.parse(source)
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in ERRORS:
            given = node.args[1:2] + [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
            for expression in given:
                yield from ((node.lineno, text) for text in _texts(expression, assigned) if text.strip("{} "))


def _texts(expression: ast.expr, assigned: dict[str, list[ast.expr]]) -> list[str]:
    """The texts that an expression can be."""
    if isinstance(expression, ast.Constant):
        return [str(expression.value)]
    if isinstance(expression, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in expression.values)]
    if isinstance(expression, ast.IfExp):
        return _texts(expression.body, assigned) + _texts(expression.orelse, assigned)
    if isinstance(expression, ast.BinOp):  # `did_you_mean(...) + "List them: ..."`
        return [
            left + right for left in _texts(expression.left, assigned) for right in _texts(expression.right, assigned)
        ]
    if isinstance(expression, ast.Name) and expression.id in assigned:
        others = {name: values for name, values in assigned.items() if name != expression.id}
        return [text for value in assigned[expression.id] for text in _texts(value, others)]
    return ["{}"]


def is_sentence(text: str) -> bool:
    """Whether a hint begins with a capital letter and ends without a full stop."""
    begin = text.removeprefix("{}").lstrip()
    return begin[:1].isupper() and not text.rstrip().endswith(".")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_hints_are_sentences(path):
    assert [(line, text) for line, text in hints_of(path.read_text(encoding="utf-8")) if not is_sentence(text)] == []


def test_hints_are_found_wherever_they_stand():
    source = (
        "AGAIN = 'get it again'\n"
        "raise FoleyError('a', 'Name a file')\n"
        "raise errors.UsageError('b', hint=f'use {x}.')\n"
        "raise FoleyError('c', near(x) + 'list them')\n"
        "raise FoleyError('d', AGAIN if y else 'Stop.')\n"
        "raise FoleyError('e', hint)\n"
    )
    found = list(hints_of(source))
    assert found == [(2, "Name a file"), (3, "use {}."), (4, "{}list them"), (5, "get it again"), (5, "Stop.")]
    assert [is_sentence(text) for _, text in found] == [True, False, False, False, False]
