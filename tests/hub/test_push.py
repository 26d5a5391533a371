"""Pushing a model folder with the Hub's real client to a Hub on this machine."""

import json

import pytest
import yaml
from server import TOKEN, Fault

from foleycli.errors import FoleyError
from foleycli.hub import card
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


BENCHMARK = {
    "format": 1, "clips": 60, "titles": {"fd_panns": "FD PANNs ↓", "envelope": "loudness correlation ↑"},
    "systems": [
        {"name": "real", "is_real": True, "figures": {}},
        {"name": "mine", "is_real": False, "figures": {
            "fd_panns": {"value": 12.5, "low": 10.0, "high": 15.0},
            "envelope": {"value": 0.4, "low": None, "high": None},
        }},
        {"name": "other", "is_real": False, "figures": {"fd_panns": {"value": 20.0, "low": 18.0, "high": 22.0}}},
    ],
    "not_measured": {"ib_score": "needs the weights of ImageBind"},
}  # fmt: skip
LOG = [{"step": 20, "minutes": 0.1, "loss": 2.0}, *({"step": k, "validation": {"f1_60ms": k / 1000}}
       for k in range(100, 1100, 100)), {"step": 1000, "loss": 0.5}]  # fmt: skip


@pytest.fixture
def trained(here):
    """runs/mine as a training leaves it, with a codec of its own inside; and a benchmark."""
    made = here / "runs" / "model"
    for part in (made, made / "own-codec"):
        part.mkdir(parents=True)
        (part / "model.safetensors").write_bytes(part.name.encode() * 1000)
        facts = {"name": "mine", "kind": "family", "family": "salsav", "sha256": sha256_of(part / "model.safetensors"),
                 "training": {"steps": 1000, "hours": 0.25, "recipe": "mine"}}  # fmt: skip
        (part / "config.json").write_text(json.dumps(facts))
    (here / "runs" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG))
    (here / "benchmark.json").write_text(json.dumps(BENCHMARK))
    return made


def test_the_card_is_made_of_log_and_benchmark_and_pushed_with_the_parts(trained, hub, logged_in):
    sources = card.CardSources("cc-by-4.0", benchmark=trained.parents[1] / "benchmark.json")
    dry = pushing.push(trained, REPO, dry_run=True, card=sources)
    assert not (trained / "README.md").exists() and not hub.uploaded
    plan = pushing.push(trained, REPO, card=sources)
    names = ["config.json", "model.safetensors", "README.md", "own-codec/config.json", "own-codec/model.safetensors"]
    assert [upload.name for upload in plan.uploads] == names == sorted(hub.repos[REPO], key=names.index)
    assert [upload.sha256 for upload in dry.uploads] == [upload.sha256 for upload in plan.uploads]
    text = hub.repos[REPO]["README.md"].decode()
    facts = yaml.safe_load(text.split("---\n")[1])
    assert facts["license"] == "cc-by-4.0" and "salsav" in facts["tags"]
    [result] = facts["model-index"][0]["results"]
    assert {one["type"]: one["value"] for one in result["metrics"]} == {"fd_panns": 12.5, "envelope": 0.4}
    for line in ("| FD PANNs ↓ | – | 12.5 [10, 15] | 20 [18, 22] |", "| loss | 2 at step 20, 0.5 at step 1000 |",
                 "| step | f1_60ms |", "| 1000 | 1 |", "| hours | 0.25 |"):  # fmt: skip
        assert line in text
    assert "Not measured" in text and "ib_score" in text and text.count("| 0.") >= 4
    again = pushing.push(trained, REPO, card=card.CardSources("mit"))  # one that was made is made anew
    assert {upload.name for upload in again.uploads if upload.state != "same"} == {"README.md"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": "My own!"}, "is no licence that the Hub knows"),
        ({"benchmark": "runs/log.jsonl"}, "cannot be read as a benchmark"),
        ({"benchmark": "benchmark.json", "system": "othr"}, "has no system 'othr'"),
        ({"log": "benchmark.json"}, "cannot be read as a training's log"),
        ({"log": "gone.jsonl"}, "cannot be read as a training's log"),
    ],
)
def test_a_card_of_something_else_is_refused_unasked(trained, hub, logged_in, change, message):
    root = trained.parents[1]
    given = {key: root / value if key in ("benchmark", "log") else value for key, value in change.items()}
    with pytest.raises(FoleyError, match=message):
        pushing.push(trained, REPO, card=card.CardSources(**{"licence": "mit", **given}))
    assert not hub.log and not (trained / "README.md").exists()


def test_a_card_that_somebody_wrote_is_not_replaced(trained, hub, logged_in):
    (trained / "README.md").write_text(CARD)
    with pytest.raises(FoleyError, match="somebody wrote"):
        pushing.push(trained, REPO, card=card.CardSources("mit"))
    assert (trained / "README.md").read_text() == CARD and not hub.log


def test_options_of_the_card_need_its_licence(trained, foley):
    told = foley("models", "push", trained, REPO, "--benchmark", "b.json")
    assert told.code == 2 and "a card is made where its licence is given" in told.error
