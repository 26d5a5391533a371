"""Pushing a model folder with the Hub's real client to a Hub on this machine."""

import json

import pytest
from server import TOKEN, Fault

from foleycli.errors import FoleyError
from foleycli.hub import push as pushing
from foleycli.weights.folder import sha256_of

CARD = "---\nlicense: mit\n---\n# Mine\n"
REPO = "ada/mine"


@pytest.fixture
def folder(here):
    """A model folder of ours beside things that are not to be published."""
    made = here / "mine"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"weights" * 1000)
    (made / "config.json").write_text(json.dumps({"name": "mine", "sha256": sha256_of(made / "model.safetensors")}))
    (made / "README.md").write_text(CARD)
    (made / "notes.txt").write_text("private")
    return made


@pytest.fixture
def logged_in(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def test_a_dry_run_asks_everything_and_changes_nothing(folder, hub, logged_in):
    before = dict(hub.repos)
    plan = pushing.push(folder, REPO, dry_run=True)
    assert (plan.user, plan.is_new_repo, plan.address) == ("ada", True, "")
    assert [(upload.name, upload.state) for upload in plan.uploads] == [
        ("config.json", "new"), ("model.safetensors", "new"), ("README.md", "new"),
    ]  # fmt: skip
    assert plan.uploads[1].sha256 == sha256_of(folder / "model.safetensors")
    assert hub.repos == before and not hub.uploaded
    assert {method for method, *_ in hub.log} == {"GET"}
    assert {"/api/whoami-v2", f"/api/models/{REPO}"} <= {path for _, path, *_ in hub.log}


def test_a_push_uploads_the_three_files(folder, hub, logged_in):
    plan = pushing.push(folder, REPO)
    assert plan.address.startswith(f"{hub.url}/{REPO}/commit/")
    assert hub.repos[REPO] == {
        name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors", "README.md")
    }


def test_what_is_there_already_is_not_sent_again(folder, hub, logged_in):
    pushing.push(folder, REPO)
    hub.uploaded.clear()
    assert {upload.state for upload in pushing.push(folder, REPO).uploads} == {"same"}
    (folder / "README.md").write_text(CARD + "More.\n")
    plan = pushing.push(folder, REPO, dry_run=True)
    assert {upload.name: upload.state for upload in plan.uploads} == {
        "config.json": "same", "model.safetensors": "same", "README.md": "changed",
    }  # fmt: skip
    assert not hub.uploaded


def test_without_a_token(folder, hub):
    with pytest.raises(FoleyError, match="needs a token") as raised:
        pushing.push(folder, REPO, dry_run=True)
    assert "HF_TOKEN" in raised.value.hint and not hub.log


def test_with_a_wrong_token(folder, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(FoleyError, match="does not accept this token"):
        pushing.push(folder, REPO, dry_run=True)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda made: (made / "README.md").unlink(), "no model card"),
        (lambda made: (made / "README.md").write_text("# Mine"), "does not begin with the Hub's facts"),
        (lambda made: (made / "model.safetensors").write_bytes(b"other"), "is damaged"),
        (lambda made: (made / "config.json").write_text('{"files": {"a": {}}}'), "that others published"),
        (lambda made: (made / "config.json").unlink(), "not a model folder"),
    ],
)
def test_what_is_not_to_be_published_is_refused_unasked(folder, hub, logged_in, break_it, message):
    break_it(folder)
    with pytest.raises(FoleyError, match=message):
        pushing.push(folder, REPO)
    assert not hub.log


def test_a_server_in_trouble(folder, hub, logged_in):
    hub.faults["whoami"] = Fault("status", 503)
    with pytest.raises(FoleyError, match="answered 503"):
        pushing.push(folder, REPO, dry_run=True)
