"""Which trials train, validate and test: 70 / 10 / 20 %, never with one moment of the recording in two splits.

The default deals blocks of about ten neighbouring trials in a fixed interleaved order. Neurons drift over a session and
neighbouring trials resemble each other: the random split of the MtM and NEDS code puts neighbours on both sides, which
raised the co-smoothing score of a ridge regression by .03 to .05 bits per spike on a real session. Blocks keep
neighbours together (but for the borders), and interleaving lets every split see the whole session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..session import SPLITS, Trials

TRAIN, VALIDATION, TEST = SPLITS
PATTERN = (TRAIN, TRAIN, TEST, TRAIN, TRAIN, VALIDATION, TRAIN, TEST, TRAIN, TRAIN)  # 7 : 1 : 2
BLOCK = 10  # trials, about a minute
RECORDED = "stimOnRecorded_times"  # true onsets of sources whose stimOn_times lie on a time line made for them
TOUCH = 1e-9  # s; windows that only touch share no moment


class SplitKind(str, Enum):
    BLOCKS = "interleaved blocks"
    RANDOM = "random"


def interleaved_blocks(groups: Int[ndarray, " K"]) -> ndarray:
    """Split of each trial (K,), groups being numbered in the order of time and kept in one split."""
    order = np.argsort(groups, kind="stable")
    n_trials = len(groups)
    # A whole number of patterns gives 7 : 1 : 2 whatever the number of trials.
    n_blocks = len(PATTERN) * max(1, round(n_trials / (BLOCK * len(PATTERN))))
    block = np.empty(n_trials, dtype=np.int64)
    block[order] = np.arange(n_trials) * n_blocks // max(n_trials, 1)
    split = np.array(PATTERN)[block % len(PATTERN)]
    first = order[np.unique(groups[order], return_index=True)[1]]
    return split[first][np.unique(groups, return_inverse=True)[1]]


def random_split(groups: Int[ndarray, " K"], seed: int) -> ndarray:
    """Split of each trial (K,): groups in random order, the first 70 % of the trials train, the next 10 % validate."""
    numbers, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    # A group belongs to the share in which its middle trial falls.
    middle = (np.cumsum(sizes[order]) - sizes[order] / 2) / max(len(groups), 1)
    split = np.empty(len(numbers), dtype=np.array(SPLITS).dtype)
    split[order] = np.select([middle < 0.7, middle < 0.8], [TRAIN, VALIDATION], TEST)
    return split[member]


def overlap_groups(clocks: Sequence[Float[ndarray, " K"]], length: float) -> Int[ndarray, " K"]:
    """Chains of trials whose windows of `length` s overlap on any clock, numbered in the order of the first clock.

    clocks: event times (s) of the trials on one or more time lines; NaN on a clock joins nothing there.
    """
    n_trials = len(clocks[0])
    pairs = [_overlapping_pairs(times, length) for times in clocks]
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(n_trials, n_trials))
    _, chain = connected_components(graph, directed=False)
    order = np.argsort(clocks[0], kind="stable")
    seen, first = np.unique(chain[order], return_index=True)
    rank = np.empty(len(seen), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(seen))
    return rank[np.searchsorted(seen, chain)]


def _overlapping_pairs(times: ndarray, length: float) -> tuple[ndarray, ndarray]:
    """Neighbours in time that overlap. All windows are equally long, so chains need no other pairs."""
    order = np.argsort(times, kind="stable")  # NaN comes last, and no difference with it is small
    close = np.diff(times[order]) < length - TOUCH
    return order[:-1][close], order[1:][close]


def trial_groups(table: pd.DataFrame, event: str, window: tuple[float, float]) -> Int[ndarray, " K"]:
    """Groups of trials that share moments in windows around an event, in recorded time where the table holds it."""
    times = table[event].to_numpy(dtype=np.float64)
    clocks = [times]
    if RECORDED in table and "stimOn_times" in table:
        clocks.append(times + (table[RECORDED] - table["stimOn_times"]).to_numpy(dtype=np.float64))
    return overlap_groups(clocks, window[1] - window[0])


def with_split(trials: Trials, kind: SplitKind, seed: int = 0) -> Trials:
    """The same trials, split in another way; seed matters for a random split only."""
    groups = trial_groups(trials.table, trials.event, trials.window)
    split = random_split(groups, seed) if kind is SplitKind.RANDOM else interleaved_blocks(groups)
    return replace(trials, split=split)
