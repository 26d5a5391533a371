"""`foley render` up to the model: what is refused, and how; what a dry run says."""

import json
import subprocess
import sys

import pytest

from foleycli.settings.settings import Settings


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (("--steps", "100"), 2, "1 to 64"),
        (("--steps", "0"), 2, "--steps is 0"),
        (("--guidance", "nan"), 2, "--guidance"),
        (("--guidance", "-1"), 2, "--guidance"),
        (("--rate", "45000"), 2, "44100 or 48000"),
        (("--channels", "3"), 2, "--channels is 3"),
        (("--loudness", "3"), 2, "-60 to -5"),
        (("--gain-db", "90"), 2, "--gain-db is 90"),
        (("--seed", "-1"), 2, "--seed is -1"),
        (("--original-gain-db", "-6"), 2, "--mix"),
        (("--ref-start", "1"), 2, "--ref"),
        (("--takes", "0"), 2, "--takes is 0"),
        (("--takes", "33"), 2, "1 to 32"),
        (("--takes", "two"), 2, "--takes"),
        (("--pick", "best"), 2, "Add --takes"),
        (("--takes", "2", "--pick", "worst"), 2, "--pick"),
        (("--start", "60"), 2, "--start is 60"),
        (("--start", "-1"), 2, "--start is -1"),
        (("--duration", "0"), 2, "--duration is 0"),
        (("--duration", "nan"), 2, "--duration is 'nan', which is no time"),
        (("--preset", "footstep"), 1, "'footsteps'"),
        (("--preset", "gone.yaml"), 1, "gone.yaml"),
        (("--model", "salsav-mimi"), 1, "'salsav-mini'"),
        (("--ref", "gone.wav"), 1, "gone.wav"),
    ],
)
def test_refused_options(foley, made, model, tmp_path, options, code, named):
    told = foley("render", made / "clip.mp4", "-o", tmp_path / "out.mp4", "--model", model, *options)
    assert told.code == code
    assert named in told.error
    assert told.out == "" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("clip", "out", "code", "named"),
    [
        ("gone.mp4", "out.mp4", 1, "gone.mp4"),
        ("broken.mp4", "out.mp4", 1, "broken.mp4"),
        ("take.wav", "out.mp4", 1, "take.wav"),
        ("clip.mp4", "out.txt", 2, "out.txt"),
        ("clip.mp4", "out", 2, "out"),
        ("clip.mp4", "out.webm", 1, "webm"),
        ("clip.mp4", "gone/out.mp4", 1, "gone"),
    ],
)
def test_refused_files(foley, made, model, tmp_path, clip, out, code, named):
    told = foley("render", made / clip, "-o", tmp_path / out, "--model", model)
    assert told.code == code
    assert named in told.error
    assert list(tmp_path.iterdir()) == []


def test_refusal_loads_no_torch(made, model, tmp_path):
    code = (
        "import sys\nfrom foleycli.cli.app import main\n"
        f"try: main(['render', 'gone.mp4', '--model', {str(model)!r}])\n"
        "except SystemExit as left: assert left.code == 1\n"
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_existing_output_needs_force(foley, made, model, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"mine")
    args = ("render", made / "clip.mp4", "-o", out, "--model", model, "--dry-run")
    told = foley(*args)
    assert told.code == 1
    assert "--force" in told.error
    assert foley(*args, "--force").code == 0
    assert out.read_bytes() == b"mine"


def test_existing_report_needs_force(foley, made, model, tmp_path):
    (tmp_path / "out.json").write_text("mine")
    args = ("render", made / "clip.mp4", "-o", tmp_path / "out.wav", "--model", model, "--report", "--dry-run")
    told = foley(*args)
    assert told.code == 1
    assert "out.json" in told.error
    assert foley(*args, "--force").code == 0


@pytest.mark.parametrize("there", ["out.take2.wav", "out.take1.json"])
def test_existing_takes_and_their_reports_need_force(foley, made, model, tmp_path, there):
    (tmp_path / there).write_text("mine")
    args = ("render", made / "clip.mp4", "-o", tmp_path / "out.wav", "--model", model, "--takes", 2, "--report")
    told = foley(*args)  # the model folder has no weights: what is refused is refused before they are read
    assert told.code == 1
    assert there in told.error and "--force" in told.error
    assert foley(*args, "--dry-run", "--force").code == 0
    assert foley(*args, "--dry-run", "--pick", "best").code == 0  # other files


def test_dry_run_says_the_takes(foley, made, model, tmp_path):
    args = ("render", made / "clip.mp4", "-o", tmp_path / "out.mp4", "--model", model, "--dry-run", "--seed", 7)
    told = foley(*args, "--takes", 3).out
    assert "out.take1.mp4 … " in told and "out.take3.mp4" in told
    assert "3, with the seeds from 7 on; all are kept" in told
    assert "the best one is kept" in foley(*args, "--takes", 3, "--pick", "best").out
    assert "  takes  " not in foley(*args, "--takes", 1).out
    (one,), (three,) = (foley(*args, "--json", "--takes", n).lines for n in (1, 3))
    assert one["outs"] == [str(tmp_path / "out.mp4")]
    assert three["outs"] == [str(tmp_path / f"out.take{rank}.mp4") for rank in (1, 2, 3)]
    assert one["expected_s"] < three["expected_s"] < 3 * one["expected_s"]


def test_several_takes_are_expected_to_take_more_memory(foley, made, model):
    def expected_mb(takes: int) -> float:
        args = ("--model", model, "--device", "cpu", "--dry-run", "--json", "--takes", takes)
        return foley("render", made / "clip.mp4", *args).lines[0]["expected_memory_mb"]

    assert expected_mb(1) < expected_mb(2) < expected_mb(8) == expected_mb(32)


def test_input_is_never_the_output(foley, made, model):
    told = foley("render", made / "clip.mp4", "-o", made / "clip.mp4", "--model", model, "--force")
    assert told.code == 1
    assert "input" in told.error


def test_no_input_is_the_output_of_another(foley, made, model, tmp_path):
    first, second = tmp_path / "clip.mp4", tmp_path / "clip.foley.mp4"
    for path in (first, second):
        path.write_bytes((made / "clip.mp4").read_bytes())
    told = foley("render", first, second, "--model", model, "--force", "--dry-run")
    assert told.code == 3
    assert f"{first}: {second} is the input itself" in told.error


def test_reports_of_two_inputs_do_not_meet(foley, made, model, tmp_path):
    for name in ("clip.mp4", "clip.mov"):
        (tmp_path / name).write_bytes((made / "clip.mp4").read_bytes())
    args = ("render", tmp_path / "clip.mp4", tmp_path / "clip.mov", "--model", model, "--dry-run")
    assert foley(*args).code == 0
    told = foley(*args, "--report")
    assert told.code == 2
    assert "clip.foley.json" in told.error


def test_one_output_for_several_inputs_is_wrong(foley, made, model, tmp_path):
    both = (made / "clip.mp4", made / "second.mp4")
    assert foley("render", *both, "-o", tmp_path / "out.mp4").code == 2
    assert foley("render", both[0], "-o", tmp_path / "a.mp4", "--out-dir", tmp_path).code == 2
    told = foley("render", both[0], both[0], "--out-dir", tmp_path, "--model", model)
    assert told.code == 2
    assert "clip.foley.mp4" in told.error


def test_dry_run_says_the_plan(foley, made, model, tmp_path):
    told = foley("render", made / "clip.mp4", "-o", tmp_path / "out.mp4", "--model", model, "--dry-run")
    assert told.code == 0
    assert told.err == ""
    for word in ("2 windows", "bare", "8 steps", "cpu", "estimate", "MB"):
        assert word in told.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "heard"),
    [
        ((), "what is recognised in the picture: no prompt is given"),
        (
            ("--prompt", "knocking on wood"),
            "the model with the timbre of wood_hit.ogg; recordings of wood hit (for 'knocking wood', likeness 1.12)",
        ),
        (
            ("--prompt", "knocking on wood", "--engine", "recordings", "--room", "-50"),
            "recordings of wood hit (for 'knocking wood', likeness 1.12); room tone: indoors or outdoors, as is seen",
        ),
        (("--prompt", "xyzzy"), "the model alone: no recording matches the prompt"),
    ],
)
def test_dry_run_says_what_will_be_heard(foley, made, model, tmp_path, options, heard):
    args = ("render", made / "second.mp4", "-o", tmp_path / "o.wav", "--model", model, "--dry-run", *options)
    assert f"\n  heard     {heard}\n" in foley(*args).out
    assert foley(*args, "--json").lines[0]["heard"] == heard


def test_one_window_is_one_window(foley, made, model, tmp_path):
    told = foley("render", made / "second.mp4", "-o", tmp_path / "out.mp4", "--model", model, "--dry-run")
    assert "2 s in 1 window of up to" in told.out


def test_dry_run_as_json(foley, made, model, tmp_path):
    args = ("--start", "1", "--duration", "2.5", "--preset", "draft", "--prompt", "rain", "--device", "cpu")
    told = foley("render", made / "clip.mp4", "-o", tmp_path / "o.wav", "--model", model, "--dry-run", "--json", *args)
    (plan,) = told.lines
    assert told.code == 0
    assert (plan["duration_s"], plan["steps"], plan["windows"]) == (2.52, 4, 1)
    assert (plan["device"], plan["dtype"], plan["model"]) == ("cpu", "float32", "bare")
    assert plan["settings"]["prompt"] == "rain"
    assert plan["settings"].keys() == Settings().__dict__.keys()
    assert plan["expected_s"] > 0 and plan["expected_memory_mb"] > 0


def test_longer_and_finer_is_expected_to_take_longer(foley, made, model):
    def expected_s(*args: str) -> float:
        return foley("render", made / "clip.mp4", "--model", model, "--dry-run", "--json", *args).lines[0]["expected_s"]

    assert expected_s() > expected_s("--duration", "2")
    assert expected_s("--steps", "64") > expected_s("--steps", "8")


def test_missing_device_is_refused(foley, made, model):
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    told = foley("render", made / "clip.mp4", "--model", model, "--dry-run", "--device", "mps")
    assert told.code == 1
    assert "mps" in told.error


def test_one_bad_input_does_not_stop_the_others(foley, made, model, tmp_path):
    clips = (made / "broken.mp4", made / "clip.mp4", made / "gone.mp4", made / "second.mp4")
    told = foley("render", *clips, "--out-dir", tmp_path / "new", "--model", model, "--dry-run", "--json")
    assert told.code == 3
    failed, planned = [[line for line in told.lines if ("error" in line) is flag] for flag in (True, False)]
    assert [line["input"] for line in failed] == [str(clips[0]), str(clips[2])]
    assert [line["out"] for line in planned] == [str(tmp_path / "new" / f"{n}.foley.mp4") for n in ("clip", "second")]
    assert told.err.count("error: ") == 2
    assert not (tmp_path / "new").exists()


def test_all_inputs_bad_is_1(foley, made, model, tmp_path):
    told = foley("render", made / "broken.mp4", made / "gone.mp4", "--out-dir", tmp_path, "--model", model)
    assert told.code == 1
    assert told.err.count("error: ") == 2


def test_preset_file_with_bad_values_is_1(foley, made, model, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("steps: 100\n")
    told = foley("render", made / "clip.mp4", "--preset", file, "--model", model)
    assert told.code == 1
    assert "steps is 100" in told.error and "1 to 64" in told.error


def test_option_beats_preset(foley, made, model, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("steps: 3\nprompt: rain\nmix: true\n")
    args = ("--preset", file, "--steps", "5", "--replace", "--model", model, "--dry-run", "--json")
    (plan,) = foley("render", made / "clip.mp4", *args).lines
    assert (plan["settings"]["steps"], plan["settings"]["prompt"], plan["settings"]["mix"]) == (5, "rain", False)


def test_output_of_a_name_without_ending_known(foley, made, model, tmp_path):
    avi = tmp_path / "clip.avi"
    avi.write_bytes((made / "clip.mp4").read_bytes())  # the content decides what it is, the name what comes out
    (plan,) = foley("render", avi, "--model", model, "--dry-run", "--json").lines
    assert plan["out"] == str(tmp_path / "clip.foley.mkv")


def test_json_plan_is_one_line(foley, made, model):
    told = foley("render", made / "clip.mp4", "--model", model, "--dry-run", "--json")
    assert len(told.out.splitlines()) == 1
    assert json.loads(told.out)["input"] == str(made / "clip.mp4")
