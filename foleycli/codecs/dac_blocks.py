"""Imports descript-audio-codec's building blocks, only where they are needed: `import dac` takes a second."""

from __future__ import annotations

import importlib
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from foleycli.errors import FoleyError
from foleycli.nn.torchaudio import torchaudio_stand_in


@cache
def dac_blocks() -> types.SimpleNamespace:
    """The classes DAC, Encoder, Decoder, ResidualVectorQuantize and WNConv1d.

    Errors: FoleyError when descript-audio-codec is missing or broken.
    """
    try:
        with torchaudio_stand_in(), warnings.catch_warnings():  # dac imports audiotools, which imports torchaudio
            warnings.simplefilter("ignore")  # third-party deprecation notes are not the user's business
            model = importlib.import_module("dac.model.dac")
            quantize = importlib.import_module("dac.nn.quantize")
            layers = importlib.import_module("dac.nn.layers")
    except ImportError as error:
        raise FoleyError(
            f"descript-audio-codec cannot be imported: {error}",
            "Reinstall it: pip install --force-reinstall descript-audio-codec",
        ) from error
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
