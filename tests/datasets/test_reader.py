"""Reading shards: every example once an epoch, mixed, and exactly on from any place."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared import SETTINGS

from foleycli.datasets import shards
from foleycli.datasets.reader import Dataset, ShardStream
from foleycli.errors import FoleyError
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.training.codec import CodecTask
from foleycli.training.codec_sounds import ShardSounds
from foleycli.training.mel_codec import MelCodecTask
from foleycli.training.recipe import Recipe
from foleycli.training.salsav import SalsaVTask
from foleycli.training.sync import SyncTask
from foleycli.training.workers import iterate_in_workers


def keys(stream: ShardStream, n: int, workers: int = 0) -> list[str]:
    return [example.key for example in itertools.islice(iterate_in_workers(stream, workers), n)]


@pytest.fixture(scope="module")
def wide(made, tmp_path_factory) -> Dataset:
    """Forty examples in ten shards, tiny ones."""
    folder = tmp_path_factory.mktemp("wide")
    for number in range(10):
        rows = [{"key": f"k{number}-{k}_0"} for k in range(4)]
        path = shards.shard_path(folder, "train", number, "features")
        path.parent.mkdir(exist_ok=True)
        with shards.open_tar(path) as tar:
            for row in rows:
                shards.add_example(tar, row["key"], {"json": shards.json_bytes(row), "sync.npy": b""})
        shards.write_json(shards.facts_path(folder, "train", number), {"examples": rows, "broken": []})
    index = shards.read_json(made.out / shards.INDEX_NAME)
    shards.write_json(folder / shards.INDEX_NAME, {**index, "examples": {"train": 40}})
    return Dataset(folder)


def test_every_example_comes_once_an_epoch_and_in_another_order(wide):
    first, second = (keys(ShardStream(wide, seed=1), 80)[k : k + 40] for k in (0, 40))
    assert set(first) == set(second) and len(set(first)) == 40 and first != second
    assert keys(ShardStream(wide, seed=2), 40) != first
    runs = max(len(list(group)) for _, group in itertools.groupby(first, key=lambda key: key.split("-")[0]))
    assert runs < 4  # the shards are mixed


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("had", [1, 17, 40, 53])
def test_a_stopped_reading_goes_on_exactly_in_the_middle_of_an_epoch(wide, workers, had):
    whole = keys(ShardStream(wide, seed=3), 70, workers)
    assert keys(ShardStream(wide, seed=3, first=had), 70 - had, workers) == whole[had:]


def test_processes_share_an_epoch(wide):
    parts = [ShardStream(wide, seed=4, part=part, n_parts=2) for part in range(2)]
    n_groups = -(-10 // parts[0].shards_at_once)
    read = Counter(key for part in parts for key in keys(part, 20 if n_groups % 2 == 0 else 40))
    assert len(read) == 40
    alone = ShardStream(wide, seed=4, n_parts=50, part=49)  # more processes than shards: each has something to read
    assert len(keys(alone, 3)) == 3


def test_only_what_is_kept_is_read(made, tmp_path):
    everything = [facts["key"] for facts in Dataset(made.out).facts("train")]
    kept = tmp_path / "kept.txt"
    kept.write_text("# by hand\n" + "\n".join(everything[1:4]) + "\n")
    dataset = Dataset(made.out, kept)
    assert set(keys(ShardStream(dataset), 6)) == set(everything[1:4]) and sum(dataset.counts("train")) == 3
    kept.write_text("nobody\n")
    with pytest.raises(FoleyError, match="names 1 examples that .* has not, for instance nobody"):
        Dataset(made.out, kept)
    kept.write_text("# nothing\n")
    with pytest.raises(FoleyError, match="names no example"):
        Dataset(made.out, kept)


def test_a_damaged_shard_is_an_error_that_names_it(made, tmp_path):
    path = shards.shard_path(made.out, "train", 0, "features")
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FoleyError, match="damaged.tar cannot be read"):
        list(shards.read_shard(damaged))
    with pytest.raises(FoleyError, match="is no prepared data set"):
        Dataset(tmp_path)


def test_a_split_is_exported_as_clips_that_play_with_their_words(made, foley, tmp_path):
    told = foley("data", "export", made.out, "--split", "test", "--out", tmp_path / "held-out")
    [path] = [Path(line) for line in told.out.splitlines()]
    [stored] = Dataset(made.out).read("test", 0, "media")
    assert path.stem == stored.key and (tmp_path / "held-out" / "words.csv").read_text() == f"{path.name},dog barking\n"
    video = probe(path)
    assert (video.n_frames, video.fps) == (125, 25) and video.has_audio
    np.testing.assert_array_equal(read_audio(path).samples[0], stored.sound()[0])
    assert "is there and not empty" in foley("data", "export", made.out, "--out", tmp_path / "held-out").error
    assert (
        "no examples of the split val"
        in foley("data", "export", made.out, "--split", "val", "--out", tmp_path / "x").error
    )


def family_recipe(made, **data: object) -> Recipe:
    return Recipe(
        name="x", steps=4, batch_size=2, lr=1e-3,
        data={"codec": "mel-mini", "sync": "sync-mini", "shards": str(made.out), "validation_clips": 1, **data},
    )  # fmt: skip


def test_a_family_learns_from_shards_and_goes_on_exactly_in_the_middle_of_an_epoch(made):
    task = SalsaVTask(family_recipe(made))
    batches = list(itertools.islice(task.batches(0, 0, 1), 4))  # five examples, two at a time: over an epoch's end
    again = list(itertools.islice(SalsaVTask(family_recipe(made)).batches(1, 0, 1), 3))
    for one, other in zip(batches[1:], again, strict=True):
        assert torch.equal(one.latents, other.latents) and torch.equal(one.text, other.text)
        assert torch.equal(one.sync, other.sync) and torch.equal(one.codes, other.codes)
    assert batches[0].sync.shape == (2, 125, 130) and batches[0].latents.shape == (2, 215, 64)
    stored = {name: torch.from_numpy(array) for name, array in next(Dataset(made.out).read("test", 0)).arrays.items()}
    loss, _ = task.loss(task.network, task.network, batches[0], 0)
    assert torch.isfinite(loss)
    figures = task.figures(task.network, task.make_batch(task.held_out(), np.random.default_rng(0)))
    assert all(np.isfinite(value) for value in figures.values())
    assert torch.equal(task.held_out()[0].sync, stored["sync"]) and task.held_out()[0].words == (("dog barking",),)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sync": "sync-scorer"}, "were made with the sync sync-mini, the recipe names sync-scorer"),
        ({"shards": "/nowhere"}, "is no prepared data set"),
        ({"kept": "/nowhere.txt"}, "nowhere.txt cannot be read"),
    ],
)
def test_shards_that_do_not_fit_the_recipe_are_refused(made, data, message):
    with pytest.raises(FoleyError, match=message):
        SalsaVTask(family_recipe(made, **data))


def test_the_sync_encoder_learns_from_the_clips_themselves(made):
    data = {"shards": str(made.out), "duration_s": 2.0, "size_px": 40, "fresh_per_step": 1, "pool": 8}
    recipe = Recipe(name="s", steps=2, batch_size=2, lr=1e-3, data=data, network={"size_px": 32})
    batch = next(SyncTask(recipe).batches(0, 0, 1))
    assert batch["grey"].shape[:2] == (2, 50) and batch["samples"].shape == (2, 88200)
    assert not batch["event_known"].any() and batch["samples"].abs().max() > 0.01
    with pytest.raises(FoleyError, match="last 5 s, a window of the recipe 9.00 s"):
        SyncTask(Recipe(name="s", steps=2, batch_size=2, lr=1e-3, data={**data, "duration_s": 9.0}))
    assert SETTINGS.duration_s == 5.0


TINY = {
    CodecTask: {"encoder_dim": 8, "decoder_dim": 64, "n_codebooks": 2, "codebook_size": 32},
    MelCodecTask: {"width": 16, "n_encoder": 1, "n_decoder": 1, "n_codebooks": 2, "codebook_size": 32},
}


@pytest.mark.parametrize("kind", TINY)
def test_a_codec_learns_from_the_clips_sounds_and_goes_on_exactly(made, tmp_path, kind):
    kept = tmp_path / "kept.txt"
    train, held = ([facts["key"] for facts in Dataset(made.out).facts(split)] for split in ("train", "test"))
    kept.write_text("\n".join(train[:3] + held))
    pool = {"first": 3, "pool": 4, "fresh_per_step": 2} if kind is MelCodecTask else {}
    data = {"shards": str(made.out), "kept": str(kept), "crop_steps": 16, "sounds": "/not/read", **pool}
    recipe = Recipe(name="c", steps=6, batch_size=2, lr=1e-3, data=data, network=TINY[kind])
    task = kind(recipe)
    assert [sound.category for sound in task.sounds.held_out] == ["dog barking"]
    assert {sound.file for sound in task.sounds.some()} == set(train[:3])
    batches = list(itertools.islice(task.batches(0, 0, 1), 5))
    again = list(itertools.islice(kind(recipe).batches(2, 0, 1), 3))
    assert all(torch.equal(one, other) for one, other in zip(batches[2:], again, strict=True))
    assert not torch.equal(batches[0], batches[1])
    loss, _ = task.loss(task.network, task.network, batches[0], 0)
    assert torch.isfinite(loss)
    kept.write_text("\n".join(train))
    with pytest.raises(FoleyError, match="for training alone, or no others are kept"):
        kind(recipe)


def test_a_crop_is_of_its_clip_or_the_next_few_and_each_begins_once_an_epoch(made):
    recipe = Recipe(name="c", steps=1, batch_size=1, lr=1e-3)
    first = [sounds[0].file for sounds in itertools.islice(ShardSounds(str(made.out), "", recipe).choices(0, 0, 1), 5)]
    assert sorted(first) == sorted(facts["key"] for facts in Dataset(made.out).facts("train"))
    with pytest.raises(FoleyError, match="nothing to learn from"):
        CodecTask(recipe)
