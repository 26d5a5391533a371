"""Models without their files: built from the catalogue or from config.json alone, they render."""

import numpy as np
import pytest
import torch
from mmaudio_parts import write_miniature

from foleycli.errors import FoleyError
from foleycli.features.extract import extract_features
from foleycli.hub.catalog import entries
from foleycli.models.random_weights import _builder, _check_memory, _configs, random_model

PUBLISHED = [entry.name for entry in entries("family") if not entry.is_shipped]
SIZES_M = {"mmaudio-small-16k": 157, "mmaudio-small-44k": 157, "mmaudio-medium-44k": 622, "mmaudio-large-44k": 1030,
           "mmaudio-large-44k-v2": 1030, "vaura": 694.6}  # fmt: skip


@pytest.fixture
def bare(tmp_path):
    """MMAudio in miniature, all weights removed."""
    folder = write_miniature(tmp_path / "models")
    for file in (tmp_path / "models").rglob("*"):
        if file.is_file() and file.name != "config.json":
            file.unlink()
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_model_is_described_at_its_size(name):
    _, configs = _configs(name)
    networks = {role: _builder(role, config)(config)[0] for role, config in configs.items()}
    n_weights = sum(value.numel() for value in networks["family"][0].parameters())
    assert n_weights / 1e6 == pytest.approx(SIZES_M[name], rel=0.01)
    assert {"codec", "sync"} < set(networks)
    assert all(value.is_meta for built in networks.values() for one in built for value in one.state_dict().values())


def test_the_same_random_numbers_every_time(bare):
    first, second = (random_model(str(bare), "cpu").family.network.state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(value.isfinite().all() for value in first.values())
    assert first["latent_std"].eq(1).all() and first["final_layer.conv.weight"].std() > 0


def test_networks_take_the_type_asked_for_and_the_codec_stays_in_float32(bare):
    model = random_model(str(bare), "cpu", "bfloat16")
    assert model.family.network.sync_pos_emb.dtype == model.sync.tower.pos_embed.dtype == torch.bfloat16
    assert next(model.codec.vae.parameters()).dtype == torch.float32


def test_a_model_larger_than_the_memory_is_refused(bare):
    huge = torch.nn.Linear(1 << 21, 1 << 21, device="meta")
    with pytest.raises(FoleyError, match=r"m has 17592\.\d GB of weights, cpu has"):
        _check_memory([huge], "m", torch.device("cpu"))


def test_encoders_that_are_left_out_answer_at_random_at_once(bare):
    model = random_model(str(bare), "cpu", without_encoders=True)
    assert model.sync.tower.pos_embed.is_meta and not model.family.network.sync_pos_emb.is_meta
    side_px = model.sync.frame_format.side_px
    pictures = np.zeros((40, side_px, side_px, 3), np.uint8)
    streams = extract_features([pictures], [model.sync])
    assert streams["sync"].values.shape == (4, model.sync.dim)
    assert streams["sync"].values.diff(dim=0).std() > 1  # every segment has its own
    assert model.text.encode(["rain", ""]).shape == (2, 77, model.text.dim)


def test_models_that_have_none_are_refused(tmp_path):
    with pytest.raises(FoleyError, match="part of models"):
        random_model("synchformer", "cpu")
    (tmp_path / "config.json").write_text('{"kind": "family", "family": "salsa-v"}')
    with pytest.raises(FoleyError, match="network configuration: 'sync_dim' is missing"):
        random_model(str(tmp_path), "cpu")


def test_bench_runs_without_any_weights(foley, bare, clips):
    told = foley("bench", clips("short.mp4"), "--model", bare, "--random-weights", "--device", "cpu", "--steps", "1,2",
                 "--json")  # fmt: skip
    assert told.code == 0, told.err
    made = told.lines[0]
    assert made["random_weights"] and made["model"] == "mmaudio-miniature"
    assert [row["steps"] for row in made["rows"]] == [1, 2]
    assert all(row["stage_s"][stage] > 0 for row in made["rows"] for stage in ("features", "sampler", "codec"))


def test_bench_without_encoders_says_so(foley, bare, clips):
    ask = ("bench", clips("short.mp4"), "--model", bare, "--device", "cpu", "--steps", "1", "--without-encoders")
    told = foley(*ask, "--random-weights")
    assert told.code == 0 and "features are random" in told.err
    assert foley(*ask).code == 2  # real weights are timed with their encoders


def test_the_table_says_that_weights_are_random(foley, bare, clips):
    told = foley("bench", clips("short.mp4"), "--model", bare, "--random-weights", "--device", "cpu", "--steps", "1")
    assert told.code == 0, told.err
    assert told.out.splitlines()[1].split("\t")[-1] == "random" and "random weights" in told.err
    assert "speed.py" not in told.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmaudio-small-16k", "vaura"])
def test_full_size_runs_from_its_name_alone(foley, name, clips, monkeypatch, tmp_path):
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path))
    told = foley("bench", clips("short.mp4"), "--model", name, "--random-weights", "--device", "cpu", "--steps", "1",
                 "--json")  # fmt: skip
    assert told.code == 0, told.err
    assert told.lines[0]["rows"][0]["stage_s"]["sampler"] > 0
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
