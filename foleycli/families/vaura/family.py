"""V-AURA behind the `Family` contract: pictures of B windows in, codes out, as whole numbers in float32.

It reads no text: the network's inputs are the pictures and the codes so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from foleycli.families.base import check_stream, check_window, hold_last
from foleycli.families.network_family import NetworkFamily
from foleycli.families.vaura.config import VAuraConfig
from foleycli.families.vaura.network import Cache, VAura
from foleycli.records import Features, Report, silent
from foleycli.sampling.autoregressive import draw_top_k, generate
from foleycli.sampling.guidance import guide, repeat_rows
from foleycli.settings.settings import Settings


class VAuraFamily(NetworkFamily[VAura]):
    """Meets `families.base.Family`.  Latents are codes: D is the number of codebooks."""

    name = VAuraConfig.family
    config_class = VAuraConfig
    network_class = VAura
    published_endings: ClassVar[tuple[str, ...]] = (".ckpt", ".tar.gz", ".tgz", ".tar")

    @classmethod
    def import_files(cls, path: Path, folder: Path) -> None:
        """See `families.base.Family`; `path` is the published archive, or a checkpoint out of it."""
        from foleycli.families.vaura.convert import convert, unpacked_checkpoint

        with unpacked_checkpoint(path, folder) as checkpoint:
            convert(checkpoint, folder)

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
        """See `families.base.Family.sample`.  Known codes condition what follows them, not what precedes."""
        check_window(self.spec, features, known, is_known, rngs)
        network, config = self.network, self.network.config
        # Drawn for every code, so that what is known changes no other draw.
        uniforms = torch.stack([torch.rand(known.shape[1:], generator=rng) for rng in rngs])  # [B, L, K]
        n_columns = known.shape[1] + config.n_codebooks
        conditional = [self._visual_columns(window, n_columns) for window in features]
        # Without any picture, both passes of guidance would be the same.
        is_guided = settings.guidance > 1.0 and any(part is not None for part in conditional)
        unconditional = network.visual_columns(None, n_columns)
        rows = [unconditional if part is None else part for part in conditional]
        visual = torch.cat(rows + [unconditional] * len(rows) if is_guided else rows)
        cache = Cache(room=n_columns)

        def predict(sequence: Tensor) -> Tensor:
            """Logits of the column after `sequence`; only columns that are new since the last call are read.

            Guidance is on log-probabilities in the paper, which differ from logits by a constant per place that no
            draw depends on.
            """
            new = slice(cache.n_columns, sequence.shape[1])
            columns = repeat_rows(sequence[:, new], 2) if is_guided else sequence[:, new]
            logits = network(columns, visual[:, new], cache, last_only=True)[:, 0].float()  # [B or 2B, K, V]
            return guide(logits, settings.guidance) if is_guided else logits

        sampled = generate(
            predict=predict,
            draw=partial(draw_top_k, temperature=config.temperature, top_k=config.top_k),
            known=known.round().long().to(self.device),
            is_known=is_known.to(self.device),
            uniforms=uniforms.to(self.device),
            special=config.special,
            report=report,
        )
        return torch.where(is_known[..., None], known, sampled.to(known.device, known.dtype))

    def _visual_columns(self, window: Features, n_columns: int) -> Tensor | None:
        """The visual part of a window's columns [1, C, visual width]; None for a window without pictures.

        A full window's number of tokens is read: cut, or the last one held.
        """
        config = self.network.config
        stream = window.streams.get(config.stream)
        if stream is None:
            return None
        check_stream(stream, config.stream, config.visual_rate_hz, config.visual_dim)
        tokens = hold_last(stream.values, config.n_visual)[None].to(self.device)
        return self.network.visual_columns(tokens, n_columns, late_s=stream.late_s)
