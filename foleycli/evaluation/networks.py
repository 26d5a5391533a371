"""Published networks that metrics are named after: which file each needs, where it is kept, how a user gets it.

A network whose file is missing is no error: its metrics are listed as not measured, with what they need.  Sounds are
given whole; av-benchmark, whose choices these are otherwise, cuts them to 8 s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders import aisfx, clap, cnn14, desync, imagebind, passt, vggish
from foleycli.evaluation.embedders.base import AudioEmbedder, AudioVisualScorer, Embedding
from foleycli.evaluation.metrics.distances import frechet_distance, inception_score, kl_divergence
from foleycli.hub import catalog
from foleycli.hub.places import home
from foleycli.settings.checking import expand_user
from foleycli.weights.config import read_config

SetMetric = Callable[[Sequence[Embedding], Sequence[Embedding]], float]  # of the real and of the generated sounds


def frechet(real: Sequence[Embedding], generated: Sequence[Embedding]) -> float:
    """Between all vectors of both sides."""
    return frechet_distance(*(np.concatenate([one.vectors for one in side]) for side in (real, generated)))


def kl(real: Sequence[Embedding], generated: Sequence[Embedding]) -> float:
    """From the classes of each real sound to those of the generated one beside it, mean over pairs."""
    return kl_divergence(real_logits=_logits(real), generated_logits=_logits(generated))


def inception(real: Sequence[Embedding], generated: Sequence[Embedding]) -> float:
    """The inception score of the generated sounds alone."""
    return inception_score(_logits(generated))


def _logits(embeddings: Sequence[Embedding]) -> np.ndarray:
    return np.stack([one.logits for one in embeddings if one.logits is not None])  # [n, C]


@dataclass(frozen=True, kw_only=True)
class PublishedNetwork:
    """A network by its publisher's weights file."""

    name: str
    files: tuple[str, ...]  # names in the metrics' folder, as patterns
    how_to_get: str  # the file
    part: str = ""  # the published model in the catalogue of which the file is a part too

    def path(self) -> Path | None:
        """Its file, where there is one: in the metrics' folder, else as a part of a pulled model."""
        if found := sorted(path for pattern in self.files for path in metrics_folder().glob(pattern)):
            return found[-1]
        entry = catalog.find(self.part)
        if entry is None or not entry.is_here:
            return None
        return entry.folder / read_config(entry.folder).weights


@dataclass(frozen=True, kw_only=True)
class EmbeddingNetwork(PublishedNetwork):
    """A network that embeds sounds, and the metrics of sets of embeddings, by their keys in the result."""

    load: Callable[[Path, torch.device], AudioEmbedder]
    metrics: Mapping[str, SetMetric] = field(default_factory=dict)
    words_key: str = ""  # the metric that compares its embeddings with those of prompts; "": it embeds no words


@dataclass(frozen=True, kw_only=True)
class ScoringNetwork(PublishedNetwork):
    """A network that scores a sound with its picture; its metrics are means over pairs."""

    load: Callable[[Path, torch.device], AudioVisualScorer]
    keys: tuple[str, ...]


EMBEDDING_NETWORKS = (
    EmbeddingNetwork(
        name="aisfx",
        files=("aisfx-*.whl", "aisfx.pth"),
        load=aisfx.load,
        how_to_get="pip download aisfx --no-deps, then --aisfx aisfx-0.1.2-py2.py3-none-any.whl",
        metrics={"fad_aisfx": frechet},
    ),
    EmbeddingNetwork(
        name="VGGish",
        files=("vggish-*.pth", "vggish.pth"),
        load=vggish.load,
        how_to_get="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        metrics={"fad_vggish": frechet},
    ),
    EmbeddingNetwork(
        name="PANNs",
        files=("Cnn14_16k_mAP*.pth",),
        load=cnn14.load,
        how_to_get="https://zenodo.org/records/3987831/files/Cnn14_16k_mAP%3D0.438.pth",
        metrics={"fd_panns": frechet, "kl_panns": kl, "is_panns": inception},
    ),
    EmbeddingNetwork(
        name="PaSST",
        files=("passt-s-f128-p16-s10-ap*.pt",),
        load=passt.load,
        how_to_get="https://github.com/kkoutini/PaSST/releases/download/v0.0.1-audioset/passt-s-f128-p16-s10-ap.476-swa.pt",
        metrics={"fd_passt": frechet, "kl_passt": kl, "is_passt": inception},
    ),
    EmbeddingNetwork(
        name="CLAP",
        files=("clap/model.safetensors",),
        load=clap.load,
        how_to_get="hf download laion/larger_clap_general, its files into FOLEY_HOME/metrics/clap",
        metrics={"fd_clap": frechet},
        words_key="clap_score",
    ),
)
SCORING_NETWORKS = (
    ScoringNetwork(
        name="Synchformer",
        files=("synchformer_state_dict.pth",),
        load=desync.load,
        how_to_get="foley models pull synchformer",
        part="synchformer",
        keys=("desync_s", "sync_ms"),
    ),
    ScoringNetwork(
        name="ImageBind",
        files=("imagebind_huge.pth",),
        load=imagebind.load,
        how_to_get="https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
        keys=("ib_score",),
    ),
)
NETWORKS: tuple[PublishedNetwork, ...] = (*EMBEDDING_NETWORKS, *SCORING_NETWORKS)


@dataclass(frozen=True)
class LoadedNetworks:
    """The networks whose files are there, by name."""

    embedders: Mapping[str, AudioEmbedder]
    scorers: Mapping[str, AudioVisualScorer]


def how_to_get(name: str) -> str:
    """What a user does to have a network's file."""
    return next(network.how_to_get for network in NETWORKS if network.name == name)


def metrics_folder() -> Path:
    """Where the networks' files are looked for; it need not exist."""
    try:
        return home() / "metrics"
    except FoleyError:  # a user without a home folder has none of them, and measures all the rest
        return Path("$FOLEY_HOME", "metrics")


def find(given: Mapping[str, Path]) -> dict[str, Path]:
    """The files that are there, by network; `given` ones go first.  Errors: FoleyError where a given one is missing."""
    found = {}
    for network in NETWORKS:
        if network.name in given:
            path = expand_user(given[network.name])
            if not os.path.isfile(path):
                raise FoleyError(f"there is no file {path}", f"Get it: {network.how_to_get}")
            found[network.name] = path
        elif (own := network.path()) is not None:
            found[network.name] = own
    return found


def load(found: Mapping[str, Path], device: torch.device) -> LoadedNetworks:
    """The networks of these files; errors: FoleyError for a file that is another's, or damaged."""
    return LoadedNetworks(
        {one.name: one.load(found[one.name], device) for one in EMBEDDING_NETWORKS if one.name in found},
        {one.name: one.load(found[one.name], device) for one in SCORING_NETWORKS if one.name in found},
    )


def missing_metrics(found: Mapping[str, Path]) -> dict[str, str]:
    """The metrics whose network has no file here, each with what it needs."""
    missing: dict[str, str] = {}
    for network in NETWORKS:
        if network.name in found:
            continue
        source = network.how_to_get
        source = f"{source}, into {metrics_folder()}" if source.startswith("https:") else source
        keys = list(network.keys) if isinstance(network, ScoringNetwork) else []
        if isinstance(network, EmbeddingNetwork):
            keys += [*network.metrics, *([network.words_key] if network.words_key else [])]
        missing |= dict.fromkeys(keys, f"needs the weights of {network.name}: {source}")
    return missing
