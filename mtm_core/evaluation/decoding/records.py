"""What is written about a decoded behavior."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .nested import Decoded

LEVEL = 0.05  # of p; above it a score is called "at null"


def record(decoded: Decoded, of_counts: Decoded | None) -> dict[str, Any]:
    """Scores with 95 % intervals, chance, how the decoder was chosen, and the difference to the decoder from counts."""
    measures = decoded.measures
    found = measures.with_intervals(decoded.truth, decoded.predicted)
    versus = None
    if of_counts is not None:
        difference, bounds = measures.difference(decoded.truth, decoded.predicted, of_counts.predicted)
        versus = {"difference": difference, "ci": list(bounds)}
    return {
        "score": found.score,
        "metric": measures.metric,
        "ci": list(found.ci),
        measures.second: found.second,
        f"{measures.second}_ci": list(found.second_ci),
        "chance": measures.chance,
        "against_counts": versus,
        "n_trials": len(decoded.truth),
        "n_train": decoded.n_train,
        **decoded.settings,
    }


def is_worse_than_counts(of_source: dict[str, Any]) -> bool:
    """Whether raw spike counts decode better than this source by more than the resampling of trials explains."""
    versus = of_source["against_counts"]
    return versus is not None and versus["ci"][1] < 0


@dataclass(frozen=True, eq=False)
class NullScores:
    """Scores of the same decoder on null behavior, gathered one by one."""

    kind: str
    decoded: Decoded
    scores: tuple[tuple[float, float], ...] = ()
    n_unusable: int = 0

    def with_one(self, null: Decoded | None) -> NullScores:
        if null is None:
            return replace(self, n_unusable=self.n_unusable + 1)
        return replace(self, scores=(*self.scores, null.measures.point(null.truth, null.predicted)))

    def to_json(self) -> dict[str, Any]:
        """Null mean, 95 % quantile, p and at_null, for the score and its companion; None without null scores.

        p = (1 + number of nulls that score as high) / (1 + number of nulls) (Phipson & Smyth 2010).
        """
        measures = self.decoded.measures
        actual = measures.point(self.decoded.truth, self.decoded.predicted)
        sides = np.array(self.scores, dtype=np.float64).reshape(-1, 2).T
        first, second = (_against(scores, value) for scores, value in zip(sides, actual, strict=True))
        return {
            "null": first["mean"],
            "null_95": first["quantile"],
            "p": first["p"],
            "at_null": None if first["p"] is None else bool(first["p"] > LEVEL),
            f"{measures.second}_null": second["mean"],
            f"{measures.second}_null_95": second["quantile"],
            f"{measures.second}_p": second["p"],
            "null_kind": self.kind,
            "n_nulls": len(self.scores),
            "n_nulls_unusable": self.n_unusable,
            "null_scores": [score for score, _ in self.scores if np.isfinite(score)],
        }


def _against(nulls: np.ndarray, actual: float) -> dict[str, float | None]:
    nulls = nulls[np.isfinite(nulls)]
    if len(nulls) == 0:
        return {"mean": None, "quantile": None, "p": None}
    p = (1 + np.count_nonzero(nulls >= actual)) / (1 + len(nulls))
    return {"mean": float(nulls.mean()), "quantile": float(np.quantile(nulls, 0.95)), "p": float(p)}
