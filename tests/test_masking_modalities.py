"""Masks of modalities: every scheme hides and scores what its name says, and no mask shows what it scores."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtm_core.masking_modalities import (
    N_MODALITIES,
    NEDS_SCHEMES,
    ROWS,
    SPIKES_ROW,
    STATIC_ROWS,
    Draw,
    ModalityMask,
    NedsScheme,
    draw_mask,
    hide,
    hold_out_behaviors,
    hold_out_spikes,
    join,
    rows_of,
)
from mtm_core.modality import BEHAVIORS

NAMES = tuple(BEHAVIORS)
SOME = ("choice", "block", "wheel_speed", "pupil")
TRACES = [row for row in range(N_MODALITIES) if row != SPIKES_ROW and row not in STATIC_ROWS]
SHAPE = (40, 25)


def drawn(scheme, present=SOME, shape=SHAPE, ratio=0.3, seed=0):
    return draw_mask(scheme, Draw(shape, present, ratio, torch.Generator().manual_seed(seed)))


def whole(*names, shape=SHAPE, spikes=False):
    """These modalities, all of them."""
    flags = torch.zeros(shape[0], N_MODALITIES, shape[1], dtype=torch.bool)
    flags[:, [NAMES.index(name) + 1 for name in names] + [0] * spikes] = True
    return flags


def share(flags):
    return float(flags.float().mean())


# --- rows -------------------------------------------------------------------------------------------------------------


def test_spikes_are_first_and_behaviors_follow_in_the_order_of_the_table():
    assert SPIKES_ROW == 0 and list(ROWS.values()) == list(range(1, N_MODALITIES)) and tuple(ROWS) == NAMES
    assert {NAMES[row - 1] for row in STATIC_ROWS} == {"choice", "block", "contrast", "reward"}
    assert rows_of(("pupil", "choice")) == [NAMES.index("pupil") + 1, 1]
    with pytest.raises(ValueError, match="behavior 'lunch' is not known; choose from choice, "):
        rows_of(("choice", "lunch"))


# --- schemes ----------------------------------------------------------------------------------------------------------


def test_encoding_hides_and_scores_all_spikes_and_no_behavior():
    mask = drawn(NedsScheme.ENCODING)
    assert torch.equal(mask.hidden, whole(spikes=True)) and torch.equal(mask.target, mask.hidden)


def test_decoding_hides_and_scores_all_behaviors_of_the_session_and_no_spike():
    mask = drawn(NedsScheme.DECODING)
    assert torch.equal(mask.hidden, whole(*SOME)) and torch.equal(mask.target, mask.hidden)


def test_encoding_from_one_leaves_exactly_one_behavior_of_each_trial():
    mask = drawn(NedsScheme.ENCODING_FROM_ONE)
    assert torch.equal(mask.target, whole(spikes=True)) and mask.hidden[:, SPIKES_ROW].all()
    visible = ~mask.hidden[:, rows_of(SOME)]
    assert torch.equal(visible.any(2), visible.all(2)) and (visible.all(2).sum(1) == 1).all()
    assert visible.any(2).any(0).all()  # any of them
    assert not mask.hidden[:, [row for row in ROWS.values() if row not in rows_of(SOME)]].any()


def test_within_spikes_hides_some_bins_of_the_spikes():
    mask = drawn(NedsScheme.WITHIN_SPIKES)
    assert torch.equal(mask.target, mask.hidden) and not mask.hidden[:, 1:].any()
    assert 0.25 < share(mask.hidden[:, SPIKES_ROW]) < 0.35


def test_within_behavior_hides_some_bins_of_each_behavior():
    mask = drawn(NedsScheme.WITHIN_BEHAVIOR)
    assert torch.equal(mask.target, mask.hidden) and not (mask.hidden & ~whole(*SOME)).any()
    hidden = mask.hidden[:, rows_of(("wheel_speed", "pupil"))]
    assert 0.25 < share(hidden) < 0.35 and not torch.equal(hidden[:, 0], hidden[:, 1])


@pytest.mark.parametrize(
    ("alone", "other"),
    [
        (NedsScheme.WITHIN_SPIKES_ALONE, NedsScheme.WITHIN_SPIKES),
        (NedsScheme.WITHIN_BEHAVIOR_ALONE, NedsScheme.WITHIN_BEHAVIOR),
    ],
)
def test_alone_scores_the_same_and_hides_the_other_side_whole(alone, other):
    mask, plain = drawn(alone), drawn(other)
    rest = whole(*SOME) if alone is NedsScheme.WITHIN_SPIKES_ALONE else whole(spikes=True)
    assert torch.equal(mask.target, plain.target) and torch.equal(mask.hidden, plain.hidden | rest)


def test_cross_modality_hides_the_same_bins_of_spikes_and_traces():
    mask = drawn(NedsScheme.CROSS_MODALITY)
    assert torch.equal(mask.target, mask.hidden) and not (mask.hidden & ~whole(*SOME, spikes=True)).any()
    for row in rows_of(("wheel_speed", "pupil")):
        assert torch.equal(mask.hidden[:, row], mask.hidden[:, SPIKES_ROW])
    assert 0.25 < share(mask.hidden[:, SPIKES_ROW]) < 0.35


@pytest.mark.parametrize("scheme", [NedsScheme.WITHIN_BEHAVIOR, NedsScheme.CROSS_MODALITY])
def test_each_static_behavior_is_hidden_in_its_own_share_of_trials(scheme):
    hidden = drawn(scheme, shape=(400, 5)).hidden[:, rows_of(("choice", "block"))]
    assert torch.equal(hidden.any(2), hidden.all(2))
    assert 0.2 < share(hidden[:, 0]) < 0.4 and not torch.equal(hidden[:, 0], hidden[:, 1])


@pytest.mark.parametrize("scheme", set(NedsScheme) - {NedsScheme.ENCODING, NedsScheme.DECODING})
def test_every_trial_has_a_mask_of_its_own(scheme):
    mask = drawn(scheme)
    assert len(torch.unique(mask.hidden.flatten(1), dim=0)) > (2 if scheme is NedsScheme.ENCODING_FROM_ONE else 20)


@given(
    st.sampled_from(list(NedsScheme)),
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.tuples(st.integers(1, 6), st.integers(1, 7)),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_any_mask_scores_hidden_tokens_of_the_session_and_splits_no_static_one(scheme, names, shape, ratio, seed):
    present = tuple(name for name in NAMES if name in names)
    mask = drawn(scheme, present, shape, ratio, seed)
    assert mask.hidden.shape == (shape[0], N_MODALITIES, shape[1]) and (mask.schemes == int(scheme)).all()
    assert not (mask.target & ~mask.hidden).any()
    assert not (mask.hidden & ~whole(*present, shape=shape, spikes=True)).any()
    static = mask.hidden[:, STATIC_ROWS]
    assert torch.equal(static.any(2), static.all(2))
    again = drawn(scheme, present, shape, ratio, seed)
    assert torch.equal(again.hidden, mask.hidden) and torch.equal(again.target, mask.target)


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_a_ratio_of_none_or_all_hides_none_or_all(ratio, expected):
    assert share(drawn(NedsScheme.CROSS_MODALITY, NAMES, ratio=ratio).hidden) == expected


@pytest.mark.parametrize("scheme", [NedsScheme.WITHIN_SPIKES, NedsScheme.ENCODING_FROM_ONE])
def test_another_generator_draws_another_mask(scheme):
    assert not torch.equal(drawn(scheme).hidden, drawn(scheme, seed=1).hidden)


def test_a_training_has_both_directions_by_default():
    assert {NedsScheme.ENCODING, NedsScheme.DECODING} <= set(NEDS_SCHEMES) <= set(NedsScheme)
    assert NedsScheme.WITHIN_SPIKES.label == "within_spikes"


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_that_is_no_share_is_refused(ratio):
    with pytest.raises(ValueError, match="give a number from 0 to 1"):
        drawn(NedsScheme.WITHIN_SPIKES, ratio=ratio)


def test_a_session_without_behaviors_is_refused():
    with pytest.raises(ValueError, match="no behavior to translate"):
        drawn(NedsScheme.ENCODING, ())


# --- the mask ---------------------------------------------------------------------------------------------------------


def nothing(shape=(2, 3)):
    return torch.zeros(shape[0], N_MODALITIES, shape[1], dtype=torch.bool)


def test_a_visible_target_is_refused():
    target = nothing()
    target[1, 3, 2] = True
    with pytest.raises(ValueError, match="targets must be hidden"):
        ModalityMask(nothing(), target, NedsScheme.DECODING)


@pytest.mark.parametrize("row", STATIC_ROWS)
def test_a_partly_hidden_static_behavior_is_refused(row):
    hidden = nothing()
    hidden[0, row] = True  # whole
    ModalityMask(hidden, hidden, NedsScheme.DECODING)
    hidden[1, row, 1] = True
    with pytest.raises(ValueError, match="hide it in all or none"):
        ModalityMask(hidden, nothing(), NedsScheme.DECODING)


@pytest.mark.parametrize("shape", [(2, N_MODALITIES - 1, 3), (2, N_MODALITIES), (N_MODALITIES,)])
def test_a_mask_of_another_shape_is_refused(shape, unchecked):
    flags = torch.zeros(shape, dtype=torch.bool)
    with pytest.raises(ValueError, match=rf"give \(trials, {N_MODALITIES}, bins\)"):
        ModalityMask(flags, flags, NedsScheme.DECODING)
    with pytest.raises(ValueError, match="target"):
        ModalityMask(nothing(), nothing((2, 4)), NedsScheme.DECODING)


def test_bins_without_spikes_are_hidden_and_what_is_unknown_is_not_scored():
    mask = drawn(NedsScheme.CROSS_MODALITY, shape=(3, 4))
    before = mask.hidden.clone(), mask.target.clone()
    rng = torch.Generator().manual_seed(1)
    valid = torch.rand(3, 4, generator=rng) > 0.5
    known = torch.rand(3, N_MODALITIES, 4, generator=rng) > 0.5
    found = mask.restrict(valid, known)
    for k in range(3):
        for m in range(N_MODALITIES):
            for t in range(4):
                lacks = m == SPIKES_ROW and not valid[k, t]
                assert found.hidden[k, m, t] == (mask.hidden[k, m, t] or lacks)
                assert found.target[k, m, t] == (mask.target[k, m, t] and known[k, m, t])
    assert torch.equal(mask.hidden, before[0]) and torch.equal(mask.target, before[1])


def test_joined_masks_keep_their_order_and_schemes_and_parts_can_be_taken():
    one, two = drawn(NedsScheme.DECODING, shape=(2, 5)), drawn(NedsScheme.CROSS_MODALITY, shape=(3, 5))
    both = join([one, two])
    assert both.schemes.tolist() == [NedsScheme.DECODING] * 2 + [NedsScheme.CROSS_MODALITY] * 3
    for part, rows in ((one, slice(0, 2)), (two, torch.tensor([2, 3, 4]))):
        taken = both.rows(rows)
        assert torch.equal(taken.hidden, part.hidden) and torch.equal(taken.target, part.target)
        assert torch.equal(taken.schemes, part.schemes)
    assert torch.equal(two.rows(slice(1, 2)).hidden, two.hidden[1:2]) and two.rows(slice(1, 2)).schemes.shape == (1,)
    assert torch.equal(both.to("cpu").hidden, both.hidden)


# --- masks by hand ----------------------------------------------------------------------------------------------------


def test_a_mask_by_hand_hides_and_scores_the_named_bins():
    mask = hide((2, 6), spikes=(1, 3), behaviors={"wheel_speed": (4, 6), "choice": (2, 3), "block": (2, 2)})
    expected = nothing((2, 6))
    expected[:, SPIKES_ROW, 1:3] = True
    expected[:, ROWS["wheel_speed"], 4:] = True
    expected[:, ROWS["choice"]] = True  # whole; the empty range of the block hides nothing
    assert torch.equal(mask.hidden, expected) and torch.equal(mask.target, expected)
    assert not hide((2, 6)).hidden.any()


@pytest.mark.parametrize("span", [(-1, 2), (3, 2), (0, 7)])
def test_a_range_outside_the_bins_is_refused(span):
    with pytest.raises(ValueError, match="of 6; give 0 <= first"):
        hide((2, 6), spikes=span)
    with pytest.raises(ValueError, match="of 6; give 0 <= first"):
        hide((2, 6), behaviors={"choice": span})


def test_an_unknown_behavior_by_hand_is_refused():
    with pytest.raises(ValueError, match="'lunch' is not known"):
        hide((2, 6), behaviors={"lunch": (0, 1)})
    with pytest.raises(ValueError, match="'lunch' is not known"):
        hold_out_spikes((2, 6), ("lunch",), SOME)
    with pytest.raises(ValueError, match="'lunch' is not known"):
        hold_out_behaviors((2, 6), ("lunch",))


@pytest.mark.parametrize("read", [(), ("choice",), SOME])
def test_evaluated_encoding_reads_the_named_behaviors_only(read):
    mask = hold_out_spikes((3, 4), read, SOME)
    rest = tuple(name for name in SOME if name not in read)
    assert torch.equal(mask.hidden, whole(*rest, shape=(3, 4), spikes=True))
    assert torch.equal(mask.target, whole(shape=(3, 4), spikes=True))


def test_evaluated_decoding_hides_every_behavior_of_the_session():
    mask = hold_out_behaviors((3, 4), SOME)
    assert torch.equal(mask.hidden, whole(*SOME, shape=(3, 4))) and torch.equal(mask.target, mask.hidden)


def test_a_mask_is_not_changed_by_what_is_made_of_it():
    mask = hide((2, 6), spikes=(0, 6))
    mask.restrict(torch.zeros(2, 6, dtype=torch.bool), nothing((2, 6)))
    replace(mask, scheme=NedsScheme.DECODING)
    assert torch.equal(mask.hidden, mask.target) and mask.target[:, SPIKES_ROW].all()
