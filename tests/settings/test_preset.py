"""Presets: what ships is sound; what is wrong is named with its nearest right."""

import os
from dataclasses import fields

import pytest

from foleycli.errors import EXIT_FAILED, EXIT_USAGE, FoleyError, UsageError
from foleycli.hub.catalog import DEFAULT_MODEL, entries
from foleycli.hub.resolve import default_settings
from foleycli.settings import preset
from foleycli.settings.checking import check_value
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings, setting_fields

SHIPPED = ("default", "draft", "fine", "impacts", "footsteps", "ambience", "whoosh")


def test_all_presets_ship():
    assert set(preset.names()) == set(SHIPPED)
    assert preset.names()[0] == "default"


def test_defaults_are_what_the_default_model_runs_with():
    """So that --help, presets, --dry-run and a Settings() in Python all say the same numbers."""
    assert resolve_settings(model_defaults=default_settings(DEFAULT_MODEL)) == Settings()


def test_models_defaults_are_beaten_by_presets_and_those_by_overrides(tmp_path):
    own = default_settings("maskvat-mini")
    assert (own["steps"], own["guidance"]) == (16, 3.0)
    assert resolve_settings(model_defaults=own).steps == 16
    assert resolve_settings("default", own).steps == 16  # it is the defaults written out, and sets nothing
    assert resolve_settings("draft", own).steps == 4
    assert resolve_settings("draft", own, {"steps": 9}).steps == 9


def test_published_models_take_no_timbre_unless_asked():
    assert not resolve_settings(model_defaults=default_settings("mmaudio-large-44k-v2")).library
    assert not resolve_settings(model_defaults=default_settings("vaura")).library


def test_default_preset_says_every_default():
    assert resolve_settings() == Settings()
    assert set(preset.read(preset.find("default"))) == {field.name for field in fields(Settings)}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_line_has_a_reason_and_differs_from_the_default(name):
    file = preset.find(name)
    first, *lines = file.read_text(encoding="utf-8").splitlines()
    assert first == f"# {preset.describe(file)}"
    assert all(len(line.split("#")[1]) > 10 for line in lines)
    if name != "default":
        models = [resolve_settings(model_defaults=default_settings(entry.name)) for entry in entries("family")]
        for key, value in preset.read(file).items():
            assert any(getattr(model, key) != value for model in models)


def test_draft_and_fine_have_their_steps():
    assert resolve_settings("draft").steps == 4
    assert resolve_settings("fine").steps == 32


def test_option_beats_preset_beats_default(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text("steps: 3\nguidance: 4\n")
    settings = resolve_settings(str(file), overrides={"steps": 5, "loudness_lufs": -20, "ride": None})
    assert (settings.steps, settings.guidance, settings.loudness_lufs, settings.seed) == (5, 4.0, -20.0, 0)
    assert isinstance(settings.guidance, float)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("step: 4", "unknown setting 'step'", "Did you mean 'steps'?"),
        ("zzzz: 4", "unknown setting 'zzzz'", "foley presets show default"),
        ("steps: 65", "steps is 65", "a whole number from 1 to 64"),
        ("steps: 4.5", "steps is 4.5", "a whole number from 1 to 64"),
        ("steps: many", "steps is 'many'", "a whole number"),
        ("steps: true", "steps is True", "a whole number"),
        ("steps: null", "steps is None", "a whole number"),
        ("guidance: .nan", "guidance is nan", "a number from 0 to 20"),
        ("guidance: .inf", "guidance is inf", "a number from 0 to 20"),
        ("mix: 1", "mix is 1", "true or false"),
        ("prompt: 3", "prompt is 3", "text"),
        ("rate_hz: 45000", "rate_hz is 45000", "44100 or 48000"),
        ("loudness_lufs: 0", "loudness_lufs is 0", "-60 to -5 (or null)"),
        ("- steps", "a list", "setting: value"),
        ("steps: [", "not YAML", "setting: value"),
    ],
)
def test_bad_file(tmp_path, text, message, hint):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(FoleyError) as raised:
        resolve_settings(str(file))
    assert message in raised.value.message and str(file) in raised.value.message
    assert hint in raised.value.hint
    assert raised.value.exit_code == EXIT_FAILED


ODD_YAML = {
    "a date that is none": "steps: 2024-99-99",
    "nothing as a number": "steps: !!int ''",
    "thousands of digits": "steps: " + "9" * 5000,
    "a number beyond floats": "guidance: " + "9" * 400,
    "deep": "steps: " + "[" * 500 + "]" * 500,
    "half a surrogate pair": 'prompt: "\\ud800"',
    "a date": "steps: 2024-01-01",
    "bytes": "prompt: !!binary aGk=",
    "a set": "steps: !!set {a, b}",
    "code": "prompt: !!python/object/apply:os.getcwd []",
    "twice": "steps: 4\nsteps: 5",
    "billions of items": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "steps: *z",
    "merged again and again": "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\n<<: *b",
    "a key that is a list": "? [a]\n: 1",
    "a key that is a number": "3: 4",
    "two documents": "steps: 4\n---\nsteps: 5",
    "a control character": "prompt: \x00",
    "a very long word": "steps: " + "x" * 100_000,
    "a very long key": "x" * 100_000 + ": 4",
    "no mapping": "steps",
}


@pytest.mark.parametrize("case", ODD_YAML)
def test_odd_yaml_is_one_plain_error(tmp_path, case):
    file = tmp_path / "mine.yaml"
    file.write_text(ODD_YAML[case])
    with pytest.raises(FoleyError) as raised:
        resolve_settings(str(file))
    assert str(file) in raised.value.message and raised.value.hint
    assert len(raised.value.message) < len(str(file)) + 300


@pytest.mark.parametrize("content", [b"\xff\xfes\x00", b"steps: \xe9", b"# " + b"x" * (5 << 20)])
def test_files_that_no_editor_of_presets_writes(tmp_path, content):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(FoleyError, match=f"preset {file} is not YAML of settings: it "):
        resolve_settings(str(file))


@pytest.mark.parametrize(
    "name", ["a.yaml", "~nobody-of-this-name/a.yaml", "x" * 300 + ".yaml", "a/b", "pipe.yaml", "."]
)
def test_files_that_are_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.yaml")
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(FoleyError) as raised:
        resolve_settings(name)
    assert raised.value.hint and len(raised.value.message) < 400


@pytest.mark.parametrize(
    ("name", "value"),
    [("prompt", "caf\udce9"), ("steps", 10**5000), ("guidance", 10**400), ("guidance", float("nan")), ("mix", "yes")],
    ids=["not UTF-8", "too many digits", "beyond floats", "no number", "no truth"],
)
def test_odd_options_are_wrong_usage(name, value):
    with pytest.raises(UsageError, match=f"--{name} is ") as raised:
        resolve_settings(overrides={name: value})
    assert len(raised.value.message) < 120
    with pytest.raises(UsageError, match="no setting 'stpes'") as raised:
        resolve_settings(overrides={"stpes": 3})
    assert "Did you mean 'steps'?" in raised.value.hint


def test_empty_file_changes_nothing(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("# nothing yet\n")
    assert resolve_settings(str(file)) == Settings()


def test_bad_option_is_wrong_usage():
    with pytest.raises(UsageError) as raised:
        resolve_settings("draft", overrides={"rate_hz": 32000})
    assert raised.value.exit_code == EXIT_USAGE
    assert raised.value.message == "--rate is 32000"


@pytest.mark.parametrize(
    ("wanted", "near"), [("drfat", "'draft'"), ("Footsteps", "'footsteps'"), ("impact", "'impacts'")]
)
def test_unknown_name(wanted, near):
    with pytest.raises(FoleyError) as raised:
        preset.find(wanted)
    assert near in raised.value.hint


def test_default_of_every_setting_is_allowed():
    for name in setting_fields():
        assert check_value(Settings, name, getattr(Settings(), name)) == getattr(Settings(), name)
