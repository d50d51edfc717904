"""What a model answers to all questions of a task, put together: every neuron as predicted while it was hidden."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..checkpoint import Checkpoint
from ..session import Trials
from .answers import answers
from .questions import Asking, questions
from .tasks import EXACT, check_protocol, target_entries


def task_rates(
    model: Checkpoint, trials: Trials, task: str, part: ndarray, asking: Asking = EXACT
) -> Iterator[tuple[float, Float[ndarray, "K T N"]]]:
    """Share of the questions that is answered, and the expected counts per bin of the trials at positions `part`.

    NaN where nothing is scored: neurons that are no target of the task, bins that it shows, bins without data.
    The array is the same in every step and fills up. Errors as in `score_task`.
    """
    check_protocol(model, trials)
    some = trials.select(part)
    rates = np.full(some.counts.shape, np.nan, dtype=np.float32)
    asked, done, scored = list(questions(task, some, asking)), 0, target_entries(task, some)
    for answer in answers(model.model, some, asked, asking.bf16):
        place = np.ix_(np.arange(some.n_trials)[answer.trials], np.arange(some.n_bins), answer.question.neurons)
        rates[place] = np.where(scored[answer.trials], answer.rates, np.nan)
        done += answer.last
        yield done / len(asked), rates
    if not asked:  # a region task where no region is known
        yield 1.0, rates
