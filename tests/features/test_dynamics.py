"""The dynamics head: what moves more is louder, over seconds, whatever the length and the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foleycli.errors import FoleyError
from foleycli.features.dynamics import DynamicsConfig, DynamicsHead, curves_of, smooth
from foleycli.rendering.dynamics import predict_dynamics_db


def bump(n: int = 250, middle: int = 125, width: float = 20.0) -> np.ndarray:
    return np.exp(-0.5 * ((np.arange(n) - middle) / width) ** 2)


def motion(curve: np.ndarray) -> np.ndarray:
    return np.column_stack([0.2 * curve, 2 * curve]).astype(np.float32)


def test_the_shipped_head_is_louder_where_more_moves_and_where_the_encoder_hears_more():
    still, flat = np.zeros((250, 2), np.float32), np.full(250, -30.0)
    by_motion = predict_dynamics_db(flat, motion(bump(middle=70)))
    by_encoder = predict_dynamics_db(flat + 12 * bump(middle=180), still)
    assert by_motion.dtype == np.float32 and len(by_motion) == 250
    assert abs(int(by_motion.argmax()) - 70) < 5 and abs(int(by_encoder.argmax()) - 180) < 5
    for curve in (by_motion, by_encoder):
        assert 2 < np.ptp(curve) < 40


def test_one_moment_alone_moves_the_loudness_little_and_a_second_of_it_much():
    flat = np.full(250, -30.0)
    moment, long = np.zeros(250), np.zeros(250)
    moment[100], long[100:150] = 1, 1
    at_moment, at_long = (np.ptp(predict_dynamics_db(flat, motion(one))) for one in (moment, long))
    assert 4 * at_moment < at_long


def test_without_motion_the_encoder_alone_decides_and_without_loudness_nothing_is_predicted():
    assert predict_dynamics_db(None, motion(bump())) is None
    assert predict_dynamics_db(-30 + 12 * bump(), None).argmax() == 125
    assert len(predict_dynamics_db(np.full(1, -30.0), motion(np.ones(1)))) == 1


def test_smoothing_keeps_what_is_constant_up_to_the_ends():
    assert torch.allclose(smooth(torch.full((2, 40), 3.0), 0.8), torch.tensor(3.0))
    curve = torch.from_numpy(bump()).float()[None]
    assert smooth(curve, 0.8).sum() == pytest.approx(float(curve.sum()), rel=1e-3)


def test_the_first_picture_has_no_motion_of_its_own():
    moved = motion(np.ones(5))
    moved[0] = 0
    assert curves_of(np.zeros(5), moved)[0, 1] == curves_of(np.zeros(5), moved)[1, 1] > 0


@pytest.mark.parametrize(
    "values", [{"curves": ("loudness",)}, {"curves": ("noise",), "smoothing_s": (1.0,)},
               {"curves": ("peak",), "smoothing_s": (0.0,)}]
)  # fmt: skip
def test_a_head_that_cannot_be_is_refused(values: dict):
    with pytest.raises(FoleyError):
        DynamicsHead(DynamicsConfig(**values))
