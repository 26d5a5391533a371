"""MMAudio's networks as files: which of the published ones a file holds, by the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.families.mmaudio.config import NETWORKS

Shapes = Mapping[str, tuple[int, ...]]


def network_of(shapes: Shapes, path: Path) -> str:
    """The name of the published network whose tensors have these shapes.

    Errors: FoleyError naming `path` when they are of no network of MMAudio, or of one that foley does not know.
    """
    try:
        latent_dim = shapes["latent_mean"][-1]
        width = shapes["audio_input_proj.0.bias"][0]
        time_dim = shapes["t_embed.mlp.0.weight"][1]
    except (KeyError, IndexError) as missing:
        raise FoleyError(
            f"{path} is no network of MMAudio: it has no {missing}",
            "Its codecs and encoders are known by their publishers' file names",
        ) from None
    n_joint = len({key.split(".")[1] for key in shapes if key.startswith("joint_blocks.")})
    found = (latent_dim, width, n_joint, time_dim)
    for name, config in NETWORKS.items():
        if found == (config.latent_dim, config.width, config.n_joint, config.time_dim):
            return name
    raise FoleyError(
        f"{path} is a network of MMAudio that foley does not know: width {width}, {n_joint} joint blocks",
        f"Known are {', '.join(NETWORKS)}",
    )
