"""One Debian package onto this disk at its exact version, checked by the SHA-256 of Debian's archive.

A mirror has only the versions of today's releases. snapshot.debian.org has every file that was ever published, by
its SHA-1: `/mr/binary/NAME/VERSION/binfiles` lists those, `/file/SHA1` gives the file
(https://salsa.debian.org/snapshot-team/snapshot/raw/master/API).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from foleycli.errors import FoleyError
from foleycli.hub import failures
from foleycli.hub.catalog import RemoteFile
from foleycli.hub.fetch import fetch, hub_client
from foleycli.records import Report, silent
from foleycli.soundset.debian.origins import Package

MIRROR = "http://deb.debian.org/debian"
SNAPSHOT = "https://snapshot.debian.org"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Sources:
    """Where packages are looked for, in this order."""

    debs: Path  # a folder of packages, which also takes what is fetched
    mirror: str = MIRROR
    snapshot: str = SNAPSHOT


def fetch_package(package: Package, sources: Sources, report: Report = silent) -> Path:
    """The package's file in `sources.debs`; errors: FoleyError when no source gives it whole."""
    refusals = []
    for find in (_on_mirror, _on_snapshot):
        try:
            return fetch(find(package, sources), _report_as(package, report), sources.debs).path
        except FoleyError as error:
            refusals.append(error.message)
    raise FoleyError(
        f"{package.deb_name}: {'; '.join(dict.fromkeys(refusals))}",
        f"Get it by hand (apt-get download {package.name}={package.version}), and name its folder with --debs",
    )


def _on_mirror(package: Package, sources: Sources) -> RemoteFile:
    return _remote(package, sources.mirror, package.pool_path)


def _on_snapshot(package: Package, sources: Sources) -> RemoteFile:
    address = f"{sources.snapshot.rstrip('/')}/mr/binary/{package.name}/{quote(package.version, safe='')}/binfiles"
    files = _files_at(f"{address}?fileinfo=1", package, sources)
    for sha1, places in files.items():
        if re.fullmatch("[0-9a-f]{40}", sha1) and any(place.get("size") == package.size_bytes for place in places):
            return _remote(package, sources.snapshot, f"file/{sha1}")
    raise FoleyError(f"{sources.snapshot} does not have it")


def _files_at(address: str, package: Package, sources: Sources) -> dict[str, list[dict[str, Any]]]:
    """The files of the package by SHA-1, each with the places where it was published."""
    from huggingface_hub.utils import http_backoff

    with failures.translate_errors(package.deb_name, sources.snapshot), hub_client():
        answer = http_backoff("GET", address, max_retries=1, timeout=TIMEOUT_S)
        answer.raise_for_status()
        try:
            return dict(answer.json()["fileinfo"])
        except (ValueError, KeyError, TypeError) as error:
            raise FoleyError(f"{sources.snapshot} does not answer like Debian's snapshots") from error


def _remote(package: Package, base: str, path: str) -> RemoteFile:
    return RemoteFile(f"{base.rstrip('/')}/", path, package.size_mb, sha256=package.sha256, called=package.deb_name)


def _report_as(package: Package, report: Report) -> Report:
    """Progress under the package's name and size."""
    return lambda _, done, total: report(f"{package.name}, {package.size_mb:.1f} MB", done, total)
