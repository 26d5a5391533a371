"""The large synchronisation encoder: trained in two steps, frozen where it should be, read back, and used."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from foleycli.errors import FoleyError
from foleycli.features import sync_large
from foleycli.features.sync_large import SyncLarge, SyncLargeConfig, SyncLargeExtractor
from foleycli.models.model import load_part_folder
from foleycli.settings import preset
from foleycli.training.recipe import read_recipe
from foleycli.training.run import train
from foleycli.training.sync_large import SyncLargeTask

RECIPE = preset.folder() / "train" / "sync-large.yaml"
SMALL = ["steps=2", "batch_size=2", "log_every=1", "data.pool=2", "data.shards=''", "objective.validation_clips=1",
         "data.duration_s=1.4", "network.size_px=24", "data.size_px=24", "network.n_audio=1"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:  # noqa: ANN001
    """A model folder after two steps over a backbone that was read from a file and frozen."""
    folder = tmp_path_factory.mktemp("sync-large")
    recipe = read_recipe(RECIPE, SMALL, is_reduced=True)
    torch.manual_seed(3)
    backbone = SyncLargeTask.without_data(recipe).network.picture.backbone
    save_file(backbone.state_dict(), folder / "model.safetensors")
    frozen = ["objective.freeze_backbone=true", f"objective.backbone={folder}"]
    return train("sync-large", RECIPE, folder / "run", overrides=[*SMALL, *frozen], is_reduced=True, device="cpu")


def test_a_frozen_backbone_stays_and_the_rest_learns(trained):
    weights, given = load_file(trained / "model.safetensors"), load_file(trained.parent.parent / "model.safetensors")
    for name, value in given.items():
        assert torch.equal(weights[f"picture.backbone.{name}"].float(), value.half().float()), name
    assert weights["sound_out.weight"].abs().sum() > 0


def test_what_was_trained_gives_a_vector_a_frame_whatever_the_pieces(trained):
    extractor = load_part_folder(trained, "sync", torch.device("cpu"), torch.float32)
    assert isinstance(extractor, SyncLargeExtractor) and extractor.frame_format.side_px == 24
    frames = np.random.default_rng(0).integers(0, 255, (37, 24, 24, 3)).astype(np.uint8)
    streams = []
    for pieces in ([37], [5, 20, 12]):
        session, first = extractor.start(), 0
        for n in pieces:
            session.push(frames[first : first + n])
            first += n
        streams.append(session.finish())
    assert streams[0].values.shape == (37, 96) and streams[0].rate_hz == 25
    torch.testing.assert_close(streams[0].values, streams[1].values)
    heard = extractor.encoder.audio_features(torch.randn(1, 16000))
    assert heard.shape == (1, 12, 96)  # one for two frames


def test_both_towers_give_a_vector_of_length_one_a_snippet(trained):
    encoder = sync_large.load(trained, torch.device("cpu"))
    pictures = torch.randint(255, (2, 2, 16, 24, 24, 3), dtype=torch.uint8)
    seen, heard = encoder(pictures, torch.randn(2, 2, encoder.config.snippet_samples))
    assert seen.shape == heard.shape == (2, 2, 96)
    assert torch.cat([seen, heard]).norm(dim=-1).flatten().tolist() == pytest.approx([1.0] * 8, abs=1e-5)


def test_a_backbone_without_weights_is_not_frozen_by_mistake() -> None:
    recipe = read_recipe(RECIPE, [*SMALL, "objective.freeze_backbone=true"], is_reduced=True)
    with pytest.raises(FoleyError, match="freeze_backbone without weights"):
        SyncLargeTask(recipe)
    recipe = read_recipe(RECIPE, [*SMALL, "data.snippets=9"], is_reduced=True)
    with pytest.raises(FoleyError, match="9 snippets last 5.76 s"):
        SyncLargeTask(recipe)


def test_the_bias_starts_at_the_odds_of_a_right_pair_and_goes_on_from_where_it_was(trained) -> None:
    fresh = ["batch_size=8", "data.snippets=2"]  # of sixteen snippets one belongs to a picture
    assert SyncLargeTask(read_recipe(RECIPE, [*SMALL, *fresh], is_reduced=True)).network.bias.item() == pytest.approx(
        -math.log(15)
    )
    learnt = load_file(trained / "model.safetensors")["bias"].item()
    later = SyncLargeTask(read_recipe(RECIPE, [*SMALL, *fresh, f"init_from={trained}"], is_reduced=True))
    assert later.network.bias.item() == learnt != pytest.approx(-math.log(15))


def test_the_full_size_is_the_papers() -> None:
    with torch.device("meta"):
        network = SyncLarge(SyncLargeConfig())
    sizes = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in network.named_children()}
    assert sizes["sound"] == pytest.approx(85.4, abs=0.5)  # AST-B without its class tokens and head
    assert len(network.picture.spatial) == 4 and len(network.picture.temporal) == 2
