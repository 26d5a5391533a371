"""MMAudio's flow network: noised latents, flow time and conditions in, velocity out.

Module names are those of the published files, so that a checkpoint loads strictly.  Written from arXiv 2412.15322 and
the measured behaviour of the published weights, including the errors that they depend on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleycli.families.mmaudio.blocks import (
    ChannelLastConv,
    Condition,
    FinalLayer,
    FusedBlock,
    GatedMlp,
    JointBlock,
    rotary_table,
)
from foleycli.families.mmaudio.config import SEGMENT_TOKENS, TEXT_TOKENS, MMAudioConfig
from foleycli.families.network_family import ConfiguredNetwork
from foleycli.nn.linear import Linear
from foleycli.sampling.guidance import repeat_rows
from foleycli.weights.mapped import give_back


@dataclass(frozen=True)
class MMAudioInputs:
    """What the network reads of B windows."""

    clip: Tensor  # [B, T, 1024] CLIP vectors
    sync: Tensor  # [B, 8 * segments, 768] Synchformer tokens
    text: Tensor  # [B, 77, 1024] hidden states of CLIP's text tower
    sync_shift: Tensor  # [B] tokens by which the segments began before the window did; 0 in training


@dataclass(frozen=True)
class MMAudioConditions:
    """All that does not depend on the flow time, computed once a window; H is the network's width."""

    clip: Tensor  # [B, T, H]
    sync: Tensor  # [R, H] the windows' distinct Synchformer tokens, each once
    window_of_sync: Tensor  # int64 [R] the window that each of them belongs to
    sync_of_step: Tensor  # int64 [B, L] which of them each latent step reads
    text: Tensor  # [B, 77, H]
    clip_mean: Tensor  # [B, H]
    text_mean: Tensor  # [B, H]


class TimeEmbedding(nn.Module):
    """Flow time [B] to [B, H]."""

    def __init__(self, config: MMAudioConfig) -> None:
        super().__init__()
        self.dim, self.scale = config.time_dim, config.time_scale
        self.mlp = nn.Sequential(Linear(self.dim, config.width), nn.SiLU(), Linear(config.width, config.width))

    def forward(self, t: Tensor) -> Tensor:
        exponents = torch.arange(0, self.dim, 2, device=t.device, dtype=torch.float32) / self.dim
        # In this order of float32 operations: with the fast frequencies of v2 every rounding matters.
        frequencies = self.scale * (1.0 / 10_000.0**exponents)
        angles = t.float()[:, None] * frequencies  # [B, dim / 2]
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)  # [B, dim]
        return self.mlp(waves.to(next(self.mlp.parameters()).dtype))


class MMAudio(ConfiguredNetwork[MMAudioConfig]):
    """The whole network: `encode_conditions` once a window, then `forward` at every step."""

    sync_pos_emb: Tensor
    latent_mean: Tensor
    latent_std: Tensor
    empty_string_feat: Tensor
    empty_clip_feat: Tensor
    empty_sync_feat: Tensor

    def __init__(self, config: MMAudioConfig) -> None:
        super().__init__(config)
        width, hidden = config.width, config.mlp_hidden
        activation = nn.SiLU if config.is_v2 else nn.SELU
        extra = [nn.SiLU()] if config.is_v2 else []
        self.audio_input_proj = nn.Sequential(
            ChannelLastConv(config.latent_dim, width, 7), activation(), GatedMlp(width, hidden, 7)
        )
        self.clip_input_proj = nn.Sequential(Linear(config.clip_dim, width), *extra, GatedMlp(width, hidden, 3))
        self.sync_input_proj = nn.Sequential(
            ChannelLastConv(config.sync_dim, width, 7), activation(), GatedMlp(width, hidden, 3)
        )
        self.text_input_proj = nn.Sequential(Linear(config.text_dim, width), *extra, GatedMlp(width, hidden))
        self.clip_cond_proj = Linear(width, width)
        self.text_cond_proj = Linear(width, width)
        self.global_cond_mlp = GatedMlp(width, hidden)
        self.t_embed = TimeEmbedding(config)
        self.joint_blocks = nn.ModuleList(
            JointBlock(config, is_last=index == config.n_joint - 1) for index in range(config.n_joint)
        )
        self.fused_blocks = nn.ModuleList(FusedBlock(config, kernel=3) for _ in range(config.n_fused))
        self.final_layer = FinalLayer(config)
        self.register_buffer("sync_pos_emb", torch.zeros(1, 1, SEGMENT_TOKENS, config.sync_dim))
        self.register_buffer("latent_mean", torch.zeros(1, 1, config.latent_dim))
        self.register_buffer("latent_std", torch.ones(1, 1, config.latent_dim))
        self.register_buffer("empty_string_feat", torch.zeros(TEXT_TOKENS, config.text_dim))
        self.register_buffer("empty_clip_feat", torch.zeros(1, config.clip_dim))
        self.register_buffer("empty_sync_feat", torch.zeros(1, config.sync_dim))

    def encode_conditions(self, inputs: MMAudioInputs, n_steps: int) -> MMAudioConditions:
        """Everything of windows of `n_steps` latent steps that is the same at every flow time."""
        segments = inputs.sync.unflatten(1, (-1, SEGMENT_TOKENS))  # [B, S, 8, 768]
        tokens = self.sync_input_proj((segments + self.sync_pos_emb).flatten(1, 2))  # [B, 8 S, H]
        index = token_of_step(tokens.shape[1], n_steps, inputs.sync_shift)  # [B, L]
        sync, window_of_sync, row_of_token = distinct_rows(tokens)
        clip, text = self.clip_input_proj(inputs.clip), self.text_input_proj(inputs.text)
        return MMAudioConditions(
            clip=clip,
            sync=sync,
            window_of_sync=window_of_sync,
            sync_of_step=row_of_token.gather(1, index),
            text=text,
            clip_mean=self.clip_cond_proj(clip.mean(dim=1)),
            text_mean=self.text_cond_proj(text.mean(dim=1)),
        )

    def forward(self, x: Tensor, t: Tensor, conditions: MMAudioConditions) -> Tensor:
        """Latents [b, L, D] at flow times [B] to their velocity [B, L, D].

        B is b times the number of guidance passes, which read the same latents (`guidance.repeat_rows`).
        """
        global_ = self.t_embed(t) + self.global_cond_mlp(conditions.clip_mean + conditions.text_mean)  # [B, H]
        local = Condition(global_[conditions.window_of_sync] + conditions.sync, conditions.sync_of_step)
        global_ = global_[:, None]  # [B, 1, H]
        latent, clip, text = repeat_rows(self.audio_input_proj(x), len(t) // len(x)), conditions.clip, conditions.text
        head_dim = self.config.width // self.config.n_heads
        latent_table = rotary_table(latent.shape[1], head_dim, 1.0, x.device)
        # CLIP's steps are stretched over the latents, so that the same time has the same position.
        clip_table = rotary_table(clip.shape[1], head_dim, latent.shape[1] / clip.shape[1], x.device)
        for block in self.joint_blocks:
            latent, clip, text = block(
                latent,
                clip,
                text,
                local=local,
                global_=Condition(global_),
                latent_table=latent_table,
                clip_table=clip_table,
            )
        for block in self.fused_blocks:
            latent = block(latent, local, latent_table)
        # The last layer reads `global_`, not `local`: an error of the original that the weights depend on.
        return self.final_layer(latent, global_)

    def let_go(self) -> None:
        """Give memory of weights back that are mapped from their file, as those of large networks are on a CPU."""
        for module in self.modules():
            if isinstance(module, ChannelLastConv):
                module.let_go()
        give_back(self.parameters())

    def normalise(self, raw: Tensor) -> Tensor:
        """The autoencoder's latents to the network's, about unit variance, float32."""
        return (raw - self.latent_mean.float()) / self.latent_std.float()

    def denormalise(self, latents: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return latents * self.latent_std.float() + self.latent_mean.float()


def distinct_rows(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens [B, T, H] without those that a window repeats, [R, H]; the window of each, [R]; where all are, [B, T].

    A window without a picture repeats 8 tokens.  On a GPU, which would have to be waited for, all of them stay.
    """
    if tokens.device.type != "cpu":
        n_windows, n_tokens = tokens.shape[:2]
        place_of_all = torch.arange(n_windows * n_tokens, device=tokens.device).view(n_windows, n_tokens)
        return tokens.flatten(0, 1), (place_of_all // n_tokens).flatten(), place_of_all
    rows, owners, places, n_rows = [], [], [], 0
    for window, own in enumerate(tokens):
        distinct, place = own.unique(dim=0, return_inverse=True)
        rows.append(distinct)
        owners.append(torch.full((len(distinct),), window))
        places.append(place + n_rows)
        n_rows += len(distinct)
    return torch.cat(rows), torch.cat(owners), torch.stack(places)


def token_of_step(n_tokens: int, n_steps: int, shift: Tensor) -> Tensor:
    """Which Synchformer token each latent step reads, int64 [B, L]: the nearest, as torch's "nearest-exact".

    `shift` [B] moves the tokens earlier: segments begin on the video's grid of 0.32 s, windows need not.
    """
    ratio = torch.tensor(n_tokens, dtype=torch.float32) / n_steps  # in float32, as torch does, ties included
    middle = (torch.arange(n_steps, dtype=torch.float32) + 0.5) * ratio  # [L]
    return (middle.to(shift.device) + shift[:, None]).floor().long().clamp(0, n_tokens - 1)
