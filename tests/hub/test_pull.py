"""Pulling, removing and checking published models with the Hub's real client against a Hub on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from offered import BIG, EYES, REPO, VAE, VOCODER
from server import COMMIT, TOKEN, Fault, git_hash

from foleycli.errors import FoleyError
from foleycli.hub import catalog, fetch, pull
from foleycli.hub.catalog import RemoteFile
from foleycli.hub.resolve import check, resolve, verify
from foleycli.weights.folder import sha256_of

NET = "weights/net.pth"
HALF = 2 * fetch.TRANSFER_BYTES  # of four times as much


def leftovers(folder: Path) -> list[str]:
    """Names of unfinished files and folders, anywhere below."""
    return [path.name for path in folder.rglob("*") if path.name.endswith((".part", ".incomplete")) or
            path.parent.name == "models" and path.name.startswith(".")]  # fmt: skip


def test_a_model_is_pulled_with_its_parts(here):
    told = []
    folder = pull.pull("net-a", lambda *seen: told.append(seen))
    assert (folder / "net.pth").read_bytes() == BIG
    assert (resolve("codec-a") / "vae.pth").read_bytes() == VAE
    assert (resolve("codec-a") / "vocoder.pt").read_bytes() == VOCODER
    assert (resolve("eyes") / "eyes.bin").read_bytes() == EYES
    assert resolve("net-a") == folder == here / "foley" / "models" / "net-a"
    config = json.loads((folder / "config.json").read_text())
    assert config["sha256"] == sha256_of(folder / "net.pth") == config["files"]["net.pth"]["sha256"]
    assert config["files"]["net.pth"]["commit"] == COMMIT and config["codec"] == "codec-a"
    assert ("net.pth", len(BIG), len(BIG)) in told
    assert not leftovers(here)


def test_files_lie_in_the_hub_s_own_cache(here):
    from huggingface_hub import hf_hub_download, scan_cache_dir

    pull.pull("eyes")
    assert Path(hf_hub_download(REPO, "eyes.bin", local_files_only=True)).read_bytes() == EYES
    assert [repo.repo_id for repo in scan_cache_dir().repos] == [REPO]


def test_what_another_tool_fetched_is_used(here, hub):
    from huggingface_hub import hf_hub_download

    hf_hub_download(REPO, "eyes.bin")
    before = len(hub.bodies("eyes.bin"))
    pull.pull("eyes")
    assert len(hub.bodies("eyes.bin")) == before == 1


def test_a_second_pull_asks_nobody(here, hub):
    pull.pull("net-a")
    n_asked = len(hub.log)
    pull.pull("net-a")
    assert resolve("net-a") and verify(resolve("net-a"))
    assert len(hub.log) == n_asked


def test_a_small_file_is_checked_by_git_s_hash(here, hub):
    file = RemoteFile(REPO, "small.json", 0)
    assert fetch.fetch(file).path.read_bytes() == b"{}"
    hub.repos[REPO]["small.json"] = b"[1]"
    hub.faults["small.json"] = Fault("corrupt")
    with pytest.raises(FoleyError, match="small.json is damaged: its hash is"):
        fetch.fetch(file)
    assert git_hash(b"{}") == "9e26dfeeb6e641a33dae4961196235bdb965b21b"  # git hash-object


def test_damage_on_the_way_is_refused_and_leaves_nothing(here, hub):
    hub.faults["eyes.bin"] = Fault("corrupt", times=1)
    with pytest.raises(FoleyError, match="eyes.bin is damaged: its hash"):
        pull.pull("eyes")
    assert not catalog.find("eyes").is_here and not leftovers(here)
    assert (pull.pull("eyes") / "eyes.bin").read_bytes() == EYES


def test_the_publisher_s_md5_is_checked_on_plain_addresses(here, hub):
    hub.plain["vae.pth"] = VAE[:-1] + b"!"
    with pytest.raises(FoleyError, match="vae.pth is damaged: its MD5"):
        pull.pull("codec-a")
    assert not catalog.find("codec-a").is_here


def test_the_publisher_s_md5_is_checked_on_the_hub_too(here, hub):
    hub.repos[REPO][NET] = BIG[:-1] + b"!"  # another upload under the same name: the Hub's own hash agrees
    with pytest.raises(FoleyError, match="net.pth is damaged: its MD5"):
        pull.pull("net-a")
    assert not catalog.find("net-a").is_here


@pytest.mark.parametrize(("cut", "taken_up"), [(1, ""), (HALF + 9, f"bytes={HALF}-")])
def test_a_dropped_connection_is_taken_up(here, hub, cut, taken_up):
    hub.faults[NET] = Fault("cut", cut, times=1)
    assert (pull.pull("net-a") / "net.pth").read_bytes() == BIG
    assert [ranged for _, ranged in hub.bodies("/cdn/maker/sounds/weights/net.pth")] == ["", taken_up]


def test_a_server_that_ignores_ranges_starts_again(here, hub):
    part = half_file(hub)
    hub.faults[NET] = Fault("no_range")
    assert (pull.pull("net-a") / "net.pth").read_bytes() == BIG
    assert part and hub.bodies("/cdn/maker/sounds/weights/net.pth")[-1][1].startswith("bytes=")


def half_file(hub) -> list[str]:
    """Leave a half file behind: the connection drops, and then the server is in trouble."""
    hub.faults[NET] = Fault("cut_then_down", HALF)
    with pytest.raises(FoleyError):
        pull.pull("net-a")
    hub.faults.clear()
    return leftovers(Path(pull.places.home()).parent)


def test_a_half_file_is_kept_and_taken_up_later(here, hub):
    hub.faults[NET] = Fault("cut_then_down", HALF)
    with pytest.raises(FoleyError, match="answered 503") as raised:
        pull.pull("net-a")
    assert "goes on from there" in raised.value.hint
    assert not catalog.find("net-a").is_here
    (part,) = (path for path in here.rglob("*.part"))
    assert part.stat().st_size == HALF
    hub.faults.clear()
    assert (pull.pull("net-a") / "net.pth").read_bytes() == BIG
    assert hub.bodies("weights/net.pth")[-1][1] == f"bytes={HALF}-" and not leftovers(here)


def test_half_of_an_older_version_is_not_continued(here, hub):
    half_file(hub)
    file = RemoteFile(REPO, NET, 1)  # no MD5: the new version is as good
    hub.repos[REPO][NET] = BIG[::-1]
    assert fetch.fetch(file).path.read_bytes() == BIG[::-1]


def test_a_damaged_file_in_the_cache_is_fetched_again(here, hub):
    folder = pull.pull("eyes")
    blob = (folder / "eyes.bin").resolve()
    blob.write_bytes(b"x" * len(EYES))
    with pytest.raises(FoleyError, match="eyes.bin is damaged"):
        check(folder)
    shutil.rmtree(folder)
    assert (pull.pull("eyes") / "eyes.bin").read_bytes() == EYES


def test_a_model_whose_cache_was_emptied_is_not_here(here):
    folder = pull.pull("eyes")
    (folder / "eyes.bin").resolve().unlink()
    assert not catalog.find("eyes").is_here and not verify(folder)
    with pytest.raises(FoleyError, match="not on this machine"):
        resolve("eyes")
    assert (pull.pull("eyes") / "eyes.bin").read_bytes() == EYES


@pytest.mark.parametrize(
    ("break_it", "message", "hint"),
    [
        (lambda hub: hub.gated.add(REPO), "maker/sounds is gated", "hf auth login"),
        (lambda hub: hub.repos.pop(REPO), "maker/sounds was not found", "HF_TOKEN"),
        (lambda hub: hub.repos[REPO].pop("eyes.bin"), "maker/sounds has no file eyes.bin", "models import"),
        (lambda hub: hub.faults.update({"eyes.bin": Fault("status", 401)}), "does not accept|not found", "HF_TOKEN"),
        (lambda hub: hub.faults.update({"eyes.bin": Fault("status", 403)}), "refuses eyes.bin", "hf auth whoami"),
        (lambda hub: hub.faults.update({"eyes.bin": Fault("status", 500)}), "answered 500", "Try again later"),
        (lambda hub: hub.faults.update({"eyes.bin": Fault("liar")}), "needs 1000000000.00 GB more", "Make room"),
    ],
)
def test_refusals_say_what_to_do(here, hub, break_it, message, hint):
    break_it(hub)
    with pytest.raises(FoleyError, match=message) as raised:
        pull.pull("eyes")
    assert hint in raised.value.hint
    assert not catalog.find("eyes").is_here and not leftovers(here)


def test_a_revision_that_is_not_there(here):
    with pytest.raises(FoleyError, match="no such revision"):
        fetch.fetch(RemoteFile(REPO, "eyes.bin", 1, revision="v9"))


def test_a_plain_file_that_is_gone(here, hub):
    hub.plain.clear()
    with pytest.raises(FoleyError, match="vae.pth is no longer at") as raised:
        pull.pull("codec-a")
    assert "models import" in raised.value.hint


def test_something_else_than_a_hub_answers(here, hub, monkeypatch):
    from huggingface_hub import constants

    file = RemoteFile("a/b", "vae.pth", 1)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/plain/{filename}")
    with pytest.raises(FoleyError, match="does not answer like the Hub"):
        fetch.fetch(file)


def test_the_token_goes_to_the_hub_only(here, hub, monkeypatch):
    hub.gated.add(REPO)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    pull.pull("eyes")
    sent = {(path.split("/")[1] == "cdn", authorization) for _, path, _, authorization in hub.log}
    assert sent == {(False, f"Bearer {TOKEN}"), (True, "")}


@pytest.mark.parametrize(("name", "message"), [("salsav-mini", "ships with"), ("nobody", "no published model")])
def test_pull_refuses(here, name, message):
    with pytest.raises(FoleyError, match=message):
        pull.pull(name)


def test_a_misspelt_name_is_put_right(here):
    with pytest.raises(FoleyError) as raised:
        pull.pull("mmaudio-large-44k-v3")
    assert "Did you mean 'mmaudio-large-44k-v2'?" in raised.value.hint


def test_as_a_process_with_hf_home_and_endpoint(run_foley, tmp_path, hub):
    refused = run_foley("models", "pull", "net-a")
    assert refused.code == 1 and "--accept-license" in refused.err and "CC-BY-NC-4.0" in refused.err
    assert not hub.log
    told = run_foley("models", "pull", "net-a", "--accept-license")
    assert (told.code, told.out.strip()) == (0, str(tmp_path / "foley" / "models" / "net-a"))
    assert (tmp_path / "hf" / "hub" / "models--maker--sounds").is_dir()
    again = run_foley("models", "pull", "net-a", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert (again.code, again.out) == (0, told.out)  # the answer is remembered, the files are there


def test_offline_without_the_files(run_foley, hub):
    told = run_foley("models", "pull", "eyes", HF_HUB_OFFLINE="1")
    assert told.code == 1 and "HF_HUB_OFFLINE is set" in told.err and len(told.err.splitlines()) == 2
    assert not hub.log


def test_offline_with_the_files_in_the_hub_s_cache(run_foley, tmp_path, hub):
    assert run_foley("models", "pull", "eyes").code == 0
    shutil.rmtree(tmp_path / "foley")
    n_asked = len(hub.log)
    assert run_foley("models", "pull", "eyes", HF_HUB_OFFLINE="1").code == 0
    assert len(hub.log) == n_asked


@pytest.mark.slow  # the client asks again for a while
def test_no_network(run_foley):
    told = run_foley("models", "pull", "eyes", HF_ENDPOINT="http://127.0.0.1:9")
    assert told.code == 1 and "no connection" in told.err and len(told.err.splitlines()) == 2


def test_no_network_to_a_plain_address(tmp_path):
    """In a process that has asked the Hub's client for nothing yet, whose first import would tell its retries."""
    script = """
from foleycli.errors import FoleyError
from foleycli.hub.catalog import RemoteFile
from foleycli.hub.fetch import fetch
try:
    fetch(RemoteFile("http://127.0.0.1:9/", "vae.pth", 1))
except FoleyError as error:
    print(error, error.hint, sep="\\n")
"""
    environment = {**os.environ, "FOLEY_HOME": str(tmp_path), "HF_HUB_OFFLINE": ""}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert told.stdout.startswith("vae.pth: no connection to") and told.stderr == ""
    assert "\nCheck the network; " in told.stdout  # HF_ENDPOINT has no say there


def test_two_processes_at_once(start_foley, tmp_path, hub):
    hub.slow_s = 0.3
    both = [start_foley("models", "pull", "net-b") for _ in range(2)]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert len(hub.bodies("/cdn/maker/sounds/weights/b.pth")) == 1
    assert (tmp_path / "foley" / "models" / "net-b" / "b.pth").read_bytes() == BIG[::-1]
    assert not leftovers(tmp_path)


def test_a_killed_process_loses_nothing_but_its_time(start_foley, run_foley, tmp_path, hub):
    hub.faults["weights/b.pth"] = Fault("stall", HALF, times=1)
    process = start_foley("models", "pull", "net-b")
    for _ in range(600):
        if any(part.stat().st_size == HALF for part in tmp_path.rglob("*.part")):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert run_foley("models", "pull", "net-b").code == 0
    assert hub.bodies("weights/b.pth")[-1][1] == f"bytes={HALF}-"
    assert (tmp_path / "foley" / "models" / "net-b" / "b.pth").read_bytes() == BIG[::-1]
    assert not leftovers(tmp_path)


def test_a_full_disk(tmp_path, hub, run_foley):
    """No file may grow beyond 300 kB in that process: the system refuses as a full disk does."""
    told = run_foley("models", "pull", "net-b", FOLEY_TEST_LIMIT="300000")
    assert told.code == 1 and "error: no room on the disk for b.pth" in told.err
    assert "Traceback" not in told.err and "goes on from there" in told.err
    assert run_foley("models", "pull", "net-b").code == 0
    assert (tmp_path / "foley" / "models" / "net-b" / "b.pth").read_bytes() == BIG[::-1]


def test_a_folder_that_cannot_be_made(run_foley, tmp_path):
    (tmp_path / "foley").write_text("a file")
    told = run_foley("models", "pull", "eyes")
    assert told.code == 1 and "FOLEY_HOME" in told.err
