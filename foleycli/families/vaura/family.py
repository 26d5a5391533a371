"""V-AURA as the pipeline sees it: features of B windows in, codes out, as whole numbers in float32.

Reads and writes its weights folder (config.json, model.safetensors).  Words are not heard: the network
knows pictures and what has sounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from foleycli.families.base import FamilySpec, check_stream, check_window, open_network, write_network
from foleycli.families.vaura.config import VAuraConfig
from foleycli.families.vaura.network import Cache, VAura
from foleycli.records import Features, Report, silent
from foleycli.sampling.autoregressive import Predict, draw_top_k, generate
from foleycli.sampling.guidance import guide, twice
from foleycli.settings.settings import Settings

NAME = "vaura"


class VAuraFamily:
    """A loaded V-AURA network; meets `families.base.Family`.  Latents are codes: D is the number of codebooks."""

    def __init__(self, network: VAura) -> None:
        config = network.config
        self.network = network.eval().requires_grad_(False)
        self.spec = FamilySpec(
            name=NAME,
            latent_rate_hz=config.latent_rate_hz,
            latent_dim=config.n_codebooks,
            window_steps=config.window_steps,
            stream_dims={config.stream: config.visual_dim},
            text_dim=0,
            latents="codes",
            window_grid_s=config.window_grid_s,
        )

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> VAuraFamily:
        """Read `config.json` and `model.safetensors`; every weight must be there, and no other."""
        network = open_network(lambda values: VAura(VAuraConfig.from_dict(values)), folder)
        return cls(network.to(device=device, dtype=dtype))

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write a weights folder that `load` reads."""
        write_network(self.network, NAME, folder, dtype)

    @torch.inference_mode()
    def sample(
        self,
        features: Sequence[Features],
        known: Tensor,
        is_known: Tensor,
        settings: Settings,
        rngs: Sequence[torch.Generator],
        report: Report = silent,
    ) -> Tensor:
        """See `families.base.Family.sample`.  Known codes are heard by what follows them, not by what precedes."""
        check_window(self.spec, features, known, is_known, rngs)
        config, device = self.network.config, self.network.norm.weight.device
        # Drawn for every code, so that what is known changes nothing else.
        uniforms = torch.stack([torch.rand(known.shape[1:], generator=rng) for rng in rngs])  # [B, L, K]
        visual, is_guided = self._visual(features, known.shape[1], settings.guidance)
        made = generate(
            predict=_cached(self.network, visual, settings.guidance if is_guided else 1.0),
            draw=partial(draw_top_k, temperature=config.temperature, top_k=config.top_k),
            known=known.round().long().to(device),
            is_known=is_known.to(device),
            uniforms=uniforms.to(device),
            special=config.special,
            report=report,
        )
        return torch.where(is_known[..., None], known, made.to(known.device, known.dtype))

    def _visual(self, features: Sequence[Features], n_steps: int, scale: float) -> tuple[Tensor, bool]:
        """The visual part of all columns, [B, C, visual width], and the unconditional one after it if guided.

        A window without a picture is unconditional; if all are, there is nothing to guide.
        """
        n_columns = n_steps + self.network.config.n_codebooks
        nothing = self.network.visual_columns(None, n_columns)
        parts = [self._columns(window, n_columns) for window in features]
        is_guided = scale > 1.0 and any(part is not None for part in parts)
        columns = [nothing if part is None else part for part in parts]
        return torch.cat(columns + [nothing] * len(parts) * is_guided), is_guided

    def _columns(self, window: Features, n_columns: int) -> Tensor | None:
        """The visual part of a window's columns [1, C, visual width], from a full window's number of tokens:
        cut, or the last one held."""
        config = self.network.config
        stream = window.streams.get(config.stream)
        if stream is None:
            return None
        check_stream(stream, config.stream, config.visual_rate_hz, config.visual_dim)
        values = stream.values
        index = torch.arange(config.n_visual).clamp(max=len(values) - 1)
        tokens = values[index.to(values.device)][None].to(self.network.norm.weight.device)
        return self.network.visual_columns(tokens, n_columns, late_s=stream.late_s)


def _cached(network: VAura, visual: Tensor, scale: float) -> Predict:
    """The network as the sampler's predictor: each call reads only the columns that are new.

    Guidance is on log-probabilities (papers.md 3.1), which differ from logits by a constant per place
    that no draw depends on; both passes run as one batch.
    """
    cache = Cache(room=visual.shape[1])

    def predict(sequence: Tensor) -> Tensor:
        piece = slice(cache.n_columns, sequence.shape[1])
        rows = twice(sequence[:, piece]) if scale > 1.0 else sequence[:, piece]
        logits = network(rows, visual[:, piece], cache, last_only=True)[:, 0].float()  # [B or 2B, K, V]
        return guide(logits, scale) if scale > 1.0 else logits

    return predict
