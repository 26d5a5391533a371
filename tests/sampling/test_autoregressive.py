"""The delay pattern and the loop over columns, against measured patterns and made-up predictors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from madeup import FIXTURES

from foleycli.sampling.autoregressive import delay, draw_top_k, generate, undelay

V = 32  # codes of a codebook in the measured patterns


@pytest.fixture(scope="module")
def measured() -> dict[str, torch.Tensor]:
    with np.load(FIXTURES / "vaura_sampler.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files if name.startswith("pattern")}


def test_pattern_is_the_measured_one(measured):
    codes = measured["pattern_codes"].transpose(1, 2)  # [1, 5, 3]
    sequence = delay(codes, special=V)
    assert torch.equal(sequence.transpose(1, 2), measured["pattern_sequence"])
    assert torch.equal((sequence != V)[0].T, measured["pattern_mask"])
    assert torch.equal(undelay(sequence).transpose(1, 2), measured["pattern_reverted"])
    assert measured["pattern_reverted_mask"].all() and torch.equal(measured["pattern_reverted"], codes.transpose(1, 2))


@settings(max_examples=50, deadline=None)
@given(n_steps=st.integers(1, 12), n_codebooks=st.integers(1, 9), n_batch=st.integers(1, 3))
def test_delay_keeps_every_code_once(n_steps, n_codebooks, n_batch):
    codes = torch.arange(n_batch * n_steps * n_codebooks).view(n_batch, n_steps, n_codebooks)
    sequence = delay(codes, special=-1)
    assert sequence.shape == (n_batch, n_steps + n_codebooks, n_codebooks)
    assert torch.equal(undelay(sequence), codes)
    assert torch.equal(sequence[sequence >= 0].sort().values, codes.flatten())
    assert (sequence[:, 0] == -1).all()
    steps = torch.arange(n_steps + n_codebooks)[:, None] - 1 - torch.arange(n_codebooks)  # [C, K]
    assert torch.equal(sequence[0] >= 0, (steps >= 0) & (steps < n_steps))


def counting(sequence: torch.Tensor) -> torch.Tensor:
    """A predictor that is sure: each codebook's next code is its last one plus 1."""
    last = torch.where(sequence[:, -1] == V, -1, sequence[:, -1])
    return torch.nn.functional.one_hot((last + 1) % V, V).float() * 50


def greedy(logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    return draw_top_k(logits, uniform, temperature=0, top_k=0)


def test_loop_follows_the_predictor():
    nothing = torch.zeros(2, 7, 3, dtype=torch.long)
    made = generate(counting, greedy, nothing, torch.zeros(2, 7).bool(), torch.rand(2, 7, 3), special=V)
    assert torch.equal(made, torch.arange(7)[None, :, None].expand(2, 7, 3))


@pytest.mark.parametrize("where", [slice(0, 4), slice(3, 6), slice(8, 9), slice(0, 9)])
def test_known_steps_come_back_and_are_heard(where):
    known = torch.full((1, 9, 3), 20)
    is_known = torch.zeros(1, 9, dtype=torch.bool)
    is_known[:, where] = True
    made = generate(counting, greedy, known, is_known, torch.rand(1, 9, 3), special=V)
    assert (made[:, where] == 20).all()
    assert (made[:, : where.start] == torch.arange(where.start)[None, :, None]).all()
    after = made[:, where.stop :]
    assert (after == 21 + torch.arange(after.shape[1])[None, :, None]).all()


def test_known_beginning_costs_one_call():
    lengths = []

    def predict(sequence):
        lengths.append(sequence.shape[1])
        return counting(sequence)

    is_known = torch.zeros(1, 9, dtype=torch.bool)
    is_known[:, :6] = True
    generate(predict, greedy, torch.zeros(1, 9, 3, dtype=torch.long), is_known, torch.rand(1, 9, 3), special=V)
    assert lengths == [7, 8, 9, 10, 11]  # from the first unknown step's first codebook to the last one's last


def test_rows_do_not_mix():
    known, is_known = torch.randint(0, V, (2, 6, 3)), torch.tensor([[True] * 4 + [False] * 2, [False] * 6])
    numbers = torch.rand(2, 6, 3)

    def predict(sequence):
        return torch.sin(sequence.sum(dim=1, keepdim=True).float().transpose(1, 2) * (1 + torch.arange(V)))

    def draw(logits, uniform):
        return draw_top_k(logits, uniform, 1.0, 8)

    both = generate(predict, draw, known, is_known, numbers, special=V)
    for row in range(2):
        piece = slice(row, row + 1)
        assert torch.equal(
            both[piece], generate(predict, draw, known[piece], is_known[piece], numbers[piece], special=V)
        )


def test_draws_follow_the_chances():
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()[None, None].expand(1, 4000, 4)
    numbers = torch.rand(1, 4000, generator=torch.Generator().manual_seed(0))
    shares = torch.bincount(draw_top_k(logits, numbers, 1.0, 0)[0], minlength=4) / 4000
    assert torch.allclose(shares, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.03)
    top = torch.bincount(draw_top_k(logits, numbers, 1.0, 2)[0], minlength=4) / 4000
    assert torch.allclose(top, torch.tensor([0.0, 0.0, 3 / 7, 4 / 7]), atol=0.03)
    cold = torch.bincount(draw_top_k(logits, numbers, 0.25, 0)[0], minlength=4) / 4000
    assert cold[3] > 0.65


def test_ties_with_the_last_of_the_most_likely_stay_in():
    logits = torch.tensor([2.0, 1.0, 1.0, 0.0])[None, None].expand(1, 500, 4)
    drawn = draw_top_k(logits, torch.rand(1, 500), 1.0, 2)
    assert set(drawn.unique().tolist()) == {0, 1, 2}


@pytest.mark.parametrize("number", [0.0, 1.0 - 2**-24, 1.0])
def test_ends_of_the_distribution_are_possible_codes(number):
    logits = torch.tensor([-60.0, 1.0, 2.0, -60.0])[None, None]
    assert draw_top_k(logits, torch.full((1, 1), number), 1.0, 2).item() in (1, 2)
