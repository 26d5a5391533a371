"""Encoders by Hub name for the large models: frames or texts in, SigLIP's or CLIP's vectors out.

`transformers` (an optional extra) builds the networks and reads their files; frames are resized and
normalised here with torch alone, because its own code for that needs torchvision, which cannot be imported beside a
CPU-only torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from foleycli.errors import FoleyError
from foleycli.features.base import CLIP_MEAN, CLIP_STD, Extractor
from foleycli.features.row_buffer import RowBuffer
from foleycli.nn.torchaudio import torchaudio_stand_in
from foleycli.records import Stream
from foleycli.settings.checking import short_repr
from foleycli.timebase import FEATURE_FPS

INSTALL = 'Install it: pip install "foleycli[hub]"'
BATCH = 32  # frames


@dataclass(frozen=True)
class Kind:
    """What differs between kinds of encoders and transformers does not say in one place."""

    vision_class: str
    text_class: str
    output: str  # the field of the networks' output that holds one vector per picture or text
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    is_padded: bool  # texts are padded to full length, as in training


HALF = (0.5, 0.5, 0.5)
KINDS = {
    # SigLIP 2 of fixed resolution calls itself "siglip" too (Tschannen et al. 2025); "siglip2" is NaFlex.
    "siglip": Kind(
        vision_class="SiglipVisionModel",
        text_class="SiglipTextModel",
        output="pooler_output",
        pixel_mean=HALF,
        pixel_std=HALF,
        is_padded=True,
    ),
    "clip": Kind(
        vision_class="CLIPVisionModelWithProjection",
        text_class="CLIPTextModelWithProjection",
        output="embeds",
        pixel_mean=CLIP_MEAN,
        pixel_std=CLIP_STD,
        is_padded=False,
    ),
}


class HubVision(Extractor):
    """Extractor of one L2-normalised vector per picture; SALSA-V reads SigLIP 2 at 8 per second (arXiv 2510.02916)."""

    name = "semantic"

    def __init__(
        self,
        hub_name: str = "google/siglip2-so400m-patch14-384",
        rate_hz: Fraction = Fraction(8),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        revision: str | None = None,
    ) -> None:
        """`hub_name` is a repository or a folder.  Errors: FoleyError without transformers or the weights."""
        self.rate_hz = rate_hz
        self.frame_step = FEATURE_FPS / rate_hz
        self.device, self.dtype = torch.device(device), dtype
        config, self.kind = _configuration(hub_name, revision)
        self.side_px = config.vision_config.image_size
        self.network = _network(self.kind.vision_class, hub_name, revision).to(self.device, dtype)
        self.dim = config.vision_config.hidden_size if self.kind.output == "pooler_output" else config.projection_dim

    def start(self) -> HubSession:
        return HubSession(self)

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> Tensor:
        """Frames uint8 [n, H, W, 3] to vectors float32 [n, D] on the CPU."""
        pixels = torch.tensor(frames, device=self.device).permute(0, 3, 1, 2)  # [n, 3, H, W]
        pixels = normalise_pictures(pixels, self.side_px, self.kind.pixel_mean, self.kind.pixel_std)  # [n, 3, S, S]
        return _vectors(self.network(pixel_values=pixels.to(self.dtype)), self.kind)  # [n, D]


class HubSession:
    """One video on its way through `HubVision`."""

    def __init__(self, extractor: HubVision) -> None:
        self.extractor = extractor
        # Half precision: an hour at 8 per second and 1152 wide is 66 MB.
        self.values = RowBuffer(extractor.dim, torch.float16)

    def push(self, frames: np.ndarray) -> None:
        for first in range(0, len(frames), BATCH):
            self.values.append(self.extractor.encode(frames[first : first + BATCH]))

    def finish(self) -> Stream:
        return Stream(self.values.all().float(), self.extractor.rate_hz)  # [T, D]


class HubText:
    """Text encoder of the same kinds; rows of length 1, zeros for an empty string."""

    def __init__(
        self,
        hub_name: str = "google/siglip2-so400m-patch14-384",
        device: torch.device | str = "cpu",
        revision: str | None = None,
    ) -> None:
        """`hub_name` is a repository or a folder.  Errors: FoleyError without transformers or the weights."""
        self.name = hub_name
        self.device = torch.device(device)
        config, self.kind = _configuration(hub_name, revision)
        self.n_tokens = config.text_config.max_position_embeddings
        self.tokenizer = _load("AutoTokenizer", hub_name, revision)
        self.network = _network(self.kind.text_class, hub_name, revision).to(self.device)
        by_head = getattr(config.text_config, "projection_size", None) or config.text_config.hidden_size
        self.dim = by_head if self.kind.output == "pooler_output" else config.projection_dim

    @torch.inference_mode()
    def encode(self, words: Sequence[str]) -> np.ndarray:
        texts = [" ".join(text.lower().split()) for text in words]
        given = [index for index, text in enumerate(texts) if text]
        vectors = torch.zeros(len(texts), self.dim)  # [n, D]
        if given:
            padding = "max_length" if self.kind.is_padded else True
            tokens = self.tokenizer(
                [texts[index] for index in given],
                padding=padding,
                truncation=True,
                max_length=self.n_tokens,
                return_tensors="pt",
            )
            # SigLIP was trained without a mask: it attends to its padding.
            names = ("input_ids",) if self.kind.is_padded else ("input_ids", "attention_mask")
            output = self.network(**{name: tokens[name].to(self.device) for name in names})
            vectors[given] = _vectors(output, self.kind)
        return vectors.numpy()


def normalise_pictures(
    pixels: Tensor, side_px: int, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Tensor:
    """uint8 [n, 3, H, W] to float32 [n, 3, side, side]: bicubic with antialiasing, rounded, normalised."""
    sized = pixels.float()
    if pixels.shape[-2:] != (side_px, side_px):
        sized = F.interpolate(sized, (side_px, side_px), mode="bicubic", antialias=True)  # [n, 3, S, S]
        sized = sized.round().clamp(0, 255)  # these encoders were trained on resized 8-bit pictures
    shape = (1, 3, 1, 1)
    mean_t, std_t = (torch.tensor(value, device=pixels.device).view(shape) for value in (mean, std))
    return (sized / 255 - mean_t) / std_t


def _vectors(output: Any, kind: Kind) -> Tensor:
    if kind.output == "pooler_output":
        vectors = output.pooler_output
    else:
        vectors = output.image_embeds if "image_embeds" in output else output.text_embeds
    return F.normalize(vectors.float(), dim=-1).cpu()  # [n, D]


def _configuration(hub_name: str, revision: str | None) -> tuple[Any, Kind]:
    config = _load("AutoConfig", hub_name, revision)
    if config.model_type not in KINDS:
        raise FoleyError(
            f"the encoder {hub_name} is of the kind {short_repr(config.model_type)}",
            f"Known kinds: {', '.join(sorted(KINDS))}",
        )
    return config, KINDS[config.model_type]


def _network(class_name: str, hub_name: str, revision: str | None) -> torch.nn.Module:
    """Safetensors only: other formats can run code."""
    return _load(class_name, hub_name, revision, use_safetensors=True).requires_grad_(False).eval()


def _load(class_name: str, hub_name: str, revision: str | None, **options: Any) -> Any:
    try:
        import transformers
    except ImportError:
        raise FoleyError(f"the encoder {hub_name} needs the package transformers", INSTALL) from None
    try:
        with torchaudio_stand_in():  # transformers imports torchaudio wherever it is installed
            loader = getattr(transformers, class_name)  # imported only now
        return loader.from_pretrained(hub_name, revision=revision, **options)
    except (OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise FoleyError(
            f"the encoder {hub_name} cannot be loaded: {first_line}",
            f"With a network: hf download {hub_name}; without one choose a model that needs no such encoder",
        ) from error


def load_vision(hub_name: str, device: torch.device, dtype: torch.dtype) -> HubVision:
    """The picture encoder that a model's config names as "hub:NAME", at SALSA-V's rate."""
    return HubVision(hub_name, device=device, dtype=dtype)


def load_text(hub_name: str, device: torch.device, dtype: torch.dtype) -> HubText:
    """The text encoder of the same kind; always in float32, since it runs once a render."""
    return HubText(hub_name, device)
