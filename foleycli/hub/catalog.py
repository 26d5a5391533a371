"""The models that foley has names for: what each is, where it is kept.  Imports no torch, reads no weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import places
from foleycli.weights.config import ModelConfig, parse_config

SHIPPED = Path(__file__).parents[1] / "shipped"
DEFAULT_MODEL = "salsav-mini"
NOT_WEIGHTS = ("config.json", "README.md", "metrics.json")  # of the files in a model folder
BRANCH = "main"  # of repositories whose commit nobody has noted yet; a pull notes the one that it got


@dataclass(frozen=True)
class Licence:
    """What one may do with weights, as their publisher says."""

    name: str
    address: str
    is_commercial: bool | None  # free for commercial use; None: the publisher does not say so


@dataclass(frozen=True)
class RemoteFile:
    """One published file; hashes only where the publisher or a mirror states them."""

    source: str  # "owner/repository" on the Hub, or the beginning of an address, up to a "/"
    path: str  # the file's path there
    size_mb: float  # as published, rounded; 0: not stated
    md5: str = ""
    sha256: str = ""
    revision: str = BRANCH
    called: str = ""  # its name here, where the path does not end in it

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.called or self.path.rsplit("/", 1)[-1]

    @property
    def is_on_hub(self) -> bool:
        """Whether the Hub's client fetches it; else it has a plain address."""
        return "://" not in self.source


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: shipped in the package, or published by others and fetched by name."""

    name: str
    kind: str  # family: makes sound; codec, sync, dynamics, clip: what a family needs beside it
    what: str
    licence: Licence
    files: tuple[RemoteFile, ...] = ()  # empty: shipped
    parts: tuple[str, ...] = ()  # other entries that it needs
    config: Mapping[str, object] = field(default_factory=dict, hash=False)  # of its folder, when it is fetched
    inner_parts: Mapping[str, str] = field(
        default_factory=dict, hash=False
    )  # classes of parts in the same file, by role
    is_converted: bool = False  # the family makes its folder from the published file: `Family.import_files`

    @property
    def is_shipped(self) -> bool:
        return not self.files

    @property
    def model_config(self) -> ModelConfig:
        """What its folder's config.json says, but for the hashes of its files."""
        values = {"name": self.name, "kind": self.kind, **self.config, "files": {file.name: {} for file in self.files}}
        return parse_config(values, f"the catalogue's entry {self.name}")

    @property
    def folder(self) -> Path:
        """Where it is kept, or will be."""
        return (SHIPPED if self.is_shipped else places.models_folder()) / self.name

    @property
    def is_here(self) -> bool:
        """Whether its own files are on this machine; config.json is written last."""
        try:
            folder = self.folder
        except FoleyError:  # no place for models is known
            return False
        if not os.path.isfile(folder / "config.json"):  # unlike Path's, not surprised by any name
            return False
        weights = [file for file in folder.glob("*") if file.name not in NOT_WEIGHTS]
        return bool(weights) and all(map(Path.exists, weights))

    @property
    def size_mb(self) -> float:
        """Its own files; measured when it is here, else as published."""
        if self.is_here:
            return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()) / 1e6
        return sum(file.size_mb for file in self.files)


MIT = Licence("MIT", "https://opensource.org/license/mit", True)
NOT_COMMERCIAL = Licence("CC-BY-NC-4.0", "https://creativecommons.org/licenses/by-nc/4.0/", False)
APPLE = Licence("Apple sample code licence", "https://huggingface.co/apple/DFN5B-CLIP-ViT-H-14-384", None)
VAURA = Licence("not stated (code: MIT)", "https://github.com/ilpoviertola/V-AURA", None)

MMAUDIO = "hkchengrex/MMAudio"
MMAUDIO_RELEASE = "https://github.com/hkchengrex/MMAudio/releases/download/v0.1/"
VAURA_SHELF = "https://a3s.fi/swift/v1/AUTH_a235c0f452d648828f745589cde1219a/"


def _mmaudio(network: str, size_mb: float, md5: str, what: str) -> Entry:
    """A flow network of MMAudio with the parts that its rate needs."""
    file = f"mmaudio_{network}.pth"
    codec = "mmaudio-codec-16k" if "16k" in network else "mmaudio-codec-44k"
    config = {
        "family": "mmaudio", "network": network, "weights": file,
        "codec": codec, "sync": "synchformer", "semantic": "dfn5b-clip", "text": "dfn5b-clip",
        "settings": {"steps": 25, "guidance": 4.5, "context_s": 1.6, "engine": "flow", "room": "off"},
    }  # fmt: skip
    files = (RemoteFile(MMAUDIO, f"weights/{file}", size_mb, md5),)
    parts = (codec, "synchformer", "dfn5b-clip")
    name = f"mmaudio-{network.replace('_', '-')}"
    return Entry(name, "family", what, NOT_COMMERCIAL, files=files, parts=parts, config=config)


def _codec(rate: str, what: str, vae: RemoteFile, vocoder: RemoteFile, licence: Licence) -> Entry:
    config = {"class": "mmaudio", "network": rate, "vae": vae.name, "vocoder": vocoder.name}
    return Entry(f"mmaudio-codec-{rate}", "codec", what, licence, files=(vae, vocoder), config=config)


def _part(name: str, kind: str, what: str, licence: Licence, network_class: str, file: RemoteFile) -> Entry:
    config = {"class": network_class, "weights": file.name}
    return Entry(name, kind, what, licence, files=(file,), config=config)


ENTRIES = (
    Entry("salsav-mini", "family", "SALSA-V, small enough for a laptop without a GPU; the default", MIT),
    Entry("maskvat-mini", "family", "MaskVAT on a laptop: masked codes, the most confident first", MIT),
    Entry("vaura-mini", "family", "V-AURA on a laptop: code by code, goes by the picture alone, takes no words", MIT),
    Entry("foleyflow-mini", "family", "Foley-Flow on a laptop: a flow along masked-aligned video features", MIT),
    Entry("mel-mini", "codec", "44.1 kHz codec: sound to 64 latent channels at 43 steps per second and back", MIT),
    Entry("sync-mini", "sync", "audio-visual synchronisation encoder: when the picture sounds", MIT),
    Entry("dynamics-mini", "dynamics", "predicts loudness over seconds from sync-mini and motion", MIT),
    Entry("sync-scorer", "sync", "synchronisation encoder that ranks takes; no model is conditioned on it", MIT),
    _mmaudio("small_16k", 629, "af93cde404179f58e3919ac085b8033b", "MMAudio, 157 M, 16 kHz: the fastest of them"),
    _mmaudio("small_44k", 630, "babd74c884783d13701ea2820a5f5b6d", "MMAudio, 157 M, 44.1 kHz: quick takes"),
    _mmaudio("medium_44k", 2487, "5a56b6665e45a1e65ada534defa903d0", "MMAudio, 622 M, 44.1 kHz: between the two"),
    _mmaudio("large_44k", 4120, "fed96c325a6785b85ce75ae1aafd2673", "MMAudio, 1.03 G, 44.1 kHz: first version"),
    _mmaudio("large_44k_v2", 4122, "01ad4464f049b2d7efdaa4c1a59b8dfe", "MMAudio, 1.03 G, 44.1 kHz: its default"),
    Entry(
        "vaura", "family", "V-AURA, 695 M, 44.1 kHz, token by token: close sync, takes no words", VAURA,
        (RemoteFile(VAURA_SHELF, "v-aura_public/24-08-01T08-34-26.tar.gz", 0),),
        # The published system's guidance; its demo continues 1.28 s.  Its parts come in the same file.
        config={"family": "vaura", "settings": {"guidance": 6.0, "context_s": 1.28, "engine": "flow", "room": "off"}},
        inner_parts={"codec": "dac", "sync": "avclip"},
        is_converted=True,
    ),
    _codec(
        "16k", "mel VAE of MMAudio and BigVGAN of Make-An-Audio 2, 16 kHz",
        RemoteFile(MMAUDIO_RELEASE, "v1-16.pth", 687, "69f56803f59a549a1a507c93859fd4d7"),
        RemoteFile(MMAUDIO_RELEASE, "best_netG.pt", 450, "eeaf372a38a9c31c362120aba2dde292"),
        NOT_COMMERCIAL,
    ),
    _codec(
        "44k", "mel VAE of MMAudio and BigVGAN v2 (MIT), 44.1 kHz",
        RemoteFile(MMAUDIO_RELEASE, "v1-44.pth", 1222, "fab020275fa44c6589820ce025191600"),
        RemoteFile("nvidia/bigvgan_v2_44khz_128band_512x", "bigvgan_generator.pt", 489),
        NOT_COMMERCIAL,
    ),
    _part(
        "synchformer", "sync", "Synchformer, trained on AudioSet: when the picture sounds", MIT, "synchformer",
        RemoteFile(MMAUDIO_RELEASE, "synchformer_state_dict.pth", 951, "5b2f5594b0730f70e41e549b7c94390c"),
    ),
    _part(
        "dfn5b-clip", "clip", "CLIP ViT-H/14 trained on DFN-5B: what the picture shows, and words", APPLE, "dfn-clip",
        RemoteFile("apple/DFN5B-CLIP-ViT-H-14-384", "open_clip_pytorch_model.bin", 3950),
    ),
)  # fmt: skip


def entries(kind: str | None = None) -> list[Entry]:
    """All entries, or those of one kind."""
    return [entry for entry in ENTRIES if kind in (None, entry.kind)]


def fetched_models(family: str) -> list[Entry]:
    """The models of a family that are fetched, not shipped; none: nobody has published files of it."""
    return [entry for entry in entries("family") if not entry.is_shipped and entry.config.get("family") == family]


def find(name: str) -> Entry | None:
    """The entry of that name."""
    return next((entry for entry in ENTRIES if entry.name == name), None)


def with_parts(entry: Entry) -> list[Entry]:
    """The entry and what it needs, parts first."""
    return [*(needed for name in entry.parts if (needed := find(name))), entry]
