"""Latents of the shipped recordings, kept between runs: to encode one takes as long as two seconds of a render.

They are kept in foley's own folder, each under the hash of all that its values depend on, so that a run with them and
one without make the same bytes.  Sounds of the user's own are never kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor, nn

import foleycli
from foleycli.errors import FoleyError
from foleycli.library.library import SHIPPED_LIBRARY
from foleycli.media.output import replacing
from foleycli.models.model import Model
from foleycli.settings.home import home

FOLDER = "references"
CODE = ("codecs", "dsp", "nn", "media", "rendering")  # rooms whose code latents depend on
MOST_KEPT = 1000  # files of some 20 kB; beyond, the older half goes

_digests: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def latents_of_recording(path: Path, model: Model, encode: Callable[[], Tensor], *how: object) -> Tensor:
    """What `encode` returns for a sound, float32 [R, D]; of a shipped recording it is called once for all runs.

    how   all else that decides what is encoded: which part, how much of it
    """
    if path.parent != SHIPPED_LIBRARY or not isinstance(model.codec, nn.Module):
        return encode()
    try:
        kept = home() / FOLDER / f"{_key(path, model.codec, model.device, how)}.npy"
    except (FoleyError, OSError):  # a user without a home
        return encode()
    with suppress(OSError, ValueError, EOFError):
        found = np.load(kept, allow_pickle=False)
        if found.dtype == np.float32 and found.ndim == 2 and found.shape[1] == model.codec.latent_dim:
            return torch.from_numpy(found)
    latents = encode()
    with suppress(FoleyError, OSError):
        _keep(kept, latents.numpy())
    return latents


def _keep(kept: Path, latents: np.ndarray) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    there = sorted(kept.parent.glob("*.npy"), key=lambda one: one.stat().st_mtime)
    for old in there[: len(there) // 2] if len(there) >= MOST_KEPT else []:
        old.unlink(missing_ok=True)
    with replacing(kept) as part:
        np.save(part, latents)


def _key(path: Path, codec: nn.Module, device: torch.device, how: tuple[object, ...]) -> str:
    """The hash of a recording, of the codec's weights and code, and of what else moves the last bits of its latents."""
    versions = (torch.__version__, np.__version__, soundfile.__libsndfile_version__, soxr.__version__)
    machine = (str(device), torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())
    told = repr((_digest(codec), _digest_of_code(), versions, machine, how))
    return hashlib.sha256(path.read_bytes() + told.encode()).hexdigest()


@cache
def _digest_of_code() -> str:
    """The hash of the modules that reading and encoding a sound takes."""
    package = Path(foleycli.__file__).parent
    files = [file for name in CODE for file in sorted((package / name).glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _digest(codec: nn.Module) -> str:
    """The hash of a codec's weights; of one that stays in memory it is computed once."""
    if codec not in _digests:
        hashed = hashlib.sha256(repr(type(codec)).encode())
        for name, value in codec.state_dict().items():
            hashed.update(name.encode() + value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        _digests[codec] = hashed.hexdigest()
    return _digests[codec]
