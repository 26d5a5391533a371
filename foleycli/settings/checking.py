"""Checks plain values, as YAML, JSON and options give them, against the fields of a dataclass.

One place for what several formats need: presets, training recipes and the config.json of model folders.  Bounds and
choices are in a field's metadata (`low`, `high`, `choices`).  Imports no torch.
"""

from __future__ import annotations

import difflib
import math
import reprlib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, field, fields
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from foleycli.errors import FoleyError

T = TypeVar("T")

TYPE_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "a list",
    list: "a list",
    dict: "a mapping",
    Fraction: "a number, or a fraction like 11025/256",
    type(None): "null",
}
LONGEST_NAME_BYTES = 100  # file systems take 255; endings and the names of temporary files need room


class _ShortRepr(reprlib.Repr):
    """A `repr` whose length and time do not grow with the value."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 4
        self.maxstring = self.maxother = 60

    def repr_int(self, value: int, level: int) -> str:
        digits = round(value.bit_length() * math.log10(2))
        return repr(value) if digits <= 40 else f"a whole number of about {digits} digits"


def bounded(low: float, high: float, default: Any = MISSING) -> Any:
    """A dataclass field, required without a default, whose numbers (the items of a tuple too) have bounds."""
    return field(default=default, metadata={"low": low, "high": high})


def short_repr(value: object) -> str:
    """`repr` for messages: at most about 80 characters, however deep or long the value."""
    text = _ShortRepr().repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean 'x'? ` when something like `word` is known, else nothing: the beginning of a hint."""
    close = difflib.get_close_matches(word[:100], list(known), n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def expand_user(path: str | Path) -> Path:
    """The path with a leading `~` or `~name` replaced; errors: FoleyError where that home folder is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise FoleyError(
            f"the home folder in {short_repr(str(path))} is not known", "Write the path out, without ~"
        ) from None


def check_name(name: str, what: str, hint: str = "") -> str:
    """`name`, if it can be the name of a folder on every system; errors: FoleyError where it is a path or worse."""
    is_plain = name.isprintable() and not set(name) & set('/\\:*?"<>|')
    n_bytes = len(name.encode("utf-8", "replace"))
    if not is_plain or name[:1] in ("", ".", "-", " ") or name[-1:] in (".", " ") or n_bytes > LONGEST_NAME_BYTES:
        raise FoleyError(
            f"{what} {short_repr(name)} cannot be a name",
            hint or f"Use letters, digits, - and _, at most {LONGEST_NAME_BYTES} bytes; a name is no path",
        )
    return name


def _fields(kind: type) -> dict[str, Field]:
    """The fields by their key in files: their name, or the `key` in their metadata."""
    return {field.metadata.get("key", field.name): field for field in fields(kind)}


@cache
def _type_hints(kind: type) -> dict[str, Any]:
    """The types of the fields; kept, since reading one compiles all of them."""
    return get_type_hints(kind)


def accepted(kind: type, key: str) -> str:
    """What a field of the dataclass `kind` accepts, in words: `a whole number from 1 to 64`."""
    field = _fields(kind)[key]
    expected = _type_hints(kind)[field.name]
    options = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    words = " or ".join(TYPE_NAMES.get(get_origin(option) or option, str(option)) for option in options if option)
    low, high, choices = (field.metadata.get(limit) for limit in ("low", "high", "choices"))
    if choices:
        return " or ".join(str(choice) for choice in choices if choice != "")
    if field.metadata.get("words"):
        null = " (or null)" if type(None) in options else ""
        return f"{', '.join(field.metadata['words'])} or a number from {low:g} to {high:g}{null}"
    if low is None:
        return words
    limits = " from {} to {}".format(*(limit if isinstance(limit, int) else f"{limit:g}" for limit in (low, high)))
    return words.removesuffix(" or null") + limits + (" (or null)" if words.endswith(" or null") else "")


def check_value(kind: type, key: str, value: object) -> Any:
    """`value` in the type of the field `key` of `kind`; errors: ValueError saying what is accepted."""
    field = _fields(kind)[key]
    try:
        converted = _convert(_type_hints(kind)[field.name], value)
        low, high, choices = (field.metadata.get(limit) for limit in ("low", "high", "choices"))
        if isinstance(converted, str) and (words := field.metadata.get("words")):
            if converted not in words:
                raise ValueError
            return converted
        for item in converted if isinstance(converted, tuple) else (converted,):
            if choices and item not in choices:
                raise ValueError
            if low is not None and item is not None and not low <= item <= high:
                raise ValueError
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(accepted(kind, key)) from None
    return converted


def from_mapping(kind: type[T], values: object, where: str, hint: str = "") -> T:
    """A dataclass from a mapping of plain values.

    where    names the file or its part in messages: "recipe x.yaml"
    hint     what to do about it, for errors that have no better hint of their own
    Errors: FoleyError for a value of a wrong type or out of bounds, and for an unknown or a missing key.
    """
    if not isinstance(values, Mapping):
        raise FoleyError(f"{where} holds {_type_name(values)}, not a mapping of names to values", hint)
    known = _fields(kind)
    checked = {}
    for key, value in values.items():
        if key not in known:
            near = did_you_mean(str(key), known) if isinstance(key, str) else ""
            raise FoleyError(f"{where} has the unknown key {short_repr(key)}", near or hint or _known_keys(known))
        try:
            checked[known[key].name] = check_value(kind, key, value)
        except ValueError as error:
            raise FoleyError(f"{where}: {key} is {short_repr(value)}", f"Set {key} to {error}") from None
    for key, own in known.items():
        is_required = own.default is MISSING and own.default_factory is MISSING
        if is_required and own.name not in checked:
            raise FoleyError(f"{where}: {key!r} is missing", hint or f"Add {key}: {accepted(kind, key)}")
    return kind(**checked)


def _type_name(value: object) -> str:
    return TYPE_NAMES.get(type(value), f"a {type(value).__name__}")


def _known_keys(known: Iterable[str]) -> str:
    return f"Known keys: {', '.join(known)}"


def _convert(expected: Any, value: Any) -> Any:
    """`value` as the type `expected`; errors: ValueError where it is of another.

    YAML and JSON have fewer types than Python: whole numbers serve as floats, lists as tuples, "11025/256" for a
    fraction, and "1e-4", which YAML 1.1 reads as text, for a float.
    """
    if expected is Any:
        return value
    origin, args = get_origin(expected) or expected, get_args(expected)
    if origin in (Union, types.UnionType):
        return _convert_to_one_of(args, value)
    if origin is Literal:
        return args[args.index(value)]
    if origin in (tuple, list) and isinstance(value, (list, tuple)):
        return _convert_items(origin, args, value)
    if origin in (dict, Mapping) and isinstance(value, dict):
        key_type, value_type = args or (str, Any)
        return {_convert(key_type, key): _convert(value_type, item) for key, item in value.items()}
    return _convert_scalar(expected, origin, value)


def _convert_scalar(expected: Any, origin: Any, value: Any) -> Any:
    if isinstance(value, bool) is not (expected is bool):
        raise ValueError
    if expected is float and isinstance(value, (int, float, str)):
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        return number
    if expected is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if expected is Fraction and isinstance(value, (int, str, float)):
        return Fraction(value)
    if expected is str and isinstance(value, str):
        value.encode("utf-8")  # half a surrogate pair can be neither shown nor written (UnicodeEncodeError)
        return value
    if isinstance(origin, type) and not isinstance(value, origin):
        raise ValueError
    return value


def _convert_to_one_of(options: tuple, value: Any) -> Any:
    for option in options:
        try:
            return _convert(option, value)
        except (ValueError, OverflowError):
            continue
    raise ValueError


def _convert_items(kind: type, types_: tuple, values: list | tuple) -> Any:
    """A list, or a tuple of a fixed length (`tuple[float, float]`) or of any (`tuple[int, ...]`, `tuple`)."""
    if kind is tuple and types_ and types_[-1] is not Ellipsis:
        if len(types_) != len(values):
            raise ValueError
        return tuple(_convert(one, value) for one, value in zip(types_, values, strict=True))
    return kind(_convert(types_[0] if types_ else Any, value) for value in values)
