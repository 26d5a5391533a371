"""The synchronisation encoder: pictures in any pieces give the same vectors; heads, peaks, sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from foleycli.errors import FoleyError
from foleycli.features import sync
from foleycli.features.sync import SyncConfig, SyncEncoder, SyncExtractor, to_grey
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save

SMALL = SyncConfig(size_px=32, width=16, video_channels=(8, 8, 8), n_queries=2, audio_channels=(4, 8, 8), n_mels=32)


@pytest.fixture(scope="module")
def encoder() -> SyncEncoder:
    torch.manual_seed(0)
    return SyncEncoder(SMALL).eval().requires_grad_(False)


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 40, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("sizes", [[1] * 30, [7, 0, 130, 3, 111], [50] * 5, [250], [99, 2, 120]])
def test_pictures_in_pieces_give_what_they_give_at_once(encoder, sizes):
    frames = pictures(sum(sizes))
    session = SyncExtractor(encoder, 0.5).start()
    for first, n in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        session.push(frames[first : first + n])
    made = session.finish()
    whole = encoder.features(to_grey(torch.from_numpy(frames)[None], SMALL.size_px))[0]
    assert made.rate_hz == FEATURE_FPS and made.values.shape == (len(frames), encoder.dim)
    assert torch.allclose(made.values, whole, atol=2e-5)


def test_frames_beyond_the_context_do_not_matter(encoder):
    frames = pictures(80)
    changed = frames.copy()
    changed[40] = 255 - changed[40]
    a, b = (encoder.features(to_grey(torch.from_numpy(f)[None], SMALL.size_px))[0] for f in (frames, changed))
    differs = (a - b).abs().amax(dim=1) > 1e-6
    reach = SMALL.context_frames
    assert differs[40] and not differs[: 40 - reach].any() and not differs[41 + reach :].any()


@pytest.mark.parametrize("inputs", sorted(sync.INPUT_FORMS))
def test_every_form_of_input_is_the_same_in_pieces(inputs):
    torch.manual_seed(0)
    shown = SyncEncoder(replace(SMALL, inputs=inputs)).eval().requires_grad_(False)
    frames = pictures(240)
    session = SyncExtractor(shown, 0.5).start()
    for first in range(0, 240, 37):
        session.push(frames[first : first + 37])
    whole = shown.features(to_grey(torch.from_numpy(frames)[None], SMALL.size_px))[0]
    assert torch.allclose(session.finish().values, whole, atol=2e-5)
    assert shown(torch.rand(1, 1, 32, 32))[0].shape == (1, 1, SMALL.width)  # one picture has no neighbours


def test_differences_look_as_far_as_they_say():
    grey = torch.zeros(1, 9, 2, 2)
    grey[:, 4:] = 0.1
    for apart in (1, 2):
        before, after = sync.differences(grey, apart)
        assert before[0, :, 0, 0].nonzero().flatten().tolist() == list(range(4, 4 + apart))
        assert after[0, :, 0, 0].nonzero().flatten().tolist() == list(range(4 - apart, 4))


def test_normal_flow_is_the_speed_of_a_ramp():
    x = torch.arange(32.0)
    ramp = torch.stack([(x - 0.5 * k) * 0.1 for k in range(3)])[None, :, None].expand(1, 3, 8, 32)  # 0.5 px a picture
    across, down = sync.normal_flow(ramp)
    assert across[0, 1:, 4, 5:-5].mean() == pytest.approx(0.5, rel=0.15) and down.abs().max() < 1e-5


def test_unknown_form_of_input_is_refused():
    with pytest.raises(FoleyError, match="flowers"):
        SyncConfig(inputs="flowers")


def test_no_pictures_no_steps(encoder):
    assert SyncExtractor(encoder, 0.5).start().finish().values.shape == (0, encoder.dim)


def test_events_are_the_peaks_of_the_event_head(encoder):
    values = torch.zeros(50, encoder.dim)
    values[10, -2], values[11, -2], values[30, -2], values[40, -2] = 0.9, 0.6, 0.45, 0.2
    assert SyncExtractor(encoder, 0.4).events_s(Stream(values, FEATURE_FPS)) == pytest.approx([0.4, 1.2], abs=0.021)


def test_snippets_of_both_towers_meet_in_one_space(encoder):
    starts = torch.tensor([0, 16, 32])
    vectors, event, loudness = encoder(torch.rand(2, 50, 32, 32))
    video, audio = encoder.video_snippets(vectors, starts), encoder.audio_snippets(torch.randn(2, 2 * 44100), starts)
    assert video.shape == audio.shape == (2, 3, SMALL.width)
    assert torch.allclose(video.norm(dim=2), torch.ones(2, 3), atol=1e-5)
    assert event.shape == loudness.shape == (2, 50)


def test_folder_keeps_the_encoder(encoder, tmp_path):
    save(encoder.state_dict(), tmp_path, ModelConfig(kind="sync", network=SMALL.to_dict()), torch.float16)
    loaded = sync.load(tmp_path, torch.device("cpu"))
    grey = torch.rand(1, 30, 32, 32)
    assert torch.allclose(loaded.features(grey), encoder.features(grey), atol=0.03)  # fp16 on disk
