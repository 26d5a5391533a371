"""Files that the user got elsewhere into model folders, as if they had been pulled.

The publisher's own files are known by name and checked by hash; other files of MMAudio networks
(mirrors, fine-tuned ones) by the shapes of their tensors.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import fetch, places, pull
from foleycli.hub.catalog import Entry, entries, find, mmaudio_name
from foleycli.records import Report, silent
from foleycli.weights.folder import sha256_of

FAMILIES = ("mmaudio", "vaura")
ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
# (hidden width, joint blocks, width of the time embedding's input) of each 44.1 kHz network (peers.md B.1.2).
NETWORKS_44K = {
    (448, 4, 256): "small_44k",
    (896, 4, 256): "medium_44k",
    (896, 7, 256): "large_44k",
    (896, 7, 896): "large_44k_v2",
}

Shapes = dict[str, tuple[int, ...]]


def import_files(
    path: Path, family: str, name: str | None = None, force: bool = False, report: Report = silent
) -> list[Path]:
    """The folders that were made from a file or a folder of files; `name`: of the model, where it is not known.

    Errors: FoleyError when nothing in it is of that family, a known file is damaged, or a model of that name
    is here and `force` is not set.
    """
    if family not in FAMILIES:
        raise FoleyError(f"--family is {family!r}", f"known are {', '.join(FAMILIES)}")
    if not path.exists():
        raise FoleyError(f"{path} does not exist", "name the file or folder that you have")
    if family == "vaura":
        return [_vaura(path, name or "vaura", force, report)]
    files = {file.name: file for file in ([path] if path.is_file() else sorted(path.rglob("*"))) if file.is_file()}
    made = [_published(entry, files, force, report) for entry in _complete(files)]
    known = {file.name for entry in entries() for file in entry.files}
    others = [file for file in files.values() if file.name not in known and file.suffix in ENDINGS]
    if not made and len(others) == 1:
        made = [_other_network(others[0], name, force, report)]
    if not made:
        raise FoleyError(
            f"{path} holds no file of MMAudio that can be used",
            "pass one network's file, or a folder with the publisher's files under their own names",
        )
    return made


def _complete(files: dict[str, Path]) -> list[Entry]:
    """Entries of MMAudio and its parts all of whose files are there."""
    fetched = (entry for entry in entries() if not entry.is_shipped and entry.name != "vaura")
    return [entry for entry in fetched if all(file.name in files for file in entry.files)]


def _published(entry: Entry, files: dict[str, Path], force: bool, report: Report) -> Path:
    """A catalogue entry from the user's copies, checked by the hashes that are known."""
    _check_free(entry.folder, force)
    facts = {
        file.name: {"sha256": fetch.check(files[file.name], file, "", report), "source": str(files[file.name])}
        for file in entry.files
    }
    with pull.new_folder(entry.folder) as folder:
        for name in facts:
            shutil.copyfile(files[name], folder / name)
        pull.write_config(folder, entry, facts)
    return entry.folder


def _other_network(path: Path, name: str | None, force: bool, report: Report) -> Path:
    """A network under any file name."""
    network = network_of(_shapes(path), path)
    entry = find(mmaudio_name(network))
    assert entry is not None  # NETWORKS_44K and the catalogue list the same networks
    named = name or path.stem.lower().replace("_", "-")
    if find(named) is not None:
        raise FoleyError(f"{named!r} is the name of a published model", "choose another: --name NAME")
    target = places.models_folder() / named
    _check_free(target, force)
    with pull.new_folder(target) as folder:
        report("copy", 0, 1)
        shutil.copyfile(path, folder / path.name)
        sha256 = sha256_of(folder / path.name)
        config = {"name": named, "kind": "family", **entry.config, "weights": path.name, "sha256": sha256,
                  "files": {path.name: {"sha256": sha256, "source": str(path)}}}  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        report("copy", 1, 1)
    return target


def _check_free(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise FoleyError(f"a model {target.name} is on this machine", "write over it with --force, or use --name")


def network_of(shapes: Shapes, path: Path) -> str:
    """Which of MMAudio's networks has tensors of these shapes (peers.md B.1.2); errors: FoleyError."""
    try:
        latent_dim = shapes["latent_mean"][-1]
        hidden = shapes["audio_input_proj.0.bias"][0]
        time_in = shapes["t_embed.mlp.0.weight"][1]
    except KeyError as missing:
        raise FoleyError(
            f"{path} is no network of MMAudio: it has no {missing}", "parts go by the publisher's file names"
        ) from None
    n_joint = len({key.split(".")[1] for key in shapes if key.startswith("joint_blocks.")})
    is_small_16k = (latent_dim, hidden, n_joint, time_in) == (20, 448, 4, 256)
    network = "small_16k" if is_small_16k else NETWORKS_44K.get((hidden, n_joint, time_in))
    if network is None or latent_dim != (20 if is_small_16k else 40):
        raise FoleyError(
            f"{path} is a network of MMAudio that foley does not know: width {hidden}, {n_joint} joint blocks",
            "known are " + ", ".join(["small_16k", *NETWORKS_44K.values()]),
        )
    return network


def _shapes(path: Path) -> Shapes:
    """Tensor shapes of a safetensors file or a torch pickle, without reading the tensors."""
    try:
        if path.suffix == ".safetensors":
            return _safetensors_shapes(path)
    except (ValueError, KeyError, TypeError, struct.error, OSError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", "get the file again") from error
    from foleycli.weights.checkpoint import read_tensors

    return {key: tuple(value.shape) for key, value in read_tensors(path).items()}


def _safetensors_shapes(path: Path) -> Shapes:
    with path.open("rb") as file:
        (n_bytes,) = struct.unpack("<Q", file.read(8))
        if n_bytes > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(n_bytes))
    return {key: tuple(facts["shape"]) for key, facts in header.items() if key != "__metadata__"}


def _vaura(path: Path, name: str, force: bool, report: Report) -> Path:
    """V-AURA's archive or checkpoint, converted once."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.name.endswith((".ckpt", ".tar.gz")))
        if len(found) != 1:
            raise FoleyError(f"{path} holds {len(found)} checkpoints", "name the file: V-AURA's .tar.gz or a .ckpt")
        (path,) = found
    target = places.models_folder() / name
    _check_free(target, force)
    facts = {path.name: {"sha256": sha256_of(path), "source": str(path)}}
    with pull.new_folder(target) as folder:
        pull.convert_vaura(path, folder, facts, report)
    return target
