"""A score with everything one needs to judge it: interval, ceiling, both nulls, who it speaks for, on which data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

from .bootstrap import interval, resamples
from .metrics import SpikeSums

NOT_MEASURABLE = "not measurable"
NO_CEILING = "no two trials of a recording are repeats of one another, so nobody knows how well one can be predicted"
SEED = 0  # of the resampling, so that the same scores have the same intervals

Interval = tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """Bits per spike of a group of neurons. None where no neuron of the group could be scored."""

    mean: float | None  # over neurons, as MtM reports it; near-silent neurons weigh as much as any
    median: float | None
    pooled: float | None  # summed gain over summed spikes, as NLB and BrainWideBench report it
    n: int  # neurons scored
    n_silent: int  # targets without a spike in the scored entries: no score exists, none is invented
    n_excluded: int  # never a target of this task: region unknown, or alone in its region
    poisson_d2: float | None = None  # mean over neurons
    # 95 % over resampled trials; None while the score is incomplete
    mean_ci: Interval | None = None
    median_ci: Interval | None = None
    pooled_ci: Interval | None = None


@dataclass(frozen=True)
class Neurons:
    """Who is scored in one task. All of shape (N,)."""

    unit_ids: ndarray
    regions: ndarray
    eligible: Bool[ndarray, "N"]  # can be a target of this task
    train_mean: Float[ndarray, "N"]  # counts per bin


@dataclass(frozen=True)
class Ceiling:
    """The score of a perfect prediction of the same entries: the generating rates, where there are any."""

    kind: str  # "true_rates" or NOT_MEASURABLE
    mean: float | None = None
    pooled: float | None = None
    reason: str = ""


UNKNOWN_CEILING = Ceiling(NOT_MEASURABLE, reason=NO_CEILING)


@dataclass(frozen=True, eq=False)
class Score:
    """Score of one task, everything computed from the sums when first asked for."""

    task: str
    sums: SpikeSums  # (K, N)
    who: Neurons
    protocol: dict[str, Any]
    complete: bool  # False: from a part of the task's questions
    ceiling: Ceiling = field(default=UNKNOWN_CEILING)

    @cached_property
    def total(self) -> SpikeSums:
        return self.sums.total()

    @cached_property
    def bits(self) -> Float[ndarray, "N"]:
        """Bits per spike against the test mean; NaN where silent or not asked."""
        return self.total.bits_per_spike()

    @cached_property
    def summary(self) -> Summary:
        """Of all neurons, against the mean of the same test entries."""
        return self._summaries({"all": self._everyone()}, None)["all"]

    @cached_property
    def against_train_mean(self) -> Summary:
        """Of all neurons, against the mean of the training trials."""
        return self._summaries({"all": self._everyone()}, self.who.train_mean)["all"]

    @cached_property
    def per_region(self) -> dict[str, Summary]:
        """Of the neurons of each region, against the test mean."""
        return self._summaries({str(r): self.who.regions == r for r in np.unique(self.who.regions)}, None)

    def weights(self) -> Float[ndarray, "R K"]:
        """Resampled trials. The same trials are drawn for every score, so that differences are paired."""
        return resamples(len(self.sums.spikes), np.random.default_rng(SEED))

    def _everyone(self) -> Bool[ndarray, "N"]:
        return np.ones(len(self.bits), dtype=bool)

    @property
    def per_neuron(self) -> dict[str, float | None]:
        """uuid -> bits per spike against the test mean; None: silent or not scored."""
        return {str(u): _number(b) for u, b in zip(self.who.unit_ids, self.bits, strict=True)}

    @cached_property
    def status(self) -> ndarray:
        """ "scored", "silent", "excluded" or "not asked yet" per neuron."""
        asked = self.total.n_entries > 0
        kinds = [~self.who.eligible, ~asked, np.isnan(self.bits)]
        return np.select(kinds, ["excluded", "not asked yet", "silent"], "scored")

    @cached_property
    def neuron_table(self) -> pd.DataFrame:
        """One row per neuron: who it is, how often it fired in the scored entries, and its scores with interval."""
        total, bin_size = self.total, self.protocol["bin_size"]
        low, high = np.full((2, len(self.bits)), np.nan)
        if self.complete:
            low, high = interval(self.sums.resampled_bits(self.weights()))
        return pd.DataFrame(
            {
                "uuid": self.who.unit_ids.astype(str),
                "region": self.who.regions.astype(str),
                "status": self.status,
                "bits_per_spike": self.bits,
                "low": low,
                "high": high,
                "bits_per_spike_train_null": total.bits_per_spike(self.who.train_mean),
                "poisson_d2": total.poisson_d2(),
                "n_spikes": total.spikes.astype(int),
                "rate_hz": self.who.train_mean / bin_size,
            }
        )

    def _summaries(self, chosen: dict[str, Bool[ndarray, "N"]], null: ndarray | None) -> dict[str, Summary]:
        """A summary of each group of neurons, those that have been asked about so far."""
        asked = self.total.n_entries > 0
        drawn = _Drawn.of(self, null) if self.complete and len(self.sums.spikes) > 1 else None
        return {name: self._summary(flags, asked, null, drawn) for name, flags in chosen.items()}

    def _summary(
        self, chosen: Bool[ndarray, "N"], asked: Bool[ndarray, "N"], null: ndarray | None, drawn: _Drawn | None
    ) -> Summary:
        n_excluded, asked = int((chosen & ~self.who.eligible).sum()), chosen & asked
        some, part_null = self.total.some(asked), None if null is None else null[asked]
        bits, d2 = some.bits_per_spike(part_null), some.poisson_d2(part_null)
        n = int(np.isfinite(bits).sum())
        if n == 0:
            return Summary(None, None, None, 0, int(asked.sum()), n_excluded)
        return Summary(
            mean=float(np.nanmean(bits)),
            median=float(np.nanmedian(bits)),
            pooled=some.pooled(part_null),
            n=n,
            n_silent=int(asked.sum()) - n,
            n_excluded=n_excluded,
            poisson_d2=float(np.nanmean(d2)) if np.isfinite(d2).any() else None,
            **(drawn.intervals(asked) if drawn else {}),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values: the summary at the top level, then all the rest."""
        rows = self.neuron_table.to_dict("records")
        return {
            **asdict(self.summary),
            "task": self.task,
            "against_train_mean": asdict(self.against_train_mean),
            "per_region": {region: asdict(summary) for region, summary in self.per_region.items()},
            "per_neuron": self.per_neuron,
            "neurons": [{name: _number(v) if isinstance(v, float) else v for name, v in row.items()} for row in rows],
            "ceiling": asdict(self.ceiling),
            "protocol": self.protocol,
            "complete": self.complete,
        }


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A score's resamples; large, so nobody keeps them."""

    sums: SpikeSums  # (R, N)
    bits: Float[ndarray, "R N"]
    null: Float[ndarray, "N"]

    @classmethod
    def of(cls, score: Score, null: ndarray | None) -> _Drawn:
        null, weights = score.total.test_mean() if null is None else null, score.weights()
        return cls(score.sums.total(weights), score.sums.resampled_bits(weights, null), null)

    def intervals(self, asked: Bool[ndarray, "N"]) -> dict[str, Interval]:
        """Intervals of the three summaries over the neurons asked about."""
        bits = self.bits[:, asked]
        values = {
            "mean_ci": np.nanmean(bits, axis=1),
            "median_ci": np.nanmedian(bits, axis=1),
            "pooled_ci": self.sums.some(asked).pooled(self.null[asked]),
        }
        return {name: tuple(interval(each).tolist()) for name, each in values.items()}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
