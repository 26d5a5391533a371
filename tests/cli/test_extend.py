"""`foley extend` up to the model."""

import pytest


def test_plan_of_a_take_alone(foley, made, model):
    (plan,) = foley("extend", "--ref", made / "take.wav", "--model", model, "--dry-run", "--json").lines
    assert plan["out"] == str(made / "take.extended.wav")
    assert plan["duration_s"] == pytest.approx(13.0, abs=0.01)


def test_plan_beside_a_video(foley, made, model):
    args = ("extend", made / "clip.mp4", "--ref", made / "take.wav", "--model", model, "--dry-run", "--json")
    (plan,) = foley(*args).lines
    assert plan["duration_s"] == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        (("--at", "1"), 2, "--at"),
        (("--duration", "2"), 2, "3.00 s"),
        (("--duration", "-2"), 2, "--duration is -2"),
        (("--steps", "65"), 2, "--steps"),
        (("CLIP", "--loop"), 2, "--loop"),
        (("CLIP", "--duration", "9"), 2, "--duration"),
        (("CLIP", "--at", "7"), 2, "--at is 7"),
        (("CLIP", "--at", "5.99999"), 2, "--at is 5.99999"),
        (("-o", "OUT.mp4"), 2, "OUT.mp4"),
        (("-o", "OUT.doc"), 2, "OUT.doc"),
        (("SECOND",), 1, "nothing left"),
        (("--preset", "gone"), 1, "gone"),
    ],
)
def test_refusals(foley, made, model, tmp_path, monkeypatch, args, code, named):
    monkeypatch.chdir(tmp_path)
    places = {"CLIP": made / "clip.mp4", "SECOND": made / "second.mp4"}
    told = foley("extend", "--ref", made / "take.wav", "--model", model, *(places.get(arg, arg) for arg in args))
    assert told.code == code
    assert named in told.error


def test_missing_take(foley, made, model):
    told = foley("extend", "--ref", made / "gone.wav", "--model", model)
    assert told.code == 1
    assert "gone.wav" in told.error


def test_take_without_sound(foley, made, model):
    told = foley("extend", "--ref", made / "clip.mp4", "--model", model)
    assert told.code == 1
    assert "clip.mp4" in told.error
