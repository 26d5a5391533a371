"""torch.compile for a loaded model's network: slower to begin, faster at every step after."""

from __future__ import annotations

import torch

from foleycli.errors import FoleyError
from foleycli.models.model import Model


def compile_network(model: Model) -> None:
    """Compile the family's network, in place; the compiler works when the network first runs.

    Errors: FoleyError where there is no compiler, or for a family whose network grows with every token.
    """
    if model.family.spec.latents == "codes":
        # Its cache has another length at every token: each would be compiled anew.
        raise FoleyError(f"{model.name} makes sound token by token, which --compile cannot speed up", "Leave it out")
    _check_compiler(model.device)
    model.family.network.compile()


def _check_compiler(device: torch.device) -> None:
    """Compile something small and run it, so that what is missing is reported now and in a sentence."""
    try:
        torch.compile(lambda x: (x.sin() + 1.0).square())(torch.ones(64, device=device))
    except Exception as error:  # the compilers that it uses each raise their own kinds
        why = " ".join(str(error).split())[:160]
        need = "triton" if device.type == "cuda" else "a C++ compiler (g++, clang++ or cl)"
        raise FoleyError(
            f"--compile: torch cannot compile here: {why}", f"Install {need}, or leave --compile out"
        ) from error
