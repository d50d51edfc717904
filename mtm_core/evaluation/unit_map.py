"""Neurons as points on a plane, near each other where their embeddings are alike: something to look at, not a test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

N_COMPONENTS = 50  # that t-SNE reads; the rest of the embedding is mostly noise, and costs time
PERPLEXITY = 30.0
FEWEST = 10  # neurons; fewer have no neighborhoods
MOST = 4000  # neurons; t-SNE of 1,000 takes some 4 s on one core and grows a little faster than their number


@dataclass(frozen=True, eq=False)
class UnitMap:
    """Places (N, 2) and what the two axes are. Distances between far groups mean nothing in a t-SNE."""

    places: Float[ndarray, "N 2"]
    axes: tuple[str, str]


def map_2d(embedding: Float[ndarray, "N C"], seed: int) -> UnitMap:
    """PCA, then t-SNE (van der Maaten & Hinton 2008) that starts from it; the same for the same embedding and seed.

    With fewer than FEWEST or more than MOST neurons it is the first two principal components, as the axes say.
    """
    n_neurons = len(embedding)
    if n_neurons < 2:
        return UnitMap(np.zeros((n_neurons, 2)), _components(()))
    scaled = StandardScaler().fit_transform(embedding.astype(np.float64))
    pca = PCA(min(N_COMPONENTS, *scaled.shape), svd_solver="full")
    components = pca.fit_transform(scaled)
    if not FEWEST <= n_neurons <= MOST or components.shape[1] < 2:
        places = np.zeros((n_neurons, 2))
        places[:, : components.shape[1]] = components[:, :2]
        return UnitMap(places, _components(pca.explained_variance_ratio_))
    perplexity = min(PERPLEXITY, (n_neurons - 1) / 3)
    found = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
    return UnitMap(found.astype(np.float64), ("t-SNE 1", "t-SNE 2"))


def _components(explained: ndarray | tuple[()]) -> tuple[str, str]:
    """Names of principal components with the share of the variance that each holds."""
    shares = [f" ({100 * share:.0f} % of the variance)" for share in explained] + ["", ""]
    return f"principal component 1{shares[0]}", f"principal component 2{shares[1]}"
