"""What a training will cost, before it is begun: `foley train … --plan`.

Parameters, operations and memory are counted on the meta device, on which networks of any size have no data: the real
loss is computed forwards and backwards, and what autograd keeps is added up.  A GPU's mixed precision and its fused
attention are imitated there (`GpuKernels`).  Speed is assumed: a share of the GPU's peak that is said with the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from foleycli.errors import FoleyError
from foleycli.settings.checking import did_you_mean, short_repr
from foleycli.training.loop import build_average, precision, to_device
from foleycli.training.parallel import EVERY_NTH, blocks_of, checkpoint_blocks, passes
from foleycli.training.recipe import Recipe

GIB = 2**30
OTHER_GIB = 2.0  # of CUDA itself, its libraries' workspaces and what its allocator cannot use
ASSUMED_SHARE = {"bfloat16": 0.4, "auto": 0.4, "float32": 0.1}  # of the peak: transformers; convolutions in TF32
COUNTED_ROWS = 4  # operations grow with the rows: a few are counted; even, so that shares of a batch come out
MEASURED_S = 2.0  # of steps, on the device at hand
MOST_MEASURED = 60_000_000  # parameters, on a CPU


@dataclass(frozen=True)
class Gpu:
    """A kind of accelerator, by its maker's data sheet."""

    peak_tflops: float  # dense bfloat16, 10^12 operations a second; of older ones float16
    memory_gib: float


GPUS = {
    "h100": Gpu(989, 80),  # SXM
    "h100-pcie": Gpu(756, 80),
    "h200": Gpu(989, 141),
    "b200": Gpu(2250, 180),
    "a100": Gpu(312, 80),
    "a100-40gb": Gpu(312, 40),
    "l40s": Gpu(362, 48),
    "a6000": Gpu(155, 48),
    "rtx4090": Gpu(165, 24),
    "v100": Gpu(125, 32),  # float16
    "mi300x": Gpu(1307, 192),
    "tpu-v4": Gpu(275, 32),  # a chip; a v4-8 node has four
}


class PlannedTask(Protocol):
    """What a plan needs of a task: see `training.family.FamilyTask.without_data`."""

    network: Any

    def loss(self, network: Any, average: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """As in `training.loop.Task`."""
        ...

    def blank_batch(self, n_rows: int) -> Any:
        """A batch of random numbers in the shapes that the network reads."""
        ...


@dataclass(frozen=True)
class Memory:
    """Of one GPU, GiB."""

    weights: float  # and their copies in bfloat16
    gradients: float
    optimizer: float
    average: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.average + self.activations + OTHER_GIB


@dataclass(frozen=True)
class Costs:
    """What one choice of `Recipe.checkpointing` comes to."""

    checkpointing: str
    memory: Memory
    tflop_per_clip: float  # of training: forwards, backwards, the teacher, what is computed again


@dataclass(frozen=True)
class Measured:
    """Steps taken on the device at hand."""

    device: str
    network: str  # "as planned", or "reduced"
    clips_per_s: float
    tflops: float


@dataclass(frozen=True)
class Plan:
    """A training on `n_gpus` of one kind."""

    name: str
    gpu: str
    n_gpus: int
    parameters: int
    trained_parameters: int
    rows: int  # clips at once in a GPU
    n_passes: int  # of a step
    steps: int
    choice: str  # of the recipe, among `costs`
    costs: tuple[Costs, ...]
    measured: Measured | None
    share: float  # of the peak, assumed

    @property
    def clips_per_step(self) -> int:
        return self.rows * self.n_passes * self.n_gpus

    @property
    def chosen(self) -> Costs:
        return next(costs for costs in self.costs if costs.checkpointing == self.choice)

    @property
    def tflop_per_step(self) -> float:
        return self.chosen.tflop_per_clip * self.clips_per_step

    @property
    def clips_per_s(self) -> float:
        """Of all GPUs together."""
        return self.n_gpus * GPUS[self.gpu].peak_tflops * self.share / self.chosen.tflop_per_clip

    @property
    def days(self) -> float:
        return self.steps * self.clips_per_step / self.clips_per_s / 86400

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "trained_parameters": self.trained_parameters,
            "gpus": self.n_gpus,
            "gpu": self.gpu,
            "clips_per_step": self.clips_per_step,
            "clips_at_once": self.rows,
            "passes": self.n_passes,
            "steps": self.steps,
            "checkpointing": self.choice,
            "memory_gib": {
                costs.checkpointing: {**vars(costs.memory), "other": OTHER_GIB, "total": costs.memory.total}
                for costs in self.costs
            },
            "tflop_per_clip": {costs.checkpointing: costs.tflop_per_clip for costs in self.costs},
            "tflop_per_step": self.tflop_per_step,
            "assumed_share_of_peak": self.share,
            "clips_per_s": self.clips_per_s,
            "days": self.days,
            "measured": None if self.measured is None else vars(self.measured),
        }


def plan(
    make_task: Callable[[Recipe], PlannedTask],
    recipe: Recipe,
    *,
    gpu: str = "h100",
    n_gpus: int = 1,
    share: float | None = None,
    reduced: Recipe | None = None,
    device: torch.device | None = None,
) -> Plan:
    """The plan of a training.

    make_task  a task without its data, of a recipe
    share      of the GPUs' peak that is reached; None: `ASSUMED_SHARE`
    reduced    the recipe as it is with --reduced: it is measured where the whole one is too large for the device
    device     on which a few steps are measured; None: none are
    Errors: FoleyError for an unknown kind of GPU.
    """
    if gpu not in GPUS:
        raise FoleyError(f"there is no figure for the GPU {short_repr(gpu)}",
                         f"{did_you_mean(gpu, GPUS)}One of: {', '.join(GPUS)}")  # fmt: skip
    rows, n_passes = passes(recipe.batch_size, recipe.total_batch, n_gpus)
    task, average = on_meta(make_task, recipe)
    kept = activations(task, average, rows)
    n_parts = n_gpus if recipe.parallel == "fsdp" else 1
    costs = [
        Costs(
            checkpointing=choice,
            memory=memory_of(task.network, n_parts, kept.copies_bytes, kept.bytes_of(choice)),
            tflop_per_clip=flop / 1e12,
        )
        for choice, flop in count_flop(task, average).items()
    ]
    sizes = [parameter.numel() for parameter in task.network.parameters()]
    trained = [parameter.numel() for parameter in task.network.parameters() if parameter.requires_grad]
    return Plan(
        name=recipe.name,
        gpu=gpu,
        n_gpus=n_gpus,
        parameters=sum(sizes),
        trained_parameters=sum(trained),
        rows=rows,
        n_passes=n_passes,
        steps=recipe.steps,
        choice=recipe.checkpointing,
        costs=tuple(costs),
        measured=None if device is None else measure(make_task, recipe, reduced, device, sum(sizes)),
        share=ASSUMED_SHARE[recipe.precision] if share is None else share,
    )


def memory_of(network: nn.Module, n_parts: int, copies_bytes: int, activation_bytes: int) -> Memory:
    """float32 weights, gradients and two averages of AdamW, cut into `n_parts`; the average (EMA) is whole."""
    whole = sum(parameter.nbytes for parameter in network.parameters())
    trained = sum(parameter.nbytes for parameter in network.parameters() if parameter.requires_grad)
    return Memory(
        weights=(whole / n_parts + copies_bytes) / GIB,
        gradients=trained / n_parts / GIB,
        optimizer=2 * trained / n_parts / GIB,
        average=whole / GIB,
        activations=activation_bytes / GIB,
    )


class GpuKernels(TorchFunctionMode):
    """What CUDA's autocast does to tensors on the meta device: products in bfloat16, norms in float32, attention that
    keeps no scores.
    """

    SHORT = (
        F.linear,
        F.conv1d,
        F.conv2d,
        F.conv_transpose1d,
        torch.matmul,
        torch.bmm,
        Tensor.matmul,
        Tensor.__matmul__,
    )
    FULL = (F.layer_norm, F.rms_norm, F.group_norm, F.cross_entropy, F.nll_loss, F.mse_loss, F.normalize, F.gelu)

    def __init__(self) -> None:
        super().__init__()
        self.copies: dict[int, Tensor] = {}  # of weights, by the weight's id: autocast makes each once a pass

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            query, key, value = (self._short(x) for x in args[:3])
            return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]
        if func is Tensor.to and args[0].device.type == "meta" and args[1:] == (torch.device("cpu"),):
            return torch.zeros_like(args[0], device="cpu")  # for draws: there is nothing to copy
        if func in self.SHORT:
            return func(*map(self._short, args), **{name: self._short(value) for name, value in kwargs.items()})
        if func in self.FULL:
            args = tuple(x.float() if isinstance(x, Tensor) and x.dtype == torch.bfloat16 else x for x in args)
        return func(*args, **kwargs)

    def _short(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not isinstance(value, nn.Parameter) or not torch.is_grad_enabled():
            return value.bfloat16()
        if id(value) not in self.copies:
            self.copies[id(value)] = value.bfloat16()
        return self.copies[id(value)]


class Kept:
    """What autograd keeps of a batch, by the block that it was computed in; storages, of which views are one."""

    def __init__(self, n_blocks: int) -> None:
        self.outside: dict[int, int] = {}  # storage -> bytes
        self.inside: list[dict[int, int]] = [{} for _ in range(n_blocks)]
        self.inputs: list[dict[int, int]] = [{} for _ in range(n_blocks)]
        self.copies_bytes = 0  # of weights, in bfloat16

    def bytes_of(self, choice: str) -> int:
        """Bytes at the fullest moment with a choice of `Recipe.checkpointing`."""
        every, union, again = EVERY_NTH[choice], dict(self.outside), 0
        for number, (inside, inputs) in enumerate(zip(self.inside, self.inputs, strict=True)):
            if every and number % every == 0:
                union |= inputs
                again = max(again, sum(inside.values()))  # one block at a time computes its own again
            else:
                union |= inside
        return sum(union.values()) + again


def activations(task: PlannedTask, average: nn.Module, rows: int) -> Kept:
    """What is kept of one pass of so many rows; the network is on the meta device."""
    network = task.network
    blocks = blocks_of(network)
    kernels = GpuKernels()
    weights = {_storage(parameter) for parameter in network.parameters()}
    kept = Kept(len(blocks))
    alive: list[Tensor] = []
    current: list[int] = []  # the block at work

    def keep(x: Tensor) -> Tensor:
        alive.append(x)  # or a later one could get the same storage
        if (place := _storage(x)) not in weights and place not in {_storage(c) for c in kernels.copies.values()}:
            (kept.inside[current[-1]] if current else kept.outside)[place] = x.untyped_storage().nbytes()
        return x

    def enter(number: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            current.append(number)
            for x in _tensors((args, kwargs)):
                alive.append(x)
                kept.inputs[number][_storage(x)] = x.untyped_storage().nbytes()

        return hook

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        current.pop()

    with ExitStack() as hooks:
        for number, block in enumerate(blocks):
            hooks.callback(block.register_forward_pre_hook(enter(number), with_kwargs=True).remove)
            hooks.callback(block.register_forward_hook(leave).remove)
        hooks.enter_context(_masks_select_all())
        hooks.enter_context(kernels)
        hooks.enter_context(torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x))
        task.loss(network, average, _meta(task.blank_batch(rows)), 1 << 30)
    kept.copies_bytes = sum(copy.nbytes for copy in kernels.copies.values())
    return kept


def count_flop(task: PlannedTask, average: nn.Module) -> dict[str, float]:
    """Operations of one clip's training by choice of `Recipe.checkpointing`; the network is on the meta device."""
    network, counter = task.network, FlopCounterMode(display=False)
    blocks, began, forward = blocks_of(network), [0], [0] * len(blocks_of(network))

    def leave(number: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if torch.is_grad_enabled():  # what has no gradient is not computed again
                forward[number] += counter.get_total_flops() - began[0]

        return hook

    def enter(module: nn.Module, args: Any) -> None:
        began[0] = counter.get_total_flops()

    with ExitStack() as stack:
        for number, block in enumerate(blocks):
            stack.callback(block.register_forward_pre_hook(enter).remove)
            stack.callback(block.register_forward_hook(leave(number)).remove)
        stack.enter_context(_masks_select_all())
        stack.enter_context(counter)
        stack.enter_context(GpuKernels())
        loss, _ = task.loss(network, average, _meta(task.blank_batch(COUNTED_ROWS)), 1 << 30)
        loss.backward()
    network.zero_grad(set_to_none=True)
    total = counter.get_total_flops()
    again = {choice: sum(forward[::every]) if every else 0 for choice, every in EVERY_NTH.items()}
    return {choice: (total + more) / COUNTED_ROWS for choice, more in again.items()}


def measure(
    make_task: Callable[[Recipe], PlannedTask],
    recipe: Recipe,
    reduced: Recipe | None,
    device: torch.device,
    n_parameters: int,
) -> Measured | None:
    """A few seconds of steps on a device; None where it is a CPU and the network is too large for it."""
    measured = recipe if device.type != "cpu" or n_parameters <= MOST_MEASURED else reduced
    if measured is None:
        return None
    rows, _ = passes(measured.batch_size, measured.total_batch, 1)
    task = make_task(measured)
    clips_per_s, _ = take_steps(task, replace(measured, batch_size=rows), device, MEASURED_S)
    flop = count_flop(*on_meta(make_task, measured))[measured.checkpointing]
    network = "as planned" if measured is recipe else "reduced"
    return Measured(str(device), network, clips_per_s, clips_per_s * flop / 1e12)


def take_steps(task: PlannedTask, recipe: Recipe, device: torch.device, seconds: float) -> tuple[float, int]:
    """Steps of the optimiser on random batches: clips per second without the first two steps, and how many steps."""
    network = task.network.to(device).train()
    average = build_average(network).to(device)
    checkpoint_blocks(network, recipe.checkpointing)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=device.type == "cuda")
    batch = to_device(task.blank_batch(recipe.batch_size), device)
    began, n_steps = 0.0, -2
    while n_steps < 1 or time.monotonic() - began < seconds:
        if n_steps == 0:
            _wait(device)
            began = time.monotonic()
        with precision(recipe.precision, device):
            loss, _ = task.loss(network, average, batch, 1 << 30)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        n_steps += 1
        if n_steps > 0 and n_steps % 4 == 0:
            _wait(device)
    _wait(device)
    return n_steps * recipe.batch_size / (time.monotonic() - began), n_steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _masks_select_all() -> AbstractContextManager[Any]:
    """How many rows a mask selects is not known without data: in the block all of them, the most there can be."""
    from torch.fx.experimental import _config

    return _config.patch(meta_nonzero_assume_all_nonzero=True)  # type: ignore[attr-defined]  # made by torch at import


def on_meta(make_task: Callable[[Recipe], PlannedTask], recipe: Recipe) -> tuple[PlannedTask, nn.Module]:
    """A task whose network has no data, whatever of it was computed, and the average of that network."""
    with torch.device("meta"):
        task, twin = make_task(recipe), make_task(recipe)
    task.network.to("meta")
    return task, twin.network.to("meta").requires_grad_(False)


def _meta(batch: Any) -> Any:
    return to_device(batch, torch.device("meta"))


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested arguments, and in dataclasses among them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif hasattr(value, "__dataclass_fields__"):
        yield from _tensors(list(vars(value).values()))
