"""`foley models` and `foley presets`: for people and for programs."""

from pathlib import Path

import yaml

from foleycli.hub.catalog import DEFAULT_MODEL, entries
from foleycli.settings import preset


def test_presets_list(foley):
    told = foley("presets", "list")
    headings, *rows = (line.split("\t") for line in told.out.splitlines())
    assert (told.code, headings) == (0, ["name", "what"])
    assert [name for name, _ in rows] == preset.names()
    assert all(len(what) > 10 for _, what in rows)


def test_presets_list_as_json(foley):
    lines = foley("presets", "list", "--json").lines
    assert [line["name"] for line in lines] == preset.names()
    assert all(Path(line["file"]).is_file() for line in lines)


def test_presets_show_is_the_file_and_its_settings(foley):
    assert yaml.safe_load(foley("presets", "show", "draft").out) == {"steps": 4}
    (settings,) = foley("presets", "show", "draft", "--json").lines
    assert (settings["steps"], settings["rate_hz"]) == (4, 48000)


def test_presets_path(foley):
    assert foley("presets", "path", "fine").out.strip() == str(preset.folder() / "fine.yaml")


def test_unknown_preset_names_the_nearest(foley):
    for command in ("show", "path"):
        told = foley("presets", command, "ambiance")
        assert told.code == 1
        assert "'ambience'" in told.error and "foley presets list" in told.error


def test_models_list(foley):
    told = foley("models", "list")
    headings, *rows = (line.split("\t") for line in told.out.splitlines())
    assert (told.code, headings[:3]) == (0, ["name", "kind", "state"])
    assert [row[0] for row in rows] == [entry.name for entry in entries()]
    assert [row[0] for row in rows if row[2] == "ready, default"] == [DEFAULT_MODEL]


def test_models_list_as_json(foley):
    lines = foley("models", "list", "--json").lines
    assert [line["name"] for line in lines if line["is_default"]] == [DEFAULT_MODEL]


def test_models_of_a_folder(foley, model):
    assert foley("models", "path", model).out.strip() == str(model)
    shown = foley("models", "show", model)
    assert shown.code == 0
    assert "bare" in shown.out and "DAMAGED OR MISSING" in shown.out
    (facts,) = foley("models", "show", model, "--json").lines
    assert (facts["name"], facts["is_intact"]) == ("bare", False)


def test_unknown_model_names_the_nearest(foley):
    told = foley("models", "path", "salsa-mini")
    assert told.code == 1
    assert "'salsav-mini'" in told.error and "foley models list" in told.error
