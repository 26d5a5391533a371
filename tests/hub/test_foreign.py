"""Files got elsewhere into model folders: by the publisher's names and hashes, or by tensor shapes."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from offered import BIG, VAE, VOCODER
from safetensors.torch import save_file

from foleycli.errors import FoleyError
from foleycli.families.mmaudio.published import network_of
from foleycli.families.vaura.convert import unpacked_checkpoint
from foleycli.hub import catalog, places
from foleycli.hub.foreign import import_files
from foleycli.hub.remove import remove
from foleycli.hub.resolve import check, resolve

# Facts of the published networks: latent channels, width, joint blocks, time embedding's input.
NETWORKS = {
    "small_16k": (20, 448, 4, 256),
    "small_44k": (40, 448, 4, 256),
    "medium_44k": (40, 896, 4, 256),
    "large_44k": (40, 896, 7, 256),
    "large_44k_v2": (40, 896, 7, 896),
}


def shapes(latent_dim: int, hidden: int, n_joint: int, time_in: int) -> dict[str, tuple[int, ...]]:
    """The few shapes that tell the networks apart."""
    joint = {f"joint_blocks.{index}.latent_block.attn.q_norm.weight": (64,) for index in range(n_joint)}
    few = {"latent_mean": (1, 1, latent_dim), "audio_input_proj.0.bias": (hidden,)}
    return {**few, "t_embed.mlp.0.weight": (hidden, time_in), **joint}


def tensors(network: str) -> dict[str, torch.Tensor]:
    return {key: torch.zeros(shape) for key, shape in shapes(*NETWORKS[network]).items()}


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_are_told_apart(network, tmp_path):
    assert network_of(shapes(*NETWORKS[network]), tmp_path) == network


@pytest.mark.parametrize("facts", [(20, 896, 7, 896), (40, 448, 7, 256), (40, 64, 4, 256)])
def test_unknown_networks_are_refused(facts, tmp_path):
    with pytest.raises(FoleyError, match="does not know"):
        network_of(shapes(*facts), tmp_path)


def test_the_publisher_s_files_go_by_name_and_hash(here, hub):
    shelf = here / "downloads"
    (shelf / "deep").mkdir(parents=True)
    for name, data in (("net.pth", BIG), ("deep/vae.pth", VAE), ("vocoder.pt", VOCODER), ("other.txt", b"x")):
        (shelf / name).write_bytes(data)
    made = import_files(shelf, "mmaudio")
    assert [folder.name for folder in made] == ["net-a", "codec-a"]
    assert (resolve("codec-a") / "vae.pth").read_bytes() == VAE and not (resolve("codec-a") / "vae.pth").is_symlink()
    check(resolve("net-a"))
    assert not hub.log


def test_a_damaged_file_of_the_publisher_is_refused(here):
    (here / "net.pth").write_bytes(BIG[:-1])
    with pytest.raises(FoleyError, match="net.pth is damaged: its MD5"):
        import_files(here / "net.pth", "mmaudio")
    assert not catalog.find("net-a").is_here


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_mirror_s_network_goes_by_its_shapes(here, ending):
    file = here / f"mmaudio_large_44k_v2_fp16{ending}"
    save = save_file if ending == ".safetensors" else torch.save
    save(tensors("large_44k_v2"), file)
    (folder,) = import_files(file, "mmaudio")
    assert folder == resolve("mmaudio-large-44k-v2-fp16")
    config = json.loads((folder / "config.json").read_text())
    assert (config["network"], config["weights"], config["codec"]) == ("large_44k_v2", file.name, "mmaudio-codec-44k")
    check(folder)
    with pytest.raises(FoleyError, match="is on this machine"):
        import_files(file, "mmaudio")
    assert import_files(file, "mmaudio", force=True) == [folder]
    assert import_files(file, "mmaudio", "mine")[0].name == "mine"
    with pytest.raises(FoleyError, match="name of a published model"):
        import_files(file, "mmaudio", "mmaudio-small-16k")
    remove("mine")


def test_a_pickle_that_runs_code_is_refused(here):
    class Evil:
        def __reduce__(self):
            return (open, (str(here / "touched"), "w"))

    torch.save({"latent_mean": Evil()}, here / "evil.pth")
    with pytest.raises(FoleyError, match="cannot be read"):
        import_files(here / "evil.pth", "mmaudio")
    assert not (here / "touched").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.safetensors", b"\xff" * 8), ("a.safetensors", b""), ("a.pth", b"no pickle"), ("a.txt", b"x")],
)
def test_files_that_are_none_are_refused(here, name, content):
    (here / name).write_bytes(content)
    with pytest.raises(FoleyError):
        import_files(here / name, "mmaudio")
    assert not (here / "foley" / "models").exists() or not list((here / "foley" / "models").iterdir())


def test_a_path_that_is_not_there(here):
    with pytest.raises(FoleyError, match="does not exist"):
        import_files(here / "gone", "vaura")


def test_the_checkpoint_with_the_lowest_loss_is_taken(tmp_path):
    for name in ("last", "epoch=9-val_loss=4.20", "epoch=5-val_loss=4.15-v1", "epoch=1-val_loss=9.00"):
        (tmp_path / f"{name}.ckpt").write_text(name)
    archive = tmp_path / "run.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for file in sorted(tmp_path.glob("*.ckpt")):
            packed.add(file, f"run/checkpoints/{file.name}")
    with unpacked_checkpoint(archive, tmp_path) as best:
        assert best.read_text() == "epoch=5-val_loss=4.15-v1"
    assert not best.exists()


@pytest.mark.parametrize("content", [b"no archive", b"\x1f\x8b\x08\x00broken"])
def test_a_broken_archive_is_refused(tmp_path, content):
    (tmp_path / "run.tar.gz").write_bytes(content)
    with pytest.raises(FoleyError, match="no archive"), unpacked_checkpoint(tmp_path / "run.tar.gz", tmp_path):
        pass


def test_an_archive_without_a_checkpoint_is_refused(tmp_path):
    with tarfile.open(tmp_path / "run.tar.gz", "w:gz"):
        pass
    with pytest.raises(FoleyError, match="holds no .ckpt"), unpacked_checkpoint(tmp_path / "run.tar.gz", tmp_path):
        pass


@pytest.fixture
def network(here) -> Path:
    """A network's file."""
    save_file(tensors("small_16k"), here / "net.safetensors")
    return here / "net.safetensors"


@pytest.mark.parametrize("name", ["../../precious", "..", ".", "", "a/b", ".hidden", "x" * 300, "caf\udce9", "a\nb"])
@pytest.mark.parametrize("force", [False, True])
def test_a_name_is_no_path(here, network, name, force):
    precious = here / "precious"
    precious.mkdir()
    (precious / "config.json").write_text("{}")
    for named in (name, str(precious)):
        with pytest.raises(FoleyError, match="the model name .* cannot be a name") as raised:
            import_files(network, "mmaudio", named, force=force)
        assert "--name" in raised.value.hint
    assert (precious / "config.json").exists() and not places.installed()


@pytest.mark.parametrize("stem", [".hidden", "-net", "y" * 240, "caf\udce9", "a\nb", "two:parts"])
def test_odd_names_of_files_need_a_name(here, network, stem):
    odd = network.rename(here / f"{stem}.safetensors")
    with pytest.raises(FoleyError, match="cannot be a name"):
        import_files(odd, "mmaudio")
    (folder,) = import_files(odd, "mmaudio", "mine")
    check(folder)
    assert resolve("mine") == folder


def test_force_replaces_models_only(here, network):
    mine = places.model_folder("mine")
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(FoleyError, match="is no model folder"):
        import_files(network, "mmaudio", "mine", force=True)
    assert (mine / "thesis.txt").read_text() == "years"
    places.model_folder("file").write_text("a file")
    with pytest.raises(FoleyError, match="is no model folder"):
        import_files(network, "mmaudio", "file", force=True)


def test_force_over_a_linked_folder_leaves_what_it_links_to(here, network):
    (kept,) = import_files(network, "mmaudio", "mine")
    elsewhere = kept.rename(here / "elsewhere")
    kept.symlink_to(elsewhere)
    assert import_files(network, "mmaudio", "mine", force=True) == [kept]
    assert not kept.is_symlink() and (elsewhere / "net.safetensors").exists()
    check(kept)


SLOW = """
import shutil, sys, time
from pathlib import Path
from foleycli.families.mmaudio import family
def copy(source, target):
    target.write_bytes(b"half")
    print("copying", flush=True)
    time.sleep(60)
family.shutil.copyfile = copy
from foleycli.hub.foreign import import_files
import_files(Path(sys.argv[1]), "mmaudio", sys.argv[2])
"""


def start_import(network: Path, name: str) -> subprocess.Popen:
    """A process that is copying when this returns."""
    process = subprocess.Popen([sys.executable, "-c", SLOW, network, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "copying\n"
    return process


def test_what_a_killed_import_left_is_removed_and_what_a_living_one_holds_is_not(here, network):
    killed, living = start_import(network, "killed"), start_import(network, "living")
    try:
        killed.kill()
        killed.communicate()
        assert len(list(places.models_folder().rglob("net.safetensors"))) == 2
        assert not places.installed()
        (made,) = import_files(network, "mmaudio", "mine")
        halves = [file for file in places.models_folder().rglob("net.safetensors") if file.read_bytes() == b"half"]
        assert len(halves) == 1 and places.installed() == [made]
    finally:
        living.kill()
        living.communicate()
    remove("mine")
    assert not list(places.models_folder().iterdir())
