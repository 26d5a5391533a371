"""One training on several processes (DDP, FSDP), and activations that are computed again to save memory.

Networks are called by more than their `forward`, so what is wrapped is the loss of a batch (`BatchLoss`), with the
network inside.  A state that is saved is whole, whatever it was trained on: it can go on with other processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

Loss = Callable[[Any, Any, Any, int], tuple[Tensor, dict[str, Tensor]]]
EVERY_NTH = {"none": 0, "half": 2, "all": 1}  # `Recipe.checkpointing`: which blocks keep no activations


class BatchLoss(nn.Module):
    """The loss of a batch as a module that DDP and FSDP can wrap."""

    def __init__(self, loss: Loss, network: nn.Module, average: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._loss = loss
        self._average = (average,)  # in a tuple it is no part of this module: nobody trains or shards it

    def forward(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and what to log beside it, without gradients."""
        loss, figures = self._loss(self.network, self._average[0], batch, step)
        return loss, {name: torch.as_tensor(value).detach() for name, value in figures.items()}


def wrap(loss: BatchLoss, mode: str, device: torch.device) -> nn.Module:
    """The loss for the processes of this training; alone, it stays as it is.

    mode  "ddp": every process has the whole network, gradients are averaged while they are computed
          "fsdp": weights, gradients and the optimiser's state are cut into as many parts as there are processes
    """
    if not dist.is_initialized():
        return loss
    if mode == "fsdp":
        for block in blocks_of(loss.network):
            fully_shard(block)
        fully_shard(loss)
        return loss
    return DistributedDataParallel(
        loss,
        device_ids=[device.index] if device.type == "cuda" else None,
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
        find_unused_parameters=True,  # which parameters a loss reaches differs from batch to batch
    )


@contextlib.contextmanager
def gradients_kept(loss: nn.Module, is_kept: bool) -> Iterator[None]:
    """In the block gradients stay in this process, to be added up over several batches, if `is_kept`."""
    if isinstance(loss, DistributedDataParallel) and is_kept:
        with loss.no_sync():
            yield
        return
    if isinstance(loss, FSDPModule):
        loss.set_requires_gradient_sync(not is_kept)
    yield


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The repeated parts of a network: the members of its outermost module lists, where they have parameters."""
    blocks: list[nn.Module] = []
    for child in network.children():
        members = list(child) if isinstance(child, nn.ModuleList) else []
        blocks += [block for block in members if next(block.parameters(), None) is not None]
        if not members:
            blocks += blocks_of(child)
    return blocks


def checkpoint_blocks(network: nn.Module, choice: str) -> None:
    """Let blocks compute their activations again when gradients are due, instead of keeping them; see `EVERY_NTH`."""
    every = EVERY_NTH[choice]
    for number, block in enumerate(blocks_of(network)):
        if every and number % every == 0:
            block.forward = partial(_forward_twice, block.forward)  # type: ignore[method-assign]


def _forward_twice(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def share_gradients(network: nn.Module) -> None:
    """Each gradient becomes its mean over the processes, for a network that nothing wraps; one that a process lacks
    counts as zero.

    Which parameters a loss reaches may differ from batch to batch, so the processes first agree on what there is to
    share. What nobody has stays None: optimisers skip it.
    """
    if not dist.is_initialized():
        return
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    n_with = torch.tensor([parameter.grad is not None for parameter in parameters], device=parameters[0].device).int()
    dist.all_reduce(n_with)
    for parameter, n in zip(parameters, n_with.tolist(), strict=True):
        if n:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


def whole(state: Any) -> Any:
    """The same nested state with whole tensors in the place of those of which each process has a part.

    All processes must call it together.
    """
    if isinstance(state, DTensor):
        return state.full_tensor()
    if isinstance(state, dict):
        return {key: whole(value) for key, value in state.items()}
    return [whole(value) for value in state] if isinstance(state, list) else state


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor cut as `like` is, which may be not at all."""
    if isinstance(like, DTensor) and not isinstance(tensor, DTensor):
        return distribute_tensor(tensor, like.device_mesh, like.placements)
    return tensor


def load_whole(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a state that `whole` gave; errors as `nn.Module.load_state_dict` raises them."""
    own = network.state_dict()
    network.load_state_dict({key: part_of(value, own[key]) if key in own else value for key, value in state.items()})


def load_whole_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """The same for an optimiser: its averages are cut as their parameters are."""
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = part_of(value, parameter)


def passes(batch_size: int, total_batch: int, world_size: int) -> tuple[int, int]:
    """How a step's clips are divided: rows of one pass in one process, and passes of a step.

    batch_size   the most rows that fit
    total_batch  clips of a step over all passes and processes, at least; 0: one pass
    """
    if not total_batch:
        return batch_size, 1
    n_passes = -(-total_batch // (batch_size * world_size))
    return -(-total_batch // (n_passes * world_size)), n_passes
