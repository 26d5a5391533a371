"""Reads YAML that holds values only: no code, no references, nothing that grows when it is read.

Imports PyYAML, which is why it is imported late.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from foleycli.settings.checking import short_repr

MAX_BYTES = 4 << 20  # of a file: those that people write have a few kilobytes


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases (which can expand to billions of items) and without repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise _error(f"the alias *{alias.anchor[:40]} stands for another value: write it out", alias)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _error(f"the key {short_repr(key.value)} is there twice", key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # conversions of odd dates and numbers raise five different kinds
            kind = node.tag.rpartition(":")[2]
            raise _error(f"{short_repr(node.value)} cannot be read as {kind}", node) from error


def _error(problem: str, place: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def read(path: Path) -> Any:
    """What a YAML file holds; errors: OSError, and ValueError with one line that says what is wrong."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has {path.stat().st_size / 1e6:.0f} MB")
    try:
        return parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from error


def parse(text: str) -> Any:
    """What one YAML document holds; errors: ValueError with one line that says what is wrong, and where."""
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 (a safe loader)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.YAMLError as error:
        said = " ".join(str(error).replace('"<unicode string>", ', "").split())
        raise ValueError(said[:200]) from error
