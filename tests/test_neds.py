"""NEDS reads nothing that is hidden, unknown or another's: the checks of neds_leaks.py in full, and its loss.

Whether the checks can fail is tested in test_neds_mutations.py.
"""

from __future__ import annotations

from dataclasses import replace

import neds_leaks
import numpy as np
import pytest
import torch
from neds_leaks import (
    MASKS,
    MODEL_CHECKS,
    PRESENT,
    SESSION,
    SHAPE,
    SUITE,
    TEST_POISONS,
    TRIALS,
    batch_of,
    changed,
    forward_of,
    outputs_of,
    poisons,
)
from small import small_model
from small_neds import NEDS_SIZE, neds_trials, small_neds

from mtm_core.masking_modalities import N_MODALITIES, ROWS, SPIKES_ROW, NedsScheme, hide, hold_out_spikes
from mtm_core.modality import BEHAVIORS, UNKNOWN
from mtm_core.models.neds import N_CLASSES, TRACES, NedsConfig
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.translation import SPIKE_WEIGHT, NedsLoss, modality_weights, put_on_device
from mtm_core.translate import in_pieces, to_batch, translate


@pytest.fixture(scope="module")
def model():
    return small_neds(SESSION)


# --- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_model_leaks_nothing(model, mask, training, unchecked):
    forward, batch = forward_of(model, training), batch_of(model)
    for check in MODEL_CHECKS:
        check(forward, batch, mask)
    with torch.inference_mode():  # without gradients the attention runs in another kernel
        for check in MODEL_CHECKS:
            if check is not neds_leaks.no_gradient_reaches_hidden_entries:
                check(forward, batch, mask)


@pytest.mark.parametrize("mask", neds_leaks.FEW_MASKS)
def test_the_model_leaks_nothing_in_half_precision(model, mask, unchecked):
    forward, batch = forward_of(model, bf16=True), batch_of(model)
    for check in MODEL_CHECKS:
        check(forward, batch, MASKS[mask])


@pytest.mark.parametrize("check", [name for name in SUITE if name not in {c.__name__ for c in MODEL_CHECKS}])
def test_the_suite_finds_nothing(check, unchecked):
    SUITE[check]()


@pytest.mark.parametrize("poison", TEST_POISONS)
def test_test_trials_change_no_weight_no_scale_and_no_score(poison):
    neds_leaks.test_trials_change_nothing(neds_leaks._fresh, poison)
    neds_leaks.test_trials_change_nothing(neds_leaks._trained, poison)


def test_scales_and_presence_are_those_of_training_trials_by_hand():
    model, train = build_model(NEDS_SIZE, [SESSION]), SESSION.split == "train"
    assert model.present(0) == PRESENT
    for place, name in enumerate(TRACES):
        values = SESSION.behaviors[name][train].astype(np.float64)
        assert float(model.trace_mean[0, place]) == pytest.approx(values.mean(), rel=1e-6)
        assert float(model.trace_scale[0, place]) == pytest.approx(values.std(), rel=1e-6)


# --- what is missing --------------------------------------------------------------------------------------------------


def with_gaps(trials):
    """Whole trials and single bins of traces, and values per trial, are not known; a choice is no answer."""
    gaps = (
        ("wheel_speed", 0, np.nan),
        ("wheel_speed", (1, 3), np.nan),
        ("pupil", (slice(None), 2), np.nan),
        ("choice", slice(0, None, 3), 0.0),
        ("block", 1, np.nan),
    )
    behaviors = {name: values.copy() for name, values in trials.behaviors.items()}
    for name, at, value in gaps:
        if name in behaviors:
            behaviors[name][at] = value
    return replace(trials, behaviors=behaviors)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_what_is_unknown_gives_finite_predictions_and_no_leak(model, mask, unchecked):
    trials = with_gaps(TRIALS)
    found = translate(model, trials, mask)
    for values in (found.rates, *found.traces.values(), *found.probabilities.values()):
        assert np.isfinite(values).all()
    forward, batch = forward_of(model), batch_of(model, trials)
    for check in (neds_leaks.hidden_entries_do_not_matter, neds_leaks.other_trials_do_not_matter):
        check(forward, batch, mask)


def test_trials_in_which_nothing_but_spikes_is_known_are_as_those_of_a_session_without_behaviors(model):
    batch, mask = batch_of(model), hide(SHAPE, (0, 4))
    bare = batch
    for name in PRESENT:
        bare = neds_leaks.without(bare, name)
        batch = neds_leaks.unknown(batch, name)
    torch.testing.assert_close(model(batch, mask).log_rates, model(bare, mask).log_rates, rtol=0, atol=1e-5)


def test_a_behavior_that_the_asked_trials_lack_is_unknown_in_them(model):
    mask = hold_out_spikes(SHAPE, PRESENT, PRESENT)
    lacks = {name: values for name, values in TRIALS.behaviors.items() if name not in ("wheel_speed", "choice")}
    nothing = {"wheel_speed": np.full(SHAPE, np.nan), "choice": np.full(SHAPE[0], np.nan)}
    found = [translate(model, replace(TRIALS, behaviors=each), mask).rates for each in (lacks, {**lacks, **nothing})]
    assert np.array_equal(*found) and not np.array_equal(found[0], translate(model, TRIALS, mask).rates)


def test_a_session_without_a_behavior_has_no_token_of_it():
    bare = neds_trials(shape=(30, 7, 5), without=("wheel_speed", "choice"))
    model = small_neds(bare)
    assert set(PRESENT) - set(model.present(0)) == {"wheel_speed", "choice"}
    found = translate(model, bare, hide((30, 7), (0, 7), {"wheel_speed": (0, 7)}))
    assert "wheel_speed" not in found.traces and "choice" not in found.probabilities
    returned = replace(bare, behaviors={**bare.behaviors, "wheel_speed": np.full((30, 7), 1e6, np.float32)})
    assert np.array_equal(translate(model, returned, hide((30, 7), (0, 7))).rates, found.rates)


@pytest.mark.parametrize("shape", [(30, 1, 5), (30, 7, 1)], ids=["one bin", "one neuron"])
def test_one_of_anything_is_enough(shape):
    trials = neds_trials(shape=shape)
    found = translate(small_neds(trials), trials, hide(shape[:2], (0, 1), {"choice": (0, 1)}))
    assert found.rates.shape == shape and np.isfinite(found.rates).all()
    assert all(values.shape == shape[:2] for values in found.traces.values())


def test_trials_without_a_single_valid_bin_give_finite_predictions(model):
    trials = replace(TRIALS, valid=np.zeros(SHAPE, dtype=bool))
    found = translate(model, trials, hide(SHAPE, None, {name: (0, SHAPE[1]) for name in PRESENT}))
    assert np.isfinite(found.rates).all() and np.allclose(found.rates, found.rates[:1])


# --- units and arguments ----------------------------------------------------------------------------------------------


def test_predictions_are_in_the_units_of_the_recording(model):
    batch, mask = to_batch(model, TRIALS), MASKS["decoding"]
    found, plain = translate(model, TRIALS, mask), model(batch, mask)
    train = SESSION.split == "train"
    np.testing.assert_allclose(found.rates, plain.log_rates.detach().exp(), rtol=1e-5)
    for name, values in found.traces.items():
        own = SESSION.behaviors[name][train].astype(np.float64)
        expected = plain.traces[name].detach().numpy() * own.std() + own.mean()
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
    for name, values in found.probabilities.items():
        assert values.shape == (SHAPE[0], len(BEHAVIORS[name].classes))
        np.testing.assert_allclose(values.sum(1), 1.0, rtol=1e-5)


def test_wrong_arguments_are_refused_in_a_sentence(model, unchecked):
    with pytest.raises(ValueError, match="for 8 trials of 7 bins"):
        translate(model, TRIALS, hide((8, 6)))
    with pytest.raises(ValueError, match="does not know session b"):
        translate(model, replace(TRIALS, session_id="b"), hide(SHAPE))
    with pytest.raises(ValueError, match="only a NEDS model"):
        translate(small_model(SESSION), TRIALS, hide(SHAPE))
    with pytest.raises(ValueError, match="training mode"):
        translate(small_neds(SESSION).train(), TRIALS, hide(SHAPE))


def test_trials_are_not_written_into_and_may_be_read_only(model, recwarn):
    trials = replace(TRIALS, behaviors={name: values.copy() for name, values in TRIALS.behaviors.items()})
    for values in (trials.counts, *trials.behaviors.values()):
        values.setflags(write=False)
    translate(model, trials, MASKS["all schemes at once"])
    batch = to_batch(model, trials)
    batch.traces["pupil"].zero_()
    assert np.array_equal(trials.behaviors["pupil"], TRIALS.behaviors["pupil"])
    assert not [warning for warning in recwarn if "not writable" in str(warning.message)]
    trials.counts.setflags(write=True)


def test_pieces_are_the_whole_and_memory_that_runs_out_halves_them(model, monkeypatch):
    batch, mask = batch_of(model), MASKS["all schemes at once"]
    whole, sizes, forward = model(batch, mask), [], type(model).forward

    def limited(self, part, part_mask):
        sizes.append(len(part.counts))
        if len(part.counts) > 2:
            raise MemoryError
        return forward(self, part, part_mask)

    monkeypatch.setattr(type(model), "forward", limited)
    found = in_pieces(model, batch, mask, 8)
    assert sizes == [8, 4, 2, 2, 2, 2]
    for name, values in outputs_of(found).items():
        torch.testing.assert_close(values, outputs_of(whole)[name], rtol=1e-5, atol=1e-5)


# --- order ------------------------------------------------------------------------------------------------------------


def test_the_order_of_behaviors_changes_nothing(model):
    mask = MASKS["cross_modality"]
    turned = replace(TRIALS, behaviors=dict(reversed(TRIALS.behaviors.items())))
    neds_leaks.assert_same_translation(translate(model, turned, mask), translate(model, TRIALS, mask), "the order")
    states = [
        build_model(NEDS_SIZE, [replace(SESSION, behaviors=each)]).state_dict()
        for each in (SESSION.behaviors, dict(reversed(SESSION.behaviors.items())))
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("mask", MASKS)
def test_modalities_permuted_in_the_sequence_are_predicted_the_same(model, mask):
    batch = batch_of(model)
    rng = np.random.default_rng(3)
    traces, classes = ([*rng.permutation(list(each))] for each in (batch.traces, batch.classes))
    assert traces != list(batch.traces) and classes != list(batch.classes)
    turned = replace(
        batch,
        traces={name: batch.traces[name] for name in traces},
        classes={name: batch.classes[name] for name in classes},
    )
    with torch.inference_mode():
        found, expected = model(turned, MASKS[mask]), model(batch, MASKS[mask])
    torch.testing.assert_close(found.log_rates, expected.log_rates, rtol=1e-4, atol=1e-5)
    for name, values in {**expected.traces, **expected.logits}.items():
        torch.testing.assert_close({**found.traces, **found.logits}[name], values, rtol=1e-4, atol=1e-5)


def test_neurons_in_another_order_are_predicted_in_that_order(model):
    order = np.random.default_rng(0).permutation(TRIALS.n_neurons)
    turned = replace(TRIALS, counts=TRIALS.counts[:, :, order], unit_ids=TRIALS.unit_ids[order], true_rates=None)
    found, expected = (translate(model, each, MASKS["cross_modality"]) for each in (turned, TRIALS))
    np.testing.assert_allclose(found.rates, expected.rates[:, :, order], rtol=1e-5, atol=1e-5)
    for name, values in expected.traces.items():
        np.testing.assert_allclose(found.traces[name], values, rtol=1e-5, atol=1e-5)


# --- several sessions -------------------------------------------------------------------------------------------------

MIXED = (
    neds_trials("a", (30, 7, 5)),
    neds_trials("b", (30, 7, 4), seed=1),
    neds_trials("c", (30, 4, 5), seed=2),
    neds_trials("d", (30, 7, 3), seed=3, without=("pupil", "choice", "reward")),
)


def mixed_parts(model, sizes=(3, 2, 4, 1)):
    config = TrainConfig(batch_size=16, schemes=tuple(NedsScheme))
    rng = torch.Generator().manual_seed(5)
    parts = [put_on_device(model, with_gaps(t)).pick(slice(0, n)) for t, n in zip(MIXED, sizes, strict=True)]
    return [(part, part.draw(config, rng)) for part in parts]


def test_sessions_together_are_predicted_as_alone():
    model = small_neds(*MIXED)
    parts = mixed_parts(model)
    found = model.together([part.batch for part, _ in parts], [mask for _, mask in parts])
    for (part, mask), together in zip(parts, found, strict=True):
        alone = outputs_of(model(part.batch, mask))
        assert outputs_of(together).keys() == alone.keys() == {"spikes", *part.batch.present}
        for name, values in alone.items():
            torch.testing.assert_close(outputs_of(together)[name], values, rtol=0, atol=1e-5)


# --- loss -------------------------------------------------------------------------------------------------------------


def losses_by_hand(model, parts):
    """Per modality the losses of all targets of all trials, one by one."""
    found = {name: [] for name in ("spikes", *BEHAVIORS)}
    for part, mask in parts:
        outputs = {name: x.detach().double().numpy() for name, x in outputs_of(model(part.batch, mask)).items()}
        for name in outputs:
            for k, t in mask.target[:, ROWS.get(name, SPIKES_ROW)].nonzero().tolist():
                if name not in N_CLASSES or t == 0:
                    found[name] += one_by_hand(model, part.batch, name, (k, t), outputs[name][k])
    return found


def one_by_hand(model, batch, name, at, predicted):
    """The losses of one token: as many as neurons, or one."""
    k, t = at
    if name == "spikes":
        counts = batch.counts[k, t].tolist()
        return [np.exp(rate) - count * rate for rate, count in zip(predicted[t], counts, strict=True)]
    if name in N_CLASSES:
        odds = np.exp(predicted)
        return [-np.log(odds[int(batch.classes[name][k])] / odds.sum())]
    place = batch.session_row, TRACES.index(name)
    value = (float(batch.traces[name][k, t]) - float(model.trace_mean[place])) / float(model.trace_scale[place])
    return [0.5 * (predicted[t] - value) ** 2]


def loss_of(model, parts):
    weights = modality_weights(parts)
    return NedsLoss(model)([part.batch for part, _ in parts], [mask for _, mask in parts], weights)


def mean_by_hand(by_modality):
    """Weighted mean over the modalities that have targets."""
    weights = {name: SPIKE_WEIGHT if name == "spikes" else 1.0 for name, values in by_modality.items() if values}
    return sum(weights[name] * np.mean(by_modality[name]) for name in weights) / sum(weights.values())


def test_the_loss_is_the_weighted_mean_over_modalities_of_the_mean_over_targets():
    """Trials of four sessions with other bins, neurons and behaviors, some not known: against a plain loop."""
    model = small_neds(*MIXED)
    parts = mixed_parts(model)
    by_hand = losses_by_hand(model, parts)
    assert all(by_hand.values())
    assert float(loss_of(model, parts).detach()) == pytest.approx(mean_by_hand(by_hand), rel=1e-5)


@pytest.mark.parametrize("scheme", [NedsScheme.ENCODING, NedsScheme.DECODING, NedsScheme.WITHIN_BEHAVIOR])
def test_modalities_without_targets_take_no_share_of_the_loss(scheme):
    model = small_neds(*MIXED)
    config, rng = TrainConfig(batch_size=16, schemes=(scheme,)), torch.Generator().manual_seed(0)
    part = put_on_device(model, MIXED[3])
    parts = [(part, part.draw(config, rng))]
    scored = {name: values for name, values in losses_by_hand(model, parts).items() if values}
    expected = {"spikes"} if scheme is NedsScheme.ENCODING else set(model.present(3))
    assert set(scored) == expected
    assert float(loss_of(model, parts).detach()) == pytest.approx(mean_by_hand(scored), rel=1e-5)


def test_a_batch_without_any_target_has_no_loss():
    model = small_neds(SESSION)
    part = put_on_device(model, TRIALS)
    loss = loss_of(model, [(part, hide(SHAPE))])
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_what_is_unknown_has_no_loss_and_no_gradient():
    """The loss is the same whatever an unknown value's own prediction is."""
    model = small_neds(SESSION)
    part = put_on_device(model, with_gaps(TRIALS))
    mask = MASKS["behaviors held out"].restrict(part.valid, part.scored())
    found = model(part.batch, mask)
    for values in outputs_of(found).values():
        values.retain_grad()
    model.together = lambda batches, masks: [found]
    loss_of(model, [(part, mask)]).backward()
    known = part.batch.known()
    for name, values in outputs_of(found).items():
        row = ROWS.get(name, SPIKES_ROW)
        scored = mask.target[:, row, 0] if name in N_CLASSES else mask.target[:, row]
        if name == "spikes":
            assert values.grad is None or not values.grad.any()
        else:
            where = values.grad.abs().sum(1) > 0 if name in N_CLASSES else values.grad != 0
            assert torch.equal(where, scored) and not (mask.target[:, row] & ~known[:, row]).any()
    assert UNKNOWN in part.batch.classes["choice"] and part.batch.traces["wheel_speed"].isnan().any()


def test_infinite_values_and_overflowing_rates_of_what_is_not_scored_leave_gradients_finite():
    model = small_neds(SESSION)
    trials = replace(TRIALS, behaviors={**TRIALS.behaviors, "pupil": np.full(SHAPE, np.inf, np.float32)})
    with torch.no_grad():
        model.units.bias[0] = 200.0
    part = put_on_device(model, trials)
    mask = MASKS["behaviors held out"].restrict(part.valid, part.scored())
    assert not mask.target[:, ROWS["pupil"]].any()
    loss_of(model, [(part, mask)]).backward()
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        values = gradient.coalesce().values() if gradient is not None and gradient.is_sparse else gradient
        assert values is None or torch.isfinite(values).all(), name


# --- parameters -------------------------------------------------------------------------------------------------------


def gradients(scheme):
    model = small_neds(SESSION)
    part = put_on_device(model, TRIALS)
    config = TrainConfig(batch_size=16, schemes=(scheme,))
    loss_of(model, [(part, part.draw(config, torch.Generator().manual_seed(0)))]).backward()
    moved = {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and bool((parameter.grad.to_dense() != 0).any())
    }
    return model, moved


@pytest.mark.parametrize(
    ("scheme", "without"),
    [
        (NedsScheme.ENCODING, ("units.input", "trace_out", "class_out")),  # spikes are hidden, behaviors not predicted
        (NedsScheme.DECODING, ("units.readout", "units.bias", "trace_in", "class_in")),
        (NedsScheme.CROSS_MODALITY, ()),
    ],
)
def test_every_parameter_that_a_direction_uses_has_a_gradient(scheme, without):
    model, moved = gradients(scheme)
    assert moved == {name for name, _ in model.named_parameters() if not name.startswith(without or "-")}


def test_every_weight_is_saved_and_belongs_to_the_trunk_or_a_table():
    model = build_model(NedsConfig(width=16, n_layers=2, n_heads=2), [SESSION])
    names = {name for name, _ in model.named_parameters()}
    assert names <= set(model.state_dict()) and {"trace_mean", "trace_scale", "has"} <= set(model.state_dict())
    assert names == {name for name, _ in model.trunk()} | set(model.row_tables())
    loose = [  # tensors that neither move with the model nor are saved, as in the released code
        (name, key)
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, torch.Tensor)
        or (isinstance(value, list | dict) and key[0] != "_" and _holds_weights(value))
    ]
    assert loose == []
    assert all(name in names for name in ("trace_in.pupil", "class_in.choice.weight", "trace_out.wheel_speed.bias"))
    assert model.has.shape == (1, N_MODALITIES)


def _holds_weights(value):
    values = value.values() if isinstance(value, dict) else value
    return any(isinstance(each, torch.Tensor | torch.nn.Module) for each in values)


def test_a_poisoned_trial_that_is_hidden_leaves_the_gradients_of_the_weights(unchecked):
    """Not only predictions: what is learned from a batch does not depend on what is hidden and not scored."""
    found = []
    for poison in (None, *poisons(1)):
        model = small_neds(SESSION)
        part = put_on_device(model, TRIALS)
        mask = MASKS["encoding_from_one"]
        batch = batch_of(model)
        unscored = mask.hidden & ~mask.target
        part = replace(part, batch=batch if poison is None else changed(batch, unscored, poison))
        loss_of(model, [(part, mask)]).backward()
        found.append({n: p.grad.to_dense() for n, p in model.named_parameters() if p.grad is not None})
    for other in found[1:]:
        assert all(torch.equal(value, other[name]) for name, value in found[0].items())
