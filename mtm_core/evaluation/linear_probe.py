"""A linear classifier of neurons by their features, its strength chosen among the neurons that it learns from."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

N_INNER_FOLDS = 3
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # C of the classifier times the number of neurons it learns from
WORTH = 0.005  # of balanced accuracy: what a larger C must add
MAX_ERROR = 1e-2  # of the solver; a hundredth of it makes it twice as slow and changes no answer


def fit_probe(features: Float[ndarray, "m F"], labels: Int[ndarray, " m"], seed: int) -> Pipeline:
    """Scaling and a linear support vector classifier, its C chosen by cross-validation among these neurons.

    C grows while the balanced accuracy in the inner folds grows with it: few features do best with a large one, with
    which hundreds would take minutes for nothing.
    """
    inner = StratifiedKFold(N_INNER_FOLDS, shuffle=True, random_state=seed)
    folds = [_Fold(features, labels, *split) for split in inner.split(features, labels)]
    best, chosen = -np.inf, STRENGTHS[0]
    for strength in STRENGTHS:
        score = np.mean([fold.score(_classifier(strength / len(labels), seed)) for fold in folds])
        if score < best + WORTH:
            break
        best, chosen = score, strength
    return make_pipeline(StandardScaler(), _classifier(chosen / len(labels), seed)).fit(features, labels)


def _classifier(c: float, seed: int) -> LinearSVC:
    return LinearSVC(C=c, class_weight="balanced", tol=MAX_ERROR, random_state=seed)


class _Fold:
    """An inner fold, scaled by the part that is fitted."""

    def __init__(self, features: ndarray, labels: ndarray, fitted: ndarray, asked: ndarray) -> None:
        scale = StandardScaler().fit(features[fitted])
        self.fitted, self.asked = (scale.transform(features[part]) for part in (fitted, asked))
        self.labels, self.truth = labels[fitted], labels[asked]

    def score(self, classifier: LinearSVC) -> float:
        """Balanced accuracy of the part that is not fitted."""
        said = classifier.fit(self.fitted, self.labels).predict(self.asked)
        return float(np.mean([(said[self.truth == label] == label).mean() for label in np.unique(self.truth)]))
