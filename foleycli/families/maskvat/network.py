"""The MaskVAT network (arXiv 2407.10387): codes, some frames of them masked, and conditions in; logits out.

    Inputs -> encode_conditions (once a window) -> MaskVatConditions -> forward (once an iteration) -> states
    states -> one head a codebook level -> logits

How the conditions reach the codes is the config's choice: see `config.Conditioning`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.families.inputs import Inputs
from foleycli.families.maskvat.config import MaskVatConfig
from foleycli.families.network_family import ConfiguredNetwork
from foleycli.nn.embedding import code_embedding, random_vectors, vector_in
from foleycli.nn.frames import FrameUpsampler
from foleycli.nn.linear import Linear
from foleycli.nn.transformer import CrossAttention, PlainBlock, TransformerBlock, rotary_at

FRAMES_PER_TOKEN = 2  # pictures in a visual token of the encoder


@dataclass(frozen=True)
class Memory:
    """The encoder's output for a window: the tokens that the blocks attend to."""

    tokens: Tensor  # [B, S, D]: of the synchronisation stream, then of the semantic stream, then of the text
    table: Tensor  # rotary angles of their times
    n_visual: int  # tokens of the synchronisation stream, one for FRAMES_PER_TOKEN frames

    @property
    def visual(self) -> Tensor:
        return self.tokens[:, : self.n_visual]


@dataclass(frozen=True)
class MaskVatConditions:
    """All that does not depend on the codes: computed once a window, read at every iteration."""

    table: Tensor  # rotary angles of the latent steps
    local: Tensor | None  # [B, L, D], activated; None: nothing is modulated
    memory: Memory | None  # None: nothing is attended to


class Block(nn.Module):
    """Attention to the encoder's tokens where there are any, then self-attention and an MLP."""

    def __init__(self, config: MaskVatConfig) -> None:
        super().__init__()
        width, n_heads, hidden = config.width, config.n_heads, config.mlp_hidden
        self.cross: CrossAttention | None = None
        if config.has_encoder:
            self.norm, self.cross = nn.LayerNorm(width), CrossAttention(width, n_heads)
        self.main: TransformerBlock | PlainBlock
        if config.is_modulated:
            self.main = TransformerBlock(
                width=width, n_heads=n_heads, mlp="gelu", hidden=hidden, rank=config.modulation_rank
            )
        else:
            self.main = PlainBlock(width, n_heads, hidden)

    def forward(self, x: Tensor, conditions: MaskVatConditions) -> Tensor:
        table, memory = conditions.table, conditions.memory
        if self.cross is not None and memory is not None:
            x = x + self.cross(self.norm(x), table, memory.tokens, memory.table)
        return self.main(x, table) if conditions.local is None else self.main(x, conditions.local, table)


class CodeEmbedding(nn.Module):
    """Codes [B, L, K] to tokens [B, L, D]: the sum of one vector a level; masked frames have vectors of their own."""

    def __init__(self, config: MaskVatConfig) -> None:
        super().__init__()
        n_levels, dim = config.n_codebooks, config.codebook_dim
        self.size = config.codebook_size
        self.tables = code_embedding(n_levels * self.size, dim)  # level after level
        self.mask = random_vectors(n_levels, dim)  # not a row of the tables: no code has it
        self.lift = Linear(n_levels * dim, config.width)

    def vectors(self, codes: Tensor) -> Tensor:
        """Codes [..., k] of the first k levels to their vectors [..., k, codebook_dim]."""
        first = torch.arange(codes.shape[-1], device=codes.device) * self.size
        return self.tables(codes + first)

    def forward(self, codes: Tensor, is_masked: Tensor) -> Tensor:
        """`codes` are not read where `is_masked`, bool [B, L]."""
        vectors = self.vectors(codes.masked_fill(is_masked[..., None], 0))
        return self.lift(torch.where(is_masked[..., None, None], self.mask, vectors).flatten(2))


class LevelHead(nn.Module):
    """States [..., D] to the logits of one codebook level [..., codebook_size]."""

    def __init__(self, config: MaskVatConfig, level: int) -> None:
        super().__init__()
        width = config.width + (level * config.codebook_dim if config.hears_coarser else 0)
        self.hears_coarser = config.hears_coarser
        self.inner = Linear(width, config.head_rank) if config.head_rank else None
        self.out = Linear(config.head_rank or width, config.codebook_size)

    def forward(self, states: Tensor, coarser: Tensor) -> Tensor:
        """`coarser` [..., level, codebook_dim]: the vectors of the frame's codes at the levels before this one."""
        x = torch.cat([states, coarser.flatten(-2).to(states.dtype)], dim=-1) if self.hears_coarser else states
        return self.out(x if self.inner is None else F.gelu(self.inner(x), approximate="tanh"))


class Encoder(nn.Module):
    """All that is read of the video, and the text, as one sequence on the sound's time line.

    In training its tokens must predict features of an audio encoder, the paper's BEATs: `foretell` frame by frame,
    and by a contrast of `own_summary` and `heard_summary`; see `objective.audio_losses`.
    """

    def __init__(self, config: MaskVatConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        kernel = 2 * FRAMES_PER_TOKEN
        self.sync_in = nn.Conv1d(config.sync_dim, width, kernel, FRAMES_PER_TOKEN, padding=FRAMES_PER_TOKEN // 2)
        self.sync_out = Linear(width, width)
        self.semantic_in = vector_in(config.semantic_dim, width)
        self.text_in = vector_in(config.text_dim, width)
        hidden = config.mlp_hidden
        self.blocks = nn.ModuleList(PlainBlock(width, config.n_heads, hidden) for _ in range(config.n_encoder))
        self.norm = nn.LayerNorm(width)
        self.foretell = Linear(width, config.heard_dim)
        self.own_summary = Linear(width, config.heard_dim)
        self.heard_summary = Linear(config.heard_dim, config.heard_dim)

    def forward(self, sync: Tensor, semantic: Tensor, text: Tensor, late_frames: Tensor | None) -> Memory:
        """See `Inputs`; of an odd number of frames the last one counts twice."""
        frames = sync.transpose(1, 2)
        frames = F.pad(frames, (0, frames.shape[-1] % FRAMES_PER_TOKEN), mode="replicate")
        visual = self.sync_out(F.gelu(self.sync_in(frames), approximate="tanh").transpose(1, 2))  # [B, T / 2, D]
        tokens = torch.cat([visual, self.semantic_in(semantic), self.text_in(text)[:, None]], dim=1)
        positions = self._positions(
            visual.shape[1], semantic.shape[1], late_frames, n_rows=len(sync), device=sync.device
        )
        table = rotary_at(positions, self.config.head_dim)
        for block in self.blocks:
            tokens = block(tokens, table)
        return Memory(self.norm(tokens), table, visual.shape[1])

    def _positions(
        self, n_visual: int, n_semantic: int, late_frames: Tensor | None, *, n_rows: int, device: torch.device
    ) -> Tensor:
        """Each token's time in latent steps, whose middles are whole numbers: float32 [B, S]; text is at 0."""
        config = self.config
        late = torch.zeros(n_rows, device=device) if late_frames is None else late_frames
        visual = FRAMES_PER_TOKEN * torch.arange(n_visual, device=device) + 0.5 * (FRAMES_PER_TOKEN - 1)
        visual = (visual + late[:, None]) * float(config.latent_rate_hz / config.sync_rate_hz) - 0.5
        semantic = (torch.arange(n_semantic, device=device) + 0.5) / float(config.semantic_rate_hz)
        semantic = semantic * float(config.latent_rate_hz) - 0.5
        return torch.cat([visual, semantic.expand(n_rows, -1), torch.zeros(n_rows, 1, device=device)], dim=1)


class Local(nn.Module):
    """What modulates each latent step: the picture at its time, what the window shows, and the text."""

    def __init__(self, config: MaskVatConfig) -> None:
        super().__init__()
        self.sync_in = FrameUpsampler(config.sync_dim, config.width, config.frames_per_step)
        self.pool_in = vector_in(config.semantic_dim, config.width)
        self.text_in = vector_in(config.text_dim, config.width)

    def forward(self, sync: Tensor, semantic: Tensor, text: Tensor, late_frames: Tensor | None, n_steps: int) -> Tensor:
        """See `Inputs`; the result is activated already, [B, L, D]."""
        pooled = self.text_in(text) + self.pool_in(semantic.mean(dim=1))
        return F.silu(pooled[:, None] + self.sync_in(sync, n_steps, late_frames))


class MaskVat(ConfiguredNetwork[MaskVatConfig]):
    """Masked codes [B, L, K] and conditions to the state of every frame, from which heads read its codes."""

    def __init__(self, config: MaskVatConfig) -> None:
        super().__init__(config)
        self.codes_in = CodeEmbedding(config)
        self.empty_sync = random_vectors(config.sync_dim, std=0.02)
        self.empty_semantic = random_vectors(config.semantic_dim)
        self.empty_text = random_vectors(config.text_dim)
        self.local = Local(config) if config.is_modulated else None
        self.encoder = Encoder(config) if config.has_encoder else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_blocks))
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.ModuleList(LevelHead(config, level) for level in range(config.n_codebooks))

    @property
    def dtype(self) -> torch.dtype:
        return self.norm.weight.dtype

    @torch.no_grad()
    def adopt_codebooks(self, codebooks: Tensor) -> None:
        """Start from a codec's own vectors [K, codebook_size, codebook_dim]: codes that sound alike start alike."""
        scaled = codebooks / codebooks.square().mean(dim=(1, 2), keepdim=True).sqrt()
        self.codes_in.tables.weight.copy_(scaled.flatten(0, 1))

    def encode_conditions(self, inputs: Inputs, n_steps: int) -> MaskVatConditions:
        """Everything of a window of `n_steps` latent steps that is the same at every iteration."""
        sync = torch.where(inputs.has_sync[:, None, None], inputs.sync, self.empty_sync).to(self.dtype)
        semantic = torch.where(inputs.has_semantic[:, None, None], inputs.semantic, self.empty_semantic)
        semantic = semantic.to(self.dtype)  # [B, S, semantic_dim]
        text = torch.where(inputs.has_text[:, None], inputs.text, self.empty_text).to(self.dtype)
        late = inputs.late_frames
        positions = torch.arange(n_steps, device=sync.device, dtype=torch.float32)
        return MaskVatConditions(
            table=rotary_at(positions, self.config.head_dim),
            local=None if self.local is None else self.local(sync, semantic, text, late, n_steps),
            memory=None if self.encoder is None else self.encoder(sync, semantic, text, late),
        )

    def forward(self, codes: Tensor, is_masked: Tensor, conditions: MaskVatConditions) -> Tensor:
        """States [B, L, D] of codes int64 [B, L, K]; `is_masked`, bool [B, L]: frames whose codes are unknown."""
        x = self.codes_in(codes, is_masked)
        for block in self.blocks:
            x = block(x, conditions)
        return self.norm(x)

    def logits(self, states: Tensor, coarser: Tensor) -> Tensor:
        """Logits [..., codebook_size] of level k from states [..., D] and the codes [..., k] of the levels before."""
        head = self.heads[coarser.shape[-1]]
        return head(states, self.codes_in.vectors(coarser))
