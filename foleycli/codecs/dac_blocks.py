"""Imports descript-audio-codec's building blocks, only when they are needed and without its audio stack in the way.

`import dac` takes a second and pulls in audiotools, which imports torchaudio.  torchaudio's registry wheel links CUDA
libraries, so that it cannot be imported beside a CPU-only torch; the codec itself never calls it.  A torchaudio that
works stays; for one that does not, an empty module stands in while `dac` is imported, and is removed again.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from foleycli.errors import FoleyError


@cache
def dac_blocks() -> types.SimpleNamespace:
    """The classes DAC, Encoder, Decoder, ResidualVectorQuantize and WNConv1d.

    Errors: FoleyError when descript-audio-codec is missing or broken.
    """
    needs_stand_in = not _torchaudio_works()
    if needs_stand_in:
        stand_in = types.ModuleType("torchaudio")
        stand_in.__spec__ = importlib.machinery.ModuleSpec("torchaudio", loader=None)
        sys.modules["torchaudio"] = stand_in
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third-party deprecation notes are not the user's business
            model = importlib.import_module("dac.model.dac")
            quantize = importlib.import_module("dac.nn.quantize")
            layers = importlib.import_module("dac.nn.layers")
    except ImportError as error:
        raise FoleyError(
            f"descript-audio-codec cannot be imported: {error}",
            "Reinstall it: pip install --force-reinstall descript-audio-codec",
        ) from error
    finally:
        if needs_stand_in:
            _forget_torchaudio()
    return types.SimpleNamespace(
        DAC=model.DAC,
        Encoder=model.Encoder,
        Decoder=model.Decoder,
        ResidualVectorQuantize=quantize.ResidualVectorQuantize,
        WNConv1d=layers.WNConv1d,
    )


@contextmanager
def no_weight_norm_warning() -> Iterator[None]:
    """While DAC's layers are built: hides torch's warning that their kind of weight norm is deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weight_norm.*", category=FutureWarning)
        yield


def _torchaudio_works() -> bool:
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):  # OSError: a CUDA library that the wheel links is missing
        _forget_torchaudio()
        return False
    return True


def _forget_torchaudio() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
