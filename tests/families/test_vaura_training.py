"""V-AURA's training: one parallel pass sees what sampling sees, what is learned, and the picture's time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from foleycli.families.vaura import family as vaura_family
from foleycli.families.vaura import network as vaura_network
from foleycli.families.vaura.config import SIZES
from foleycli.families.vaura.family import VAuraFamily
from foleycli.families.vaura.network import VAura
from foleycli.families.vaura.objective import ObjectiveConfig, VAuraBatch, sequences, training_loss, visual_part
from foleycli.records import Features, Stream
from foleycli.sampling.autoregressive import delay
from foleycli.sampling.autoregressive import draw_top_k as draw
from foleycli.settings.settings import Settings

L, V = 60, 35
SMALL = replace(
    SIZES["mini"], width=64, n_heads=2, n_layers=2, visual_width=24, n_codebooks=3, codebook_size=16,
    visual_dim=6, n_visual=V, window_steps=L,
)  # fmt: skip
SEEN, UNSEEN = ObjectiveConfig(p_drop_visual=0.0), ObjectiveConfig(p_drop_visual=1.0)


def network(seed: int = 0, **changes) -> VAura:
    torch.manual_seed(seed)
    made = VAura(replace(SMALL, **changes))
    for head in made.lm_heads:
        torch.nn.init.normal_(head.weight, std=0.3)
    return made


def batch(n: int = 2, n_reference: list[int] | None = None) -> VAuraBatch:
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, SMALL.codebook_size, (n, L, SMALL.n_codebooks), generator=generator)
    visual = torch.randn(n, V, SMALL.visual_dim, generator=generator)
    return VAuraBatch(codes, visual, None if n_reference is None else torch.tensor(n_reference))


def window(values: torch.Tensor, late_s: float = 0.0) -> Features:
    return Features({"sync": Stream(values, SMALL.visual_rate_hz, late_s)}, torch.zeros(0))


@pytest.mark.parametrize("has_picture", [True, False])
def test_one_parallel_pass_gives_what_sampling_sees_column_by_column(monkeypatch, has_picture):
    drawn_from, made = [], network().eval()
    monkeypatch.setattr(
        vaura_family, "draw_top_k", lambda *seen, **how: drawn_from.append(seen[0]) or draw(*seen, **how)
    )
    visual = batch(1).visual
    told = window(visual[0]) if has_picture else Features({}, torch.zeros(0))
    nothing = torch.zeros(1, L, SMALL.n_codebooks), torch.zeros(1, L, dtype=torch.bool)
    codes = VAuraFamily(made).sample([told], *nothing, Settings(guidance=1.0), [torch.Generator().manual_seed(0)])
    columns, _ = sequences(VAuraBatch(codes.long(), visual), SMALL)
    part = visual_part(made, visual, torch.tensor([has_picture]), columns.shape[1])
    at_once = made(columns, part)[0]
    assert torch.allclose(at_once, torch.stack(drawn_from, dim=1)[0], atol=1e-4)


@pytest.mark.parametrize("n_before", [0, 7])
def test_attention_written_out_for_bfloat16_is_attention(n_before):
    n_new, generator = 20, torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, n, 16, generator=generator) for n in (n_new, *[n_new + n_before] * 2))
    mask = torch.ones(n_new, n_new + n_before, dtype=torch.bool).tril(n_before) if n_before else None
    exact = vaura_network.attend(query, key, value, mask)
    short = vaura_network.attend(*(x.bfloat16() for x in (query, key, value)), mask)
    assert short.dtype == torch.bfloat16 and torch.allclose(short.float(), exact, atol=0.05)


def test_every_code_is_learned_once_and_nothing_else():
    one = batch()
    columns, targets = sequences(one, SMALL)
    assert columns.shape == targets.shape == (2, L + SMALL.n_codebooks - 1, SMALL.n_codebooks)
    assert (columns[:, 0] == SMALL.special).all()
    for level in range(SMALL.n_codebooks):
        learned = targets[..., level] != SMALL.special
        assert torch.equal(targets[..., level][learned].view(2, L), one.codes[..., level])
        # Step t of the level is answered in column t + level, and read in the next.
        assert torch.equal(targets[:, level : level + L, level], one.codes[..., level])
    assert torch.equal(torch.cat([columns, targets[:, -1:]], dim=1), delay(one.codes, SMALL.special))


def test_loss_is_the_mean_over_codes():
    made, one = network(), batch()
    loss, figures = training_loss(made, one, torch.Generator(), SEEN)
    columns, targets = sequences(one, SMALL)
    logits = made(columns, made.visual_columns(one.visual, columns.shape[1]))
    is_code = targets != SMALL.special
    wanted = torch.nn.functional.cross_entropy(logits[is_code], targets[is_code])
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    coarsest = torch.nn.functional.cross_entropy(logits[:, :L, 0].flatten(0, 1), one.codes[..., 0].flatten())
    assert figures["coarsest"].item() == pytest.approx(coarsest.item(), rel=1e-5)


def test_a_reference_is_heard_and_not_learned():
    made, plain, behind = network(), batch(), batch(n_reference=[20, 0])
    columns, targets = sequences(behind, SMALL)
    assert torch.equal(columns, sequences(plain, SMALL)[0])
    for level in range(SMALL.n_codebooks):
        assert (targets[0, level : level + 20, level] == SMALL.special).all()
        assert torch.equal(targets[0, level + 20 : level + L, level], plain.codes[0, 20:, level])
    assert torch.equal(targets[1], sequences(plain, SMALL)[1][1])
    other = replace(behind, codes=behind.codes.clone())
    other.codes[0, :20] = (other.codes[0, :20] + 1) % SMALL.codebook_size
    losses = [training_loss(made, one, torch.Generator(), SEEN)[0].item() for one in (behind, other)]
    assert abs(losses[0] - losses[1]) > 1e-4


def test_unseen_windows_train_the_empty_tokens():
    for config, is_trained in ((SEEN, False), (UNSEEN, True)):
        made, one = network(), batch()
        one.visual.requires_grad_(True)
        training_loss(made, one, torch.Generator(), config)[0].backward()
        gradient = made.cls_embeddings.uncond_embedding.grad
        assert (gradient.abs().sum() > 0) == is_trained
        assert (one.visual.grad.abs().sum() > 0) != is_trained


def test_a_tenth_of_the_windows_is_unseen():
    made, seen = network(), []
    made.visual_columns = lambda tokens, n: seen.append(tokens) or VAura.visual_columns(made, tokens, n)
    generator, one = torch.Generator().manual_seed(0), batch(40)
    with torch.no_grad():
        for _ in range(10):
            training_loss(made, one, generator, ObjectiveConfig())
    nothing = made.cls_embeddings.uncond_embedding
    assert 20 <= sum(torch.equal(row, nothing) for rows in seen for row in rows) <= 60


@pytest.mark.parametrize("late_s", [0.0, 0.013, -0.1])
def test_a_picture_stands_at_the_column_that_makes_its_sound(late_s):
    """Column s makes codebook 0 of step s: the picture's moment must lie in that step or next to it."""
    made, step_s = network(), float(1 / SMALL.latent_rate_hz)
    blank = torch.zeros(1, V, SMALL.visual_dim)
    base = made.visual_columns(blank, L, late_s=late_s)
    for frame in range(4, V - 4):
        one = blank.clone()
        one[0, frame] = 1.0
        weight = (made.visual_columns(one, L, late_s=late_s) - base)[0].norm(dim=1)
        moment_s = frame / 25 + late_s
        strongest = weight.argmax().item()
        assert strongest * step_s - step_s / 2 <= moment_s <= (strongest + 1) * step_s + step_s / 2
        centre = ((torch.arange(L) + 0.5) * step_s * weight).sum() / weight.sum()
        assert abs(centre.item() - moment_s) < step_s / 2


def test_columns_past_the_pictures_are_empty():
    made = network()
    columns = made.visual_columns(batch(1).visual, 70)[0]
    last = int(Fraction(V - 1, 25) * SMALL.latent_rate_hz)
    assert (columns[last + 3 :] == made.empty_video_emb[0, 0]).all()
    assert (columns[: last + 1] != made.empty_video_emb[0, 0]).any(dim=1).all()


def test_codebooks_are_adopted_and_the_special_code_is_not():
    made, codebooks = network(), torch.randn(3, 16, 8)
    special = [embedding.emb.weight[16].clone() for embedding in made.tok_embeddings]
    made.adopt_codebooks(codebooks)
    for embedding, codebook, own in zip(made.tok_embeddings, codebooks, special, strict=True):
        assert torch.corrcoef(torch.stack([embedding.emb.weight[:16].flatten(), codebook.flatten()]))[0, 1] > 0.999
        assert torch.equal(embedding.emb.weight[16], own)


def test_events_of_the_picture_are_heard_at_their_steps():
    """Pictures at random times bring a code; after a short training the sampler brings it there."""
    torch.manual_seed(0)
    made, generator = VAura(replace(SMALL, n_codebooks=1, temperature=0.0)), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(made.parameters(), lr=5e-3)

    def draw_windows(n: int) -> VAuraBatch:
        visual = torch.zeros(n, V, SMALL.visual_dim)
        codes = torch.randint(0, 4, (n, L, 1), generator=generator)
        for row in range(n):
            for frame in (torch.randperm(10, generator=generator)[:3] * 3 + 2).tolist():
                visual[row, frame, :2] = 3.0
                codes[row, int(frame / 25 * SMALL.latent_rate_hz)] = 9
        return VAuraBatch(codes, visual)

    for _ in range(60):
        loss, _ = training_loss(made, draw_windows(16), generator, ObjectiveConfig())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    wanted = draw_windows(4)
    rngs = [torch.Generator().manual_seed(k) for k in range(4)]
    none = torch.zeros(4, L, 1), torch.zeros(4, L, dtype=torch.bool)
    heard = VAuraFamily(made).sample([window(v) for v in wanted.visual], *none, Settings(guidance=1.0), rngs)
    assert (heard == 9).any(dim=1).all()
    for row in range(4):
        found, true = (x[row, :, 0].eq(9).nonzero()[:, 0] for x in (heard, wanted.codes))
        assert len(found) == 3 and (found - true).abs().max() <= 1
