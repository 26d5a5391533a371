"""The one field checker: what is taken, what is refused and how it is named."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from foleycli.errors import FoleyError
from foleycli.settings.checking import check_name, did_you_mean, expand_user, from_mapping, short_repr
from foleycli.settings.plain_yaml import parse


@dataclass(frozen=True)
class Sizes:
    width: int = field(metadata={"low": 1, "high": 4096})
    rate: Fraction = Fraction(25)
    betas: tuple[float, float] = (0.9, 0.99)
    channels: tuple[int, ...] = ()
    network: dict[str, int] | str = ""
    share: float | None = field(default=None, metadata={"low": 0.0, "high": 1.0})
    kind: str = field(default="a", metadata={"choices": ("a", "b"), "key": "class"})


def test_plain_values_come_in_the_fields_types():
    read = from_mapping(
        Sizes,
        {
            "width": 4.0,
            "rate": "11025/256",
            "betas": [1, "1e-4"],
            "channels": [1, 2],
            "network": {"x": 1},
            "class": "b",
        },
        "x",
    )
    assert read == Sizes(4, Fraction(11025, 256), (1.0, 1e-4), (1, 2), {"x": 1}, None, "b")
    assert isinstance(read.width, int) and isinstance(read.betas[0], float)


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"widht": 3}, "x has the unknown key 'widht'", "Did you mean 'width'?"),
        ({3: 3}, "x has the unknown key 3", "go"),
        ({}, "x: 'width' is missing", "go"),
        ([1], "x holds a list, not a mapping", "go"),
        ({"width": True}, "x: width is True", "Set width to a whole number from 1 to 4096"),
        ({"width": 10**5000}, "x: width is a whole number of about 5000 digits", "a whole number"),
        ({"width": 1, "share": 10**400}, "x: share is a whole number of about 400 digits", "a number from 0 to 1"),
        ({"width": 1, "share": 1.5}, "x: share is 1.5", "a number from 0 to 1 (or null)"),
        ({"width": 1, "share": float("nan")}, "x: share is nan", "a number from 0 to 1"),
        ({"width": 1, "rate": "1/0"}, "x: rate is '1/0'", "a fraction like 11025/256"),
        ({"width": 1, "betas": [1]}, "x: betas is [1]", "a list"),
        ({"width": 1, "channels": [1, "a"]}, "x: channels is [1, 'a']", "a list"),
        ({"width": 1, "network": {"x": "y"}}, "x: network is {'x': 'y'}", "a mapping or text"),
        ({"width": 1, "class": "c"}, "x: class is 'c'", "a or b"),
        ({"width": 1, "network": "\ud800"}, r"x: network is '\ud800'", "text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(values, message, hint):
    with pytest.raises(FoleyError) as raised:
        from_mapping(Sizes, values, "x", hint="go")
    assert message in raised.value.message and hint in raised.value.hint


def test_messages_stay_short_whatever_the_value():
    nested: list = ["x" * 1000]
    for _ in range(60):  # 9 ** 60 items, if they were written out
        nested = [nested] * 9
    began = time.process_time()
    for value in (nested, "y" * 10**6, {"a": nested}, 10**10000, {nested_key: 1 for nested_key in range(1000)}):
        assert len(short_repr(value)) <= 80
    assert time.process_time() - began < 1.0  # a second is thousands of times what it takes
    assert short_repr([1, "two", None]) == "[1, 'two', None]"


def test_a_near_name_is_proposed():
    assert did_you_mean("stpes", ["seed", "steps"]) == "Did you mean 'steps'? "
    assert did_you_mean("zzz" * 10**6, ["seed", "steps"]) == ""


@pytest.mark.parametrize("name", ["mine", "my-model_2", "größe 3.1", "a" * 100])
def test_names_are_taken(name):
    assert check_name(name, "the model name") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc", r"a\b", "C:x", ".hidden", "-f", "a*", "a.", "a ", "a\0b", "a\nb", "\udce9",
     "a" * 101, "é" * 51],
)  # fmt: skip
def test_paths_and_worse_are_no_names(name):
    with pytest.raises(FoleyError, match="the model name .* cannot be a name"):
        check_name(name, "the model name")


def test_an_unknown_home_is_told():
    with pytest.raises(FoleyError, match="home folder in '~nobody-of-this-name/x' is not known"):
        expand_user("~nobody-of-this-name/x")


def test_yaml_of_values_is_read():
    assert parse("a: 1\nb: [x, {c: 2.5}]\n") == {"a": 1, "b": ["x", {"c": 2.5}]}
    assert parse("") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 2024-99-99", "'2024-99-99' cannot be read as timestamp in line 1, column 4"),
        ("a: !!int ''", "'' cannot be read as int"),
        ("a: !!float ''", "'' cannot be read as float"),
        ("a: !!bool x", "'x' cannot be read as bool"),
        ("a: !!timestamp x", "'x' cannot be read as timestamp"),
        ("a: " + "9" * 5000, "cannot be read as int"),
        ("[" * 500 + "]" * 500, "nested too deeply"),
        ("{a: " * 50_000, "nested too deeply"),
        ("a: &x [1]\nb: *x", "the alias *x stands for another value"),
        ("a: &x {b: 1}\n<<: [*x, *x]", "the alias *x"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is there twice in line 3"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("{a: 1, [b]: 2}", "unhashable"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: \x00", "special characters are not allowed"),
        ("a: [", "line 1"),
    ],
)
def test_other_yaml_is_refused_in_a_line(text, said):
    with pytest.raises(ValueError, match=".") as raised:
        parse(text)
    told = str(raised.value)
    assert said in told and "\n" not in told and len(told) <= 200
