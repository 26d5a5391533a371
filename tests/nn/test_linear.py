"""Linear layers by oneDNN say what torch's own say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from foleycli.nn import linear
from foleycli.nn.linear import MIN_ROWS, Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, MIN_ROWS), (2, 7, 50), (1, 215)])
def test_answers_are_equal_to_rounding_and_the_same_each_time(shape, bias):
    torch.manual_seed(0)
    layer, x = Linear(96, 160, bias=bias), torch.randn(*shape, 96)
    with torch.inference_mode():
        answer = layer(x)
        assert torch.equal(answer, layer(x))
    torch.testing.assert_close(answer, nn.functional.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-5)


def test_inputs_need_not_be_contiguous():
    layer, x = Linear(96, 160), torch.randn(2, 96, 100).transpose(1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), layer(x.contiguous()))


def test_learning_and_other_precisions_go_the_usual_way(monkeypatch):
    layer, x = Linear(8, 4), torch.randn(MIN_ROWS, 8)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.inference_mode():
        assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
        monkeypatch.setattr(linear, "has_onednn_linear", lambda: False)
        assert torch.equal(layer.float()(x), nn.functional.linear(x, layer.weight, layer.bias))
