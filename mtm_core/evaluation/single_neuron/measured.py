"""A number with its interval and its ceiling, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..bootstrap import interval

Interval = tuple[float, float]
ONE_TRIAL = "one trial shows no spread between trials"


@dataclass(frozen=True)
class Measured:
    """value is None where the number does not exist, and `reason` says why; so it does where only `interval` is None.

    interval: 95 %, over trials.
    """

    value: float | None
    interval: Interval | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a measured value of {self.value}; give None and the reason")
        if (self.value is None or self.interval is None) and not self.reason:
            raise ValueError("a value or an interval is missing without a reason; say why")


class CeilingKind(str, Enum):
    """How well a perfect prediction would do, and how that is known."""

    TRUE_RATES = "score of the true rates"  # simulated sessions
    REPEATS = "from the spread between trials of one condition"
    NOT_MEASURABLE = "not measurable"


@dataclass(frozen=True)
class Ceiling:
    """The best score that these trials allow.

    value and interval are those of `measured`; of kind NOT_MEASURABLE the value is None and `measured.reason` says why.
    if_poisson: what the true rates would score if spikes were Poisson given the rate. Real neurons need not be Poisson,
    so it is a landmark and no limit.
    """

    kind: CeilingKind
    measured: Measured
    if_poisson: Measured | None = None


def not_measurable(reason: str, if_poisson: Measured | None = None) -> Ceiling:
    return Ceiling(CeilingKind.NOT_MEASURABLE, Measured(None, reason=reason), if_poisson)


def bootstrapped(value: float, resampled: Float[ndarray, " R"], n_trials: int, reason: str) -> Measured:
    """A value with the percentile interval of its resamples; None with `reason` if it is not finite."""
    if not math.isfinite(value):
        return Measured(None, reason=reason)
    low, high = interval(resampled)
    if n_trials < 2 or not np.isfinite([low, high]).all():
        return Measured(float(value), reason=ONE_TRIAL)
    return Measured(float(value), (float(low), float(high)))
