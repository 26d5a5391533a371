"""Foley-Flow's second stage (arXiv 2603.08126): noisy latents and conditions in, velocity out.

    Inputs -> encode_conditions (once a window) -> FoleyFlowConditions -> forward (once a step) -> velocity

Features of the aligned video encoder, read at each latent step's own time, modulate that step in every block: the
paper's dynamic condition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.families.flow import FlowNetwork
from foleycli.families.foleyflow.alignment import video_encoder
from foleycli.families.foleyflow.config import FoleyFlowConfig
from foleycli.families.inputs import Inputs
from foleycli.nn.embedding import TimeEmbedding, random_vectors, vector_in
from foleycli.nn.frames import FrameUpsampler
from foleycli.nn.linear import Linear
from foleycli.nn.transformer import FinalLayer, TransformerBlock, rotary_table


@dataclass(frozen=True)
class FoleyFlowConditions:
    """All that does not depend on the flow time: computed once a window, read at every step."""

    pooled: Tensor  # [B, D]: text and mean semantics
    video: Tensor  # [B, L, D]; static: [B, 1, D]
    table: Tensor  # rotary angles of the latent steps


class FoleyFlow(FlowNetwork[FoleyFlowConfig]):
    """Velocity of latents along the straight line from noise (rectified flow)."""

    def __init__(self, config: FoleyFlowConfig) -> None:
        super().__init__(config)
        width = config.width
        self.video = video_encoder(config)
        self.empty_video = random_vectors(config.video_width, std=0.02)
        self.empty_semantic = random_vectors(config.semantic_dim)
        self.empty_text = random_vectors(config.text_dim)
        self.video_in = FrameUpsampler(config.video_width, config.condition_width, config.frames_per_step)
        self.video_out = Linear(config.condition_width, width)
        self.text_in = vector_in(config.text_dim, width)
        self.pool_in = vector_in(config.semantic_dim, width)
        self.time_in = TimeEmbedding(width)
        self.audio_in = Linear(config.latent_dim, width)
        self.known_tokens = random_vectors(2, width, std=0.02)  # row 0: to be generated, row 1: known
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width=width, n_heads=config.n_heads, mlp="gelu", hidden=config.mlp_hidden, rank=config.modulation_rank
            )
            for _ in range(config.n_blocks)
        )
        self.final = FinalLayer(width, config.latent_dim, config.modulation_rank)

    @property
    def dtype(self) -> torch.dtype:
        return self.audio_in.weight.dtype

    def encode_conditions(self, inputs: Inputs, n_steps: int) -> FoleyFlowConditions:
        """See `FlowNetwork`."""
        config, dtype = self.config, self.dtype
        frames = torch.where(inputs.has_sync[:, None, None], self.video(inputs.sync), self.empty_video).to(dtype)
        semantic = torch.where(inputs.has_semantic[:, None], inputs.semantic.mean(dim=1), self.empty_semantic)
        text = torch.where(inputs.has_text[:, None], inputs.text, self.empty_text)
        video = self.video_out(self.video_in(frames, n_steps, inputs.late_frames))  # [B, L, D]
        if config.condition == "static":
            video = video.mean(dim=1, keepdim=True)
        return FoleyFlowConditions(
            pooled=self.text_in(text.to(dtype)) + self.pool_in(semantic.to(dtype)),
            video=video,
            table=rotary_table(n_steps, config.width // config.n_heads, device=video.device),
        )

    def forward(self, x: Tensor, t: Tensor, conditions: FoleyFlowConditions, is_known: Tensor) -> Tensor:
        """Velocity float32 [B, L, latent_dim] of `x` [B, L, latent_dim].

        t         flow time [B]; 0 is noise
        is_known  bool [B, L]: steps that hold clean latents; what is returned there means nothing
        """
        global_ = conditions.pooled + self.time_in(t)  # [B, D]
        condition = F.silu(global_[:, None] + conditions.video)  # [B, L, D]; static: [B, 1, D]
        tokens = self.audio_in(x.to(self.dtype)) + F.embedding(is_known.long(), self.known_tokens)  # [B, L, D]
        for block in self.blocks:
            tokens = block(tokens, condition, conditions.table)
        return self.final(tokens, condition).float()  # [B, L, latent_dim]
