"""V-AURA's network: the published keys, the measured numbers, the cache."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from madeup import FIXTURES, made_up_codes, made_up_input, made_up_state

from foleycli.errors import FoleyError
from foleycli.families.vaura.config import SIZES, VAuraConfig
from foleycli.families.vaura.network import Cache, VAura, visual_index
from foleycli.sampling.autoregressive import delay
from foleycli.sampling.guidance import guide

# The size at which the reference network was measured.
REDUCED = VAuraConfig(width=192, n_heads=4, n_layers=3, n_codebooks=3, codebook_size=32, visual_width=64)


@pytest.fixture(scope="module")
def measured() -> dict[str, torch.Tensor]:
    with np.load(FIXTURES / "vaura_sampler.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def reduced() -> VAura:
    with torch.device("meta"):
        network = VAura(REDUCED)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    network.load_state_dict(made_up_state(shapes, gain=1.2, prefix="sampler."), assign=True)
    return network.eval().requires_grad_(False)


def assert_near(made: torch.Tensor, wanted: torch.Tensor, relative: float = 1e-4) -> None:
    assert made.shape == wanted.shape
    assert (made - wanted).abs().max() < relative * wanted.abs().max()


def both_passes(network: VAura, sequence: torch.Tensor, visual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [B, C, K, V] with the picture and without."""
    n_batch, n_columns = sequence.shape[:2]
    seen = network(sequence, network.visual_columns(visual, n_columns))
    return seen, network(sequence, network.visual_columns(None, n_columns).expand(n_batch, -1, -1))


def test_published_network_has_the_published_keys():
    listed = dict(line.split("\t") for line in (FIXTURES / "vaura_keys.txt").read_text().splitlines())
    with torch.device("meta"):
        state = VAura(SIZES["published"]).state_dict()
    assert {f"sampler.{key}": str(list(value.shape)) for key, value in state.items()} == listed
    assert len(listed) == 218 and sum(value.numel() for value in state.values()) == 694_554_696


def test_made_up_weights_are_the_measured_ones(measured):
    assert_near(made_up_input("vaura_visual", (2, 32, 768))[0, 0, :8], measured["probe_visual"], 1e-6)
    assert_near(reduced().layers[0].attention.wqkv.weight[0, :8], measured["probe_wqkv"], 1e-6)
    codes = made_up_codes("vaura_codes", (2, 3, 20), 32)
    assert torch.equal(codes, measured["codes"])


def test_parts_give_the_measured_numbers(measured):
    network, visual = reduced(), made_up_input("vaura_visual", (2, 32, 768))
    sequence = measured["sequence"].transpose(1, 2)
    audio, columns = network.embed(sequence), network.visual_columns(visual, 23)
    assert_near(network.cls_embeddings.projection(visual), measured["video_projection"])
    assert_near(audio, measured["audio_embedding"])
    assert_near(torch.cat([columns, audio], dim=-1), measured["fused"])
    heard = {}
    network.layers[0].register_forward_hook(lambda _, __, out: heard.update(layer0=out))
    network.norm.register_forward_hook(lambda _, __, out: heard.update(final_norm=out))
    network(sequence, columns)
    assert_near(heard["layer0"], measured["layer0"])
    assert_near(heard["final_norm"], measured["final_norm"])


def test_logits_are_the_measured_ones(measured):
    network, visual = reduced(), made_up_input("vaura_visual", (2, 32, 768))
    seen, unseen = both_passes(network, measured["sequence"].transpose(1, 2), visual)
    assert_near(seen.transpose(1, 2), measured["logits_cond"])
    assert_near(unseen.transpose(1, 2), measured["logits_uncond"])
    assert_near(guide(torch.cat([seen, unseen]), 6.0).transpose(1, 2), measured["logits_cfg6"])


def test_logits_beyond_the_last_visual_token_are_the_measured_ones(measured):
    network, visual = reduced(), made_up_input("vaura_visual_long", (1, 32, 768))
    sequence = delay(measured["long_codes"].transpose(1, 2), REDUCED.special)
    columns = network.visual_columns(visual, 230)
    fused = torch.cat([columns, network.embed(sequence)], dim=-1)
    assert_near(fused[:, 216:], measured["long_fused"])
    seen, unseen = both_passes(network, sequence, visual)
    assert_near(seen[:, 216:].transpose(1, 2), measured["long_logits_cond"])
    assert_near(unseen[:, 216:].transpose(1, 2), measured["long_logits_uncond"])
    guided = guide(torch.cat([seen, unseen]), 6.0)[:, 216:]
    assert_near(guided.transpose(1, 2), measured["long_logits_cfg6"])


@pytest.mark.parametrize("pieces", [[1] * 23, [23], [5, 1, 1, 7, 9], [1, 22]])
def test_cache_equals_full_recomputation(measured, pieces):
    network, visual = reduced(), made_up_input("vaura_visual", (2, 32, 768))
    sequence = measured["sequence"].transpose(1, 2)
    columns = network.visual_columns(visual, 23)
    cache, parts, start = Cache(room=23), [], 0
    for n in pieces:
        parts.append(network(sequence[:, start : start + n], columns[:, start : start + n], cache))
        start += n
    assert torch.allclose(torch.cat(parts, dim=1), network(sequence, columns), atol=1e-4, rtol=1e-5)


def test_a_column_does_not_hear_what_follows(measured):
    network, visual = reduced(), made_up_input("vaura_visual", (2, 32, 768))
    sequence = measured["sequence"].transpose(1, 2)
    other = sequence.clone()
    other[:, 10:] = (other[:, 10:] + 1) % 32
    columns = network.visual_columns(visual, 23)
    first, second = network(sequence, columns), network(other, columns)
    assert torch.allclose(first[:, :10], second[:, :10], atol=1e-5)
    assert not torch.allclose(first[:, 10], second[:, 10], atol=1e-2)


def test_last_only_is_the_last_column(measured):
    network, visual = reduced(), made_up_input("vaura_visual", (2, 32, 768))
    sequence, columns = measured["sequence"].transpose(1, 2), network.visual_columns(visual, 23)
    last = network(sequence, columns, last_only=True)
    assert torch.allclose(last, network(sequence, columns)[:, -1:], atol=1e-5)


def test_visual_tokens_by_count_or_by_time():
    by_count = visual_index(SIZES["published"], 230)
    assert by_count.tolist() == [column // 7 for column in range(230)]
    true_time = replace(SIZES["published"], visual_repeat=0)
    steps_s = [Fraction(512 * column, 44100) for column in range(230)]
    assert visual_index(true_time, 230).tolist() == [int(time_s * Fraction(25, 2)) for time_s in steps_s]
    assert by_count[219] == 31 and visual_index(true_time, 220)[219] == 31  # both end with the window


def test_mini_learns_a_batch():
    torch.manual_seed(0)
    config = replace(SIZES["mini"], width=64, n_heads=2, n_layers=1, visual_width=16, codebook_size=16, dropout=0.0)
    network = VAura(config)
    codes = torch.randint(0, 16, (4, 12, 9))
    sequence = delay(codes, config.special)
    visual = torch.randn(4, 20, config.visual_dim)
    optimiser, losses = torch.optim.AdamW(network.parameters(), lr=5e-3), []
    for _ in range(30):
        logits = network(sequence[:, :-1], network.visual_columns(visual, sequence.shape[1] - 1))
        is_code = sequence[:, 1:] != config.special
        loss = torch.nn.functional.cross_entropy(logits[is_code], sequence[:, 1:][is_code])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert abs(losses[0] - np.log(16)) < 1e-3  # new heads answer zero
    assert losses[-1] < 0.8 * losses[0]


def test_config_goes_through_json():
    for config in SIZES.values():
        assert VAuraConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(FoleyError, match="n_ears"):
        VAuraConfig.from_dict({"n_ears": 2})
