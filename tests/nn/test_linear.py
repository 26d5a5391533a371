"""Linear layers by oneDNN say what torch's own say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from foleycli import onednn
from foleycli.nn.linear import Linear
from foleycli.onednn import MIN_ROWS


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, MIN_ROWS), (2, 7, 50), (1, 215)])
def test_answers_are_equal_to_rounding_and_the_same_each_time(shape, bias):
    torch.manual_seed(0)
    layer, x = Linear(96, 160, bias=bias), torch.randn(*shape, 96)
    with torch.inference_mode():
        answer = layer(x)
        assert torch.equal(answer, layer(x))
    torch.testing.assert_close(answer, nn.functional.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-5)
    with_gelu = nn.functional.gelu(nn.functional.linear(x, layer.weight, layer.bias), approximate="tanh")
    with torch.inference_mode():
        torch.testing.assert_close(layer.with_gelu(x), with_gelu, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_as_near_as_torch_itself():
    torch.manual_seed(0)
    layer, x = Linear(96, 160), torch.randn(3, MIN_ROWS, 96)
    wanted = nn.functional.gelu(layer(x), approximate="tanh")
    with torch.inference_mode():
        short = layer.bfloat16().with_gelu(x.bfloat16())
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), wanted, rtol=0.02, atol=0.02)


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
        monkeypatch.setattr(onednn, "has_onednn_operators", lambda: False)
        assert torch.equal(layer.float()(x), nn.functional.linear(x, layer.weight, layer.bias))
