"""The encoders that a data set is prepared with: which they are, and what they make of a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from foleycli.codecs.base import Codec
from foleycli.codecs.vae import VaeCodec
from foleycli.datasets.shards import PrepareSettings
from foleycli.errors import FoleyError
from foleycli.features import tagger
from foleycli.features.base import Extractor
from foleycli.features.extract import extract_features
from foleycli.features.sync import SyncExtractor
from foleycli.features.sync_large import SyncLargeExtractor
from foleycli.features.text import WordLlamaText
from foleycli.hub.resolve import resolve
from foleycli.media.audio import resample
from foleycli.media.frames import read_frames
from foleycli.models.model import HUB_ENCODERS, load_function, load_part_folder
from foleycli.records import Stream, Video
from foleycli.timebase import FEATURE_FPS
from foleycli.weights.config import AGAIN, read_config
from foleycli.weights.folder import sha256_of

TAGGER = "tagger"
ROLES = ("codec", "sync", "semantic")


@dataclass(frozen=True)
class Encoders:
    """What is loaded; None: left out."""

    codec: Codec | None
    sync: Extractor | None
    semantic: Extractor | None


def encoder_hashes(settings: PrepareSettings) -> dict[str, str]:
    """By role the SHA-256 of each encoder's weights; nothing is loaded.

    Errors: FoleyError for an unknown name, a folder without weights, or a codec where another part is expected.
    """
    named = {role: getattr(settings, role) for role in ROLES}
    return {role: encoder_hash(name) for role, name in named.items() if name}


def encoder_hash(name: str) -> str:
    """The SHA-256 of an encoder's weights; of one from the Hub by name, that name."""
    if name.startswith("hub:"):
        return name
    if name == TAGGER:  # the network comes in a package of one version; the table of words is ours
        return hashlib.sha256(tagger.TABLE.read_bytes()).hexdigest()
    return _weights_hash(resolve(name))


def _weights_hash(folder: Path) -> str:
    config = read_config(folder)
    files = [folder / name for name in (config.vae, config.vocoder) if name] or [folder / config.weights]
    if missing := [file for file in files if not file.is_file()]:
        raise FoleyError(f"{folder} has no {missing[0].name}", AGAIN)
    hashes = [sha256_of(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


@lru_cache(maxsize=1)  # a process makes many shards with the same ones
def load_encoders(settings: PrepareSettings, device: str) -> Encoders:
    """The encoders of these settings, in float32."""
    where, dtype = torch.device(device), torch.float32
    codec = sync = semantic = None
    if settings.codec:
        place = resolve(settings.codec)
        has_codes = read_config(place).loader_class != "mmaudio"
        codec = load_part_folder(place, "codec", where, has_codes)
    if settings.sync:
        sync = load_part_folder(resolve(settings.sync), "sync", where, dtype)
    if settings.semantic == TAGGER:
        semantic = tagger.ImageTagger(WordLlamaText(), where)
    elif settings.semantic.startswith("hub:"):
        semantic = load_function(HUB_ENCODERS["semantic"])(settings.semantic.removeprefix("hub:"), where, dtype)
    elif settings.semantic:
        semantic = load_part_folder(resolve(settings.semantic), "semantic", where, dtype)
    return Encoders(codec, sync, semantic)


@torch.inference_mode()
def sound_features(samples: np.ndarray, rate_hz: int, encoders: Encoders) -> dict[str, np.ndarray]:
    """What codec and sync encoder make of mono float32 [N]: latents [L, D], codes [L, K], audio_features [T / 2, D]."""
    found: dict[str, np.ndarray] = {}
    if (codec := encoders.codec) is not None:
        sound = torch.from_numpy(resample(samples[None], rate_hz, codec.rate_hz))
        if isinstance(codec, VaeCodec):
            # Not `encode`, which decodes three times to move levels by a decibel or so.
            raw = codec.posterior(sound.to(codec.latent_mean.device)).mean  # [1, D, L]
            found["latents"] = codec.normalise(raw)[0].half().cpu().numpy()
            found["codes"] = codec.quantise(raw)[0].to(torch.int16).cpu().numpy()
        else:
            found["latents"] = codec.encode(sound)[0].half().cpu().numpy()
            if hasattr(codec, "encode_codes"):
                found["codes"] = codec.encode_codes(sound)[0].to(torch.int16).cpu().numpy()
    if isinstance(encoders.sync, SyncExtractor):
        encoder = encoders.sync.encoder
        sound = torch.from_numpy(resample(samples[None], rate_hz, encoder.config.audio_rate_hz))
        found["audio_features"] = encoder.audio.frames(sound.to(encoder.bias.device))[0].half().cpu().numpy()
    elif isinstance(encoders.sync, SyncLargeExtractor):
        large = encoders.sync.encoder
        sound = torch.from_numpy(resample(samples[None], rate_hz, large.config.audio_rate_hz))
        found["audio_features"] = large.audio_features(sound.to(large.bias.device))[0].half().cpu().numpy()
    return found


@torch.inference_mode()
def picture_streams(video: Video, start_s: float, duration_s: float, encoders: Encoders) -> Mapping[str, Stream]:
    """What the picture encoders make of a part of a video, by their names; a read of it for each form of pictures."""
    aspect = video.width_px / video.height_px
    extractors = [one.for_aspect(aspect) for one in (encoders.sync, encoders.semantic) if one is not None]
    streams: dict[str, Stream] = {}
    for wanted in dict.fromkeys(extractor.frame_format for extractor in extractors):
        frames = read_frames(
            video,
            FEATURE_FPS,
            wanted.side_px,
            wanted.side_px,
            start_s=start_s,
            duration_s=duration_s,
            fit=wanted.fit,
            scaling=wanted.scaling,
        )
        alike = [extractor for extractor in extractors if extractor.frame_format == wanted]
        streams |= extract_features(frames, alike)
    return streams
