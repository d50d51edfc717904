"""One neuron on held-out trials: who reads what, PSTHs, orders, residuals, calibration, variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from one_neuron import locked, one_neuron, simulated_rates
from scipy.stats import binomtest
from sklearn.metrics import r2_score
from small import small_model, small_trials

from mtm_core.checkpoint import load_checkpoint, save_checkpoint
from mtm_core.evaluation.metrics import bits_per_spike, poisson_d2
from mtm_core.evaluation.psth import tuned_psth
from mtm_core.evaluation.questions import TASKS, Asking
from mtm_core.evaluation.single_neuron.calibration import calibration
from mtm_core.evaluation.single_neuron.conditions import mean_and_sem, psths, triples
from mtm_core.evaluation.single_neuron.explained import plain_psth_r2, psth_r2, trial_r2
from mtm_core.evaluation.single_neuron.judge import judge
from mtm_core.evaluation.single_neuron.measured import CeilingKind, Measured
from mtm_core.evaluation.single_neuron.order import SortKey, sort_keys, trial_order
from mtm_core.evaluation.single_neuron.pit import poisson_pit
from mtm_core.evaluation.single_neuron.residuals import residuals
from mtm_core.evaluation.single_neuron.smoothing import smoothed
from mtm_core.evaluation.single_neuron.trials import neuron_trials, predicted_trials
from mtm_core.evaluation.single_neuron.variability import variability
from mtm_core.evaluation.single_neuron.windows import windows
from mtm_core.evaluation.tasks import score_task, train_means
from mtm_core.session import identity

NAN = np.nan


def rng(seed=0):
    return np.random.default_rng(seed)


def everything(neuron):
    """All results of one neuron, drawn with the same random numbers each time."""
    keys = [trial_order(neuron, key) for key in sort_keys(neuron)]
    found = [judge(neuron, rng()), calibration(neuron, rng()), poisson_pit(neuron, rng()), variability(neuron)]
    return [*found, *psths(neuron), *keys]


def flat(result):
    """Every array and number in a result, in order; NaN stays NaN."""
    if isinstance(result, (list, tuple)):
        return [leaf for each in result for leaf in flat(each)]
    if isinstance(result, dict):
        return flat(list(result.items()))
    if hasattr(result, "__dataclass_fields__"):
        return flat([getattr(result, name) for name in result.__dataclass_fields__])
    return [result]


def same(a, b):
    pairs = zip(flat(a), flat(b), strict=True)
    return all(np.array_equal(x, y, equal_nan=True) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


def task_neuron(seed=0, n_trials=60, n_bins=20):
    """A neuron with every behavior, some of them unknown, and some bins that are not scored."""
    draw = rng(seed)
    rates = simulated_rates(draw, (n_trials, n_bins))
    unknown = draw.random(n_trials) < 0.1
    streams = draw.gamma(1.0, size=(n_trials, n_bins))
    streams[3] = NAN
    streams[4, :10] = NAN
    behaviors = {
        "choice": np.where(unknown, NAN, draw.choice([-1.0, 1.0], n_trials)),
        "block": draw.choice([0.2, 0.5, 0.8], n_trials).astype(np.float32),
        "contrast": draw.choice([-1.0, -0.25, 0.0, 0.25, 1.0], n_trials),
        "reward": draw.choice([0.0, 1.0], n_trials),
        "response_time": np.where(draw.random(n_trials) < 0.2, NAN, draw.gamma(2.0, size=n_trials)),
        "wheel_speed": streams,
    }
    table = pd.DataFrame(
        {"stimOn_times": 3.0 * np.arange(n_trials), "firstMovement_times": 3.0 * np.arange(n_trials) + 0.2},
        index=5 + 2 * np.arange(n_trials),
    )
    return one_neuron(
        draw.poisson(rates).astype(np.uint8),
        rates * draw.gamma(20.0, 1 / 20, rates.shape),
        scored=locked(draw.random(rates.shape) < 0.9),
        behaviors={name: locked(values) for name, values in behaviors.items()},
        table=table,
        true_rates=locked(rates.astype(np.float32)),
        psth=locked(rates.mean(axis=0)),
    )


NEURON = task_neuron()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of a small model, and its trials."""
    trials = small_trials(shape=(40, 20, 12))
    folder = tmp_path_factory.mktemp("checkpoints") / "small"
    save_checkpoint(folder, small_model(trials), {"data": [identity(trials)], "schemes": ["neuron"]})
    return load_checkpoint(folder), trials


# --- what is predicted from what --------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_the_score_is_that_of_the_evaluation(trained, task):
    model, trials = trained
    exact = Asking(bf16=False)
    *_, last = score_task(model, trials, task, exact)
    for n in (0, 4):
        found = judge(predicted_trials(model, trials, n, task, exact), rng())
        assert found.bits_per_spike.measured.value == pytest.approx(last.score.per_neuron[f"a-{n}"], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("poison", [200, 0])
def test_the_neuron_itself_in_the_test_trials_changes_no_prediction(trained, poison):
    model, trials = trained
    counts = trials.counts.copy()
    counts[trials.split == "test", :, 3] = poison
    before, after = predicted_trials(model, trials, 3), predicted_trials(model, replace(trials, counts=counts), 3)
    for name in ("rates", "psth", "train_mean", "scored"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert not np.array_equal(before.counts, after.counts)


def test_the_psth_and_the_mean_come_from_training_and_validation_trials_only():
    trials = small_trials(shape=(40, 20, 5))
    rates = np.full((8, 20), 0.5)
    counts = trials.counts.copy()
    counts[trials.split == "test"] = rng().integers(0, 250, (8, 20, 5))
    before, after = (neuron_trials(t, 2, rates) for t in (trials, replace(trials, counts=counts)))
    assert np.array_equal(before.psth, after.psth) and before.train_mean == after.train_mean
    assert before.train_mean == pytest.approx(train_means(trials)[2])
    two = slice(2, 3)
    alone = {"counts": trials.counts[:, :, two], "unit_ids": trials.unit_ids[two], "regions": trials.regions[two]}
    assert np.array_equal(before.psth, tuned_psth(replace(trials, **alone, true_rates=None))[:, 0])


def test_rates_where_nothing_is_scored_change_nothing():
    rates = np.where(NEURON.scored, NEURON.rates, 1e6)
    counts = np.where(NEURON.scored, NEURON.counts, 250)
    assert same(everything(NEURON), everything(replace(NEURON, rates=rates, counts=counts)))


def test_everything_works_on_arrays_that_cannot_be_written_to():
    before = [NEURON.counts.copy(), NEURON.rates.copy(), NEURON.scored.copy()]
    everything(NEURON)  # its arrays are locked
    assert all(np.array_equal(a, b) for a, b in zip(before, (NEURON.counts, NEURON.rates, NEURON.scored), strict=True))


def test_forward_prediction_scores_the_last_tenth(trained):
    model, trials = trained
    found = predicted_trials(model, trials, 1, "forward_prediction")
    assert found.scored[:, -2:].all() and not found.scored[:, :-2].any()
    assert judge(found, rng()).n_entries == 2 * found.n_trials


def test_impossible_questions_are_refused(trained):
    model, trials = trained
    with pytest.raises(ValueError, match="neuron 11 is not scored in intra_region"):
        predicted_trials(model, trials, 11, "intra_region")  # its region is not known
    with pytest.raises(ValueError, match="no neuron 12 among 12"):
        neuron_trials(trials, 12, np.ones((8, 20)))
    with pytest.raises(ValueError, match="rates of shape"):
        neuron_trials(trials, 0, np.ones((7, 20)))
    with pytest.raises(ValueError, match="has no test trials"):
        neuron_trials(replace(trials, split=np.full(40, "train")), 0, np.ones((0, 20)))


def test_a_number_is_given_or_a_reason():
    with pytest.raises(ValueError, match="without a reason"):
        Measured(None)
    with pytest.raises(ValueError, match="give None"):
        Measured(NAN, (0.0, 1.0))


# --- PSTHs ------------------------------------------------------------------------------------------------------------


def test_psths_equal_a_loop():
    for by, behavior, value, label in (
        ("choice", "choice", -1.0, "right"),
        ("block", "block", np.float32(0.2), "20% left"),
        ("feedback", "reward", 1.0, "reward"),
    ):
        panel = next(p for p in psths(NEURON) if p.by == by)
        found = next(c for c in panel.conditions if c.label == label)
        members = [k for k in range(60) if NEURON.behaviors[behavior][k] == value]
        assert found.n_trials == len(members)
        for t in range(20):
            for values, mean, sem in (
                (NEURON.counts, found.recorded, found.recorded_sem),
                (NEURON.rates, found.predicted, found.predicted_sem),
            ):
                seen = [float(values[k, t]) / 0.02 for k in members if NEURON.scored[k, t]]
                assert mean[t] == pytest.approx(np.mean(seen))
                assert sem[t] == pytest.approx(np.std(seen, ddof=1) / np.sqrt(len(seen)))


def test_a_width_smooths_each_trial_before_the_mean():
    (wide, *_), (plain, *_) = psths(NEURON, 0.03), psths(replace(NEURON, counts=_smooth(NEURON.counts)))
    np.testing.assert_allclose(wide.conditions[0].recorded, plain.conditions[0].recorded)
    np.testing.assert_allclose(wide.conditions[0].recorded_sem, plain.conditions[0].recorded_sem)


def _smooth(values):
    return smoothed(values, NEURON.scored, 1.5)


def test_sides_and_contrasts_are_those_of_the_stimulus():
    contrast = NEURON.behaviors["contrast"]
    panels = {p.by: {c.label: c.n_trials for c in p.conditions} for p in psths(NEURON)}
    assert panels["stimulus side"] == {
        "left": (contrast < 0).sum(),
        "none": (contrast == 0).sum(),
        "right": (contrast > 0).sum(),
    }
    assert panels["stimulus contrast"] == {
        "0 %": (contrast == 0).sum(),
        "25 %": (abs(contrast) == 0.25).sum(),
        "100 %": (abs(contrast) == 1).sum(),
    }


def test_small_conditions_are_left_out_and_counted():
    choice = np.array([1.0] * 30 + [-1.0] * 25 + [0.0] * 2 + [NAN] * 3)
    (panel,) = psths(replace(NEURON, behaviors={"choice": choice}))
    assert [c.label for c in panel.conditions] == ["left", "right"]
    assert panel.left_out == {"none": 2} and panel.n_unknown == 3
    assert sum(c.n_trials for c in panel.conditions) + sum(panel.left_out.values()) + panel.n_unknown == 60


def test_a_recording_without_a_task_has_one_psth():
    (panel,) = psths(replace(NEURON, behaviors={"wheel_speed": NEURON.behaviors["wheel_speed"]}))
    assert (panel.by, panel.conditions[0].n_trials) == ("all trials", 60)
    assert triples(replace(NEURON, behaviors={"choice": np.full(60, NAN)})).tolist() == [0] * 60


def test_bins_in_which_no_trial_is_scored_have_no_mean():
    scored = np.ones((4, 3), dtype=bool)
    scored[:, 1], scored[1:, 2] = False, False
    mean, sem = mean_and_sem(np.arange(12.0).reshape(4, 3), scored)
    np.testing.assert_array_equal(np.isnan(mean), [False, True, False])
    np.testing.assert_array_equal(np.isnan(sem), [False, True, True])


def test_triples_are_numbered_without_gaps_and_few_trials_are_left_out():
    groups = triples(NEURON)
    names = ("block", "choice", "reward")
    found = {k: tuple(float(NEURON.behaviors[name][k]) for name in names) for k in range(60)}
    for k, triple in found.items():
        alike = [j for j in found if found[j] == triple]  # NaN is like nothing
        assert (groups[k] >= 0) == (len(alike) >= 3)
        assert all(groups[j] == groups[k] for j in alike)
    assert sorted(set(groups) - {-1}) == list(range(groups.max() + 1))


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", SortKey)
def test_trials_are_in_the_order_of_the_key(key):
    order = trial_order(NEURON, key)
    values = order.values[order.positions]
    known = values[np.isfinite(values)]
    assert sorted(order.positions) == list(range(60))
    assert (np.diff(known) >= 0).all() and np.isnan(values[len(known) :]).all()
    assert order.n_unknown == 60 - len(known)
    ties = np.flatnonzero(np.diff(known) == 0)
    assert all(order.positions[i] < order.positions[i + 1] for i in ties)


def test_the_keys_mean_what_they_say():
    assert np.array_equal(trial_order(NEURON, SortKey.TRIAL).values, NEURON.table.index)
    np.testing.assert_allclose(trial_order(NEURON, SortKey.REACTION_TIME).values, 0.2)
    speed = trial_order(NEURON, SortKey.WHEEL_SPEED).values
    np.testing.assert_allclose(speed, [np.nanmean(x) if np.isfinite(x).any() else NAN for x in _speed()])
    rate = trial_order(NEURON, SortKey.RECORDED_RATE).values
    expected = [NEURON.counts[k][NEURON.scored[k]].mean() / 0.02 for k in range(60)]
    np.testing.assert_allclose(rate, expected)


def _speed():
    return NEURON.behaviors["wheel_speed"]


def test_only_the_predicted_rate_orders_by_the_prediction():
    other = replace(NEURON, rates=NEURON.rates[::-1] * rng().gamma(1.0, size=(60, 1)))
    for key in SortKey:
        alike = np.array_equal(trial_order(NEURON, key).positions, trial_order(other, key).positions)
        assert alike == (key is not SortKey.PREDICTED_RATE)


def test_keys_that_a_recording_lacks_are_not_offered():
    bare = replace(NEURON, behaviors={"choice": np.full(60, NAN)}, table=NEURON.table[["stimOn_times"]])
    assert sort_keys(bare) == (SortKey.TRIAL, SortKey.RECORDED_RATE, SortKey.PREDICTED_RATE)
    with pytest.raises(ValueError, match="has no choice; choose one of trial number, recorded rate"):
        trial_order(bare, SortKey.CHOICE)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_equal_those_of_the_metrics():
    found = judge(NEURON, rng())
    y, r, scored = (a[:, :, None] for a in (NEURON.counts, NEURON.rates, NEURON.scored))
    assert found.bits_per_spike.measured.value == pytest.approx(bits_per_spike(r, y, target=scored)[0])
    null = np.array([NEURON.train_mean])
    assert found.bits_per_spike_train_null.measured.value == pytest.approx(bits_per_spike(r, y, null, scored)[0])
    assert found.poisson_d2.measured.value == pytest.approx(poisson_d2(r, y, target=scored)[0])
    true = NEURON.true_rates[:, :, None]
    assert found.bits_per_spike.ceiling.measured.value == pytest.approx(bits_per_spike(true, y, target=scored)[0])
    assert found.rate == pytest.approx(NEURON.counts[NEURON.scored].mean() / 0.02)


def test_r2_equals_scikit_learn():
    scored = NEURON.scored
    assert trial_r2(NEURON, rng()).measured.value == pytest.approx(
        r2_score(NEURON.counts[scored], NEURON.rates[scored])
    )
    for fewest in (1, 3):
        groups = triples(NEURON, fewest)
        cells = [(c, t) for c in range(groups.max() + 1) for t in range(20) if scored[groups == c, t].any()]
        p, q = (
            [values[groups == c, t][scored[groups == c, t]].mean() for c, t in cells]
            for values in (NEURON.counts, NEURON.rates)
        )
        assert plain_psth_r2(NEURON, fewest) == pytest.approx(r2_score(p, q))
    whole = replace(NEURON, scored=np.ones_like(scored))
    assert psth_r2(whole).measured.value == pytest.approx(plain_psth_r2(whole, 3))


def test_a_silent_neuron_has_reasons_instead_of_scores():
    silent = replace(NEURON, counts=np.zeros_like(NEURON.counts))
    found = judge(silent, rng())
    explained = [v for v in vars(found).values() if hasattr(v, "ceiling")]
    assert len(explained) == 6
    for each in explained:
        assert each.measured.value is None and "no spike" in each.measured.reason
        assert each.ceiling.kind is CeilingKind.NOT_MEASURABLE
    assert found.n_spikes == 0 and found.rate == 0
    honest = calibration(silent, rng())
    assert honest.slope.value is honest.intercept.value is honest.ratio.value is None
    assert (honest.observed == 0).all() and (honest.high > 0).all()
    assert all(fano.recorded.value is None for fano in variability(silent).fano)
    assert poisson_pit(silent, rng()).p is not None
    assert all((c.recorded[np.isfinite(c.recorded)] == 0).all() for p in psths(silent) for c in p.conditions)


def test_one_trial_gives_values_without_intervals():
    one = one_neuron(np.array([[0, 2, 1, 0]]), np.array([[0.5, 1.5, 1.0, 0.2]]))
    found = judge(one, rng())
    assert found.bits_per_spike.measured.value > 0 and found.bits_per_spike.measured.interval is None
    assert found.psth_r2.measured.value is None and found.trial_r2.measured.interval is None
    assert found.residuals.p is None
    assert calibration(one, rng()).slope.value is None
    assert variability(one).fano[0].recorded.value is None
    assert psths(one)[0].left_out == {"all": 1}
    assert poisson_pit(one, rng()).share.sum() == pytest.approx(10)


def test_nothing_scored_is_no_crash():
    for each in everything(replace(NEURON, scored=np.zeros_like(NEURON.scored))):
        assert each is not None


def test_a_prediction_that_never_varies_has_a_reason():
    flat_rates = replace(NEURON, rates=np.broadcast_to(NEURON.psth, NEURON.rates.shape))
    found = judge(flat_rates, rng())
    assert "does not depart" in found.residual_correlation.measured.reason
    constant = calibration(replace(NEURON, rates=np.full(NEURON.rates.shape, 0.3)), rng())
    assert "same everywhere" in constant.slope.reason and len(constant.predicted) == 1


# --- residuals --------------------------------------------------------------------------------------------------------


def test_smoothing_equals_a_loop_over_scored_bins():
    values, scored = rng().normal(size=(3, 12)), rng(1).random((3, 12)) < 0.7
    found = smoothed(values, scored, 1.5)
    for k in range(3):
        for t in np.flatnonzero(scored[k]):
            near = [s for s in np.flatnonzero(scored[k]) if abs(s - t) <= 6]  # scipy cuts at 4 standard deviations
            weights = np.exp(-0.5 * ((np.array(near) - t) / 1.5) ** 2)
            assert found[k, t] == pytest.approx((weights * values[k, near]).sum() / weights.sum())
    assert np.array_equal(smoothed(values, scored, 0.0), np.where(scored, values, 0.0))


def test_the_correlation_is_pearsons_of_the_maps():
    found = residuals(NEURON, rng())
    scored = NEURON.scored
    assert found.correlation.value == pytest.approx(np.corrcoef(found.recorded[scored], found.predicted[scored])[0, 1])
    assert np.isnan(found.recorded[~scored]).all()


def test_shuffled_trials_do_not_correlate():
    means = []
    for seed in range(20):
        draw = rng(seed)
        rates = simulated_rates(draw, (40, 30))
        found = residuals(one_neuron(draw.poisson(rates), rates), draw)
        low, high = found.shuffled.interval
        assert found.correlation.value > high and found.p < 0.01
        means.append(found.shuffled.value)
    error = np.std(means, ddof=1) / np.sqrt(len(means))
    assert abs(np.mean(means)) < 3 * error + 0.005


def test_a_prediction_of_other_trials_is_not_better_than_shuffled_ones():
    ps = []
    for seed in range(200):
        draw = rng(seed)
        counts, rates = draw.poisson(simulated_rates(draw, (30, 12))), simulated_rates(draw, (30, 12))
        ps.append(residuals(one_neuron(counts, rates), draw).p)
    assert binomtest(int((np.array(ps) < 0.05).sum()), 200, 0.05).pvalue > 0.005
    assert 0.4 < np.mean(ps) < 0.6


# --- calibration ------------------------------------------------------------------------------------------------------


def test_groups_hold_every_entry_once_and_average_it():
    found = calibration(NEURON, rng())
    n, size = found.n_entries, NEURON.bin_size
    assert len(n) == 10 and n.sum() == NEURON.scored.sum() and np.ptp(n) <= 2
    assert (found.observed * n).sum() * size == pytest.approx(NEURON.n_spikes)
    assert (found.predicted * n).sum() * size == pytest.approx(NEURON.rates[NEURON.scored].sum())
    assert (np.diff(found.predicted) > 0).all()
    assert ((found.low <= found.observed) & (found.observed <= found.high)).all()
    assert found.ratio.value == pytest.approx(NEURON.n_spikes / NEURON.rates[NEURON.scored].sum())


@pytest.mark.parametrize(("power", "factor"), [(1.0, 1.0), (0.5, 1.0), (1.0, 2.0)])
def test_slope_and_intercept_recover_what_was_done_to_the_rates(power, factor):
    draw = rng(3)
    rates = simulated_rates(draw, (400, 50))
    mean = rates.mean()
    truth = factor * mean * (rates / mean) ** power  # the spikes' rates; `rates` is the prediction
    found = calibration(one_neuron(draw.poisson(truth), rates), draw)
    for measured, expected in ((found.slope, power), (found.intercept, np.log(factor))):
        low, high = measured.interval
        assert low < expected < high and high - low < 0.1
    np.testing.assert_allclose(found.line(np.array([5.0])), factor * mean * (5.0 / mean / 50) ** power * 50, rtol=0.1)


@pytest.mark.slow
def test_simulated_poisson_has_slope_1_and_intercept_0_in_95_of_100_runs():
    hits, n_runs = np.zeros((3, 2)), 400
    for seed in range(n_runs):
        draw = rng(seed)
        rates = simulated_rates(draw, (64, 40), mean=0.15)
        found = calibration(one_neuron(draw.poisson(rates), rates), draw)
        for i, (m, true) in enumerate(((found.slope, 1), (found.intercept, 0), (found.ratio, 1))):
            hits[i] += (m.interval[0] > true, m.interval[1] < true)
    assert (hits.sum(axis=1) / n_runs < 0.09).all() and (hits.sum(axis=1) / n_runs > 0.02).all()


def test_the_transform_of_poisson_spikes_is_uniform_and_of_other_spikes_is_not():
    draw = rng(5)
    rates = simulated_rates(draw, (400, 40), mean=0.5)
    right = poisson_pit(one_neuron(draw.poisson(rates), rates), draw)
    assert right.p > 0.01 and right.share.mean() == pytest.approx(1)
    assert ((right.low < 1) & (right.high > 1)).sum() >= 8
    too_wide = poisson_pit(one_neuron(draw.binomial(1, np.minimum(rates, 1)), rates), draw)
    assert too_wide.p < 0.01 and too_wide.share[[0, -1]].mean() < 1 < too_wide.share[4:6].mean()
    assert poisson_pit(one_neuron(draw.poisson(2 * rates), rates), draw).p < 1e-6


@pytest.mark.slow
def test_the_transform_refuses_the_truth_in_5_of_100_runs():
    def p(seed):
        draw = rng(seed)
        rates = simulated_rates(draw, (40, 40))
        return poisson_pit(one_neuron(draw.poisson(rates), rates), draw).p

    refused = sum(p(seed) < 0.05 for seed in range(600))
    assert binomtest(refused, 600, 0.05).pvalue > 0.005


# --- variance ---------------------------------------------------------------------------------------------------------


def test_windows_sum_whole_bins_and_know_gaps():
    cut = windows(NEURON, 6)
    assert cut.counts.shape == (60, 3)
    for k in (0, 7):
        for w in range(3):
            part = slice(6 * w, 6 * w + 6)
            assert cut.complete[k, w] == NEURON.scored[k, part].all()
            if cut.complete[k, w]:
                assert cut.counts[k, w] == NEURON.counts[k, part].sum()
                assert cut.rates[k, w] == pytest.approx(NEURON.rates[k, part].sum())
    assert windows(NEURON, 99).n_bins == 20


def test_variances_equal_numpy():
    found = variability(NEURON)
    cut, groups = windows(NEURON, 10), triples(NEURON)
    expected = []
    for c in range(groups.max() + 1):
        for w in range(2):
            here = (groups == c) & cut.complete[:, w]
            if here.sum() >= 3:
                y, r = cut.counts[here, w], cut.rates[here, w]
                expected.append((y.mean(), y.var(ddof=1), r.mean() + r.var(ddof=1)))
    np.testing.assert_allclose(np.stack([found.mean, found.recorded, found.predicted], axis=1), expected)
    shown = next(f for f in found.fano if f.window == pytest.approx(0.2))
    mean, recorded, _ = np.array(expected).sum(axis=0)
    assert shown.recorded.value == pytest.approx(recorded / mean)


def test_the_prediction_accounts_for_the_variance_of_poisson_spikes_with_its_rates():
    draw = rng(2)
    rates = simulated_rates(draw, (300, 50))
    for fano in variability(one_neuron(draw.poisson(rates), rates)).fano:
        low, high = fano.recorded.interval
        assert low < fano.predicted.value < high
    regular = variability(one_neuron(np.tile([0, 1], (300, 25)), np.full((300, 50), 0.5)))
    assert all(f.recorded.value == pytest.approx(0) and f.predicted.value == pytest.approx(1) for f in regular.fano)
