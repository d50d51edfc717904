"""How often one visitor may ask for something that all share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Pace:
    """A bucket: a burst at once, then so many per second."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = per_second, burst, clock
        self._left, self._at = float(burst), clock()

    def wait(self) -> float:
        """Take one; seconds to wait before it is handled."""
        if math.isinf(self._rate):
            return 0.0
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._left / self._rate)
