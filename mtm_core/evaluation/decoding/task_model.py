"""A mouse in the IBL task, fitted to the training trials of one session, from which other sessions are drawn.

A drawn session (a pseudo-session) has the statistics of the true one, with its blocks and runs of choices, but this
brain did not live through it: what can be decoded of it is chance, and slow drift that happens to go along with slow
behavior (Harris 2020, "Nonsense correlations in neuroscience"; IBL, "A brain-wide map of neural activity during complex
behaviour", Nature 2025, methods).

    block     90 unbiased trials, then blocks of .2 and .8 in turn; lengths exponential (mean 60) within 20..100
    stimulus  side drawn from the block, strength drawn from the strengths of the training trials
    choice    logistic in signed contrast, block and the choice before; no-go trials stay where they were
    reward    whether the choice was the side of the stimulus; no-go trials keep theirs
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.random import Generator
from sklearn.linear_model import LogisticRegression

from ...session import Trials

TASK_BEHAVIORS = frozenset({"choice", "block", "contrast", "reward"})  # what must be known, and is drawn
UNBIASED = 90  # trials
BLOCK_MEAN, BLOCK_RANGE = 60.0, (20, 100)  # trials
SIDES = (0.2, 0.8)  # probability of a left stimulus
PENALTY = 0.1  # keeps the weights finite where a mouse never errs


@dataclass(frozen=True, eq=False)
class TaskModel:
    """What the training trials say of the mouse, and the part of the session that every drawn one keeps."""

    strengths: Float[ndarray, " S"]  # contrasts of the training trials, 0..1
    weights: Float[ndarray, "4"]  # of the log odds of a left choice
    bias: float
    no_go: Bool[ndarray, "K"]
    reward: Float[ndarray, "K"]  # of the true session; used where no_go
    n_unbiased: int

    def draw(self, rng: Generator) -> dict[str, Float[ndarray, "K"]]:
        """block, contrast, choice and reward: raw values as in `Trials.behaviors`."""
        n_trials = len(self.no_go)
        block = draw_blocks(n_trials, self.n_unbiased, rng)
        side = np.where(rng.random(n_trials) < block, -1.0, 1.0)  # contrast is right minus left
        contrast = side * rng.choice(self.strengths, n_trials)
        choice = self._choices(contrast, block, rng)
        reward = np.where(self.no_go, self.reward, choice == -side)
        return {"block": block, "contrast": contrast, "choice": choice, "reward": reward}

    def _choices(self, contrast: ndarray, block: ndarray, rng: Generator) -> Float[ndarray, "K"]:
        """+1 left, -1 right, 0 where no_go; one after the other, as each depends on the one before."""
        evidence = regressors(contrast, block, np.zeros(len(block))) @ self.weights + self.bias
        luck, choice = rng.logistic(size=len(block)), np.zeros(len(block))
        for trial in np.flatnonzero(~self.no_go):
            before = choice[trial - 1] if trial else 0.0
            choice[trial] = 1.0 if evidence[trial] + self.weights[-1] * before > luck[trial] else -1.0
        return choice


def fit_task(trials: Trials, training: Bool[ndarray, "K"]) -> TaskModel:
    """Fit to the flagged trials of a session that knows TASK_BEHAVIORS."""
    known = {name: trials.behaviors[name].astype(np.float64) for name in TASK_BEHAVIORS}
    choice, block = np.nan_to_num(known["choice"]), known["block"]
    before = np.append(0.0, choice[:-1])
    # Where the trial before is not a training trial, its choice must not be read.
    usable = training & np.append(True, training[:-1]) & (choice != 0) & np.isfinite(block + known["contrast"])
    weights, bias = np.zeros(4), 0.0
    if len(np.unique(choice[usable])) == 2:
        rows = regressors(known["contrast"][usable], block[usable], before[usable])
        fitted = LogisticRegression(C=1 / PENALTY).fit(rows, choice[usable])
        weights, bias = fitted.coef_[0], float(fitted.intercept_[0])
    return TaskModel(
        strengths=np.abs(known["contrast"][training & np.isfinite(known["contrast"])]),
        weights=weights,
        bias=bias,
        no_go=choice == 0,
        reward=known["reward"],
        n_unbiased=UNBIASED if np.any(block[training] == 0.5) else 0,
    )


def draw_blocks(n_trials: int, n_unbiased: int, rng: Generator) -> Float[ndarray, "K"]:
    """Probability of a left stimulus per trial."""
    values, side = [0.5] * n_unbiased, int(rng.integers(2))
    while len(values) < n_trials:
        values += [SIDES[side]] * _block_length(rng)
        side = 1 - side
    return np.array(values[:n_trials])


def _block_length(rng: Generator) -> int:
    shortest, longest = BLOCK_RANGE
    while True:
        length = int(rng.exponential(BLOCK_MEAN))
        if shortest <= length <= longest:
            return length


def regressors(contrast: ndarray, block: ndarray, before: ndarray) -> Float[ndarray, "K 4"]:
    """Contrast twice, as its effect saturates; log odds of a left stimulus; the choice before, last."""
    root = np.sign(contrast) * np.sqrt(np.abs(contrast))
    return np.column_stack([contrast, root, np.log(block / (1 - block)), before])
