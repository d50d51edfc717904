"""The processes that train one model together: started by torchrun, or just this one.

Every process draws the same batch and takes its share of the trials, so any number of them takes the same steps. The
trunk's gradients are averaged by DistributedDataParallel. Of the tables of neurons only the rows of the batch travel,
each once per process that used it: the tables of thousands of animals never do.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

_MEETINGS = itertools.count()  # of this process


@dataclass(frozen=True)
class World:
    """This process's place among all."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, n_trials: int) -> slice:
        """This process's part of the trials of a batch."""
        return slice(n_trials * self.rank // self.size, n_trials * (self.rank + 1) // self.size)

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def agreed(self, value: float, device: torch.device) -> float:
        """The first process's value, for all."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(shared, src=0)
        return float(shared)

    def add_rows(self, table: nn.Parameter) -> None:
        """Add up the sparse gradients of all processes; each sends its rows once, padded to the longest list."""
        if self.size == 1:
            return
        if table.grad is None:  # no other process knows that, and all wait for these rows
            rows, values = torch.zeros(0, dtype=torch.long, device=table.device), table.new_zeros(0, *table.shape[1:])
        else:
            own = table.grad.coalesce()
            rows, values = own.indices()[0], own.values()
        sizes = [torch.zeros(1, dtype=torch.long, device=table.device) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=table.device))
        most = int(max(sizes))
        all_rows = self._gathered(_padded(rows, most))
        all_values = self._gathered(_padded(values, most))
        kept = [slice(0, int(size)) for size in sizes]
        rows = torch.cat([each[keep] for each, keep in zip(all_rows, kept, strict=True)])
        values = torch.cat([each[keep] for each, keep in zip(all_values, kept, strict=True)])
        table.grad = torch.sparse_coo_tensor(rows[None], values, table.shape, check_invariants=False).coalesce()

    def _gathered(self, value: Tensor) -> list[Tensor]:
        found = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(found, value)
        return found


def _padded(value: Tensor, length: int) -> Tensor:
    return torch.cat([value, value.new_zeros(length - len(value), *value.shape[1:])])


def join_world(device: torch.device) -> World:
    """Join the processes that torchrun started; alone without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World()
    if not dist.is_initialized():
        store, rank, size = next(dist.rendezvous("env://"))
        store = dist.PrefixStore(f"meeting {next(_MEETINGS)}", store)  # a later one must not find earlier addresses
        if os.environ.get("LOCAL_WORLD_SIZE") == str(size):
            # After a crash torchrun starts all again with the same store, where some would find the addresses of the
            # dead. With several machines, each counts its own starts, and torchrun makes them meet anew.
            store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size)
    return World(dist.get_rank(), dist.get_world_size())


def leave_world() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """With several cards on a machine, the one of this process."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def together(module: nn.Module, tables: list[str], world: World, may_freeze: bool = False) -> nn.Module:
    """The module, with the gradients of all its parameters but the named tables averaged over the processes.

    may_freeze: some of the other parameters may have no gradient in some steps, or in some of the processes only.
    """
    if world.size == 1:
        return module
    parallel = nn.parallel.DistributedDataParallel
    parallel._set_params_and_buffers_to_ignore_for_model(module, tables)
    # Buffers are statistics of the recordings, the same everywhere; by default all of them would travel in every step.
    return parallel(module, forward_sync_buffers=False, find_unused_parameters=may_freeze)
