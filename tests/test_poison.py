"""Whatever is fitted comes out with the same bytes when the test trials are poisoned, or not there at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from leaks import BASELINE_TRIALS, FITTED, POISONS, digest, poisoned_test_trials_change_nothing
from small import small_trials

# Counts per bin, behaviors per bin and per trial, a table with more than event times
TRIALS = replace(
    BASELINE_TRIALS,
    behaviors={
        **BASELINE_TRIALS.behaviors,
        "wheel_speed": np.random.default_rng(5).normal(size=BASELINE_TRIALS.counts.shape[:2]),
    },
    table=BASELINE_TRIALS.table.assign(choice=1.0, feedback_times=9.0),
)


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("name", FITTED)
def test_poisoned_test_trials_change_nothing_that_is_fitted(name, poison):
    poisoned_test_trials_change_nothing(name, poison, TRIALS)


@pytest.mark.parametrize("name", [name for name in FITTED if name != "splits"])
def test_without_test_trials_the_same_is_fitted(name):
    found, expected = (digest(FITTED[name](each, TRIALS)) for each in (TRIALS.select(TRIALS.split != "test"), TRIALS))
    assert found == expected


@pytest.mark.parametrize("name", [name for name in FITTED if name not in ("splits", "region codes")])
def test_training_trials_do_change_what_is_fitted(name):
    """Else the tests above would pass for a fit that reads nothing."""
    other = replace(TRIALS, counts=np.where((TRIALS.split == "train")[:, None, None], 2 + TRIALS.counts, TRIALS.counts))
    assert digest(FITTED[name](other, TRIALS)) != digest(FITTED[name](TRIALS, TRIALS))


@pytest.mark.parametrize("poison", POISONS)
def test_every_poison_reaches_the_test_trials_and_no_others(poison):
    poisoned, test = POISONS[poison](TRIALS), TRIALS.split == "test"
    for name in ("counts", "valid", "behaviors", "table"):
        one, two = (getattr(each.select(np.flatnonzero(~test)), name) for each in (poisoned, TRIALS))
        one, two = (x.astype(float) if name == "counts" else x for x in (one, two))
        assert digest(one) == digest(two), name
    assert digest([poisoned.counts, poisoned.valid]) != digest([TRIALS.counts, TRIALS.valid])


def test_a_digest_sees_one_bit_type_shape_and_what_objects_hold():
    array = np.arange(6.0)
    other = array.copy()
    other[3] = np.nextafter(other[3], 9)
    others = [other, array.astype(np.float32), array.reshape(2, 3), array[::-1]]
    holders = [array, {"a": array}, [array], small_trials(), small_trials(seed=1), None, 0, "0"]
    found = [digest(each) for each in [*holders, *others]]
    assert len(set(found)) == len(found) and digest(array.copy()) == digest(array)
    with pytest.raises(TypeError, match="cannot hash"):
        digest(iter([1]))
