"""Our protocol: bin width and penalty are chosen by cross-validation within the training trials, then one decoder is
fitted to all of them and asked about the test trials once.

The folds are blocks of neighbouring trials, as neighbours resemble each other. Only the scaling of features, which
knows no behavior, is shared between folds.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from .behaviors import Target
from .features import in_wider_bins
from .linear_decoders import RidgePath, logistic_path
from .measures import BALANCED, Measures, of_stream
from .row_space import RowSpace, row_space

WIDTHS = (0.1, 0.2, 0.4)  # s; bins of 20 ms never won by more than noise, and with standardizing lost most streams
LOGISTIC_PENALTIES = (10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4)  # in mean squared lengths of a training trial
RIDGE_PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1, 1e-2)
N_FOLDS = 5
BLOCK = 10  # trials that stay together
RAREST = 1e-6  # probabilities closer to 0 or 1 are not believed


@dataclass(frozen=True, eq=False)
class Decoded:
    """Predictions for the test trials that take part, the truth, and how they were made."""

    truth: Float[ndarray, " m"] | Float[ndarray, "m T"]
    predicted: Float[ndarray, " m"] | Float[ndarray, "m T"]
    measures: Measures
    settings: dict[str, Any]
    n_train: int


@dataclass(frozen=True, eq=False)
class Nested:
    """A decoder for any behavior from the same features; `spaces` are keyed by bin width in s."""

    spaces: dict[float, RowSpace]
    train: Int[ndarray, " n"]  # positions of trials
    test: Int[ndarray, " m"]
    _ridges: dict[tuple[float, int], tuple[bytes, RidgePath]] = field(default_factory=dict)

    name: ClassVar[str] = "nested"
    about: ClassVar[str] = (
        f"{N_FOLDS} folds of blocks of {BLOCK} neighbouring trials within the training trials choose bin width and "
        "penalty; the test trials are asked once"
    )

    @classmethod
    def on(
        cls, values: Float[ndarray, "K T F"], bin_size: float, train: Int[ndarray, " n"], test: Int[ndarray, " m"]
    ) -> Generator[str, None, Nested]:
        """Prepare the features (bin_size in s), one width a step."""
        spaces = {}
        for n_bins in sorted({min(max(1, round(width / bin_size)), values.shape[1]) for width in WIDTHS}):
            wide = in_wider_bins(values, n_bins)
            wide = wide.reshape(len(wide), -1)
            spaces[n_bins * bin_size] = row_space(wide[train], wide[test])
            yield "rotating features"
        return cls(spaces, train, test)

    @property
    def folds(self) -> Int[ndarray, " n"]:
        return np.arange(len(self.train)) // BLOCK % N_FOLDS

    def decode(self, target: Target) -> Decoded:
        return self._two_sided(target) if target.two_sided else self._stream(target)

    # --- choice, block, reward, contrast ------------------------------------------------------------------------------

    def _two_sided(self, target: Target) -> Decoded:
        labels, asked = target.values[self.train], target.known[self.test]
        rows = np.flatnonzero(target.known[self.train])
        losses = {width: self._log_losses(space, labels, rows) for width, space in self.spaces.items()}
        width, best = _smallest(losses)
        space = self.spaces[width]
        penalty = LOGISTIC_PENALTIES[best] * space.unit
        model = next(logistic_path(space.train[rows], labels[rows], [penalty]))
        settings = {
            "decoder": "logistic regression, L2, balanced classes",
            "bin_width_s": round(width, 6),
            "C": 1 / penalty,
        }
        predicted = model.probabilities(space.test[asked])
        return Decoded(target.values[self.test][asked], predicted, BALANCED, settings, len(rows))

    def _log_losses(self, space: RowSpace, labels: ndarray, rows: ndarray) -> Float[ndarray, " penalties"]:
        """Log loss of held-back training trials for every penalty, both classes weighing the same."""
        found = np.full((len(LOGISTIC_PENALTIES), len(labels)), np.nan)
        for fold in range(N_FOLDS):
            fit, held = rows[self.folds[rows] != fold], rows[self.folds[rows] == fold]
            if len(held) == 0 or len(np.unique(labels[fit])) < 2:
                continue
            path = logistic_path(space.train[fit], labels[fit], [each * space.unit for each in LOGISTIC_PENALTIES])
            found[:, held] = [model.probabilities(space.train[held]) for model in path]
        right = np.where(labels == 1, found, 1 - found).clip(RAREST)
        each = [-np.log(right[:, of & np.isfinite(found[0])]) for of in (labels == 0, labels == 1)]
        return np.mean([losses.mean(axis=1) if losses.size else np.zeros(len(found)) for losses in each], axis=0)

    # --- streams ------------------------------------------------------------------------------------------------------

    def _stream(self, target: Target) -> Decoded:
        values, asked = target.values[self.train], target.known[self.test]
        rows = np.flatnonzero(target.known[self.train])
        errors = {width: self._squared_errors(width, values, rows) for width in self.spaces}
        width, best = _smallest(errors)
        space = self.spaces[width]
        penalty = RIDGE_PENALTIES[best] * space.unit
        path = self._ridge(width, N_FOLDS, rows)
        predicted = next(path.predictions(values[rows], space.test[asked], [penalty]))
        settings = {"decoder": "ridge regression", "bin_width_s": round(width, 6), "alpha": penalty}
        measures = of_stream(values[rows].mean(axis=0))
        return Decoded(target.values[self.test][asked], predicted, measures, settings, len(rows))

    def _squared_errors(self, width: float, values: ndarray, rows: ndarray) -> Float[ndarray, " penalties"]:
        """Summed over the held-back training trials, for every penalty."""
        space, errors = self.spaces[width], np.zeros(len(RIDGE_PENALTIES))
        for fold in range(N_FOLDS):
            fit, held = rows[self.folds[rows] != fold], rows[self.folds[rows] == fold]
            if len(held) and len(fit):
                path = self._ridge(width, fold, fit)
                penalties = [penalty * space.unit for penalty in RIDGE_PENALTIES]
                predicted = path.predictions(values[fit], space.train[held], penalties)
                errors += [np.sum((values[held] - each) ** 2) for each in predicted]
        return errors

    def _ridge(self, width: float, fold: int, rows: ndarray) -> RidgePath:
        """The decomposition of some training trials, kept: it does not depend on the behavior, and nulls ask again."""
        key, which = (width, fold), rows.tobytes()
        if key not in self._ridges or self._ridges[key][0] != which:
            self._ridges[key] = which, RidgePath.of(self.spaces[width].train[rows])
        return self._ridges[key][1]


def _smallest(losses: dict[float, ndarray]) -> tuple[float, int]:
    """Width and position of the penalty with the smallest loss; of equals, the stronger penalty."""
    width = min(losses, key=lambda each: losses[each].min())
    return width, int(np.argmin(losses[width]))
