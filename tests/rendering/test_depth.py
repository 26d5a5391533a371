"""How far it is from the command to the network."""

from __future__ import annotations

import sys

import foleycli
from foleycli.cli import render as command

MOST_CALLS = 8


def test_the_network_is_few_calls_below_the_command(foley, kept_model, model_name, clips, tmp_path):
    """Counts the frames of our own code from the command `render` (not itself) down to the network's forward."""
    depths = []

    def count(*_):
        frame, names = sys._getframe(1), []
        while frame is not None and frame.f_code is not command.render.__code__:
            if frame.f_globals.get("__name__", "").startswith(foleycli.__name__ + "."):
                names.append(frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name)
            frame = frame.f_back
        assert frame is not None
        depths.append(["forward", *names])

    hook = kept_model.family.network.register_forward_pre_hook(count)
    try:
        out = tmp_path / "out.wav"
        told = foley("render", clips("short.mp4"), "-o", out, "--model", model_name, "--device", "cpu", "--steps", "1")
    finally:
        hook.remove()
    assert told.code == 0 and depths
    assert max(map(len, depths)) <= MOST_CALLS, " < ".join(depths[0])
