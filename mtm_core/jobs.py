"""Long work over many items on dask.distributed: on the cores of this machine, or wherever a scheduler has workers.

A scheduler runs any function that whoever reaches it sends. The local one listens on 127.0.0.1 only; it still trusts
every user of this machine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

import dask
from dask.distributed import Client, LocalCluster, as_completed

HERE = "127.0.0.1"
GPU = {"GPU": 1.0}  # a worker's tag: `dask worker ADDRESS --resources GPU=1`
TIMEOUT = 15  # s to find a scheduler
# One process per core: dask asks for one thread in each as well, unless the machine's own environment says otherwise.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
# A worker that died (out of memory, killed) may try its items once more, then they have failed.
QUIET = {"distributed.scheduler.allowed-failures": 1, "distributed.comm.timeouts.connect": f"{TIMEOUT}s"}

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failed:
    """What an item yields in place of a result: the exception that ended it."""

    error: BaseException

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


def spread(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    scheduler: str | None = None,
    gpu: bool = False,
    workers: int | None = None,
) -> Iterator[tuple[Item, Result | Failed]]:
    """Call `function` on every item in other processes; yields (item, result) in the order in which they are done.

    function: of a module that workers can import; a script needs the usual `if __name__ == "__main__":`.
    scheduler: its address ("tcp://host:8786"); None starts one process per core, or `workers` of them, with one thread
        each, for the time of the work. Local work on a GPU has one process.
    gpu: only workers with the tag GPU get items, each as many at once as it has GPUs.
    An item whose function raises yields `Failed`; the others go on. Whoever stops iterating, Ctrl-C included, cancels
    what has not begun. Raises OSError for a scheduler that cannot be reached, RuntimeError if none of its workers has
    the tag.
    """
    items = list(items)
    if not items:
        return
    with dask.config.set(QUIET), _connected(scheduler, 1 if gpu else workers, gpu) as client:
        resources = GPU if gpu else None
        open_items = {}
        for item in items:
            future = client.submit(function, item, key=f"mtm-{uuid4().hex}", resources=resources, pure=False)
            open_items[future] = item
        try:
            for future in as_completed(list(open_items), loop=client.loop):
                yield open_items.pop(future), _outcome(future)
                future.release()
        finally:
            client.cancel(list(open_items), force=True)


def _outcome(future: object) -> object:
    if future.cancelled():
        return Failed(RuntimeError("cancelled by the scheduler"))
    error = future.exception()
    return future.result() if error is None else Failed(error)


@contextmanager
def _connected(scheduler: str | None, workers: int | None, gpu: bool) -> Iterator[Client]:
    if scheduler is None:
        with _local(workers, gpu) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    with Client(scheduler, timeout=TIMEOUT, set_as_default=False) as client:
        known = client.scheduler_info(n_workers=-1)["workers"].values()
        if gpu and known and not any("GPU" in worker.get("resources", {}) for worker in known):
            raise RuntimeError(f"no worker of {scheduler} has a GPU: start some with `dask worker --resources GPU=1`")
        yield client


def _local(workers: int | None, gpu: bool) -> LocalCluster:
    """Processes of this machine, reached by nothing outside it; the machine's memory is shared out evenly."""
    return LocalCluster(
        n_workers=workers or os.cpu_count() or 1,
        threads_per_worker=1,
        processes=True,
        host=HERE,
        dashboard_address=f"{HERE}:0",  # of its plain HTTP pages: a free port, not the well-known one
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,  # an item's error comes back with the item
        resources=GPU if gpu else None,
        env=ONE_THREAD,
    )
