"""What a listener is, and how its published weights get into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from foleycli.errors import FoleyError


@dataclass(frozen=True)
class Heard:
    """What a network says of one sound."""

    embeddings: np.ndarray  # float32 [F, D]: one a block of the sound, or one in all
    logits: np.ndarray | None = None  # float32 [C]: of the whole sound, for networks that name classes


class Listener(Protocol):
    """A network that hears a sound."""

    rate_hz: int

    def hear(self, samples: np.ndarray) -> Heard:
        """Mono float32 samples [N] at `rate_hz`; a sound of any length, silence too."""
        ...


def filled(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """`module` with these tensors, strictly, ready to hear; errors: FoleyError when they are of something else."""
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise FoleyError(
            f"{path} is not the weights file of {type(module).__name__}: {first[0].strip()[:160]}",
            "get the file again, or leave it out: the metric is then not measured",
        ) from error
    return module.eval().requires_grad_(False)
