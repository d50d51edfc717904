from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import small_model, small_trials

from mtm_core.masking import MTM_SCHEMES
from mtm_core.predict import in_pieces
from mtm_core.training.batches import put_on_device
from mtm_core.training.calibration import FEWEST_SPIKES, _Entries, _entries, _groups, _train_spikes, calibrated
from mtm_core.training.validation import fixed_masks, validate

SESSIONS = [small_trials("a", (60, 12, 30)), small_trials("b", (60, 12, 20), seed=1)]


def held_out(model):
    held = [put_on_device(model, trials.select("validation")) for trials in SESSIONS]
    return [(trials, fixed_masks(trials, MTM_SCHEMES)) for trials in held]


def too_sure(factor):
    """A model whose deviations from the mean are `factor` times too large."""
    model = small_model(*SESSIONS)
    with torch.no_grad():
        model.units.readout *= factor
        model.units.bias.copy_(model.units.mean.log())
    return model


def test_calibration_raises_the_validation_score_of_a_model_that_is_too_sure_of_itself():
    model = too_sure(3.0)
    validation = held_out(model)
    new, groups = calibrated(model, SESSIONS, validation)
    before, after = (validate(each, validation, MTM_SCHEMES)["mean"] for each in (model, new))
    assert after > before + 0.1 and all(group.gain < 0.7 for group in groups)
    assert sum(group.n_neurons for group in groups) == 50


def test_the_folded_read_out_is_the_formula():
    model = too_sure(2.0)
    validation = held_out(model)
    new, groups = calibrated(model, SESSIONS, validation)
    members = _groups(_train_spikes(model, SESSIONS), _entries(model, validation))
    trials, masks = validation[0]
    old_rates, new_rates = (in_pieces(each, trials.batch, masks[0], 16) for each in (model, new))
    assert len(groups) > 1
    for group, inside in zip(groups, members, strict=True):
        own = np.flatnonzero(inside[trials.batch.unit_rows.numpy()])
        log_mean = model.units.mean[trials.batch.unit_rows[own]].log()
        expected = log_mean + group.shift + group.gain * (old_rates[:, :, own] - log_mean)
        torch.testing.assert_close(new_rates[:, :, own], expected, rtol=1e-4, atol=1e-4)


def test_a_better_shift_or_gain_is_not_near():
    """Oracle: the penalized likelihood of neighboring values, over all target entries."""
    model = too_sure(2.0)
    validation = held_out(model)
    new, groups = calibrated(model, SESSIONS, validation)

    def likelihood(shift, gain, inside):
        total = -0.5 * 10.0 * (gain - 1) ** 2
        for trials, masks in validation:
            log_mean = model.units.mean[trials.batch.unit_rows].log()
            for mask in masks:
                log_rates = in_pieces(model, trials.batch, mask, 16)
                target = mask.target & torch.as_tensor(inside[trials.batch.unit_rows.numpy()])
                found = (log_mean + shift + gain * (log_rates - log_mean))[target].double()
                counts = trials.batch.counts[target].double()
                total += float((counts * found - found.exp()).sum().detach())
        return total

    members = _groups(_train_spikes(model, SESSIONS), _entries(model, validation))
    for group, inside in zip(groups, members, strict=True):
        best = likelihood(group.shift, group.gain, inside)
        for shift, gain in ((0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)):
            assert likelihood(group.shift + shift, group.gain + gain, inside) < best


def test_groups_double_and_hold_enough_spikes():
    train = np.array([0, 3, 6, 12, 30, 30, 100, 5000])
    rows = np.repeat(np.arange(8), 10)
    counts = np.repeat([0.0, 1, 3, 6, 6, 6, 20, 3], 10)
    found = _groups(train, _Entries(rows, counts, counts))
    assert [np.flatnonzero(group).tolist() for group in found] == [[0, 1, 2, 3], [4, 5], [6, 7]]
    assert all(counts.reshape(8, 10)[group].sum() >= FEWEST_SPIKES for group in found)
    assert _groups(train, _Entries(rows, counts, counts * 0)) == []


def test_calibration_reads_no_test_trial_and_leaves_the_model_alone():
    model = too_sure(2.0)
    before = copy.deepcopy(model.state_dict())
    validation = held_out(model)
    new, groups = calibrated(model, SESSIONS, validation)
    poisoned = []
    for trials in SESSIONS:
        counts = trials.counts.copy()
        counts[trials.split == "test"] = 255
        poisoned.append(replace(trials, counts=counts))
    again, same = calibrated(model, poisoned, validation)
    assert groups == same
    for name, value in again.state_dict().items():
        assert torch.equal(value, new.state_dict()[name])
        assert torch.equal(before[name], model.state_dict()[name])


def test_without_a_validation_spike_nothing_changes():
    silent = small_trials("a", (60, 12, 30))
    silent.counts[silent.split == "validation"] = 0
    model = small_model(silent)
    held = put_on_device(model, silent.select("validation"))
    new, groups = calibrated(model, [silent], [(held, fixed_masks(held, MTM_SCHEMES))])
    assert groups == [] and torch.equal(new.units.readout, model.units.readout)


@pytest.mark.parametrize("n_sessions", [1, 2])
def test_every_neuron_belongs_to_one_group(n_sessions):
    model = small_model(*SESSIONS[:n_sessions])
    held = [put_on_device(model, trials.select("validation")) for trials in SESSIONS[:n_sessions]]
    validation = [(trials, fixed_masks(trials, MTM_SCHEMES)) for trials in held]
    _, groups = calibrated(model, SESSIONS[:n_sessions], validation)
    assert sum(group.n_neurons for group in groups) == sum(t.n_neurons for t in SESSIONS[:n_sessions])
