"""Names and folders to model folders."""

import json

import pytest

from foleycli.errors import FoleyError
from foleycli.hub.catalog import DEFAULT_MODEL, entries
from foleycli.hub.resolve import resolve, verify
from foleycli.weights.folder import sha256_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    config = {"name": "mine", "sha256": sha256_of(tmp_path / "model.safetensors")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_catalog_has_one_default_family():
    assert DEFAULT_MODEL in [entry.name for entry in entries("family")]
    assert {entry.kind for entry in entries()} == {"family", "codec", "sync", "dynamics", "clip"}
    assert len({entry.name for entry in entries()}) == len(entries())


def test_folder_resolves_to_itself(folder):
    assert resolve(str(folder)) == folder


def test_folder_without_config_is_refused(tmp_path):
    with pytest.raises(FoleyError, match="not a model folder"):
        resolve(str(tmp_path))


def test_folder_with_broken_config_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FoleyError, match="cannot be read"):
        resolve(str(tmp_path))


def test_file_is_refused(folder):
    with pytest.raises(FoleyError, match="is a file"):
        resolve(str(folder / "model.safetensors"))


def test_unknown_name_gets_the_nearest():
    with pytest.raises(FoleyError) as raised:
        resolve("mel-mimi")
    assert "'mel-mini'" in raised.value.hint and "foley models list" in raised.value.hint


def test_verify_sees_one_changed_byte(folder):
    assert verify(folder)
    (folder / "model.safetensors").write_bytes(b"weightz")
    assert not verify(folder)


def test_verify_sees_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    assert not verify(folder)
