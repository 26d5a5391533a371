"""The form of a prepared data set: tar shards that the webdataset library reads too, and an index beside them.

    DIR/dataset.json                 settings, encoders with their hashes, how many examples each split has
    DIR/plan.jsonl                   every example that shall be made, in order; a line each
    DIR/train/000000.media.tar       KEY.mp4 (picture, 25 fps), KEY.flac (mono), KEY.json (what is known)
    DIR/train/000000.features.tar    KEY.sync.npy, KEY.latents.npy, KEY.codes.npy, ..., KEY.json
    DIR/train/000000.json            what is in both, and which inputs were broken; written last

All files of an example stand together and share its KEY, as webdataset has it.  Features stand in tars of their own:
a training that reads them alone reads a tenth of the bytes.  The same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from foleycli.errors import FoleyError
from foleycli.media.output import replacing
from foleycli.settings.checking import bounded, check_value, from_mapping, short_repr

FORMAT = 1  # one more when shards hold other things
INDEX_NAME, PLAN_NAME = "dataset.json", "plan.jsonl"
Kind = Literal["media", "features"]
LONGEST_KEY = 80
AGAIN = "Prepare the data set again: foley data prepare"


@dataclass(frozen=True)
class PrepareSettings:
    """How examples are made; what changes one byte of a shard is here."""

    duration_s: float = bounded(0.5, 60.0, default=8.0)  # of an example
    rate_hz: int = bounded(8000, 192_000, default=44100)
    size_px: int = bounded(16, 1024, default=224)  # the shorter side of the pictures that are kept
    codec: str = "mel-mini"  # names or folders; "" leaves its features out
    sync: str = "sync-mini"
    semantic: str = "tagger"  # the image tagger that ships with foley, a folder, or hub:OWNER/NAME
    examples_per_shard: int = bounded(1, 100_000, default=256)

    def __post_init__(self) -> None:
        check_bounds(self)


def check_bounds(settings: Any) -> None:
    """Errors: FoleyError for a field of a dataclass that is out of its bounds."""
    for key in (each.name for each in fields(settings)):
        try:
            check_value(type(settings), key, getattr(settings, key))
        except ValueError as error:
            raise FoleyError(f"{key} is {short_repr(getattr(settings, key))}", f"It must be {error}") from None


@dataclass(frozen=True)
class DatasetIndex:
    """What dataset.json says."""

    settings: dict[str, Any]
    encoders: dict[str, str] = field(default_factory=dict)  # by role: SHA-256 of the weights, or a version
    format: int = FORMAT
    foley: str = ""  # the version that made it
    n_planned: int = 0
    is_complete: bool = False
    examples: dict[str, int] = field(default_factory=dict)  # by split
    broken: int = 0
    source: str = ""  # the CSV or folder

    @property
    def prepare(self) -> PrepareSettings:
        return from_mapping(PrepareSettings, self.settings, f"{INDEX_NAME}: settings", hint=AGAIN)


def example_key(id: str, start_s: float) -> str:
    """A name that tar, webdataset (which splits at the first dot) and every file system take, unlike any other's."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", id)
    if plain != id or len(plain) > LONGEST_KEY:
        plain = f"{plain[-LONGEST_KEY:].strip('-')}-{hashlib.sha256(id.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return f"{plain}_{round(1000 * start_s):08d}"


def shard_path(folder: Path, split: str, number: int, kind: Kind) -> Path:
    return folder / split / f"{number:06d}.{kind}.tar"


def facts_path(folder: Path, split: str, number: int) -> Path:
    """The index of one shard; where it is, both tars are whole."""
    return folder / split / f"{number:06d}.json"


def open_tar(path: Path) -> tarfile.TarFile:
    """A tar to write, for `add_example`."""
    return tarfile.open(path, "w", format=tarfile.GNU_FORMAT)


def add_example(tar: tarfile.TarFile, key: str, files: Mapping[str, bytes]) -> None:
    """The files of one example, by ending; nothing says when and by whom they were written."""
    for ending, content in files.items():
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size, info.mode = len(content), 0o644
        tar.addfile(info, io.BytesIO(content))


def array_bytes(array: np.ndarray) -> bytes:
    """An array as the content of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_shard(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The examples of a tar in its order, each as its key and its files by ending; errors: FoleyError if damaged."""
    key, files = "", dict[str, bytes]()
    try:
        with path.open("rb", buffering=1 << 20) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                of_member, _, ending = member.name.partition(".")
                if of_member != key and files:
                    yield key, files
                    files = {}
                content = tar.extractfile(member)
                if content is None:
                    raise tarfile.ReadError(f"{member.name} is no file")
                key, files[ending] = of_member, content.read()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", AGAIN) from error
    if files:
        yield key, files


def read_array(content: bytes) -> np.ndarray:
    """The array of a .npy file."""
    return np.load(io.BytesIO(content), allow_pickle=False)


def read_index(folder: Path) -> DatasetIndex:
    """dataset.json; errors: FoleyError where the folder is no data set, or one of another form."""
    path = folder / INDEX_NAME
    if not path.is_file():
        raise FoleyError(f"{folder} is no prepared data set: it has no {INDEX_NAME}", "Make one: foley data prepare")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", AGAIN) from error
    index = from_mapping(DatasetIndex, values, str(path), hint=AGAIN)
    if index.format != FORMAT:
        raise FoleyError(f"{path} is of format {index.format}, this version reads {FORMAT}", AGAIN)
    return index


def write_json(path: Path, value: object) -> None:
    """A JSON file, written aside and renamed into place."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """A text file, written aside and renamed into place."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_lines(path: Path, rows: Iterable[object]) -> None:
    """JSON lines, written aside and renamed into place."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines; errors: FoleyError for a file that is missing or damaged."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", AGAIN) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that we wrote; errors: FoleyError for one that is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", AGAIN) from error


def parse_json(content: bytes) -> dict[str, Any]:
    """The mapping in a .json file of a shard."""
    return json.loads(content)


def json_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
