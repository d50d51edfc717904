"""Which units are taken for one neuron twice, and that test trials have no say in it; sets of held-out neurons."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import poisson
from small import small_trials

from mtm_core.data.catalogue import list_sessions, open_session
from mtm_core.evaluation.duplicates import CHANCE, COINCIDENCES, EXCESS, NEIGHBORS, coincident, likely_duplicates
from mtm_core.evaluation.held_out_sets import brain_wide_bench, hold_out, random_share, read_uuids, with_uuids
from mtm_core.masking import Scheme

SHAPE = (100, 40, 6)


def units_of(trials, depths, probes=None):
    return pd.DataFrame({"uuid": trials.unit_ids, "probe": probes or ["p"] * len(depths), "depth": depths})


def independent(seed=0, rate=0.15):
    """Six Poisson neurons that share nothing."""
    trials = small_trials(shape=SHAPE)
    return replace(trials, counts=np.random.default_rng(seed).poisson(rate, SHAPE).astype(np.uint8))


def with_shared_spikes(trials, share, seed=1):
    """Unit 4 also holds a random share of the spikes of unit 1."""
    counts = trials.counts.copy()
    counts[..., 4] = np.random.default_rng(seed).binomial(counts[..., 1], share) + (counts[..., 4] > 1)
    return replace(trials, counts=counts)


def pairs(matrix):
    assert (matrix == matrix.T).all() and not matrix.diagonal().any()
    return [tuple(map(int, pair)) for pair in np.argwhere(np.triu(matrix))]


# --- places -----------------------------------------------------------------------------------------------------------


def test_units_at_most_one_row_of_sites_apart_on_one_probe_are_neighbors():
    trials = independent()
    units = units_of(trials, [0, 20, 40.5, 20, np.nan, np.nan], ["p", "p", "p", "q", "p", "p"])
    found = likely_duplicates(trials, units)
    assert pairs(found.matrix) == [(0, 1)]  # 20.5 um are too far, unit 3 is on another probe, two depths are unknown
    assert found.reasons == {NEIGHBORS: 1, COINCIDENCES: 0}
    assert not found.positions_known
    assert likely_duplicates(trials, units_of(trials, np.arange(6) * 100.0)).positions_known


def test_positions_are_found_by_uuid():
    trials = independent()
    units = units_of(trials, [0, 100, 10, 200, 300, 400])
    shuffled = units.sample(frac=1, random_state=0)
    assert pairs(likely_duplicates(trials, shuffled).matrix) == [(0, 2)]
    with pytest.raises(ValueError, match="lacks 1 of 6 units, first a-3"):
        likely_duplicates(trials, units.drop(index=3))


def test_without_positions_only_trains_count():
    found = likely_duplicates(independent())
    assert pairs(found.matrix) == [] and not found.positions_known and found.n_pairs == 0


# --- trains -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1.0, 0.5, 0.3])
def test_a_unit_that_shares_spikes_with_another_is_found(share):
    found = likely_duplicates(with_shared_spikes(independent(), share))
    assert pairs(found.matrix) == [(1, 4)]
    assert found.reasons == {NEIGHBORS: 0, COINCIDENCES: 1}


def test_neurons_that_share_a_slow_rate_are_none():
    rng, shape = np.random.default_rng(0), (300, 40, 3)
    slow = np.repeat(rng.gamma(0.5, 3.0, (300, 5)), 8, axis=1)[:, :, None]  # steady for eight bins
    trials = small_trials(shape=shape, counts=rng.poisson(slow + np.zeros(shape)).astype(np.uint8))
    train = trials.select("train").counts.astype(float)
    assert np.corrcoef(train.reshape(-1, 3).T)[0, 1] > 0.5  # a plain correlation is far above EXCESS
    together, apart = ((train[:, :-1, 0] * other[..., 1]).sum() for other in (train[:, :-1], train[:, 1:]))
    assert poisson.sf(together, apart) < CHANCE  # and so many spikes leave no doubt that a lag makes a difference
    assert pairs(likely_duplicates(trials).matrix) == []


def test_a_few_coincidences_of_sparse_units_are_chance():
    counts = np.zeros(SHAPE, dtype=np.uint8)
    train = np.flatnonzero(small_trials(shape=SHAPE).split == "train")
    counts[train[:3], 10, 0] = counts[train[:3], 10, 1] = 1
    counts[train[:12], 20, 2] = counts[train[:12], 20, 3] = 1
    found = likely_duplicates(replace(independent(), counts=counts))
    assert pairs(found.matrix) == [(2, 3)]  # 3 of 3 may be chance, 12 of 12 are not


def test_equals_sums_over_single_bins():
    trials = with_shared_spikes(independent(rate=0.4), 0.25)
    rng = np.random.default_rng(2)
    trials = replace(trials, valid=rng.random(SHAPE[:2]) < 0.9)
    train = trials.select("train")
    y = train.counts.astype(float)

    def excess(n, m):
        zero = aside = squares_n = squares_m = 0.0
        for k in range(train.n_trials):
            for t in range(1, train.n_bins - 1):
                if train.valid[k, t - 1 : t + 2].all():
                    zero += y[k, t, n] * y[k, t, m]
                    aside += y[k, t, n] * (y[k, t - 1, m] + y[k, t + 1, m]) / 4
                    aside += y[k, t, m] * (y[k, t - 1, n] + y[k, t + 1, n]) / 4
                    squares_n, squares_m = squares_n + y[k, t, n] ** 2, squares_m + y[k, t, m] ** 2
        return (zero - aside) / np.sqrt(squares_n * squares_m)

    expected = {(n, m) for n in range(6) for m in range(n + 1, 6) if excess(n, m) > EXCESS}
    assert expected == {(1, 4)} == set(pairs(coincident(trials)))


def test_only_training_trials_are_read():
    trials = with_shared_spikes(independent(), 0.6)
    counts = trials.counts.copy()
    others = trials.split != "train"
    counts[others] = np.random.default_rng(3).integers(0, 255, counts[others].shape)
    changed = likely_duplicates(replace(trials, counts=counts))
    np.testing.assert_array_equal(changed.matrix, likely_duplicates(trials).matrix)


def test_bins_without_data_are_not_read():
    trials = with_shared_spikes(independent(), 0.6)
    valid = np.ones(SHAPE[:2], dtype=bool)
    valid[:, 30:] = False
    counts = trials.counts.copy()
    counts[:, 30:] = 200
    kept = likely_duplicates(replace(trials, valid=valid))
    np.testing.assert_array_equal(likely_duplicates(replace(trials, valid=valid, counts=counts)).matrix, kept.matrix)


def test_no_trains_of_the_simulated_cohort_are_taken_for_one_neuron():
    """Its neurons share inputs and fire independently given their rates."""
    for name in ("simulated-1", "simulated-2"):
        session = open_session(name)
        found = likely_duplicates(session.align(), session.units)
        assert found.reasons[COINCIDENCES] == 0 and found.reasons[NEIGHBORS] > 0 and found.positions_known


@pytest.mark.slow
def test_coincident_units_of_real_recordings_lie_in_one_region(recordings_dir):
    listed = list_sessions(recordings_dir)
    within = total = by_chance = possible = 0
    for row in listed[listed.source == "ibl"].iloc[:6].itertuples():
        session = open_session(row.id, recordings_dir)
        trials = session.align("stimOn_times", row.window, row.bin_size)
        same = trials.regions[:, None] == trials.regions[None]
        found = likely_duplicates(trials, session.units)
        within, total = within + int((found.matrix & same).sum()), total + int(found.matrix.sum())
        by_chance, possible = by_chance + int(same.sum()), possible + same.size
        assert found.n_pairs < 0.002 * trials.n_neurons**2 and not found.positions_known
    assert total > 0 and within / total > 2 * by_chance / possible


# --- sets of held-out neurons -----------------------------------------------------------------------------------------

UUIDS = [f"00000000-0000-4000-8000-{n:012x}" for n in range(45)]


@pytest.mark.parametrize(("split", "word"), [("test", "test"), ("validation", "val")])
def test_brain_wide_bench_takes_the_smallest_hashes(split, word):
    hashes = {n: hashlib.sha256(f"ts2_co_smoothing_{word}:{UUIDS[n]}".encode()).hexdigest() for n in range(45)}
    smallest = sorted(hashes, key=hashes.get)[:4]  # round(4.5) is 4: Python rounds halves to even, and so do they
    assert brain_wide_bench(UUIDS, split).tolist() == sorted(smallest)


def test_brain_wide_bench_does_not_depend_on_the_order_of_units():
    order = np.random.default_rng(0).permutation(45)
    shuffled = np.array(UUIDS)[order]
    assert set(shuffled[brain_wide_bench(shuffled)]) == set(np.array(UUIDS)[brain_wide_bench(UUIDS)])
    assert [len(brain_wide_bench(UUIDS[:n])) for n in (3, 25, 26, 35, 45)] == [1, 2, 3, 4, 4]
    with pytest.raises(ValueError, match="choose one of test, validation"):
        brain_wide_bench(UUIDS, "train")


def test_a_random_share_is_repeated_by_its_seed():
    first, again, other = (random_share(100, np.random.default_rng(seed), 0.25) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() == sorted(set(first.tolist())) and len(first) == 25
    assert first.tolist() != other.tolist()
    for share in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            random_share(100, np.random.default_rng(0), share)


def test_uuids_are_looked_up_and_unknown_ones_refused(tmp_path):
    listed = tmp_path / "held-out.txt"
    listed.write_text(f"# two neurons\n{UUIDS[7]}\n\n  {UUIDS[3]}  # the other\n", "utf-8")
    assert with_uuids(UUIDS, read_uuids(listed)).tolist() == [3, 7]
    with pytest.raises(ValueError, match="1 of 2 uuids are no neurons of this session, first 'x'"):
        with_uuids(UUIDS, [UUIDS[0], "x"])
    with pytest.raises(ValueError, match="0 of 45 neurons held out"):
        with_uuids(UUIDS, [])
    with pytest.raises(ValueError, match="45 of 45 neurons held out"):
        with_uuids(UUIDS, UUIDS)
    listed.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        read_uuids(listed)


def test_a_held_out_set_is_hidden_and_scored_in_all_bins():
    mask = hold_out((2, 3, 5), np.array([4, 1]))
    expected = torch.zeros(2, 3, 5, dtype=torch.bool)
    expected[:, :, [1, 4]] = True
    assert torch.equal(mask.hidden, expected) and torch.equal(mask.target, expected)
    assert mask.scheme is Scheme.NEURON
    for wrong in ([-1, 2], [5], [], [0, 1, 2, 3, 4]):
        with pytest.raises(ValueError):
            hold_out((2, 3, 5), np.array(wrong, dtype=int))
