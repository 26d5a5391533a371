"""descript-audio-codec beside a torchaudio that works, and beside one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TELL = (
    "import sys\n"
    "from foleycli.codecs.dac_blocks import dac_blocks\n"
    "blocks = dac_blocks()\n"
    "print(blocks.Encoder.__module__, getattr(sys.modules.get('torchaudio'), 'IS_OURS', None))"
)


@pytest.mark.parametrize(
    ("source", "left"),
    [("IS_OURS = True\n", "True"), ("raise OSError('libcudart.so.13: cannot open shared object file')\n", "None")],
)
def test_codec_comes_with_and_without_torchaudio(tmp_path: Path, source: str, left: str) -> None:
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, env=environment)
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == ["dac.model.dac", left]


DEFAULT_MODEL = (
    "import sys, torch\n"
    "from foleycli.hub.resolve import resolve\n"
    "from foleycli.models.model import load_model\n"
    "codec = load_model(resolve('salsav-mini'), 'cpu').codec\n"
    "codec.decode(codec.encode(torch.zeros(1, 4096)))\n"
    "print(sorted({'dac', 'audiotools', 'torchaudio', 'transformers'} & sys.modules.keys()))"
)


def test_a_model_that_makes_no_codes_never_imports_the_package() -> None:
    found = subprocess.run([sys.executable, "-c", DEFAULT_MODEL], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[]"
