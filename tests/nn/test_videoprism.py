"""VideoPrism against numbers from transformers 5.24's `VideoPrismVisionModel` with the same made-up weights."""

from __future__ import annotations

import pytest
import torch

from foleycli.nn.videoprism import VideoPrism, VideoPrismConfig

SMALL = VideoPrismConfig(width=24, n_heads=3, hidden=48, n_spatial=2, n_temporal=1, size_px=36, n_frames=4)


def test_made_up_weights_give_the_published_code_s_numbers() -> None:
    network = VideoPrism(SMALL).eval()
    with torch.no_grad():
        for k, (_, value) in enumerate(sorted(network.named_parameters())):
            value.copy_((0.4 * torch.sin(0.7 * torch.arange(value.numel()) + k)).view(value.shape))
    clips = (0.5 + 0.5 * torch.sin(0.3 * torch.arange(2 * 4 * 3 * 36 * 36))).view(2, 4, 3, 36, 36)
    with torch.no_grad():
        patches = network(clips)
    assert patches.shape == (2, 4, 4, 24)
    flat = patches.flatten(1, 2)
    assert flat[0, 0, :4].tolist() == pytest.approx([-1.5964, 1.04633, 0.3336, -1.29908], abs=2e-4)
    assert flat[1, 15, -4:].tolist() == pytest.approx([-0.38472, -0.46941, 0.21532, -0.60826], abs=2e-4)


def test_the_base_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = VideoPrism(VideoPrismConfig())
    assert sum(value.numel() for value in network.parameters()) == 114_365_184
