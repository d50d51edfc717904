"""What workers do in the tests of jobs: a module of its own, as other processes import it."""

from __future__ import annotations

import os
import time


def square(item: int) -> tuple[int, str | None, int]:
    """Fails for 3; also says what the process looks like."""
    if item == 3:
        raise ValueError("three cannot be squared")
    return item * item, os.environ.get("OMP_NUM_THREADS"), os.getpid()


def tags(item: int) -> dict[str, float]:
    from distributed import get_worker

    return dict(get_worker().state.total_resources)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
