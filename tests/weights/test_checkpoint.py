"""Weight files of others: what is read, what is refused, and what goes into a network."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from foleycli.errors import FoleyError
from foleycli.weights.checkpoint import load_into, load_strict, read, read_shapes, under

STATE = {"weight": torch.randn(3, 2), "bias": torch.randn(3)}


class Harmful:
    def __reduce__(self):
        return print, ("this must not be run",)


def layer() -> nn.Linear:
    return nn.Linear(2, 3)


@pytest.mark.parametrize("wrapper", [None, "generator", "state_dict", "model"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_pickles_are_read_under_any_wrapper(tmp_path, wrapper, is_zip):
    torch.save({wrapper: STATE, "step": 3} if wrapper else STATE, tmp_path / "a.pth",
               _use_new_zipfile_serialization=is_zip)  # fmt: skip
    found = read(tmp_path / "a.pth")
    assert found.keys() == STATE.keys() and all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert torch.equal(read(tmp_path / "a.safetensors")["bias"], STATE["bias"])
    assert read_shapes(tmp_path / "a.safetensors") == {"weight": (3, 2), "bias": (3,)}


def test_numpy_s_numbers_beside_tensors_are_left_out(tmp_path):
    torch.save({**STATE, "step": np.int64(3), "order": np.arange(3), 7: torch.zeros(1)}, tmp_path / "a.pth")
    assert read(tmp_path / "a.pth").keys() == STATE.keys()


def test_code_in_a_pickle_is_not_run(tmp_path, capsys):
    torch.save({"weight": Harmful()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harmful(), protocol=2))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(FoleyError, match=name):
            read(tmp_path / name)
    assert "must not" not in capsys.readouterr().out


def test_missing_and_broken_files_are_named(tmp_path):
    (tmp_path / "half.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (tmp_path / "empty.pth").touch()
    torch.save([STATE], tmp_path / "list.pth")
    for name in ("half.safetensors", "absent.pth", "empty.pth", "list.pth"):
        with pytest.raises(FoleyError, match=name):
            read(tmp_path / name)


def test_networks_are_filled_strictly(tmp_path):
    path = tmp_path / "a.pth"
    filled = load_strict(layer, path, tensors=STATE, dtype=torch.bfloat16)
    assert torch.equal(filled.weight, STATE["weight"].bfloat16())
    for state, said in (
        ({"weight": STATE["weight"]}, "1 missing"),
        (STATE | {"more": torch.zeros(1)}, "1 unknown"),
        (STATE | {"bias": torch.zeros(4)}, "another shape .first: 'bias'"),
        (STATE | {"bias": torch.zeros(3, dtype=torch.int8)}, "another shape .first: 'bias'"),
        (STATE | {"weight": torch.zeros(3, 2).to_sparse()}, "another shape .first: 'weight'"),
    ):
        with pytest.raises(FoleyError, match=said):
            load_strict(layer, path, tensors=state)


def test_a_part_is_picked_and_its_absence_told(tmp_path):
    save_file({f"net.{key}": value for key, value in STATE.items()}, tmp_path / "a.safetensors")
    filled = load_strict(layer, tmp_path / "a.safetensors", select=lambda found: under(found, "net."))
    assert torch.equal(filled.bias, STATE["bias"])
    with pytest.raises(FoleyError, match="does not hold the weights that are expected: 'other'"):
        load_strict(layer, tmp_path / "a.safetensors", select=lambda found: {"weight": found["other"]})


def test_a_network_takes_weights_in_its_own_dtype(tmp_path):
    save_file({f"net.{key}": value.half() for key, value in STATE.items()}, tmp_path / "a.safetensors")
    network = layer()
    load_into(network, tmp_path / "a.safetensors", "net.")
    assert torch.equal(network.weight, STATE["weight"].half().float()) and network.weight.requires_grad


class WithTable(nn.Module):
    """A table that is computed, and so not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("table", torch.arange(3.0), persistent=False)


def test_computed_tables_are_computed(tmp_path):
    network = load_strict(WithTable, tmp_path / "a.pth", tensors={"weight": torch.ones(3)}, on_meta=False)
    assert network.table.tolist() == [0.0, 1.0, 2.0] and network.weight.tolist() == [1.0] * 3


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float8_e5m2])
def test_weights_that_are_no_numbers_are_refused(tmp_path, odd, dtype):
    weight = torch.zeros(3, 2)
    weight[1, 1] = odd
    path = tmp_path / "odd.safetensors"
    save_file({**STATE, "weight": weight.to(dtype)}, path)
    for load in (lambda: load_strict(layer, path), lambda: load_into(layer(), path)):
        with pytest.raises(FoleyError, match=r"odd\.safetensors is damaged: 'weight' holds values that are no finite"):
            load()


def test_large_numbers_are_no_damage_but_do_not_fit_float16(tmp_path):
    large = STATE | {"weight": torch.full((3, 2), 3e38)}  # whose sum is infinite in float32
    assert load_strict(layer, tmp_path / "a.pth", tensors=large).weight[0, 0] == 3e38
    with pytest.raises(FoleyError) as raised:
        load_strict(layer, tmp_path / "a.pth", tensors=large, dtype=torch.float16)
    assert "bfloat16" in raised.value.hint


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: nn.Sequential(*(nn.Linear(1, 1) for _ in range(10**9))), "it is much smaller than the network"),
        (lambda: nn.Linear(10**8, 3), "it is much smaller than the network"),
        (lambda: nn.Linear(1000, 3), "1 of another shape"),
        (lambda: nn.Linear(10**12, 10**12), "fits no network as it is described"),
        (lambda: nn.MultiheadAttention(10, 3), "fits no network as it is described"),
        (lambda: nn.MultiheadAttention(10, 0), "fits no network as it is described"),
    ],
)
def test_senseless_sizes_are_refused_before_anything_is_built(tmp_path, build, said):
    for on_meta in (True, False):
        with pytest.raises(FoleyError, match=said):
            load_strict(build, tmp_path / "a.pth", tensors=STATE, on_meta=on_meta)


def test_a_prefix_is_taken_off():
    assert under({"a.b": 1, "a.c.d": 2, "b.a.b": 3}, "a.") == {"b": 1, "c.d": 2}
