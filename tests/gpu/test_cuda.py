"""Networks, codecs and whole renders on a GPU against the same on the CPU (`pytest -m gpu`).

FOLEY_TEST_DEVICE=cpu runs them where there is no GPU: they compare the CPU with itself then.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from measure_gpu import Machine, build, graphed, sample
from torch import Tensor

from foleycli.codecs.melvae import load as load_mel_vae
from foleycli.device import choose_dtype, oom_as_foley_error
from foleycli.errors import FoleyError
from foleycli.families import load_family
from foleycli.families.salsav.config import SIZES, SalsaVConfig
from foleycli.hub.catalog import SHIPPED
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.models.model import load_model
from foleycli.rendering.job import RenderJob
from foleycli.settings.settings import Settings

pytestmark = pytest.mark.gpu

DEVICE = torch.device(os.environ.get("FOLEY_TEST_DEVICE", "cuda"))
CPU = torch.device("cpu")
SETTINGS = Settings(steps=4, guidance=3.0)


def sampled(name: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    return sample(load_family(SHIPPED / name, device, dtype), 2.0, SETTINGS, 2)


@pytest.mark.parametrize("name", ["salsav-mini", "foleyflow-mini"])
def test_flows_are_those_of_the_cpu(name: str) -> None:
    torch.testing.assert_close(sampled(name, DEVICE), sampled(name, CPU), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", ["maskvat-mini", "vaura-mini"])
def test_codes_are_nearly_all_those_of_the_cpu(name: str) -> None:
    """A draw that rounding decides otherwise changes what comes after it."""
    here, there = sampled(name, DEVICE), sampled(name, CPU)
    assert here.shape == there.shape and (here == there).float().mean() > 0.5


def test_bfloat16_is_near() -> None:
    short, exact = sampled("salsav-mini", DEVICE, torch.bfloat16), sampled("salsav-mini", CPU)
    assert float((short - exact).square().mean() / exact.square().mean()) < 0.05


def test_known_steps_come_back_bit_for_bit() -> None:
    family = load_family(SHIPPED / "salsav-mini", DEVICE, torch.bfloat16)
    from foleycli.records import Features

    known, is_known = torch.randn(1, 60, 64), torch.zeros(1, 60, dtype=torch.bool)
    is_known[:, 20:40] = True
    made = family.sample(
        features=[Features({}, torch.zeros(family.spec.text_dim))],
        known=known,
        is_known=is_known,
        settings=SETTINGS,
        rngs=[torch.Generator().manual_seed(1)],
    )
    assert torch.equal(made[is_known], known[is_known]) and not torch.equal(made[~is_known], known[~is_known])


def test_the_codec_decodes_as_on_the_cpu() -> None:
    latents = torch.randn(1, 86, 64, generator=torch.Generator().manual_seed(0))
    here, there = (load_mel_vae(SHIPPED / "mel-mini", d, False).decode(latents.to(d)).cpu() for d in (DEVICE, CPU))
    assert float((here - there).square().mean() / there.square().mean()) < 1e-3


def test_a_render_is_the_same_twice_and_as_loud_as_on_the_cpu(tmp_path: Path) -> None:
    video = probe(SHIPPED / "demo.mp4")
    levels_db = {}
    for device in (DEVICE, CPU):
        model = load_model(SHIPPED / "salsav-mini", str(device), "float32")
        outs = [tmp_path / f"{device.type}{k}.wav" for k in range(2)]
        for out in outs:
            RenderJob(video, out, SETTINGS).run(model)
        assert outs[0].read_bytes() == outs[1].read_bytes()
        sound = read_audio(outs[0], channels=1).samples[0]
        powers = np.square(sound[: len(sound) // 4800 * 4800]).reshape(-1, 4800).mean(axis=1)
        levels_db[device] = 10 * np.log10(powers + 1e-8)
    assert np.abs(levels_db[DEVICE] - levels_db[CPU]).mean() < 1.0


def test_auto_is_bfloat16_where_the_card_has_it() -> None:
    has_it = DEVICE.type == "cuda" and torch.cuda.is_bf16_supported()
    assert choose_dtype("auto", DEVICE) == (torch.bfloat16 if has_it else torch.float32)


def test_a_full_device_is_told_with_a_way_out() -> None:
    with pytest.raises(FoleyError, match="memory") as told, oom_as_foley_error():
        torch.empty(1 << 60, dtype=torch.uint8, device=DEVICE)
    assert "--device cpu" in told.value.hint


def test_a_graph_of_the_step_gives_what_the_step_gives() -> None:
    if DEVICE.type != "cuda":
        pytest.skip("CUDA graphs need CUDA")
    family = build(Machine(DEVICE, True), SalsaVConfig.family, SIZES["mini"].to_dict(), torch.float32)
    plain = sample(family, 1.0, SETTINGS)
    with graphed(family):
        torch.testing.assert_close(sample(family, 1.0, SETTINGS), plain, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(sample(family, 1.0, SETTINGS), plain, rtol=1e-4, atol=1e-4)
