"""The SALSA-V network (arXiv 2510.02916, Fig. 1): noisy latents and conditions in, velocity out.

    Inputs -> encode_conditions (once a window) -> SalsaVConditions -> forward (once a step) -> velocity

MMDiT-X blocks let audio and semantic tokens attend to one another, DiT blocks refine the audio alone; the
synchronisation features modulate every audio token (adaptive layer norm) with the picture at its own time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.families.flow import FlowNetwork
from foleycli.families.inputs import Inputs
from foleycli.families.salsav.config import SalsaVConfig
from foleycli.nn.embedding import StepEmbedding, TimeEmbedding, random_vectors, vector_in
from foleycli.nn.frames import FrameUpsampler
from foleycli.nn.linear import Linear
from foleycli.nn.transformer import (
    MLPS,
    FinalLayer,
    Modulation,
    QueryKeyValue,
    SelfAttention,
    TransformerBlock,
    add_gated,
    attend,
    modulate,
    norm,
    rotary_table,
)


@dataclass(frozen=True)
class SalsaVConditions:
    """All that does not depend on the flow time: computed once a window, read at every step."""

    pooled: Tensor  # [B, D]: text and mean semantics
    sync: Tensor  # [B, L, D]
    semantic: Tensor  # [B, S, D]
    audio_table: Tensor  # rotary angles of the latent steps
    semantic_table: Tensor  # the same for the semantic steps, on the same time line


class SemanticStream(nn.Module):
    """The semantic half of a joint block; in the last block it gives keys and values only."""

    def __init__(self, config: SalsaVConfig, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last
        self.modulation = Modulation(config.width, 2 if is_last else 6, config.modulation_rank)
        self.qkv = QueryKeyValue(config.width, config.n_heads)
        if not is_last:
            self.out = Linear(config.width, config.width)
            self.mlp = MLPS[config.mlp](config.width, config.mlp_hidden)

    def finish(self, x: Tensor, attended: Tensor, vectors: tuple[Tensor, ...]) -> Tensor:
        """Add the attention's output, then the MLP's, to the stream."""
        _, _, gate, shift, scale, mlp_gate = vectors
        x = add_gated(x, gate, self.out(attended))
        return add_gated(x, mlp_gate, self.mlp(modulate(norm(x), shift, scale)))


class JointBlock(nn.Module):
    """MMDiT-X (Stable Diffusion 3.5): joint attention of audio and semantics; with `has_self`, of audio to itself."""

    def __init__(self, config: SalsaVConfig, has_self: bool, is_last: bool) -> None:
        super().__init__()
        width = config.width
        self.modulation = Modulation(width, 9 if has_self else 6, config.modulation_rank)
        self.qkv = QueryKeyValue(width, config.n_heads)
        self.out = Linear(width, width)
        self.self_attention = SelfAttention(width, config.n_heads) if has_self else None
        self.mlp = MLPS[config.mlp](width, config.mlp_hidden)
        self.semantic = SemanticStream(config, is_last)

    def forward(
        self, audio: Tensor, semantic: Tensor, local: Tensor, global_: Tensor, conditions: SalsaVConditions
    ) -> tuple[Tensor, Tensor]:
        """`local` [B, L, D] modulates the audio [B, L, D], `global_` [B, 1, D] the semantics [B, S, D]."""
        vectors = self.modulation(local)
        semantic_vectors = self.semantic.modulation(global_)
        normed = norm(audio)
        ours = self.qkv(modulate(normed, *vectors[:2]), conditions.audio_table)
        theirs = self.semantic.qkv(modulate(norm(semantic), *semantic_vectors[:2]), conditions.semantic_table)
        query, key, value = (torch.cat(pair, dim=2) for pair in zip(ours, theirs, strict=True))
        n_audio = audio.shape[1]
        if self.semantic.is_last:
            query = ours[0]  # nothing reads the semantic stream after the last joint block
        attended = attend(query, key, value)  # [B, L (+ S), D]
        audio = add_gated(audio, vectors[2], self.out(attended[:, :n_audio]))
        if self.self_attention is not None:
            alone = self.self_attention(modulate(normed, *vectors[6:8]), conditions.audio_table)
            audio = add_gated(audio, vectors[8], alone)
        audio = add_gated(audio, vectors[5], self.mlp(modulate(norm(audio), *vectors[3:5])))
        if not self.semantic.is_last:
            semantic = self.semantic.finish(semantic, attended[:, n_audio:], semantic_vectors)
        return audio, semantic


class SalsaV(FlowNetwork[SalsaVConfig]):
    """Velocity of latents under masked flow matching with shortcut steps."""

    def __init__(self, config: SalsaVConfig) -> None:
        super().__init__(config)
        width = config.width
        self.audio_in = Linear(config.latent_dim, width)
        self.known_tokens = random_vectors(2, width, std=0.02)  # row 0: to be generated, row 1: known
        self.empty_sync = random_vectors(config.sync_dim, std=0.02)
        self.empty_semantic = random_vectors(config.semantic_dim)
        self.empty_text = random_vectors(config.text_dim)
        self.text_in = vector_in(config.text_dim, width)
        self.pool_in = vector_in(config.semantic_dim, width)
        self.semantic_in = vector_in(config.semantic_dim, width)
        self.sync_in = FrameUpsampler(config.sync_dim, width, config.frames_per_step)
        self.time_in = TimeEmbedding(width)
        self.step_in = StepEmbedding(width)
        self.joint = nn.ModuleList(
            JointBlock(config, has_self=index < config.n_x, is_last=index == config.n_joint - 1)
            for index in range(config.n_joint)
        )
        self.single = nn.ModuleList(
            TransformerBlock(
                width=width,
                n_heads=config.n_heads,
                mlp=config.mlp,
                hidden=config.mlp_hidden,
                rank=config.modulation_rank,
            )
            for _ in range(config.n_single)
        )
        self.final = FinalLayer(width, config.latent_dim, config.modulation_rank)

    @property
    def dtype(self) -> torch.dtype:
        return self.audio_in.weight.dtype

    def encode_conditions(self, inputs: Inputs, n_steps: int) -> SalsaVConditions:
        """See `FlowNetwork`."""
        config = self.config
        sync = torch.where(inputs.has_sync[:, None, None], inputs.sync, self.empty_sync).to(self.dtype)
        semantic = torch.where(inputs.has_semantic[:, None, None], inputs.semantic, self.empty_semantic)
        semantic = semantic.to(self.dtype)  # [B, S, semantic_dim]
        text = torch.where(inputs.has_text[:, None], inputs.text, self.empty_text).to(self.dtype)
        head_dim, device = config.width // config.n_heads, sync.device
        scale = float(config.latent_rate_hz / config.semantic_rate_hz)
        return SalsaVConditions(
            pooled=self.text_in(text) + self.pool_in(semantic.mean(dim=1)),
            sync=self.sync_in(sync, n_steps, inputs.late_frames),
            semantic=self.semantic_in(semantic),
            audio_table=rotary_table(n_steps, head_dim, device=device),
            semantic_table=rotary_table(semantic.shape[1], head_dim, scale, device=device),
        )

    def forward(self, x: Tensor, t: Tensor, d: Tensor, conditions: SalsaVConditions, is_known: Tensor) -> Tensor:
        """Velocity float32 [B, L, latent_dim] of `x` [B, L, latent_dim].

        t         flow time [B]; 0 is noise
        d         size of the step that will be taken [B], 1 / base_steps .. 1
        is_known  bool [B, L]: steps that hold clean latents; what is returned there means nothing
        """
        global_ = conditions.pooled + self.time_in(t) + self.step_in(d)  # [B, D]
        local = F.silu(global_[:, None] + conditions.sync)  # [B, L, D]
        global_ = F.silu(global_)[:, None]  # [B, 1, D]
        audio = self.audio_in(x.to(self.dtype)) + F.embedding(is_known.long(), self.known_tokens)  # [B, L, D]
        semantic = conditions.semantic
        for block in self.joint:
            audio, semantic = block(audio, semantic, local, global_, conditions)
        for block in self.single:
            audio = block(audio, local, conditions.audio_table)
        return self.final(audio, local).float()  # [B, L, latent_dim]
