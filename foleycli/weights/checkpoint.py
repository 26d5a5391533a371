"""Weight files: safetensors, or pickled tensors that are read without running any code.

One way to read them (`read`), to put them into a network (`load_strict`, `load_into`) and to look at their shapes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from foleycli.errors import FoleyError
from foleycli.settings.checking import short_repr
from foleycli.weights.mapped import give_back

WRAPPERS = ("generator", "state_dict", "model")  # keys under which published files put the tensors
AGAIN = "Get the model folder again"
MOST_READ_BYTES = 1 << 28  # of mapped weights that stay in memory after they were checked

Network = TypeVar("Network", bound=nn.Module)


def read(path: Path, hint: str = AGAIN, stand_ins: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
    """All tensors of a `.safetensors` file or of a torch pickle, by name, on the CPU; they are mapped, not yet read.

    stand_ins  see `unpickle`
    Errors: FoleyError when the file is missing or damaged, or holds something else.
    """
    if not os.path.isfile(path):  # a pipe would be waited for
        raise FoleyError(f"{path} is missing", hint)
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        found = unpickle(path, stand_ins)
    except Exception as error:  # safetensors, zip and pickle each raise their own kinds for a broken file
        raise FoleyError(f"{path} cannot be read: {_reason(error)}", hint) from error
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping):
        raise FoleyError(f"{path} holds a {type(found).__name__}, not weights by name", hint)
    return {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load, load_file

    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:  # safetensors maps no file whose path is not UTF-8
        return load(path.read_bytes())
    return load_file(path)


def _reason(error: Exception) -> str:
    # torch's advice comes before what is wrong: after "WeightsUnpickler error:", or with a name in capitals.
    said = " ".join(str(error).split()).rpartition("WeightsUnpickler error: ")[2]
    return said[max(0, said.find("GLOBAL ")) :][:200] or type(error).__name__


def unpickle(source: Path | io.BytesIO, stand_ins: Mapping[str, Any] | None = None) -> Any:
    """What a torch pickle holds, by torch's restricted unpickler: tensors, arrays, plain containers.

    source     mapped where it is a file that allows it
    stand_ins  what is made instead of further classes, by their full names
    """
    numpy_makers: list[Any] = [np.int64(0).__reduce__()[0], np.empty(0).__reduce__()[0]]
    old_names = [(maker, f"numpy.core.multiarray.{maker.__name__}") for maker in numpy_makers]  # as of numpy 1
    dtypes = [type(np.dtype(kind)) for kind in (np.int32, np.int64, np.float32, np.float64)]
    more = [(made, name) for name, made in (stand_ins or {}).items()]
    with torch.serialization.safe_globals([*numpy_makers, *old_names, np.ndarray, np.dtype, *dtypes, *more]):
        if isinstance(source, Path):
            try:
                return torch.load(source, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # files older than torch 1.6 are no zip and cannot be mapped
                pass
        return torch.load(source, map_location="cpu", weights_only=True)


def read_shapes(path: Path, hint: str = AGAIN) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors in a file, by name, without reading a tensor; errors as for `read`."""
    return {name: tuple(value.shape) for name, value in read(path, hint).items()}


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def load_strict(
    build: Callable[[], Network],
    path: Path,
    *,
    tensors: Mapping[str, Tensor] | None = None,
    select: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    on_meta: bool = True,
    hint: str = AGAIN,
) -> Network:
    """The network that `build` makes, with the weights of a file: every one must be there, and no other.

    tensors  what the file holds, where it was read already
    select   picks, renames or converts the weights that are meant
    dtype    of all floating-point numbers of the network
    on_meta  build on the meta device, which takes no time or memory; not for networks that compute tables or
             normalise weights while they are built
    Errors: FoleyError naming `path` when the weights do not fit, or are no finite numbers; a network that is
    described much larger than the file is given up while it is built.
    """
    found = in_file = read(path, hint) if tensors is None else tensors
    if select is not None:
        try:
            found = select(in_file)
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            raise FoleyError(f"{path} does not hold the weights that are expected: {_reason(error)}", hint) from error
    with torch.device("meta") if on_meta else nullcontext(), _no_larger_than(found, path, hint):
        network = build()
    _check_fit(network.state_dict(), found, path, hint)
    converted: dict[str, Tensor] = {}
    read_last: list[Tensor] = []
    for name, value in found.items():
        converted[name] = _convert(value, name, path, device, dtype, hint)
        read_last.append(value)
        if sum(one.nbytes for one in read_last) > MOST_READ_BYTES:
            give_back(read_last)
            read_last.clear()
    if sum(value.nbytes for value in in_file.values()) > MOST_READ_BYTES:
        give_back(in_file.values())  # of which `select` may have made others
    network.load_state_dict(converted, assign=True)
    return network.to(device, dtype)


def load_into(network: nn.Module, path: Path, prefix: str = "") -> None:
    """Copy the weights of a file into a network as it is, in its own dtypes; else as `load_strict`.

    prefix  takes the part of a larger network whose names begin so ("video."); the other parts are left alone
    """
    found = under(read(path), prefix)
    _check_fit(network.state_dict(), found, path, AGAIN)
    for name, value in found.items():
        check_finite(value, name, path)
    network.load_state_dict(found)


@contextmanager
def _no_larger_than(tensors: Mapping[str, Tensor], path: Path, hint: str) -> Iterator[None]:
    """Around the building of a network: ends it with a FoleyError when it becomes much larger than its weights."""
    # Weights are registered anew where norms are added to layers, and some tables are computed.
    n_left = 4 * len(tensors) + 1000
    numbers_left = 4 * sum(value.numel() for value in tensors.values()) + 10_000_000

    def count(_: nn.Module, __: str, value: Tensor | None) -> None:
        nonlocal n_left, numbers_left
        n_left, numbers_left = n_left - 1, numbers_left - (0 if value is None else value.numel())
        if min(n_left, numbers_left) < 0:
            raise FoleyError(
                f"{path} does not hold the weights that are expected: it is much smaller than the network", hint
            )

    hooks = register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)
    try:
        yield
    except FoleyError:
        raise
    except Exception as error:  # whatever layers raise for sizes that do not go together
        raise FoleyError(f"{path} fits no network as it is described: {_reason(error)}", hint) from error
    finally:
        for hook in hooks:
            hook.remove()


def _check_fit(own: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, hint: str) -> None:
    wrong = [name for name in found.keys() & own.keys() if not _is_alike(found[name], own[name])]
    missing, unknown = own.keys() - found.keys(), found.keys() - own.keys()
    if wrong or missing or unknown:
        first = sorted(wrong or missing or unknown)[0]
        raise FoleyError(
            f"{path} does not hold the weights that are expected: {len(missing)} missing, "
            f"{len(unknown)} unknown, {len(wrong)} of another shape (first: {short_repr(first)})",
            hint,
        )


def _is_alike(found: Tensor, own: Tensor) -> bool:
    return (
        found.shape == own.shape
        and found.layout == torch.strided
        and not found.is_quantized
        and found.is_floating_point() == own.is_floating_point()
        and not found.is_complex()
    )


def _convert(value: Tensor, name: str, path: Path, device: torch.device | str, dtype: torch.dtype, hint: str) -> Tensor:
    check_finite(value, name, path, hint)
    if not value.is_floating_point():
        return value.to(device)
    converted = value.to(device, dtype)
    if dtype == torch.float16 and value.dtype != dtype:
        check_finite(converted, name, path, "Choose --dtype bfloat16 or float32: float16 ends at 65504")
    return converted


def check_finite(value: Tensor, name: str, path: Path, hint: str = AGAIN) -> None:
    """Errors: FoleyError naming the file where a tensor holds NaN or infinity."""
    if not value.is_floating_point() or value.numel() == 0:
        return
    if value.element_size() == 1:  # 8-bit floats can hardly be computed with
        value = value.float()
    # A sum is several times as quick as a look at every number, and never finite where one of them is not.
    total = value.sum(dtype=torch.promote_types(value.dtype, torch.float32))
    if not total.isfinite() and not value.isfinite().all():
        raise FoleyError(f"{path} is damaged: {short_repr(name)} holds values that are no finite numbers", hint)
