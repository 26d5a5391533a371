"""The real command with the model kept, and eyes for what it wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile


@pytest.fixture
def render(foley, kept_model, model_name) -> Callable:  # noqa: ANN001
    """`render(clip, "-o", out)` at one step; later options win."""
    return partial(_call, foley, ("render", "--model", model_name, "--device", "cpu", "--steps", "1"))


@pytest.fixture
def extend(foley, kept_model, model_name) -> Callable:  # noqa: ANN001
    """`extend("--ref", take)` at one step."""
    return partial(_call, foley, ("extend", "--model", model_name, "--device", "cpu", "--steps", "1"))


def _call(foley: Callable, first: tuple, *args: object):  # noqa: ANN202
    return foley(*first, *args)


@pytest.fixture(scope="session")
def packets() -> Callable[[Path], list[str]]:
    """The picture's packets in file order, as hashes, without the container's framing."""

    def of(path: Path) -> list[str]:
        with av.open(str(path)) as container:
            wanted = container.demux(container.streams.video[0])
            return [hashlib.md5(bytes(packet)).hexdigest() for packet in wanted if packet.size]

    return of


@pytest.fixture(scope="session")
def write_take() -> Callable[..., Path]:
    """Bursts of noise that die out, a little different in each channel."""

    def write(path: Path, rate_hz: int, channels: int, duration_s: float = 1.3, subtype: str = "PCM_16") -> Path:
        rng = np.random.default_rng(3)
        n = round(duration_s * rate_hz)
        fall = np.exp(-((np.arange(n) / rate_hz) % 0.4) / 0.1)
        sound = 0.2 * fall[:, None] * rng.standard_normal((n, channels)).clip(-3, 3) * ([1.0, 0.5] * 3)[:channels]
        soundfile.write(path, sound, rate_hz, subtype=subtype)
        return path

    return write
