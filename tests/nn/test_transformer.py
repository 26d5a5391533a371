"""Transformer parts: positions, modulation at the start of training."""

import pytest
import torch

from foleycli.families.salsav import config
from foleycli.nn.transformer import (
    MLPS,
    CrossAttention,
    Modulation,
    PlainBlock,
    QueryKeyValue,
    SelfAttention,
    TransformerBlock,
    attend,
    normed_and_rotated,
    rotary_at,
    rotary_table,
    rotate,
)


def test_rotation_keeps_lengths_and_products_depend_on_distance_only():
    x = torch.randn(1, 1, 1, 32).expand(1, 20, 1, 32)
    turned = rotate(x, rotary_table(20, 32))[0, :, 0]
    assert torch.allclose(turned.norm(dim=-1), x[0, :, 0].norm(dim=-1), atol=1e-4)
    products = turned @ turned.T
    assert torch.allclose(products[2, 5], products[9, 12], atol=1e-3)
    assert not torch.allclose(products[2, 5], products[2, 9], atol=1e-1)


def test_scaled_positions_fall_on_the_same_moment():
    fast, slow = rotary_table(41, 16), rotary_table(3, 16, position_scale=20.0)
    assert torch.allclose(slow, fast[:, ::20], atol=1e-4)


def test_queries_and_keys_have_unit_mean_square_whatever_the_input():
    query, key, value = QueryKeyValue(64, 4)(100.0 * torch.randn(2, 9, 64), rotary_table(9, 16))
    assert query.shape == key.shape == value.shape == (2, 4, 9, 16)
    for part in (query, key):
        assert torch.allclose(part.square().mean(dim=-1), torch.ones(2, 4, 9), atol=1e-3)


def test_attention_knows_where_tokens_are():
    attention, x = SelfAttention(32, 2), torch.randn(1, 12, 32)
    table = rotary_table(12, 16)
    flipped = attention(x.flip(1), table).flip(1)
    assert not torch.allclose(attention(x, table), flipped, atol=1e-4)
    standing = rotary_table(12, 16, position_scale=0.0)
    assert torch.allclose(attention(x, standing), attention(x.flip(1), standing).flip(1), atol=1e-5)


def test_attention_in_bfloat16_is_the_same_attention():
    query, key, value = torch.randn(3, 2, 4, 30, 16)
    exact = attend(query, key, value)
    weights = (query @ key.transpose(-1, -2) / 4).softmax(dim=-1)
    assert torch.allclose(exact, (weights @ value).transpose(1, 2).flatten(2), atol=1e-5)
    short = attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert short.dtype == torch.bfloat16
    assert torch.allclose(exact, short.float(), atol=0.05)


@pytest.mark.parametrize("loudest", [1.0, 300.0])
def test_attention_that_only_answers_in_bfloat16_is_the_same_whatever_the_scores(loudest):
    query, key, value = torch.randn(3, 2, 4, 30, 16).bfloat16()
    query = query * loudest  # at 300 a power of e is beyond the type
    learning = attend(query, key, value)
    with torch.inference_mode():
        answer = attend(query, key, value)
    assert torch.allclose(learning.float(), answer.float(), atol=0.05)


def test_queries_are_normed_and_rotated_alike_in_training_and_use():
    x, gain, table = 3 * torch.randn(2, 9, 4, 16), torch.rand(16) + 0.5, rotary_table(9, 16)
    learning = normed_and_rotated(x, gain, table)
    with torch.inference_mode():
        assert torch.allclose(normed_and_rotated(x, gain, table), learning, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 8])
def test_modulation_begins_as_shift_0_scale_1_gate_0(rank):
    vectors = Modulation(16, 9, rank)(torch.randn(2, 5, 16))
    assert [vector.unique().item() for vector in vectors] == [0.0, 1.0, 0.0] * 3


@pytest.mark.parametrize("mlp", MLPS)
def test_new_block_passes_its_input_and_every_weight_can_learn(mlp):
    block = TransformerBlock(32, 2, mlp, hidden=48, rank=4)
    x, condition = torch.randn(2, 7, 32), torch.randn(2, 7, 32)
    table = rotary_table(7, 16)
    assert torch.equal(block(x, condition, table), x)
    torch.nn.init.normal_(block.modulation.project.weight)
    block(x, condition, table).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in block.parameters())


def test_cross_attention_meets_tokens_of_the_same_moment():
    """Only the distance in time counts, also between sequences of two rates."""
    torch.manual_seed(0)
    attention, x, other = CrossAttention(32, 2), torch.randn(1, 6, 32), torch.randn(1, 24, 32)
    slow, fast = 4.0 * torch.arange(6.0), torch.arange(24.0)
    meet = attention(x, rotary_at(slow, 16), other, rotary_at(fast, 16))
    both_late = attention(x, rotary_at(slow + 9, 16), other, rotary_at(fast + 9, 16))
    one_late = attention(x, rotary_at(slow + 9, 16), other, rotary_at(fast, 16))
    assert torch.allclose(meet, both_late, atol=1e-4)
    assert not torch.allclose(meet, one_late, atol=1e-4)


def test_plain_block_reads_the_other_sequence_only_when_it_crosses():
    torch.manual_seed(0)
    block, x, table = PlainBlock(32, 2, 64, is_cross=True), torch.randn(1, 6, 32), rotary_table(6, 16)
    first, second = (block(x, table, torch.randn(1, 9, 32), rotary_table(9, 16)) for _ in range(2))
    assert first.shape == x.shape and not torch.allclose(first, second, atol=1e-3)
    assert PlainBlock(32, 2, 64)(x, table).shape == x.shape


def test_configurations_name_the_mlps_that_there_are():
    assert set(config.MLPS) == set(MLPS)
