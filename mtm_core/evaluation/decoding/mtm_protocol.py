"""Decoding as the MtM paper does it (arXiv 2407.14668, section 4.2, and the released code), for its numbers' sake.

Features are the log rates of the frozen model for the whole recording, flattened and not scaled. Choice: logistic
regression with an L2 penalty, C from 1e-4 to 1e4, accuracy. Streams: ridge regression of all bins at once, alpha from 0
to 1e4, R2 over all bins. Both by a grid search with four folds within training and validation trials, in their order.
The released code stops its solver early on 67,000 features; here it runs to its end in the row space. The paper also
leaves out trials with unusual reaction times, which not every recording knows; here they stay.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold

from .behaviors import Target
from .linear_decoders import RidgePath, logistic_path
from .measures import PLAIN, of_stream
from .nested import Decoded
from .row_space import RowSpace, row_space

CS = tuple(10.0**power for power in range(-4, 5))
ALPHAS = (0.0, 10.0, 100.0, 1000.0, 10000.0)
N_FOLDS = 4


@dataclass(frozen=True, eq=False)
class MtmProtocol:
    """A decoder for any behavior from the same features."""

    space: RowSpace
    train: Int[ndarray, " n"]  # positions of trials
    test: Int[ndarray, " m"]

    name: ClassVar[str] = "mtm"
    about: ClassVar[str] = f"as in the MtM paper: features not scaled, grid search with {N_FOLDS} folds"

    @classmethod
    def on(
        cls, values: Float[ndarray, "K T F"], bin_size: float, train: Int[ndarray, " n"], test: Int[ndarray, " m"]
    ) -> Generator[str, None, MtmProtocol]:
        """Prepare the features; bin_size is not needed, the bins stay as they are."""
        yield "rotating features"
        flat = values.reshape(len(values), -1)
        return cls(row_space(flat[train], flat[test], standardized=False), train, test)

    def decode(self, target: Target) -> Decoded:
        rows, asked = np.flatnonzero(target.known[self.train]), target.known[self.test]
        values, truth = target.values[self.train][rows], target.values[self.test][asked]
        train, test = self.space.train[rows], self.space.test[asked]
        if target.two_sided:
            best = _best(_accuracies(train, values))
            predicted = next(_probabilities(train, values, test, CS[best:]))
            settings = {"decoder": "logistic regression, L2", "C": CS[best]}
            return Decoded(truth, predicted, PLAIN, settings, len(rows))
        best = _best(_r2s(train, values))
        predicted = next(RidgePath.of(train).predictions(values, test, ALPHAS[best:]))
        settings = {"decoder": "ridge regression", "alpha": ALPHAS[best]}
        return Decoded(truth, predicted, of_stream(values.mean(axis=0)), settings, len(rows))


def _best(scores: Iterable[Sequence[float]]) -> int:
    """Position of the setting with the best mean over folds; the first of equals, as in scikit-learn's grid search."""
    return int(np.argmax(np.mean(list(scores), axis=0)))


def _accuracies(trials: Float[ndarray, "n r"], labels: Float[ndarray, " n"]) -> Iterator[list[float]]:
    """Per fold and C."""
    for fit, held in StratifiedKFold(N_FOLDS).split(trials, labels):
        found = _probabilities(trials[fit], labels[fit], trials[held], CS)
        yield [accuracy_score(labels[held], each > 0.5) for each in found]


def _probabilities(train: ndarray, labels: ndarray, asked: ndarray, cs: Sequence[float]) -> Iterator[ndarray]:
    for model in logistic_path(train, labels, [1 / c for c in cs], balanced=False):
        yield model.probabilities(asked)


def _r2s(trials: Float[ndarray, "n r"], values: Float[ndarray, "n T"]) -> Iterator[list[float]]:
    """Per fold and alpha; the mean over bins, each against its own mean, as scikit-learn scores a ridge regression."""
    for fit, held in KFold(N_FOLDS).split(trials):
        found = RidgePath.of(trials[fit]).predictions(values[fit], trials[held], ALPHAS)
        yield [r2_score(values[held], each) for each in found]
