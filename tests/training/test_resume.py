"""Ten steps, a stop and ten more give the bytes of twenty steps: for what is drawn, and for what is kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from foleycli.settings import preset
from foleycli.training.pool import Pool
from foleycli.training.run import train

RECIPES = preset.folder() / "train"
# A network of a few thousand weights on drawn clips of a second, kept in a folder.
CLIPS = ["data.clips={duration_s: 1.0}", "data.sounds_per_clip=1", "data.first=3", "data.pool=4",
         "data.validation_clips=1", "data.shards=''"]  # fmt: skip
SMALL = ["network.width=16", "network.n_heads=2", "network.window_steps=43", "network.modulation_rank=4"]
COMMON = ["batch_size=2", "save_every=1000", "validate_every=1000", "log_every=5", "warmup_steps=3",
          "precision=float32"]  # fmt: skip
SALSAV = [*SMALL, "network.n_joint=1", "network.n_single=1", "objective.shortcut_from=2"]


class StoppedError(Exception):
    """As a kill, at the end of a step that is saved."""


def stop_after(step: int, steps: int) -> Callable[[str, float, float], None]:
    def report(stage: str, done: float, total: float) -> None:
        if stage == "train" and done > step / steps:
            raise StoppedError

    return report


def trained_twice(kind: str, recipe: Path, lines: list[str], tmp_path: Path, n: int) -> list[dict[str, Any]]:
    """The checkpoints of 2 n steps at one go, and with a kill after n + 1, of which n are saved."""
    lines = [*COMMON, *lines, f"steps={2 * n}"]
    how: dict[str, Any] = {"overrides": lines, "is_reduced": True, "device": "cpu"}
    train(kind, recipe, tmp_path / "whole", **how)
    with pytest.raises(StoppedError):
        train(
            kind,
            recipe,
            tmp_path / "parts",
            report=stop_after(n, 2 * n),
            **{**how, "overrides": [*lines, f"save_every={n}"]},
        )
    train(kind, recipe, tmp_path / "parts", resume=True, **how)
    return [torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts")]


def same(whole: Any, parts: Any, where: str = "") -> None:
    """Bit for bit, whatever is nested in it."""
    if isinstance(whole, torch.Tensor):
        assert torch.equal(whole, parts), where
    elif isinstance(whole, dict):
        assert whole.keys() == parts.keys(), where
        for key, value in whole.items():
            same(value, parts[key], f"{where}/{key}")
    elif isinstance(whole, list):
        for number, (mine, theirs) in enumerate(zip(whole, parts, strict=True)):
            same(mine, theirs, f"{where}/{number}")
    else:
        assert whole == parts, where


@pytest.mark.parametrize(("n", "fresh"), [(3, 0), pytest.param(10, 1, marks=pytest.mark.slow)])
def test_salsa_v_on_kept_examples_with_two_passes_a_step(tmp_path, n, fresh):
    lines = [*SALSAV, *CLIPS, f"data.fresh_per_step={fresh}", f"data.cache={tmp_path / 'clips'}", "total_batch=4"]
    whole, parts = trained_twice("salsa-v", RECIPES / "salsav-large.yaml", lines, tmp_path, n)
    assert whole["step"] == parts["step"] == 2 * n
    for key in ("network", "average", "optimizer"):
        same(whole[key], parts[key], key)
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_the_spectrogram_codec_whose_crops_come_from_a_pool(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "take.wav", 0.1 * rng.standard_normal(22050), 44100)
    recipe = tmp_path / "codec.yaml"
    recipe.write_text("name: codec\nsteps: 1\nbatch_size: 1\nlr: 1.0e-3\nreduced: {seed: 1}\n")
    network = "network={width: 16, n_encoder: 1, n_decoder: 1, n_codebooks: 2, codebook_size: 32, phase_rounds: 2}"
    data = f"data={{sounds: {tmp_path}, crop_steps: 8, first: 3, pool: 6, fresh_per_step: 2}}"
    whole, parts = trained_twice("mel-codec", recipe, [network, data], tmp_path, 4)
    same(whole["network"], parts["network"])


@pytest.mark.parametrize("n_taken", [0, 3, 5, 8, 10, 23])
def test_a_pool_that_is_made_again_is_the_one_that_was(n_taken):
    def items(first: int) -> Iterator[int]:
        return itertools.count(first)

    grown, again = Pool(items(0), 5), Pool.after(items, 5, n_taken)
    grown.take(n_taken)
    for pool in (grown, again):
        pool.take(2)
    rngs = [np.random.default_rng(1) for _ in range(2)]
    assert grown.draw(20, rngs[0]) == again.draw(20, rngs[1])
