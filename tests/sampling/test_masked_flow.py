"""The sampler against fields whose answer is known."""

import math

import pytest
import torch

from foleycli.sampling import masked_flow, times

NOISE = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0))
DATA = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(1))
NOTHING = torch.zeros(2, 30, dtype=torch.bool)


def straight(x, t, step):
    return DATA - NOISE


@pytest.mark.parametrize("n_steps", [1, 2, 4, 6, 8, 32, 64])
def test_constant_velocity_reaches_the_data_in_any_number_of_steps(n_steps):
    made = masked_flow.sample(straight, NOISE, DATA, NOTHING, times.shortcut(n_steps))
    assert torch.allclose(made, DATA, atol=1e-5)


def test_linear_field_converges_to_its_exponential():
    def error(n_steps):
        made = masked_flow.sample(lambda x, t, step: -x, NOISE, DATA, NOTHING, times.uniform(n_steps))
        return (made - NOISE * math.exp(-1)).abs().max().item()

    made = masked_flow.sample(lambda x, t, step: -x, NOISE, DATA, NOTHING, times.uniform(4))
    assert torch.allclose(made, NOISE * 0.75**4, atol=1e-6)  # Euler's own answer
    assert error(64) < 0.03
    assert error(64) < 0.3 * error(16) < 0.09 * 5 * error(4)


def test_velocity_is_told_the_time_and_the_size_of_the_step():
    told = []

    def velocity(x, t, step):
        told.append((t, step))
        return torch.zeros_like(x)

    masked_flow.sample(velocity, NOISE, DATA, NOTHING, times.shortcut(3))
    assert told == [(0.0, 0.25), (0.25, 0.25), (0.5, 0.5)]


SPANS = {"prefix": [(0, 7)], "suffix": [(25, 30)], "middle": [(10, 19)], "both ends": [(0, 3), (28, 30)]}


@pytest.mark.parametrize("path", ["clean", "noised"])
@pytest.mark.parametrize("spans", SPANS.values(), ids=SPANS.keys())
def test_known_steps_come_back_bit_for_bit_and_others_are_made(spans, path):
    is_known = NOTHING.clone()
    for start, end in spans:
        is_known[:, start:end] = True
    made = masked_flow.sample(
        lambda x, t, step: torch.full_like(x, 3.0), NOISE, DATA, is_known, times.uniform(3), known_path=path
    )
    assert torch.equal(made[is_known], DATA[is_known])
    assert torch.allclose(made[~is_known], NOISE[~is_known] + 3.0, atol=1e-5)


def test_known_steps_that_differ_by_row_stay_in_their_row():
    is_known = NOTHING.clone()
    is_known[0, :5] = True
    made = masked_flow.sample(straight, NOISE, -DATA, is_known, times.uniform(2))
    assert torch.equal(made[0, :5], -DATA[0, :5])
    assert torch.allclose(made[1], DATA[1], atol=1e-5)


@pytest.mark.parametrize("path", ["clean", "noised"])
def test_network_sees_known_steps_clean_or_on_their_line(path):
    is_known = NOTHING.clone()
    is_known[:, :5] = True

    def velocity(x, t, step):
        expected = DATA if path == "clean" else torch.lerp(NOISE, DATA, t)
        assert torch.equal(x[:, :5], expected[:, :5])
        return torch.ones_like(x)

    masked_flow.sample(velocity, NOISE, DATA, is_known, times.uniform(4), known_path=path)


def test_what_stands_at_unknown_steps_of_known_is_not_read():
    wild = torch.full_like(DATA, float("nan"))
    wild[:, :5] = DATA[:, :5]
    is_known = NOTHING.clone()
    is_known[:, :5] = True
    made = masked_flow.sample(straight, NOISE, wild, is_known, times.uniform(4), known_path="noised")
    assert made.isfinite().all()


def test_progress_is_reported():
    seen = []
    masked_flow.sample(straight, NOISE, DATA, NOTHING, times.uniform(2), report=lambda *progress: seen.append(progress))
    assert seen == [("sampler", 1, 2), ("sampler", 2, 2)]
