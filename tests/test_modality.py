"""The table of modalities: classes of values, what counts as known, and which behaviors a session has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mtm_core.data.catalogue import open_session
from mtm_core.modality import BEHAVIORS, FEWEST_KNOWN, PUBLISHED, SPIKES, UNKNOWN, Likelihood, class_of, known, present

N = FEWEST_KNOWN


def of(name, *values, dtype=np.float64):
    return class_of(BEHAVIORS[name], np.array(values, dtype=dtype)).tolist()


# --- classes ----------------------------------------------------------------------------------------------------------


def test_every_behavior_of_the_table_is_a_trace_or_has_classes_with_values():
    assert set(PUBLISHED) <= set(BEHAVIORS) and SPIKES.likelihood is Likelihood.POISSON
    for name, modality in BEHAVIORS.items():
        assert modality.name == name and modality.label
        assert modality.static == bool(modality.classes) and len(modality.classes) == len(modality.values) != 1
        assert modality.static or modality.unit


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_values_of_a_class_are_that_class_in_either_precision(dtype):
    for name, modality in BEHAVIORS.items():
        if modality.static:
            assert of(name, *modality.values, dtype=dtype) == list(range(len(modality.classes)))


def test_a_choice_to_the_left_is_left_and_no_answer_is_no_class():
    right, left = BEHAVIORS["choice"].classes.index("right"), BEHAVIORS["choice"].classes.index("left")
    assert of("choice", -1.0, 1.0, 0.0, np.nan) == [right, left, UNKNOWN, UNKNOWN]


def test_a_block_that_is_none_of_the_three_is_no_class():
    assert of("block", 0.2, 0.21, 0.35, 0.5, 0.7, np.nan) == [0, UNKNOWN, UNKNOWN, 1, UNKNOWN, UNKNOWN]


def test_a_contrast_counts_by_its_side_whatever_its_strength():
    """Right minus left: negative is a stimulus on the left."""
    left, equal, right = (BEHAVIORS["contrast"].classes.index(name) for name in ("left", "equal", "right"))
    assert of("contrast", -1.0, -0.0625, 0.0, -0.0, 0.125, 1.0) == [left, left, equal, equal, right, right]
    assert of("contrast", np.nan, np.inf, -np.inf) == [UNKNOWN] * 3


@given(npst.arrays(np.float32, 12, elements=st.floats(-1, 1, width=32)))
def test_a_contrast_is_judged_by_its_sign(values):
    side = np.array([-1 if v < -1e-6 else int(v > 1e-6) for v in values])
    assert np.array_equal(class_of(BEHAVIORS["contrast"], values.astype(np.float64)), side + 1)


@given(st.sampled_from([n for n, m in BEHAVIORS.items() if m.static]), npst.arrays(np.float64, 8))
def test_a_class_is_one_of_the_table_or_unknown_for_any_number(name, values):
    found = class_of(BEHAVIORS[name], values)
    assert ((found >= UNKNOWN) & (found < len(BEHAVIORS[name].classes))).all()
    assert (found[~np.isfinite(values)] == UNKNOWN).all()


def test_no_trials_have_no_classes():
    assert of("choice") == []


def test_a_trace_has_no_classes():
    with pytest.raises(ValueError, match="wheel_speed is a trace"):
        class_of(BEHAVIORS["wheel_speed"], np.zeros(3))


def test_the_simulation_speaks_the_words_of_the_table():
    """Mostly left blocks show the left stimulus more often, and rewarded trials are those answered right."""
    behaviors = open_session("simulated-4").align(bin_size=0.1).behaviors
    found = {name: class_of(BEHAVIORS[name], behaviors[name]) for name in ("choice", "block", "contrast", "reward")}
    left = found["contrast"] == BEHAVIORS["contrast"].classes.index("left")
    share = [left[found["block"] == block].mean() for block in range(3)]
    assert share[0] < share[1] < share[2]
    chose_left = found["choice"] == BEHAVIORS["choice"].classes.index("left")
    certain = (np.abs(behaviors["contrast"]) > 0) & (found["choice"] != UNKNOWN)
    assert np.array_equal((chose_left == left)[certain], (found["reward"] == 1)[certain])


# --- known ------------------------------------------------------------------------------------------------------------


def test_known_is_a_flag_per_trial_of_a_class_and_per_bin_of_a_trace():
    assert known(BEHAVIORS["choice"], np.array([1.0, 0.0, np.nan])).tolist() == [True, False, False]
    trace = np.array([[1.0, np.nan], [np.inf, 0.0]], dtype=np.float32)
    assert known(BEHAVIORS["pupil"], trace).tolist() == [[True, False], [False, True]]


# --- present ----------------------------------------------------------------------------------------------------------


def alternating(n, *values):
    return np.resize(np.array(values, dtype=np.float32), n)


def test_a_class_needs_enough_known_trials_and_more_than_one_class():
    train = np.arange(N + 3)
    enough = np.concatenate([alternating(N, -1.0, 1.0), [0.0, np.nan, 0.0]])
    assert present({"choice": enough}, train) == ("choice",)
    assert present({"choice": np.where(train == 0, 0.0, enough)}, train) == ()
    assert present({"choice": np.where(enough == -1, 1.0, enough)}, train) == ()
    assert present({"contrast": alternating(N, 0.25, 1.0)}, np.arange(N)) == ()  # one side only
    assert present({"contrast": alternating(N, 0.25, -1.0)}, np.arange(N)) == ("contrast",)


def test_a_trace_needs_enough_trials_with_known_bins_and_must_vary():
    values = np.full((N + 1, 4), np.nan, dtype=np.float32)
    values[:N, 2] = np.arange(N)
    assert present({"pupil": values}, np.arange(N + 1)) == ("pupil",)
    assert present({"pupil": values}, np.arange(1, N + 1)) == ()
    assert present({"pupil": np.where(np.isnan(values), values, 3.0)}, np.arange(N + 1)) == ()
    assert present({"pupil": np.full((N, 4), np.nan)}, np.arange(N)) == ()


def test_training_trials_alone_decide():
    train = np.arange(2 * N) < N
    varies, constant = alternating(2 * N, -1.0, 1.0), np.ones(2 * N)
    assert present({"choice": np.where(train, varies, np.nan)}, train) == ("choice",)
    assert present({"choice": np.where(train, constant, varies)}, train) == ()
    assert present({"choice": np.where(train, np.nan, varies)}, train) == ()


def test_positions_and_flags_are_the_same_and_the_order_is_the_tables():
    behaviors = {
        "pupil": np.random.default_rng(0).normal(size=(2 * N, 3)),
        "response_time": np.arange(2.0 * N),
        "block": alternating(2 * N, 0.2, 0.8),
        "choice": alternating(2 * N, -1.0, 1.0),
    }
    flags = np.arange(2 * N) % 3 > 0
    assert present(behaviors, flags) == present(behaviors, np.flatnonzero(flags)) == ("choice", "block", "pupil")
    assert present({}, flags) == ()
