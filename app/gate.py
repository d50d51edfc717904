"""The gate in front of the model: one thread for the whole process, and visitors take turns.

Round robin over visitors, not first come, first served: whoever asks a thousand times a second waits behind everybody
else after each answer. A turn is one short step of work. Pictures, for which somebody waits after a click, go before
the scores and jobs that fill in behind them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from .limits import LIMITS, Limits

BUSY = "Many visitors are computing at once and this did not get its turn; try again in a moment."


class Gate:
    """Turns of visitors at the one thread that works."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._lock = threading.Lock()
        # In the order of their next turns: first those who wait for a picture, then all others.
        self._lanes: tuple[dict[Hashable, deque], dict[Hashable, deque]] = ({}, {})
        self.waiting = 0  # turns that have not begun
        self._working = False
        self.refused = 0

    def turn(self, visitor: Hashable, work: Callable[[], Any], first: bool = False) -> Future:
        """work() on a later turn of this visitor; TimeoutError if too many turns wait already."""
        with self._lock:
            if self.waiting >= self._limits.queue:
                self.refused += 1
                raise TimeoutError(BUSY)
            turn: Future = Future()
            self._lanes[not first].setdefault(visitor, deque()).append((turn, work, time.monotonic()))
            self.waiting += 1
        self._thread.submit(self._next)
        return turn

    @property
    def idle(self) -> bool:
        return not self.waiting and not self._working

    def _next(self) -> None:
        with self._lock:
            lanes = self._lanes[0] or self._lanes[1]
            patient = lanes is self._lanes[0]  # a page without its picture is no page, however long a full class takes
            visitor = next(iter(lanes))
            lane = lanes.pop(visitor)
            turn, work, since = lane.popleft()
            if lane:
                lanes[visitor] = lane  # behind all others
            self.waiting, self._working = self.waiting - 1, True
        try:
            if not turn.set_running_or_notify_cancel():
                return  # nobody waits for it any more
            if not patient and time.monotonic() - since > self._limits.view_seconds:
                self.refused += 1
                raise TimeoutError(BUSY)
            turn.set_result(work())
        except BaseException as error:  # whoever waits for the turn gets it
            turn.set_exception(error)
        finally:
            self._working = False


GATE = Gate()


class Turns:
    """The turns of one computation, which may take `seconds` of work altogether; waiting does not count."""

    def __init__(self, visitor: Hashable, seconds: float, first: bool = False) -> None:
        self._visitor, self._seconds, self._first = visitor, seconds, first
        self._spent = 0.0

    async def __call__(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """work(*arguments), in the model's thread; TimeoutError when the time is used up."""
        if self._spent > self._seconds:
            raise TimeoutError(f"A class shares one computer: this stopped after {self._seconds:.0f} s of computing.")
        turn = GATE.turn(self._visitor, partial(_timed, work, *arguments), self._first)
        result, seconds = await asyncio.wrap_future(turn)
        self._spent += seconds
        return result


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    start = time.monotonic()
    return work(*arguments), time.monotonic() - start
