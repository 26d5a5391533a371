"""Where models are kept: FOLEY_HOME, the cache folder of the system, and users without a home."""

import os
import pwd
import sys
from pathlib import Path

import pytest

from foleycli.errors import FoleyError
from foleycli.hub import places
from foleycli.hub.catalog import RemoteFile
from foleycli.hub.resolve import resolve


@pytest.fixture
def homeless(monkeypatch):
    """A user whom the system does not know, as in a container with --user 4711."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in ("FOLEY_HOME", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own place")
def test_default_places(monkeypatch):
    monkeypatch.delenv("FOLEY_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert places.home() == Path("/home/ada/.cache/foley")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert places.home() == Path("/cache/foley")
    monkeypatch.setenv("FOLEY_HOME", "~/models")
    assert places.home() == Path("/home/ada/models")


def test_without_a_home_the_shipped_models_work(homeless, foley, tmp_path):
    assert resolve("salsav-mini").name == "salsav-mini"
    assert places.installed() == []
    assert foley("models", "path", "salsav-mini").code == 0
    (tmp_path / "config.json").write_text('{"kind": "family"}')
    assert resolve(str(tmp_path)) == tmp_path
    assert foley("doctor").code == 0
    for command in (("models", "list"), ("models", "pull", "synchformer"), ("models", "remove", "mine")):
        told = foley(*command)
        assert told.code == 1 and "no home folder" in told.error and "FOLEY_HOME" in told.error


def test_the_hub_s_cache_is_not_made_in_a_folder_called_tilde(homeless, monkeypatch, tmp_path):
    from huggingface_hub import constants

    from foleycli.hub.fetch import fetch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "foley"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", os.path.expanduser("~/.cache/huggingface/hub"))
    with pytest.raises(FoleyError, match="no home folder for the Hub's cache") as raised:
        fetch(RemoteFile("maker/sounds", "eyes.bin", 1))
    assert "HF_HOME" in raised.value.hint and not list(tmp_path.iterdir())


@pytest.mark.parametrize("named", ["~nobody-of-this-name", "~nobody-of-this-name/models"])
def test_an_unknown_user_s_home_is_told(foley, monkeypatch, named):
    monkeypatch.setenv("FOLEY_HOME", named)
    told = foley("models", "list")
    assert told.code == 1 and "the home folder in" in told.error


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "x" * 300, "x/" * 3000, "caf\udce9", "a\nb"])
def test_odd_names_of_models_are_unknown_models(foley, tmp_path, monkeypatch, name):
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path))
    told = foley("models", "path", name)
    assert told.code == 1 and len(told.error.splitlines()) == 2


def test_a_home_that_is_a_file_or_too_long(foley, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / ("x" * 300)):
        monkeypatch.setenv("FOLEY_HOME", str(home))
        assert foley("models", "list").code == 0
        told = foley("models", "pull", "synchformer", "--accept-license")
        assert told.code == 1 and "FOLEY_HOME" in told.error
