"""Foley-Flow's first stage, masked audio-visual alignment (arXiv 2603.08126): video features come to predict audio.

    VideoAutoencoder, AudioAutoencoder    each encoder learns alone, from its own input with parts masked
    Alignment                             masked audio is recovered from the video and the audio that is left

Audio is masked in whole time columns of several latent steps, so that when things happen must come from the picture.
In the shipped size the encoders are small transformers over features and latents, in place of the paper's EVA-CLIP
and AudioMAE.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foleycli.families.foleyflow.config import FoleyFlowConfig
from foleycli.families.network_family import ConfiguredNetwork
from foleycli.nn.embedding import random_vectors
from foleycli.nn.linear import Linear
from foleycli.nn.transformer import PlainBlock, rotary_at, rotary_table


class Encoder(nn.Module):
    """A transformer over one sequence: [B, T, in_dim] to features [B, T, D]."""

    def __init__(self, in_dim: int, width: int, n_heads: int, n_layers: int, mlp_ratio: float) -> None:
        super().__init__()
        self.head_dim = width // n_heads
        self.inner = Linear(in_dim, width)
        self.masked = random_vectors(width, std=0.02)
        self.blocks = nn.ModuleList(PlainBlock(width, n_heads, round(mlp_ratio * width)) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, is_masked: Tensor | None = None) -> Tensor:
        """Steps where `is_masked`, bool [B, T], are replaced by one learned vector before attention reads them."""
        hidden = self.inner(x.to(self.inner.weight.dtype))
        if is_masked is not None:
            hidden = torch.where(is_masked[..., None], self.masked.to(hidden.dtype), hidden)
        table = rotary_table(x.shape[1], self.head_dim, device=x.device)
        for block in self.blocks:
            hidden = block(hidden, table)
        return self.norm(hidden)


def video_encoder(config: FoleyFlowConfig) -> Encoder:
    """Over the synchronisation encoder's frames."""
    return Encoder(
        in_dim=config.sync_dim,
        width=config.video_width,
        n_heads=config.video_heads,
        n_layers=config.video_layers,
        mlp_ratio=config.encoder_mlp_ratio,
    )


def audio_encoder(config: FoleyFlowConfig) -> Encoder:
    """Over latents, a token a time column."""
    return Encoder(
        in_dim=config.column_steps * config.latent_dim,
        width=config.audio_width,
        n_heads=config.audio_heads,
        n_layers=config.audio_layers,
        mlp_ratio=config.encoder_mlp_ratio,
    )


def columns_of(latents: Tensor, column_steps: int) -> Tensor:
    """Latents [B, L, D] as whole time columns [B, C, column_steps * D]; an incomplete last column is left out."""
    n_columns = latents.shape[1] // column_steps
    return latents[:, : n_columns * column_steps].unflatten(1, (n_columns, column_steps)).flatten(2)


def draw_mask(n_rows: int, n_columns: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Which columns are masked, bool [B, C]: the same number in every row, at least one."""
    n_masked = min(max(1, round(ratio * n_columns)), n_columns)
    draws = torch.rand(n_rows, n_columns, generator=generator, device=generator.device)
    return draws.argsort(dim=1).argsort(dim=1) < n_masked


def recovery_error(recovered: Tensor, target: Tensor, is_masked: Tensor) -> Tensor:
    """Mean squared error [] at what is masked, bool [B, C], of [B, C, D].

    Each channel of the target is brought to zero mean and unit variance over the batch: predicting the mean costs 1.
    """
    target = target.float()
    mean, deviation = target.mean(dim=(0, 1)), target.std(dim=(0, 1)).clamp(min=1e-4)
    errors = (recovered.float() - (target - mean) / deviation).square().mean(dim=-1)  # [B, C]
    return (errors * is_masked).sum() / is_masked.sum()


# -- each encoder alone


class MaskedAutoencoder(ConfiguredNetwork[FoleyFlowConfig]):
    """An encoder and one layer that reconstructs its input where it was masked."""

    def __init__(self, config: FoleyFlowConfig, encoder: Encoder) -> None:
        super().__init__(config)
        self.encoder = encoder
        self.out = Linear(encoder.inner.out_features, encoder.inner.in_features)

    def forward(self, x: Tensor, is_masked: Tensor) -> Tensor:
        """[B, T, in_dim], bool [B, T] -> the input's standardised values [B, T, in_dim]."""
        return self.out(self.encoder(x, is_masked))


class VideoAutoencoder(MaskedAutoencoder):
    """Recovers masked synchronisation features of video frames."""

    def __init__(self, config: FoleyFlowConfig) -> None:
        super().__init__(config, video_encoder(config))

    def loss(self, frames: Tensor, ratio: float, span_frames: int, generator: torch.Generator) -> Tensor:
        """Frames [B, T, sync_dim] are masked in spans, since a single one is easily guessed from its neighbours."""
        n_rows, n_frames, _ = frames.shape
        spans = draw_mask(n_rows, -(-n_frames // span_frames), ratio, generator).to(frames.device)
        is_masked = spans.repeat_interleave(span_frames, dim=1)[:, :n_frames]
        return recovery_error(self(frames, is_masked), frames, is_masked)


class AudioAutoencoder(MaskedAutoencoder):
    """Recovers masked columns of latents."""

    def __init__(self, config: FoleyFlowConfig) -> None:
        super().__init__(config, audio_encoder(config))

    def loss(self, latents: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
        """Latents [B, L, D] are masked in whole columns."""
        columns = columns_of(latents, self.config.column_steps)
        is_masked = draw_mask(len(columns), columns.shape[1], ratio, generator).to(latents.device)
        return recovery_error(self(columns, is_masked), columns, is_masked)


# -- the video encoder to the audio encoder


class Alignment(ConfiguredNetwork[FoleyFlowConfig]):
    """L = |F^a_mask - g(F^v, F^a_unmask)|^2: the video encoder and the decoder g learn, the audio encoder is frozen."""

    def __init__(self, config: FoleyFlowConfig) -> None:
        super().__init__(config)
        width, n_heads = config.audio_width, config.audio_heads
        self.head_dim = width // n_heads
        self.video = video_encoder(config)
        self.audio = audio_encoder(config).requires_grad_(False)
        self.video_in = Linear(config.video_width, width)
        self.masked = random_vectors(width, std=0.02)
        hidden = round(config.encoder_mlp_ratio * width)
        self.decoder = nn.ModuleList(
            PlainBlock(width, n_heads, hidden, is_cross=True) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = Linear(width, width)

    def forward(self, columns: Tensor, frames: Tensor, is_masked: Tensor) -> Tensor:
        """Standardised audio features [B, C, D] from frames [B, T, sync_dim] and the columns that are not masked.

        The features of the columns that are left come from an encoder that did not read the masked ones either.
        """
        video = self.video_in(self.video(frames))  # [B, T, D]
        audio = self.audio(columns, is_masked)  # [B, C, D]
        audio = torch.where(is_masked[..., None], self.masked.to(audio.dtype), audio)
        # Positions are video frames: a column's position is its middle.
        frames_per_column = self.config.frames_per_step * self.config.column_steps
        middles = torch.arange(columns.shape[1], device=columns.device, dtype=torch.float32) + 0.5
        table = rotary_at(frames_per_column * middles, self.head_dim)
        video_table = rotary_table(frames.shape[1], self.head_dim, device=frames.device)
        for block in self.decoder:
            audio = block(audio, table, video, video_table)
        return self.out(self.norm(audio))

    def error(self, latents: Tensor, frames: Tensor, is_masked: Tensor) -> Tensor:
        """How badly the masked columns, bool [B, C], of latents [B, L, D] are recovered: see `recovery_error`.

        What stays the same all clip long (timbre, room) is left out of the target: a few columns give it away
        without the picture, and it outweighs the events by far.
        """
        columns = columns_of(latents, self.config.column_steps)
        with torch.no_grad():
            target = self.audio(columns).float()  # [B, C, D]
            target = target - target.mean(dim=1, keepdim=True)
        return recovery_error(self(columns, frames, is_masked), target, is_masked)

    def loss(
        self, latents: Tensor, frames: Tensor, ratio: float, p_no_audio: float, generator: torch.Generator
    ) -> Tensor:
        """Latents [B, L, D] with frames [B, T, sync_dim]; some rows, at random, keep no audio at all."""
        n_rows, n_columns = len(latents), latents.shape[1] // self.config.column_steps
        is_masked = draw_mask(n_rows, n_columns, ratio, generator)
        is_silent = torch.rand(n_rows, 1, generator=generator, device=generator.device) < p_no_audio
        return self.error(latents, frames, (is_masked | is_silent).to(latents.device))

    def controls(self, latents: Tensor, frames: Tensor, ratio: float, generator: torch.Generator) -> dict[str, float]:
        """The error with each row's own video and with another's, with some audio left and with none.

        Only an alignment that reads the picture does better with a row's own video; without audio, the picture alone
        says when things happen.
        """
        n_columns = latents.shape[1] // self.config.column_steps
        some = draw_mask(len(latents), n_columns, ratio, generator).to(latents.device)
        none, others = torch.ones_like(some), shuffled(frames)
        controls = {
            "align": (frames, some),
            "align_shuffled": (others, some),
            "align_no_audio": (frames, none),
            "align_no_audio_shuffled": (others, none),
        }
        return {name: self.error(latents, video, mask).item() for name, (video, mask) in controls.items()}


def shuffled(rows: Tensor) -> Tensor:
    """Every row gets another's: [B, ...], B at least 2."""
    return rows.roll(1, dims=0)
