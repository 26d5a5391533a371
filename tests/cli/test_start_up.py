"""What a call imports: nothing that it does not need, above all no torch where no network runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Each takes from a tenth of a second to several.
NEVER = {"torch._dynamo", "sympy", "dac", "audiotools", "torchaudio", "transformers", "scipy", "huggingface_hub"}


def modules_of(*args: object) -> tuple[int, set[str]]:
    """The exit code of a call in a process of its own, and all modules that it imported."""
    code = f"""if True:
        import json, sys
        from foleycli.cli.app import main
        try:
            main({list(map(str, args))!r})
        except SystemExit as left:
            print(json.dumps([left.code, sorted(sys.modules)]), file=sys.stderr)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code, names = json.loads(done.stderr.splitlines()[-1])
    return code, set(names)


@pytest.fixture
def second(clips, tmp_path) -> Path:
    return clips("silent.mp4")


def test_a_default_render_needs_no_compiler_and_no_other_codec(second, tmp_path):
    code, names = modules_of("render", second, "-o", tmp_path / "out.wav", "--duration", 0.5, "--steps", 1)
    assert (code, names & NEVER) == (0, set())
    assert "torch" in names


@pytest.mark.parametrize("more", [(), ("--prompt", "a dog barks"), ("--takes", 3), ("--device", "cpu")])
def test_a_dry_run_needs_no_torch(second, tmp_path, more):
    from foleycli.device import has_cpu_only

    if not has_cpu_only():
        pytest.skip("only torch knows which device this machine has")
    code, names = modules_of("render", second, "-o", tmp_path / "out.wav", "--dry-run", *map(str, more))
    assert (code, names & (NEVER | {"torch"})) == (0, set())


@pytest.mark.parametrize(
    "args", [("gone.mp4",), ("{clip}", "-o", "out.xyz"), ("{clip}", "--start", "99"), ("{clip}", "--model", "nothing")]
)
def test_refusals_need_no_torch(second, args):
    code, names = modules_of("render", *(arg.format(clip=second) for arg in args))
    assert code in (1, 2) and not names & (NEVER | {"torch"})
