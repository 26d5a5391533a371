"""Imports descript-audio-codec's building blocks without its audio stack getting in the way.

`import dac` pulls in audiotools, which imports torchaudio.  torchaudio's registry wheel links CUDA
libraries, so that it cannot be imported beside a CPU-only torch; the codec itself never calls it.
Where the real torchaudio works it stays; where it does not, an empty module stands in for it while
`dac` is imported, and is taken away again.
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
    """The classes Encoder, Decoder, ResidualVectorQuantize and WNConv1d, and the class DAC.

    Errors: FoleyError when descript-audio-codec is missing or broken.
    """
    stand_in = not _torchaudio_works()
    if stand_in:
        _put_empty_torchaudio()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third-party deprecation notes are not the user's business
            model = importlib.import_module("dac.model.dac")
            quantize = importlib.import_module("dac.nn.quantize")
            layers = importlib.import_module("dac.nn.layers")
    except ImportError as error:
        raise FoleyError(
            f"descript-audio-codec cannot be imported: {error}",
            "reinstall it: pip install --force-reinstall descript-audio-codec",
        ) from error
    finally:
        if stand_in:
            _drop_torchaudio()
    return types.SimpleNamespace(
        Encoder=model.Encoder,
        Decoder=model.Decoder,
        DAC=model.DAC,
        ResidualVectorQuantize=quantize.ResidualVectorQuantize,
        WNConv1d=layers.WNConv1d,
    )


@contextmanager
def building() -> Iterator[None]:
    """Around the making of DAC layers: torch's note that their weight norm is of the old kind is kept from users."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weight_norm.*", category=FutureWarning)
        yield


def _torchaudio_works() -> bool:
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):  # OSError: a CUDA library of the wheel is not there
        _drop_torchaudio()
        return False
    return True


def _put_empty_torchaudio() -> None:
    module = types.ModuleType("torchaudio")
    module.__spec__ = importlib.machinery.ModuleSpec("torchaudio", loader=None)
    sys.modules["torchaudio"] = module


def _drop_torchaudio() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
