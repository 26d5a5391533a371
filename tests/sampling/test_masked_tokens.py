"""Decoding of masked codes against predictors whose answer is known."""

import pytest
import torch

from foleycli.sampling.masked_tokens import draw_frames, gumbel, most_confident, n_masked, sample

B, L, K, V = 2, 24, 3, 16
TRUTH = torch.randint(0, V, (B, L, K), generator=torch.Generator().manual_seed(1))


class Knowing:
    """Certain of the true codes, surer the earlier the frame; notes what it was asked."""

    def __init__(self, certainty: float = 50.0):
        self.certainty = certainty
        self.asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, codes, is_masked):
        self.asked.append((codes.clone(), is_masked.clone()))
        strength = self.certainty - torch.arange(L) / L  # [L]

        def level(coarser):
            right = torch.nn.functional.one_hot(TRUTH[: len(codes), :, coarser.shape[-1]], V)
            return strength[:, None] * right

        return level


def rngs(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def nothing_known() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(B, L, K, dtype=torch.long), torch.zeros(B, L, dtype=torch.bool)


def run(predict, n_iterations=8, seeds=(0, 1), **how):
    return sample(predict, *nothing_known(), rngs(*seeds), n_iterations, **how)


@pytest.mark.parametrize("n_iterations", [1, 2, 7, 16, 64])
def test_codes_of_a_certain_predictor_are_found(n_iterations):
    predict = Knowing()
    assert torch.equal(run(predict, n_iterations), TRUTH)
    assert len(predict.asked) == n_iterations


def test_schedule_is_a_quarter_of_a_cosine():
    left = [n_masked(torch.tensor([100]), done / 4).item() for done in range(5)]
    assert left == [100, 92, 70, 38, 0]
    assert n_masked(torch.tensor([[0], [1]]), 0.5).tolist() == [[0], [0]]


def test_as_many_frames_stay_masked_as_the_schedule_says_in_every_row():
    predict, (known, is_known) = Knowing(), nothing_known()
    is_known[1, 5:15] = True
    sample(predict, known, is_known, rngs(0, 1), 4)
    counts = [is_masked.sum(dim=1).tolist() for _, is_masked in predict.asked]
    assert counts == [[24, 14], [22, 12], [16, 9], [9, 5]]


def test_chosen_frames_stay_as_they_are():
    """Although the predictor changes its mind at every call."""
    calls = []

    def fickle(codes, is_masked):
        calls.append((codes, is_masked))
        logits = 30.0 * torch.nn.functional.one_hot(torch.tensor(len(calls)), V).expand(B, L, V)
        return lambda coarser: logits

    made = run(fickle, 6)
    for index, (codes, is_masked) in enumerate(calls):
        assert torch.equal(made[~is_masked], codes[~is_masked])
        assert (made[~is_masked] <= index).all()
    assert set(made[..., 0].unique().tolist()) == {1, 2, 3, 4, 5, 6}


def test_without_noise_the_most_confident_frames_come_first():
    predict = Knowing(certainty=2.0)
    run(predict, 4, mask_temperature=0.0, temperature=0.0)
    for _, is_masked in predict.asked:
        assert (is_masked.int().diff(dim=1) >= 0).all()  # chosen from the first frame on


def test_noise_on_the_order_takes_other_frames():
    predict = Knowing(certainty=2.0)
    run(predict, 4, mask_temperature=10.0, temperature=0.0)
    is_masked = predict.asked[2][1]
    assert (is_masked.int().diff(dim=1) < 0).any()
    assert not torch.equal(is_masked[0], is_masked[1])  # each row has its own noise


def test_known_codes_come_back_and_are_heard():
    predict, (known, is_known) = Knowing(), nothing_known()
    known = (TRUTH + 1) % V
    is_known[0, :6], is_known[0, 20:], is_known[1, 9] = True, True, True
    made = sample(predict, known, is_known, rngs(0, 1), 5)
    assert torch.equal(made[is_known], known[is_known])
    assert torch.equal(made[~is_known], TRUTH[~is_known])
    for codes, is_masked in predict.asked:
        assert torch.equal(codes[is_known], known[is_known]) and not is_masked[is_known].any()


def test_all_known_asks_for_nothing_new():
    known = TRUTH + 0
    assert torch.equal(sample(Knowing(), known, torch.ones(B, L, dtype=torch.bool), rngs(0, 1), 3), known)


def test_seeds_say_what_is_drawn():
    flat = Knowing(certainty=1.0)
    first, again, other = run(flat), run(flat), run(flat, seeds=(2, 3))
    assert torch.equal(first, again)
    assert (first != other).float().mean() > 0.5
    alone = sample(flat, *(part[:1] for part in nothing_known()), rngs(0), 8)
    assert torch.equal(alone[0], first[0])


def test_frequencies_are_those_of_the_predictor():
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    uniforms = torch.rand(1, 20_000, 2, generator=torch.Generator().manual_seed(0))
    codes, confidence = draw_frames(lambda coarser: chances.log().expand(1, 20_000, 4), uniforms, temperature=1.0)
    for level in range(2):
        assert torch.allclose(codes[0, :, level].bincount(minlength=4) / 20_000, chances, atol=0.01)
    assert torch.allclose(confidence, chances.log()[codes].mean(dim=-1))
    cold, _ = draw_frames(lambda coarser: chances.log().expand(1, 20_000, 4), uniforms, temperature=0.0)
    assert (cold == 0).all()


def test_finer_levels_are_drawn_with_the_coarser_ones_of_their_frame_known():
    def levels(coarser):
        if coarser.shape[-1] == 0:
            return torch.zeros(B, L, V)
        return 50.0 * torch.nn.functional.one_hot((coarser[..., -1] + 3) % V, V)

    codes = run(lambda codes, is_masked: levels)
    assert torch.equal(codes[..., 1], (codes[..., 0] + 3) % V)
    assert torch.equal(codes[..., 2], (codes[..., 0] + 6) % V)
    assert len(codes[..., 0].unique()) > 8


def test_most_confident_takes_only_masked_frames():
    confidence = torch.tensor([[5.0, 1.0, 3.0, 2.0, 4.0]])
    is_masked = torch.tensor([[False, True, True, True, True]])
    assert most_confident(confidence, is_masked, torch.tensor([[2]])).tolist() == [[False, False, True, False, True]]


def test_gumbel_noise_is_finite_and_has_its_mean():
    noise = gumbel(torch.rand(100_000, generator=torch.Generator().manual_seed(0)))
    assert gumbel(torch.tensor([0.0, 1.0])).isfinite().all()
    assert abs(noise.mean() - 0.5772) < 0.02
