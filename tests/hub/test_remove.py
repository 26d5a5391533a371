"""Removing models: what goes, what stays, and what is never touched."""

import json
from pathlib import Path

import pytest
from offered import BIG, EYES, VAE, VOCODER

from foleycli.errors import FoleyError
from foleycli.hub import catalog, places, pull
from foleycli.hub.remove import remove


def test_remove_keeps_parts_that_another_model_needs(here):
    pull.pull("net-a")
    pull.pull("net-b")
    with pytest.raises(FoleyError, match="eyes is a part of net-"):
        remove("eyes")
    freed_mb = remove("net-a")
    assert freed_mb == pytest.approx((len(BIG) + len(VAE) + len(VOCODER)) / 1e6, abs=0.01)
    assert not catalog.find("codec-a").is_here and catalog.find("eyes").is_here
    remove("net-b")
    assert not list((here / "foley" / "models").iterdir())
    kept = [path for path in here.rglob("*") if path.is_file() and path.stat().st_size > 10_000]
    assert kept == []


def test_remove_leaves_a_blob_that_another_revision_shows(here):
    blob = (pull.pull("eyes") / "eyes.bin").resolve()
    other = blob.parent.parent / "snapshots" / ("b" * 40) / "eyes.bin"
    other.parent.mkdir()
    other.symlink_to(blob)
    remove("eyes")
    assert other.read_bytes() == EYES


@pytest.mark.parametrize(("name", "message"), [("salsav-mini", "ships"), ("eyes", "not on this machine")])
def test_remove_refuses(here, name, message):
    with pytest.raises(FoleyError, match=message):
        remove(name)


@pytest.mark.parametrize("name", ["../precious", "", ".", "..", "/precious", "mine/../../precious", "*"])
def test_a_path_is_never_removed(here, name):
    precious = here / "foley" / "precious"
    precious.mkdir(parents=True)
    (precious / "config.json").write_text("{}")
    (places.make_folder(places.models_folder()) / "config.json").write_text("{}")
    with pytest.raises(FoleyError, match="the model name .* cannot be a name"):
        remove(name)
    assert (precious / "config.json").exists() and (places.models_folder() / "config.json").exists()


def imported(name: str, **config: object) -> Path:
    """A model folder of the user's."""
    folder = places.model_folder(name)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"kind": "family", **config}))
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    return folder


@pytest.mark.parametrize("part", ["../../precious", "..", "/precious", "a/../../../precious"])
def test_a_part_in_a_config_is_no_path(here, part):
    """Folders that a config.json names are removed with the model: they must lie in the models folder."""
    precious = here / "precious"
    precious.mkdir()
    (precious / "config.json").write_text("{}")
    imported("mine", codec=part)
    remove("mine")
    assert (precious / "config.json").exists() and not places.installed()


def test_a_part_inside_a_model_is_not_another_model_of_that_name(here):
    """V-AURA's folder holds its codec in a folder "codec"; a model of the user's may be called so too."""
    inner = imported("vaura", codec="codec") / "codec"
    inner.mkdir()
    other = imported("codec")
    remove("vaura")
    assert places.installed() == [other]


def test_files_that_the_user_linked_stay(here):
    mine, dataset = here / "own.pth", here / "elsewhere"
    mine.write_bytes(b"mine")
    dataset.mkdir()
    (dataset / "big.bin").write_bytes(b"big")
    folder = imported("mine")
    (folder / "link.pth").symlink_to(mine)
    (folder / "linked").symlink_to(dataset)
    assert remove("mine") == pytest.approx(1000 / 1e6, rel=0.1)
    assert mine.read_bytes() == b"mine" and (dataset / "big.bin").exists() and not folder.exists()


def test_of_a_linked_folder_the_link_goes(here):
    kept = here / "kept"
    imported("real").rename(kept)
    places.model_folder("mine").symlink_to(kept)
    assert remove("mine") == 0
    assert (kept / "model.safetensors").exists() and not places.installed()


def test_models_that_cannot_be_read_can_be_removed_and_hinder_no_other(here):
    broken = imported("broken", colour="red")
    fine = imported("fine")
    remove("fine")
    assert not fine.exists()
    remove("broken")
    assert not broken.exists() and not list(places.models_folder().iterdir())


def test_a_file_in_the_store_that_all_repositories_share(here):
    """Since huggingface_hub 2.4 a blob can be a link to a file that is named by its Xet hash."""
    shared = pytest.importorskip("huggingface_hub.utils._shared_blobs")
    from huggingface_hub import constants, hf_hub_download
    from offered import REPO

    blob = Path(hf_hub_download(REPO, "eyes.bin")).resolve()
    assert shared.publish_blob_to_shared_store(
        blob_path=str(blob), xet_hash="ab" * 32, cache_dir=constants.HF_HUB_CACHE, expected_size=len(EYES)
    )
    assert blob.is_symlink() and blob.resolve().name == "ab" * 32
    folder = pull.pull("eyes")  # neither "damaged" nor "changed"
    assert (folder / "eyes.bin").read_bytes() == EYES
    assert remove("eyes") == pytest.approx(len(EYES) / 1e6, rel=0.1)
    assert not blob.is_symlink() and not [path for path in here.rglob("*") if path.name == "ab" * 32]


def test_a_shared_file_that_another_repository_needs_stays(here):
    shared = pytest.importorskip("huggingface_hub.utils._shared_blobs")
    from huggingface_hub import constants, hf_hub_download
    from offered import REPO

    blob = Path(hf_hub_download(REPO, "eyes.bin")).resolve()
    facts = {"xet_hash": "ab" * 32, "cache_dir": constants.HF_HUB_CACHE, "expected_size": len(EYES)}
    assert shared.publish_blob_to_shared_store(blob_path=str(blob), **facts)
    other = Path(constants.HF_HUB_CACHE, "models--other--one", "blobs", blob.name)
    other.parent.mkdir(parents=True)
    assert shared.try_link_from_shared_store(blob_path=str(other), **facts)
    pull.pull("eyes")
    assert remove("eyes") == pytest.approx(0, abs=0.001)
    assert other.read_bytes() == EYES and not blob.is_symlink()


def test_offline_a_shared_file_is_found_too(here, hub, monkeypatch):
    shared = pytest.importorskip("huggingface_hub.utils._shared_blobs")
    from huggingface_hub import constants, hf_hub_download
    from offered import REPO

    blob = Path(hf_hub_download(REPO, "eyes.bin")).resolve()
    assert shared.publish_blob_to_shared_store(
        blob_path=str(blob), xet_hash="ab" * 32, cache_dir=constants.HF_HUB_CACHE, expected_size=len(EYES)
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert (pull.pull("eyes") / "eyes.bin").read_bytes() == EYES
