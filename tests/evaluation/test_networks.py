"""Which published networks are here, and what is said of those that are not."""

from __future__ import annotations

import json

import pytest

from foleycli.errors import FoleyError
from foleycli.evaluation import networks


@pytest.fixture
def metrics(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path))
    (tmp_path / "metrics").mkdir()
    return tmp_path / "metrics"


def test_nothing_is_here(metrics):
    assert networks.find({}) == {}
    told = networks.missing_metrics({})
    assert {
        "fad_aisfx",
        "fad_vggish",
        "fd_panns",
        "kl_panns",
        "is_panns",
        "fd_passt",
        "kl_passt",
        "is_passt",
    } < told.keys()
    assert "foley models pull synchformer" in told["desync_s"] and "imagebind_huge.pth" in told["ib_score"]


def test_files_are_found_by_their_published_names(metrics):
    for name in ("vggish-10086976.pth", "Cnn14_16k_mAP=0.438.pth", "passt-s-f128-p16-s10-ap.476-swa.pt"):
        (metrics / name).touch()
    found = networks.find({})
    assert {name: path.name for name, path in found.items()} == {
        "VGGish": "vggish-10086976.pth",
        "PANNs": "Cnn14_16k_mAP=0.438.pth",
        "PaSST": "passt-s-f128-p16-s10-ap.476-swa.pt",
    }
    assert networks.missing_metrics(found).keys() == {
        "fad_aisfx", "desync_s", "sync_ms", "ib_score", "fd_clap", "clap_score",
    }  # fmt: skip


def test_a_given_file_goes_first(metrics, tmp_path):
    own = tmp_path / "mine.pth"
    own.touch()
    (metrics / "aisfx.pth").touch()
    assert networks.find({})["aisfx"] == metrics / "aisfx.pth"
    assert networks.find({"aisfx": own})["aisfx"] == own
    with pytest.raises(FoleyError, match="gone"):
        networks.find({"aisfx": tmp_path / "gone.pth"})


def test_a_part_of_a_pulled_model_is_used(metrics, tmp_path):
    part = tmp_path / "models" / "synchformer"
    part.mkdir(parents=True)
    (part / "config.json").write_text(json.dumps({"weights": "synchformer_state_dict.pth"}), encoding="utf-8")
    assert networks.find({}) == {}
    (part / "synchformer_state_dict.pth").touch()
    assert networks.find({}) == {"Synchformer": part / "synchformer_state_dict.pth"}
