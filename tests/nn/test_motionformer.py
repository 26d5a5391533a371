"""Motionformer: the published keys, the measured numbers, where a token looks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from madeup import FIXTURES, made_up_input, made_up_state

from foleycli.errors import FoleyError
from foleycli.nn.motionformer import DividedAttention, Motionformer, MotionformerConfig, PatchPooling, load_tower

PREFIX = "vfeat_extractor."
PATH = Path("tower.pth")  # named in errors
TINY = MotionformerConfig(width=24, n_heads=2, n_blocks=2, hidden=32, size_px=32)


def shapes(config: MotionformerConfig) -> dict[str, tuple[int, ...]]:
    """The keys of a published file, its unused picture embedding with them."""
    with torch.device("meta"):
        tower = Motionformer(config)
    own = {PREFIX + key: tuple(value.shape) for key, value in tower.state_dict().items()}
    width, patch_px = config.width, config.patch_px
    return own | {
        PREFIX + "patch_embed.proj.weight": (width, 3, patch_px, patch_px),
        PREFIX + "patch_embed.proj.bias": (width,),
    }


def test_keys_and_shapes_are_those_of_the_published_file():
    listed = dict(line.split("\t") for line in (FIXTURES / "motionformer_keys.txt").read_text().splitlines())
    assert {key: str(list(shape)) for key, shape in shapes(MotionformerConfig()).items()} == listed
    assert len(listed) == 238


@pytest.mark.slow
def test_full_size_gives_the_measured_numbers():
    tower = load_tower(PATH, PREFIX, MotionformerConfig(), tensors=made_up_state(shapes(MotionformerConfig())))
    frames = made_up_input("syncframes", (1, 2, 16, 3, 224, 224), 0.5)[0]  # [segments, frames, 3, H, W]
    with torch.inference_mode():
        made = tower(frames.transpose(1, 2))
    measured = torch.from_numpy(np.load(FIXTURES / "synchformer_visual.npz")["feat"])[:, 0]
    assert (made - measured).abs().max() < 1e-4 * measured.abs().max()


def test_small_towers_give_steps_of_vectors_and_batches_do_not_mix():
    tower = load_tower(PATH, PREFIX, TINY, tensors=made_up_state(shapes(TINY)))
    segments = torch.rand(3, 3, 16, 32, 32) * 2 - 1
    made = tower(segments)
    assert made.shape == (3, 8, 24) and made.isfinite().all()
    assert torch.allclose(made[1:2], tower(segments[1:2]), atol=1e-5)


@pytest.mark.parametrize("along_time", [True, False])
def test_a_token_sees_its_own_place_or_its_own_time(along_time):
    torch.manual_seed(0)
    attention = DividedAttention(12, 2)
    x = torch.randn(1, 1 + 4 * 5, 12)  # 4 times, 5 patches
    other = x.clone()
    other[0, 1 + 2 * 5 + 3] += 1.0  # time 2, patch 3
    changed = (attention(x, 4, along_time) - attention(other, 4, along_time)).abs().sum(-1)[0] > 1e-6
    grid = changed[1:].view(4, 5)
    expected = torch.zeros(4, 5, dtype=torch.bool)
    if along_time:
        expected[:, 3] = True
    else:
        expected[2] = True
    assert changed[0] and torch.equal(grid, expected)


def test_pooling_gives_what_the_whole_layer_gives_its_class_token():
    torch.manual_seed(0)
    layer = PatchPooling(TINY).requires_grad_(False)
    torch.nn.init.normal_(layer.cls_token)
    patches = torch.randn(6, 10, TINY.width)
    whole = layer(torch.cat([layer.cls_token.expand(6, -1, -1), patches], dim=1))[:, 0]
    with torch.inference_mode():
        assert torch.allclose(layer.eval().pool(patches), whole, atol=1e-5)


def test_order_of_times_matters():
    tower = load_tower(PATH, PREFIX, TINY, tensors=made_up_state(shapes(TINY)))
    segments = torch.rand(1, 3, 16, 32, 32)
    assert not torch.allclose(tower(segments), tower(segments.flip(2)).flip(1), atol=1e-4)


def test_files_that_do_not_fit_are_refused():
    state = made_up_state(shapes(TINY))
    with pytest.raises(FoleyError, match="tower.pth does not hold the weights that are expected: .* missing"):
        load_tower(PATH, PREFIX, replace(TINY, n_blocks=3), tensors=state)
    with pytest.raises(FoleyError, match="extra"):
        load_tower(PATH, PREFIX, TINY, tensors=state | {PREFIX + "extra": torch.zeros(1)})
