"""The metrics that ask a published network: what each is called, which file it needs, where that lies, how to get it.

A network whose file is not there is no error: its metrics are told as not measured, with what they need.  Sounds are
heard whole; av-benchmark, whose choices these are otherwise, cuts them to 8 s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from foleycli.errors import FoleyError
from foleycli.evaluation.listeners.base import Heard, Listener, Witness
from foleycli.evaluation.metrics.distances import frechet_distance, inception_score, kl_divergence
from foleycli.hub import catalog
from foleycli.hub.places import home
from foleycli.weights.folder import WEIGHTS_NAME, read_config

Metric = Callable[[Sequence[Heard], Sequence[Heard]], float]  # of what was heard in the real and the made sounds


def frechet(real: Sequence[Heard], made: Sequence[Heard]) -> float:
    """Between all embeddings of both sides."""
    return frechet_distance(*(np.concatenate([heard.embeddings for heard in side]) for side in (real, made)))


def divergence(real: Sequence[Heard], made: Sequence[Heard]) -> float:
    """KL of the classes of each real sound to those of the made one beside it."""
    return kl_divergence(*(np.stack([heard.logits for heard in side]) for side in (real, made)))


def inception(real: Sequence[Heard], made: Sequence[Heard]) -> float:
    """The inception score of the made sounds alone."""
    return inception_score(np.stack([heard.logits for heard in made]))


@dataclass(frozen=True)
class Network:
    """A published network and the metrics that ask it."""

    name: str
    files: tuple[str, ...]  # names in the metrics' folder, as patterns
    loader: str  # "module:function", given the file and the device: a Listener or, with `witnessed`, a Witness
    get: str  # how a user gets the file
    metrics: Mapping[str, Metric] = field(default_factory=dict)  # by their keys in the result
    witnessed: str = ""  # the key of the mean over pairs of what it says itself of a made sound and its picture
    part: str = ""  # of published models in the catalogue, whose file it is too

    @property
    def keys(self) -> list[str]:
        """All figures that ask it."""
        return [*self.metrics, *([self.witnessed] if self.witnessed else [])]

    @property
    def file(self) -> Path | None:
        """Its file, where there is one: in the metrics' folder, else as a part of a model."""
        if there := sorted(path for pattern in self.files for path in folder().glob(pattern)):
            return there[-1]
        entry = catalog.find(self.part)
        if entry is None or not entry.is_here:
            return None
        return entry.folder / read_config(entry.folder).get("weights", WEIGHTS_NAME)


NETWORKS = (
    Network(
        "aisfx",
        ("aisfx-*.whl", "aisfx.pth"),
        "foleycli.evaluation.listeners.aisfx:load",
        "pip download aisfx --no-deps, then --aisfx aisfx-0.1.2-py2.py3-none-any.whl",
        {"fad_aisfx": frechet},
    ),
    Network(
        "VGGish",
        ("vggish-*.pth", "vggish.pth"),
        "foleycli.evaluation.listeners.vggish:load",
        "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        {"fad_vggish": frechet},
    ),
    Network(
        "PANNs",
        ("Cnn14_16k_mAP*.pth",),
        "foleycli.evaluation.listeners.cnn14:load",
        "https://zenodo.org/records/3987831/files/Cnn14_16k_mAP%3D0.438.pth",
        {"fd_panns": frechet, "kl_panns": divergence, "is_panns": inception},
    ),
    Network(
        "PaSST",
        ("passt-s-f128-p16-s10-ap*.pt",),
        "foleycli.evaluation.listeners.passt:load",
        "https://github.com/kkoutini/PaSST/releases/download/v0.0.1-audioset/passt-s-f128-p16-s10-ap.476-swa.pt",
        {"fd_passt": frechet, "kl_passt": divergence, "is_passt": inception},
    ),
    Network(
        "Synchformer",
        ("synchformer_state_dict.pth",),
        "foleycli.evaluation.listeners.synchformer:load",
        "foley models pull synchformer",
        witnessed="desync_s",
        part="synchformer",
    ),
    Network(
        "ImageBind",
        ("imagebind_huge.pth",),
        "foleycli.evaluation.listeners.imagebind:load",
        "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
        witnessed="ib_score",
    ),
)


def how_to_get(name: str) -> str:
    """What a user does to have a network's file."""
    return next(network.get for network in NETWORKS if network.name == name)


def folder() -> Path:
    """Where the networks' files are looked for; it need not exist."""
    return home() / "metrics"


def find(given: Mapping[str, Path]) -> dict[str, Path]:
    """The files that are there, by network; `given` ones go first.  Errors: FoleyError where a given one is not."""
    found = {}
    for network in NETWORKS:
        if network.name in given:
            path = given[network.name].expanduser()
            if not path.is_file():
                raise FoleyError(f"there is no file {path}", network.get)
            found[network.name] = path
        elif (path := network.file) is not None:
            found[network.name] = path
    return found


def load(found: Mapping[str, Path], device: torch.device) -> dict[str, Listener | Witness]:
    """The networks of these files; errors: FoleyError for a file that is another's, or damaged."""
    loaded = {}
    for network in NETWORKS:
        if network.name in found:
            module, function = network.loader.split(":")
            loaded[network.name] = getattr(import_module(module), function)(found[network.name], device)
    return loaded


def needs(found: Mapping[str, Path]) -> dict[str, str]:
    """What is not measured, by metric, and what it needs."""
    missing = [network for network in NETWORKS if network.name not in found]
    told = {one.name: f"{one.get}, into {folder()}" if one.get.startswith("https:") else one.get for one in missing}
    return {key: f"needs the weights of {one.name}: {told[one.name]}" for one in missing for key in one.keys}
