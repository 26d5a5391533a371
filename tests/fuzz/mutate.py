"""Broken inputs: valid bytes, text and values in, the same with a few things wrong out."""
# ruff: noqa: E501

from __future__ import annotations

import json
from typing import Any

import numpy as np

SIZES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
SCALARS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, -1e308, 10**18, 0.1, "", "x", "../x", "/", "~nosuchuser/x", "a" * 300, "\u0000",
    "\u202e", "nan", [], {}, [[]], {"": None}, [1, "a"], "1/0", "44100/0",
)  # fmt: skip
YAML_BITS = (
    "steps: 2026-13-45\n", "steps: !!int ''\n", "steps: " + "9" * 5000 + "\n", "seed: .nan\n", "prompt: \"\\ud800\"\n",
    "a: " + "[" * 400 + "]" * 400 + "\n", "x: &a [1]\ny: &b [*a, *a]\nz: &c [*b, *b]\n", "? [a]\n: b\n", "\t- x\n",
    "guidance: -.inf\n", "prompt: !!binary aGk=\n", "<<: {steps: 3}\n", "steps: 0x10\n", "cuts: yes\n", "- steps: 3\n", "",
    "%YAML 9.9\n---\nsteps: 3\n", "steps: 3\nsteps: 4\n", "prompt: |\n  " + "rain " * 200 + "\n",
)  # fmt: skip


def bytes_of(data: bytes, rng: np.random.Generator) -> bytes:
    """One to eight changes: bits, sizes, runs, cuts, copies."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if not out:
            break
        # Headers decide more than payloads: half of the changes fall in the first and the last kilobyte.
        at = int(rng.integers(min(len(out), 1024))) if rng.random() < 0.4 else int(rng.integers(len(out)))
        at = len(out) - 1 - int(rng.integers(min(len(out), 1024))) if rng.random() < 0.2 else at
        kind = rng.integers(7)
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            size = int(rng.choice(SIZES)).to_bytes(4, "big" if rng.random() < 0.6 else "little")
            out[at : at + 4] = size
        elif kind == 2:
            n = int(rng.integers(1, 64))
            out[at : at + n] = rng.bytes(n)
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            del out[at : at + int(rng.integers(1, 256))]
        elif kind == 5:
            piece = out[at : at + int(rng.integers(1, 512))]
            out[at:at] = piece
        else:
            out[at : at + int(rng.integers(1, 64))] = bytes(int(rng.integers(1, 64)))
    return bytes(out)


def text_of(text: str, rng: np.random.Generator) -> str:
    """Lines lost, doubled, cut or replaced."""
    lines = text.splitlines(keepends=True)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines) + 1))
        kind = rng.integers(4)
        if kind == 0:
            lines.insert(at, str(rng.choice(YAML_BITS)))
        elif kind == 1 and lines:
            lines.pop(at % len(lines))
        elif kind == 2 and lines:
            line = lines[at % len(lines)]
            lines[at % len(lines)] = line[: int(rng.integers(len(line) + 1))]
        elif lines:
            lines[at % len(lines)] = bytes_of(lines[at % len(lines)].encode(), rng).decode("utf-8", "replace")
    return "".join(lines)


def value_of(value: Any, rng: np.random.Generator) -> Any:
    """A JSON value with one node replaced, removed or wrapped."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = str(rng.choice(list(value)))
        if rng.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: value_of(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = int(rng.integers(len(value)))
        return [*value[:at], value_of(value[at], rng), *value[at + 1 :]]
    return SCALARS[int(rng.integers(len(SCALARS)))]


def json_of(text: str, rng: np.random.Generator) -> str:
    """JSON, or JSON lines, with a node or a few characters changed."""
    if rng.random() < 0.25:
        return text_of(text, rng)
    try:
        return json.dumps(value_of(json.loads(text), rng))
    except ValueError:
        lines = text.splitlines()
        at = int(rng.integers(len(lines)))
        lines[at] = json.dumps(value_of(json.loads(lines[at]), rng))
        return "\n".join(lines) + "\n"
