"""`foley models`: listing, fetching, checking, removing, importing and pushing from the command line."""

import json
import os

import pytest
from offered import BIG, EYES
from server import TOKEN

from foleycli.cli.app import main
from foleycli.hub import catalog
from foleycli.weights.folder import sha256_of


@pytest.fixture
def foley(here, capsys):
    """(exit code, stdout, stderr) of a call in this process."""

    def call(*args: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        told = capsys.readouterr()
        return left.value.code, told.out, told.err

    return call


def listed(foley, name: str) -> dict:
    lines = [json.loads(line) for line in foley("models", "list", "--json")[1].splitlines()]
    return next(line for line in lines if line["name"] == name)


def test_list_says_what_is_here_how_large_and_on_which_terms(foley):
    before = listed(foley, "net-a")
    assert (before["is_here"], before["licence"], before["is_commercial"]) == (False, "CC-BY-NC-4.0", False)
    assert listed(foley, "vaura")["is_commercial"] is None and listed(foley, "salsav-mini")["is_commercial"] is True
    assert foley("models", "pull", "net-a", "--accept-license")[0] == 0
    after = listed(foley, "net-a")
    assert after["is_here"] and after["size_mb"] == pytest.approx(len(BIG) / 1e6, abs=0.1)
    code, out, _ = foley("models", "list")
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in out.splitlines()}
    assert rows["net-a"][:5] == ["family", "ready", "1.0 GB" if len(BIG) > 1e9 else "1 MB", "CC-BY-NC-4.0", "no"]
    assert rows["net-b"][1] == "to fetch" and rows["mmaudio-large-44k-v2"][2] == "4.1 GB"


def test_terms_are_shown_and_asked_for_once(foley, hub):
    code, _, err = foley("models", "pull", "codec-a")
    assert code == 1 and "NOT for commercial use" in err and "hint: Accept with --accept-license" in err
    assert not hub.log
    assert foley("models", "pull", "codec-a", "--accept-license")[0] == 0
    assert foley("models", "remove", "codec-a")[0] == 0
    code, out, err = foley("models", "pull", "codec-a")  # remembered
    assert code == 0 and "commercial" not in err and out.strip().endswith("models/codec-a".replace("/", os.sep))


def test_free_weights_ask_nothing(foley):
    assert foley("models", "pull", "eyes")[0] == 0


def test_quiet_is_quiet(foley):
    code, out, err = foley("models", "pull", "eyes", "-q")
    assert (code, err) == (0, "") and len(out.splitlines()) == 1


def test_path_and_show_of_a_fetched_model(foley):
    code, _, err = foley("models", "path", "eyes")
    assert code == 1 and "foley models pull eyes" in err
    foley("models", "pull", "eyes")
    assert foley("models", "path", "eyes")[1].strip() == str(catalog.find("eyes").folder)
    shown = json.loads(foley("models", "show", "eyes", "--json")[1])
    assert shown["is_intact"] and shown["size_mb"] == pytest.approx(len(EYES) / 1e6)


def test_verify_names_what_is_damaged(foley):
    foley("models", "pull", "net-a", "--accept-license")
    code, out, _ = foley("models", "verify", "net-a")
    assert code == 0 and [line.split("\t") for line in out.splitlines()] == [
        ["name", "state"], ["net-a", "intact"], ["codec-a", "intact"], ["eyes", "intact"],
    ]  # fmt: skip
    blob = (catalog.find("codec-a").folder / "vocoder.pt").resolve()
    blob.write_bytes(b"\0" + blob.read_bytes()[1:])
    code, out, err = foley("models", "verify", "net-a", "--json")
    told = {line["name"]: line["is_intact"] for line in map(json.loads, out.splitlines())}
    assert code == 1 and told == {"net-a": True, "codec-a": False, "eyes": True}
    assert "vocoder.pt is damaged" in err and "foley models remove codec-a" in err


def test_a_fetch_is_not_begun_for_a_bad_input(foley, hub, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for args in (("render", tmp_path / "bad.mp4"), ("extend", "--ref", tmp_path / "bad.mp4")):
        code, _, err = foley(*args, "-o", tmp_path / "out.wav", "--model", "net-a", "--accept-license")
        assert code == 1 and "bad.mp4" in err and not hub.log


def test_a_dry_run_fetches_nothing(foley, hub, clips, tmp_path):
    ask = ("render", clips("silent.mp4"), "-o", tmp_path / "o.mp4", "--model", "net-a", "--accept-license", "--dry-run")
    code, _, err = foley(*ask)
    assert code == 1 and "foley models pull net-a" in err and not hub.log


def test_import_lists_and_removes(foley, here):
    (here / "net.pth").write_bytes(BIG)
    code, out, _ = foley("models", "import", here / "net.pth", "--family", "mmaudio")
    assert code == 0 and out.strip() == str(catalog.find("net-a").folder)
    assert listed(foley, "net-a")["is_here"]
    assert foley("models", "remove", "net-a")[0] == 0
    assert (here / "net.pth").exists() and not listed(foley, "net-a")["is_here"]


def test_push_dry_run_and_push(foley, here, hub, monkeypatch):
    mine = here / "mine"
    mine.mkdir()
    (mine / "model.safetensors").write_bytes(b"weights" * 500)
    (mine / "config.json").write_text(json.dumps({"sha256": sha256_of(mine / "model.safetensors")}))
    (mine / "README.md").write_text("---\nlicense: mit\n---\n")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, out, err = foley("models", "push", mine, "ada/mine", "--dry-run")
    assert code == 0 and "would upload as ada to ada/mine (new)" in err and "ada/mine" not in hub.repos
    assert [line.split("\t")[3] for line in out.splitlines()] == ["state", *["new"] * 3]
    code, out, _ = foley("models", "push", mine, "ada/mine")
    assert code == 0 and out.splitlines()[-1].startswith(hub.url) and len(hub.repos["ada/mine"]) == 3
