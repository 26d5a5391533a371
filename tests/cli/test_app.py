"""Exit codes, the two lines of an error, help without torch, completion, Ctrl-C."""

import errno
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import all_commands, parse_example

from foleycli import __version__

RENDER_OPTIONS = """
    --out --out-dir --prompt --negative-prompt --preset --model --ref --ref-start --steps --guidance --seed
    --start --duration --mix --replace --gain-db --original-gain-db --loudness --rate --channels --width --device
    --dtype --threads --force --no-force --quiet --json --dry-run --report --cuts --no-cuts --cues --between
"""
EXTEND_OPTIONS = """
    --ref --out --at --duration --loop --no-cuts --prompt --negative-prompt --preset --model --steps
    --guidance --seed --device --dtype --threads --force --report --quiet --json --dry-run
"""


def run(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    surroundings = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **variables}
    return subprocess.run([sys.executable, "-m", "foleycli", *args], capture_output=True, text=True, env=surroundings)


def test_version(foley):
    told = foley("--version")
    assert (told.code, told.out) == (0, f"foley {__version__}\n")


def test_no_arguments_show_help_and_are_wrong_usage(foley):
    told = foley()
    assert told.code == 2
    assert "render" in told.out


@pytest.mark.parametrize(
    "command", [(), ("render",), ("extend",), ("evaluate",), ("models",), ("presets",), ("train",)]
)
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\nfrom foleycli.cli.app import main\n"
        f"try: main([*{command!r}, '--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'torch', 'numpy', 'av', 'soundfile', 'huggingface_hub', 'dac', 'PIL'} & set(sys.modules)\n"
        "print(heavy, file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr.strip() == "set()"


@pytest.mark.parametrize(("command", "options"), [("render", RENDER_OPTIONS), ("extend", EXTEND_OPTIONS)])
def test_help_names_every_option(command, options):
    told = run(command, "--help")
    assert told.returncode == 0
    assert [option for option in options.split() if f"{option} " not in told.stdout] == []


@pytest.mark.parametrize("words", sorted(all_commands()), ids=" ".join)
def test_every_help_is_short_to_ask_for_and_has_examples_that_work(foley, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told = foley(*words, "-h")
    assert told.code == 0 and "Usage: foley" in told.out
    _, _, examples = told.out.partition("Examples")
    lines = [line.strip() for line in examples.splitlines() if line.startswith("   foley ") or "$(foley " in line]
    assert lines, "a help has an example or two"
    for line in lines:
        parse_example(line)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("args", ["presets list", "models list --json", "guide", "--version", "--help"])
def test_full_output_is_one_error(args):
    with open("/dev/full", "w") as full:
        told = subprocess.run([sys.executable, "-m", "foleycli", *args.split()], stdout=full, stderr=-1, text=True)
    error, hint = told.stderr.splitlines()
    assert (told.returncode, error) == (1, "error: the output cannot be written: No space left on device")
    assert hint.startswith("hint: Make room")


def test_a_reader_that_leaves_early_is_no_error():
    line = f"{shlex.quote(sys.executable)} -m foleycli models list | head -n 1"
    told = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert told.stdout.startswith("name\tkind") and told.stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("foley rend", "render"),
        ("foley models ver", "verify"),
        ("foley guide gl", "glossary"),
        ("foley render a.mp4 --model vau", "vaura-mini vaura"),
        ("foley presets show whoo", "whoosh"),
        ("foley models pull mmaudio-m", "mmaudio-medium-44k"),
    ],
)
def test_shell_completes(words, offered):
    told = run(_FOLEY_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert told.stdout.split() == offered.split()


def test_completion_can_be_shown():
    told = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert told.returncode == 0 and "complete -o default -F _foley_completion foley" in told.stdout


@pytest.mark.parametrize(
    ("args", "error", "hint"),
    [
        (
            ("render", "--pick", "2", "a.mp4"),
            "invalid value for '--pick': '2' is not 'best'",
            "See foley render --help",
        ),
        (("render", "--device", "tpu", "a.mp4"), "'tpu' is none of 'auto', 'cpu', 'cuda', 'mps'", "See foley render"),
        (("render", "--steps", "many", "a.mp4"), "invalid value for '--steps': it is no whole number", "See foley"),
        (("render", "--guidance"), "option '--guidance' requires an argument", "See foley render --help"),
        (("models", "show", "a", "b"), "unexpected extra argument", "See foley models show --help"),
    ],
)
def test_wrong_usage_in_plain_words(foley, args, error, hint):
    told = foley(*args)
    assert told.code == 2 and "Value error" not in told.error
    assert error in told.error and hint in told.error


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("frobnicate",), "frobnicate"),
        (("render", "--stepz", "3", "clip.mp4"), "--steps"),
        (("render", "--steps", "many", "clip.mp4"), "--steps"),
        (("render", "--device", "tpu", "clip.mp4"), "tpu"),
        (("render",), "VIDEO"),
        (("extend",), "--ref"),
        (("train", "dog"), "dog"),
    ],
)
def test_wrong_usage_is_two_lines_and_2(foley, args, named):
    told = foley(*args)
    assert told.code == 2
    assert named in told.error
    assert told.out == ""


def test_traceback_only_on_request(tmp_path):
    args = ("models", "path", "nothing-like-it")
    plain, debugged = run(*args), run(*args, FOLEY_DEBUG="1")
    assert (plain.returncode, debugged.returncode) == (1, 1)
    assert "Traceback" not in plain.stderr
    assert len(plain.stderr.splitlines()) == 2
    assert "Traceback" in debugged.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_has_its_exit_code_and_leaves_nothing(tmp_path, sent, code, word):
    waiting = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from foleycli.cli import render\n"
        "from foleycli.media import probe\n"
        "from foleycli.media.output import replacing\n"
        "def wait(path):\n"
        "    with replacing(Path(sys.argv[-1])) as part:\n"
        "        part.write_text('half')\n"
        "        print('waiting', flush=True)\n"
        "        time.sleep(60)\n"
        "probe.probe = wait\n"
        "from foleycli.cli.app import main\n"
        "main(sys.argv[1:])\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", waiting, "render", "clip.mp4", "-o", str(tmp_path / "out.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's "&" has it ignored
    )
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(sent)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (code, f"{word}; nothing half-written is left\n")
    assert list(tmp_path.iterdir()) == []


LONG = "x" * 300


@pytest.mark.parametrize(
    "args",
    [
        ("render", "{clip}", "-o", f"{LONG}.wav"),
        ("render", "{clip}", "-o", "y/" * 2100 + "z.wav"),
        ("render", "{clip}", "--name", f"{LONG}.wav"),
        ("render", "{clip}", "--name", "{stem}{take}" + "x" * 248 + ".wav", "--takes", "2", "--report"),
        ("render", "{clip}", "--model", LONG),
        ("render", "{clip}", "--sounds", LONG),
        ("render", f"{LONG}.mp4"),
        ("evaluate", LONG, LONG),
        ("models", "import", LONG, "--family", "mmaudio", "--name", "q"),
        ("library", "list", "--sounds", LONG),
    ],
)
def test_paths_that_the_system_refuses_are_plain_errors(foley, made, args):
    told = foley(*(arg.replace("{clip}", str(made / "clip.mp4")) for arg in args))
    assert told.code in (1, 2)
    assert "too long" in told.error or "more than the 255 that a file can have" in told.error


def test_a_name_that_is_too_long_does_not_stop_the_other_inputs(foley, made):
    told = foley("render", f"{LONG}.mp4", made / "clip.mp4", "--out-dir", made, "--dry-run", "--quiet")
    assert told.code == 3
    assert "File name too long" in told.error and "clip.foley.mp4" in told.out


def test_links_in_a_circle_and_closed_folders_are_plain_errors(foley, made, tmp_path, monkeypatch):
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    assert foley("render", made / "clip.mp4", "--ref", tmp_path / "a.wav", "-o", tmp_path / "o.wav").error

    def refuse(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_dir", refuse)  # as for anyone but root
    told = foley("library", "list", "--sounds", tmp_path / "closed")
    assert told.code == 1
    assert f"{tmp_path / 'closed'} cannot be used: permission denied" in told.error


def test_paragraphs_of_a_help_have_no_line_breaks():
    for words, command in all_commands().items():
        assert "\n" not in (command.help or "").replace("\n\n", ""), words
