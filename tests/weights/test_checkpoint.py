"""Weight files of others: what is read, what is refused."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from foleycli.errors import FoleyError
from foleycli.weights.checkpoint import fill, read_tensors, under

STATE = {"weight": torch.randn(3, 2), "bias": torch.randn(3)}


class Harmful:
    def __reduce__(self):
        return print, ("this must not be run",)


@pytest.mark.parametrize("wrapper", [None, "generator", "state_dict", "model"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_pickles_are_read_under_any_wrapper(tmp_path, wrapper, is_zip):
    torch.save({wrapper: STATE, "step": 3} if wrapper else STATE, tmp_path / "a.pth",
               _use_new_zipfile_serialization=is_zip)  # fmt: skip
    read = read_tensors(tmp_path / "a.pth")
    assert read.keys() == STATE.keys() and all(torch.equal(read[key], STATE[key]) for key in STATE)


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["bias"], STATE["bias"])


def test_code_in_a_pickle_is_not_run(tmp_path, capsys):
    torch.save({"weight": Harmful()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harmful(), protocol=2))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(FoleyError, match=name):
            read_tensors(tmp_path / name)
    assert "must not" not in capsys.readouterr().out


def test_missing_and_broken_files_are_named(tmp_path):
    (tmp_path / "half.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    for name in ("half.safetensors", "absent.pth"):
        with pytest.raises(FoleyError, match=name):
            read_tensors(tmp_path / name)


def test_networks_are_filled_strictly(tmp_path):
    with torch.device("meta"):
        layer = nn.Linear(2, 3)
    fill(layer, STATE, tmp_path)
    assert torch.equal(layer.weight, STATE["weight"])
    for state, said in (
        ({"weight": STATE["weight"]}, "1 missing"),
        (STATE | {"more": torch.zeros(1)}, "1 unknown"),
        (STATE | {"bias": torch.zeros(4)}, "another shape .first: bias"),
    ):
        with pytest.raises(FoleyError, match=said):
            fill(nn.Linear(2, 3), state, tmp_path)


def test_a_prefix_is_taken_off():
    assert under({"a.b": 1, "a.c.d": 2, "b.a.b": 3}, "a.") == {"b": 1, "c.d": 2}
