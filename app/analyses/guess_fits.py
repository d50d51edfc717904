"""Fits that take seconds in one piece, in a thread of their own: they hold up nobody's turn with the model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

TURN = 0.05  # s that one look at a fit waits
FITS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guess")


def until_done(future: Future) -> Iterator[None]:
    while not future.done():
        wait([future], TURN)
        yield
