"""One published file onto this disk: found, resumed, checked, and only then put in its place.

Files of the Hub land in the Hub's own cache, where every tool finds them; files with plain addresses
under FOLEY_HOME.  Requests go through huggingface_hub's client (tokens, HF_ENDPOINT, offline mode); the
partial file is ours, because that client's own is lost when its process ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from foleycli.errors import FoleyError
from foleycli.hub import failures, places
from foleycli.hub.catalog import RemoteFile
from foleycli.records import Report, silent

BLOCK_BYTES = 1 << 20
IDLE_TRIES = 2  # requests in a row that bring nothing
TRANSFER_BYTES = 1 << 18  # a dropped connection loses less than this; the client's own 10 MB would all be lost


@dataclass(frozen=True)
class Fetched:
    """A file on this disk whose content was checked."""

    path: Path
    sha256: str
    commit: str  # of the repository; "" for a plain address


@dataclass(frozen=True)
class Offer:
    """What a server says about a file before it is fetched."""

    address: str
    size_bytes: int | None
    etag: str
    headers: dict[str, str]


def fetch(file: RemoteFile, report: Report = silent, folder: Path | None = None) -> Fetched:
    """The file, from this disk if it is there; errors: FoleyError saying what to do.

    `folder`: where a file with a plain address is kept; None: in FOLEY_HOME.
    """
    with failures.translate_errors(file.name, file.source.rstrip("/")), hub_client():
        return _from_hub(file, report) if file.is_on_hub else _from_address(file, report, folder)


def _from_hub(file: RemoteFile, report: Report) -> Fetched:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import build_hf_headers

    if constants.HF_HUB_CACHE.startswith("~"):  # nobody could replace it
        raise FoleyError("this user has no home folder for the Hub's cache", "Set HF_HOME to a folder")
    url = hf_hub_url(file.source, file.path, revision=file.revision)
    try:
        found = get_hf_file_metadata(url)
    except OfflineModeIsEnabled:
        return _from_hub_cache(file, report)
    if not found.etag or not found.commit_hash:
        raise FileMetadataError("an answer without ETag and commit")
    headers = build_hf_headers()
    if urlsplit(found.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the token is for the Hub alone
    folder = repo_folder_name(repo_id=file.source, repo_type="model")
    blob = Path(constants.HF_HUB_CACHE, folder, "blobs", found.etag)
    offer = Offer(found.location, found.size, found.etag, headers)
    with locked(Path(constants.HF_HUB_CACHE, ".locks", folder, f"{found.etag}.lock")):
        sha256 = _ensure(blob, offer, file, report)
    pointer = Path(hf_hub_download(file.source, file.path, revision=file.revision))  # finds the blob, links it
    if _etag_of(pointer) not in (found.etag, ""):
        raise FoleyError(f"{file.source} changed while {file.name} was fetched", "Run the same command again")
    return Fetched(pointer, sha256, found.commit_hash)


def _from_hub_cache(file: RemoteFile, report: Report) -> Fetched:
    """Without a network: the copy that is in the Hub's cache, checked."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import OfflineModeIsEnabled

    found = try_to_load_from_cache(file.source, file.path, revision=file.revision)
    if not isinstance(found, str):
        raise OfflineModeIsEnabled
    pointer = Path(found)
    return Fetched(pointer, check(pointer, file, _etag_of(pointer), report), pointer.parent.name)


def _etag_of(pointer: Path) -> str:
    """The hash that names a file in the Hub's cache; "" where links are not possible.

    A pointer is a link to a blob of that name, which can itself be a link: to a store that all repositories share.
    """
    return Path(os.readlink(pointer)).name if pointer.is_symlink() else ""


def _from_address(file: RemoteFile, report: Report, folder: Path | None) -> Fetched:
    from huggingface_hub.utils import http_backoff

    folder = folder or places.home() / "files" / hashlib.sha256(file.source.encode()).hexdigest()[:8]
    target = places.make_folder(folder) / file.name
    if target.is_file():
        with suppress(FoleyError):  # damaged since it was checked: fetched again
            return Fetched(target, check(target, file, "", report), "")
    url = file.source + file.path
    answer = http_backoff("HEAD", url, max_retries=1, timeout=10, headers={"Accept-Encoding": "identity"})
    answer.raise_for_status()
    size = answer.headers.get("Content-Length")
    etag = answer.headers.get("ETag", "").strip('W/"')
    with locked(target.with_name(f"{file.name}.lock")):
        sha256 = _ensure(target, Offer(url, int(size) if size else None, etag, {}), file, report)
    return Fetched(target, sha256, "")


def _ensure(target: Path, offer: Offer, file: RemoteFile, report: Report) -> str:
    """`target`, checked; fetched when it is not there or is damaged; returns its SHA-256."""
    etag = offer.etag if file.is_on_hub else ""  # elsewhere an ETag is no hash of the content
    if target.exists():
        try:
            return check(target, file, etag, report)
        except FoleyError:
            target.unlink()  # a damaged file serves nobody
    target.parent.mkdir(parents=True, exist_ok=True)
    version = hashlib.sha256(f"{offer.etag} {offer.size_bytes}".encode()).hexdigest()[:8]
    part = target.with_name(f"{target.name}.{version}.part")  # a file that changed is not continued
    _download(offer, part, file.name, report)
    try:
        sha256 = check(part, file, etag, report)
    except FoleyError:
        part.unlink()
        raise
    part.replace(target)
    return sha256


def _download(offer: Offer, part: Path, name: str, report: Report) -> None:
    """Fill `part` up to the whole file, from where it ends; a dropped connection is taken up again."""
    n_idle = 0
    while True:
        have = _size(part)
        if offer.size_bytes is not None and have > offer.size_bytes:
            part.unlink()
            have = 0
        _check_room(offer, have, name, part.parent)
        try:
            return _append(offer, part, have, name, report)
        except Exception as error:
            n_idle = 0 if _size(part) > have else n_idle + 1
            # Older clients append the whole file where a server ignores the range: then all of it anew.
            is_overfull = have > 0 and _size(part) > (offer.size_bytes or float("inf"))
            if not (failures.is_network(error) or is_overfull) or n_idle == IDLE_TRIES:
                raise
            time.sleep(1)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_room(offer: Offer, have: int, name: str, folder: Path) -> None:
    if offer.size_bytes is None:
        return
    need, free = offer.size_bytes - have, shutil.disk_usage(folder).free
    if free < need:
        raise failures.no_room(name, need, free, folder)


def _append(offer: Offer, part: Path, have: int, name: str, report: Report) -> None:
    """One request for all that is missing."""
    from huggingface_hub.file_download import http_get

    with part.open("ab") as file:
        reporting = _ReportingFile(file, name, offer.size_bytes or 0, report)
        http_get(
            offer.address,
            cast(BinaryIO, reporting),  # what the client calls of a file, it has
            resume_size=have,
            headers=offer.headers,
            expected_size=offer.size_bytes,
        )
        file.flush()
        os.fsync(file.fileno())


class _ReportingFile:
    """A file that reports how much of it is there."""

    def __init__(self, file: BinaryIO, name: str, size_bytes: int, report: Report) -> None:
        self.file, self.name, self.size_bytes, self.report = file, name, size_bytes, report

    def write(self, block: bytes) -> int:
        n_bytes = self.file.write(block)
        if self.size_bytes:
            self.report(self.name, min(self.file.tell(), self.size_bytes - 1), self.size_bytes)
        return n_bytes

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)


def check(path: Path, file: RemoteFile, etag: str, report: Report = silent) -> str:
    """The file's SHA-256; errors: FoleyError when any known hash disagrees.

    `etag` is the Hub's: the SHA-256 of large files, git's SHA-1 of small ones (64 or 40 digits).
    """
    size = path.stat().st_size
    sha256, md5, git = hashlib.sha256(), hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    git.update(f"blob {size}\0".encode())
    wanted = [
        (sha256, "SHA-256", file.sha256),
        (md5, "MD5", file.md5),
        (sha256 if len(etag) == 64 else git, "hash", etag if len(etag) in (40, 64) else ""),
    ]
    used = {id(hasher): hasher for hasher in (sha256, *(hasher for hasher, _, known in wanted if known))}
    with path.open("rb") as content:
        while block := content.read(BLOCK_BYTES):
            for hasher in used.values():
                hasher.update(block)
    for hasher, kind, known in wanted:
        if known and hasher.hexdigest() != known.lower():
            raise FoleyError(
                f"{file.name} is damaged: its {kind} is {hasher.hexdigest()[:12]}…, expected {known[:12]}…",
                "Pull it again; if it stays so, something on the way changes it (a proxy?) or the publisher did",
            )
    report(file.name, size, size)
    return sha256.hexdigest()


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Only one process at a time; the others wait and then find the file."""
    from filelock import FileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(lock)):
        yield


@contextmanager
def hub_client() -> Iterator[None]:
    """The client writes in small pieces, draws no bars and logs nothing: foley reports progress and errors."""
    from huggingface_hub import constants
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils import logging as hub_logging  # sets its level anew when it is first imported

    level, had_bars = hub_logging.get_verbosity(), not are_progress_bars_disabled()
    piece_bytes = constants.DOWNLOAD_CHUNK_SIZE
    hub_logging.set_verbosity(hub_logging.CRITICAL)
    constants.DOWNLOAD_CHUNK_SIZE = TRANSFER_BYTES
    if had_bars:
        disable_progress_bars()
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = piece_bytes
        hub_logging.set_verbosity(level)
        if had_bars:
            enable_progress_bars()
