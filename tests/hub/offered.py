"""A made-up catalogue whose files lie on the test's own Hub."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from server import Hub

from foleycli.hub.catalog import MIT, NOT_COMMERCIAL, Entry, RemoteFile

BIG = bytes(range(256)) * 4096  # 1 MiB
VAE, VOCODER, EYES = (bytes([n]) * 50_000 for n in (1, 2, 3))
REPO = "maker/sounds"


def made_up(url: str) -> tuple[Entry, ...]:
    """The published entries of the test: a network, a codec in two files from two places, a small part."""
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in (("net", BIG), ("vae", VAE))}
    network = Entry(
        "net-a", "family", "a network", NOT_COMMERCIAL, (RemoteFile(REPO, "weights/net.pth", 1, md5["net"]),),
        ("codec-a", "eyes"), {"family": "mmaudio", "weights": "net.pth", "codec": "codec-a", "sync": "eyes"},
    )  # fmt: skip
    other = Entry(
        "net-b", "family", "needs only eyes", MIT, (RemoteFile(REPO, "weights/b.pth", 1),), ("eyes",),
        {"family": "mmaudio", "weights": "b.pth", "sync": "eyes"},
    )  # fmt: skip
    codec = Entry(
        "codec-a", "codec", "a codec", NOT_COMMERCIAL,
        (RemoteFile(f"{url}/plain/", "vae.pth", 0.05, md5["vae"]), RemoteFile(REPO, "vocoder.pt", 0.05)),
        (), {"class": "mmaudio", "vae": "vae.pth", "vocoder": "vocoder.pt"},
    )  # fmt: skip
    eyes = Entry("eyes", "sync", "eyes", MIT, (RemoteFile(REPO, "eyes.bin", 0.05),), (), {"weights": "eyes.bin"})
    return network, other, codec, eyes


def published_at(entry: Entry, hub: Hub, files: dict[str, bytes], changes: dict[str, dict]) -> Entry:
    """An entry of the real catalogue with made-up content at `hub`: same places and names, hashes of that content."""
    moved = []
    for file in entry.files:
        content = files[file.name]
        known = {"md5": hashlib.md5(content).hexdigest()} if file.md5 else {}
        if file.is_on_hub:
            hub.repos.setdefault(file.source, {})[file.path] = content
            moved.append(replace(file, **known))
        else:
            hub.plain[file.path] = content  # the same path below another address
            moved.append(replace(file, source=f"{hub.url}/plain/", **known))
    return replace(entry, files=tuple(moved), config={**entry.config, **changes.get(entry.name, {})})
