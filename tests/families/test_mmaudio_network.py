"""MMAudio's network: published keys, measured numbers, alignment of the synchronisation tokens."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from madeup import FIXTURES, made_up_input
from mmaudio_parts import error_of, made_up, published, shapes

from foleycli.errors import FoleyError
from foleycli.families.mmaudio.blocks import ChannelLastConv, GatedMlp, rotary_table, rotate
from foleycli.families.mmaudio.config import NETWORKS, MMAudioConfig, n_clip_steps, n_segments
from foleycli.families.mmaudio.network import MMAudio, MMAudioInputs, distinct_rows, token_of_step
from foleycli.records import Features, Stream
from foleycli.windows.compose import cut_features

REDUCED = MMAudioConfig(
    latent_dim=20, width=128, n_heads=2, n_joint=2, n_fused=2, latent_rate_hz=Fraction(31), window_steps=63
)
CLOSE = 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_and_shapes_are_those_of_the_published_file(name):
    with torch.device("meta"):
        network = MMAudio(NETWORKS[name])
    assert shapes(network) == published(name)
    state = {key: torch.empty(shape, device="meta") for key, shape in published(name).items()}
    network.load_state_dict(state, strict=True, assign=True)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("small_16k", 157.283644), ("small_44k", 157.409144), ("medium_44k", 621.805944),
     ("large_44k", 1030.002168), ("large_44k_v2", 1030.575608)],
)  # fmt: skip
def test_number_of_weights(name, millions):
    with torch.device("meta"):
        network = MMAudio(NETWORKS[name])
    assert sum(value.numel() for value in network.state_dict().values()) == round(millions * 1e6)


@pytest.fixture(params=["v1", "v2"])
def measured(request):
    """A reduced network with made-up weights, its inputs, and what the reference gave."""
    network = MMAudio(replace(REDUCED, is_v2=request.param == "v2"))
    network.load_state_dict(made_up(network, 1.2))
    inputs = MMAudioInputs(
        made_up_input("clip", (2, 8, 1024)),
        made_up_input("sync", (2, 16, 768)),
        made_up_input("text", (2, 77, 1024)),
        torch.zeros(2),
    )
    return network.eval().requires_grad_(False), inputs, np.load(FIXTURES / f"mmaudio_net_{request.param}.npz")


def empty(network: MMAudio) -> MMAudioInputs:
    return MMAudioInputs(
        network.empty_clip_feat.expand(2, 8, -1),
        network.empty_sync_feat.expand(2, 16, -1),
        network.empty_string_feat.expand(2, -1, -1),
        torch.zeros(2),
    )


def test_conditions_and_flow_are_as_measured(measured):
    network, inputs, numbers = measured
    of, t = network.encode_conditions(inputs, 31), torch.tensor([0.37, 0.81])
    made = {"clip_f": of.clip, "sync_f": of.sync[of.sync_of_step], "text_f": of.text, "clip_f_c": of.clip_mean}
    made |= {"text_f_c": of.text_mean, "t_embed": network.t_embed(t)}
    x = made_up_input("latent", (2, 31, 20))
    made |= {"flow": network(x, t, of), "empty_flow": network(x, t, network.encode_conditions(empty(network), 31))}
    assert {name: error_of(value, numbers[name]) < CLOSE for name, value in made.items()} == dict.fromkeys(made, True)


def test_other_lengths_are_as_measured(measured):
    network, inputs, numbers = measured
    clip, sync = made_up_input("clipL", (1, 16, 1024)), made_up_input("syncL", (1, 40, 768))
    of = network.encode_conditions(MMAudioInputs(clip, sync, inputs.text[:1], torch.zeros(1)), 63)
    flow = network(made_up_input("latentL", (1, 63, 20)), torch.tensor([0.5]), of)
    assert error_of(flow, numbers["flow_long"]) < CLOSE


@pytest.mark.parametrize("n_steps", [48, 345, 346])
@pytest.mark.parametrize(
    ("kernel", "dtype", "close"), [(3, "float32", 1e-5), (7, "float32", 1e-5), (3, "bfloat16", 0.02)]
)
def test_convolutions_without_gradients_are_those_with_them(n_steps, kernel, dtype, close):
    torch.manual_seed(0)
    x = torch.randn(2, n_steps, 64).to(getattr(torch, dtype))
    for module in (ChannelLastConv(64, 96, kernel), GatedMlp(64, 128, kernel)):
        module.to(x.dtype)
        before = {name: value.detach().clone() for name, value in module.state_dict().items()}
        plain = module(x).detach()
        with torch.inference_mode():
            made = module(x)
        again = module(x).detach()  # its weights lie in another order now
        assert all((other - plain).abs().max() < close * plain.abs().max() for other in (made, again))
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_weights_made_without_gradients_may_lie_in_another_order_too():
    x = torch.randn(2, 48, 64)
    with torch.inference_mode():
        module = ChannelLastConv(64, 96, 7)
        plain = torch.nn.Conv1d.forward(module, x.transpose(1, 2)).transpose(1, 2)
        assert torch.allclose(module(x), plain, atol=1e-5) and torch.allclose(module(x), plain, atol=1e-5)


def test_guidance_passes_may_read_the_same_latents(measured):
    network, inputs, _ = measured
    of, t = network.encode_conditions(inputs, 31), torch.full((2,), 0.37)
    x = made_up_input("latent", (1, 31, 20))
    assert torch.allclose(network(x, t, of), network(x.repeat(2, 1, 1), t, of), atol=1e-5)


def test_repeated_tokens_are_kept_once():
    tokens = torch.tensor([[0, 1, 0, 1, 2], [1, 1, 1, 1, 1]])[..., None] * torch.randn(1, 1, 4)
    rows, window, place = distinct_rows(tokens)
    assert len(rows) == 4 and window.tolist() == [0, 0, 0, 1]
    assert torch.equal(rows[place], tokens) and torch.equal(window[place], torch.tensor([[0] * 5, [1] * 5]))


def test_denormalised_latents_are_as_measured(measured):
    network, _, numbers = measured
    raw = network.denormalise(torch.from_numpy(numbers["euler25_cfg45"]))
    assert error_of(raw, numbers["unnormalized"]) < 1e-6
    assert torch.allclose(network.normalise(raw), torch.from_numpy(numbers["euler25_cfg45"]), atol=1e-5)


def test_positions_are_as_measured():
    numbers = np.load(FIXTURES / "rope.npz")
    for name, scale in (("latent_rot", 1.0), ("clip_rot", 345 / 64)):
        cos, sin = rotary_table(5, 64, scale, torch.device("cpu"))
        matrices = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        assert error_of(matrices[None], numbers[name]) < 1e-5
    x = torch.randn(1, 2, 5, 64)
    table = rotary_table(5, 64, 1.0, x.device)
    turned = torch.einsum("lpij,bhlpj->bhlpi", torch.from_numpy(numbers["latent_rot"])[0], x.unflatten(-1, (-1, 2)))
    assert torch.allclose(rotate(x, table), turned.flatten(-2), atol=1e-5)
    assert error_of(rotate(made_up_input("q", (1, 2, 5, 64)), table), numbers["applied"]) < CLOSE


@pytest.mark.parametrize(("n_tokens", "n_steps"), [(192, 345), (192, 250), (16, 31), (40, 63), (8, 40), (184, 331)])
def test_tokens_are_spread_as_torch_spreads_them(n_tokens, n_steps):
    ramp = torch.arange(n_tokens, dtype=torch.float32)[None, None]
    wanted = F.interpolate(ramp, n_steps, mode="nearest-exact")[0, 0].long()
    assert torch.equal(token_of_step(n_tokens, n_steps, torch.zeros(1))[0], wanted)


def test_windows_off_the_grid_of_segments_see_the_same_moments():
    """Segments of a whole video, told by their times; a window anywhere must be told of its own moments."""
    in_token_s = torch.arange(8) * 0.08
    whole = Stream((torch.arange(100) * 0.32)[:, None] + in_token_s, Fraction(25, 8))

    def told(start_s: Fraction) -> torch.Tensor:
        features = Features({"sync": whole}, torch.zeros(1))
        window = cut_features(features, start_s, Fraction(8), Fraction(0)).streams["sync"]
        tokens = window.values[:24].flatten()  # [192]
        return tokens[token_of_step(192, 345, torch.tensor([-25 * window.late_s]))[0]] - float(start_s)

    straight = told(Fraction(0))
    for start_s in (Fraction(16, 50), Fraction(1), Fraction(7, 5), Fraction(209, 100)):
        late = told(start_s) - straight
        assert abs(float(late[10:-10].mean())) < 0.03 and float(late.abs().max()) < 0.35


def test_lengths_of_eight_seconds():
    for n_steps, rate_hz in ((345, Fraction(44100, 1024)), (250, Fraction(125, 4))):
        assert (n_clip_steps(n_steps / rate_hz), n_segments(n_steps / rate_hz)) == (64, 24)
    assert (n_clip_steps(Fraction(1, 50)), n_segments(Fraction(1, 50))) == (1, 1)


def test_unknown_networks_are_refused():
    with pytest.raises(FoleyError, match="huge_44k"):
        MMAudioConfig.parse("huge_44k")
    with pytest.raises(FoleyError, match="missing"):
        MMAudioConfig.parse({"width": 64})


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_full_size_makes_a_step(name):
    config = NETWORKS[name]
    with torch.device("meta"):
        network = MMAudio(config)
    network.to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.inference_mode():
        block = 0.02 * torch.randn(1 << 20)  # repeated: a thousand million random numbers take long
        for value in network.state_dict().values():
            flat = value.view(-1)
            for piece in flat.split(len(block)):
                piece.copy_(block[: len(piece)])
        inputs = MMAudioInputs(
            torch.randn(1, 64, 1024), torch.randn(1, 192, 768), torch.randn(1, 77, 1024), torch.zeros(1)
        )
        x = torch.randn(1, config.window_steps, config.latent_dim)
        flow = network(x, torch.tensor([0.5]), network.encode_conditions(inputs, config.window_steps))
    assert flow.shape == x.shape and flow.isfinite().all() and flow.std() > 0
