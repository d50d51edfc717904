from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from small import small_trials

from mtm_core.masking import (
    DEFAULT_RATIO,
    PATCH_NEURONS,
    Mask,
    Scheme,
    draw_mask,
    free_mask,
    hold_out_future,
    hold_out_neuron,
    hold_out_region,
    hold_out_within_region,
    join,
    region_codes,
)
from mtm_core.regions import NEVER_TARGET
from mtm_core.training.loss import poisson_loss

SHAPE = (400, 10, 12)
NAMES = np.array(["VISp"] * 4 + ["CA1"] * 4 + ["LP", "LP", "root", "void"])
CODES = region_codes(NAMES)
CA1, LP, VISP = 0, 1, 2
UNKNOWN = torch.tensor([name in NEVER_TARGET for name in NAMES])
REGION_SCHEMES = (Scheme.INTRA_REGION, Scheme.INTER_REGION)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(scheme, ratio=None, seed=0, shape=SHAPE, codes=CODES):
    return draw_mask(scheme, shape, codes, rng(seed), ratio)


# --- all schemes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", Scheme)
def test_targets_are_hidden_and_shaped_like_the_counts(scheme):
    mask = draw(scheme)
    assert mask.hidden.shape == mask.target.shape == SHAPE
    assert mask.hidden.dtype == mask.target.dtype == torch.bool
    assert mask.target.any() and not (mask.target & ~mask.hidden).any()
    assert mask.scheme is scheme and (mask.prompts == int(scheme)).all()


@pytest.mark.parametrize("scheme", Scheme)
def test_every_trial_has_its_own_draw(scheme):
    hidden = draw(scheme, 0.4).hidden.flatten(1)
    assert len(torch.unique(hidden, dim=0)) > (2 if scheme is Scheme.INTER_REGION else 20)


@pytest.mark.parametrize("scheme", Scheme)
def test_a_draw_depends_on_its_generator_only(scheme):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, two, other = draw(scheme, seed=5), draw(scheme, seed=5), draw(scheme, seed=6)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.hidden, two.hidden) and torch.equal(one.target, two.target)
    assert not torch.equal(one.target, other.target)


@pytest.mark.parametrize("scheme", [s for s in Scheme if s is not Scheme.CAUSAL])
@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_the_ratio_is_the_share_of_targets(scheme, ratio):
    mask = draw(scheme, ratio)
    share = mask.target.float().mean()
    if scheme in REGION_SCHEMES:  # of the neurons of the trial's region: every region is equally likely
        share /= torch.bincount(CODES[CODES >= 0]).float().mean() / len(CODES)
    n_draws = SHAPE[0] * {Scheme.TEMPORAL: SHAPE[1], Scheme.RANDOM_TOKEN: SHAPE[1]}.get(scheme, 3)
    assert share == pytest.approx(ratio, abs=6 * (ratio * (1 - ratio) / n_draws) ** 0.5)


@pytest.mark.parametrize("scheme", [Scheme.NEURON, Scheme.TEMPORAL, Scheme.RANDOM_TOKEN])
def test_ratios_0_and_1_hide_nothing_and_everything(scheme):
    assert not draw(scheme, 0.0).hidden.any()
    assert draw(scheme, 1.0).target.all()


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_an_impossible_ratio_is_refused(ratio):
    with pytest.raises(ValueError, match="give a number from 0 to 1"):
        draw(Scheme.NEURON, ratio)


def test_every_scheme_has_a_default_ratio():
    assert set(DEFAULT_RATIO) == set(Scheme)
    share = draw(Scheme.NEURON).hidden.float().mean()
    assert share == pytest.approx(DEFAULT_RATIO[Scheme.NEURON], abs=0.05)


# --- one scheme each --------------------------------------------------------------------------------------------------


def test_neuron_masking_hides_whole_neurons():
    hidden = draw(Scheme.NEURON).hidden
    assert torch.equal(hidden.any(1), hidden.all(1))


def test_temporal_masking_hides_whole_bins():
    hidden = draw(Scheme.TEMPORAL).hidden
    assert torch.equal(hidden.any(2), hidden.all(2))


def test_random_tokens_are_patches_of_neighbours_in_one_bin():
    hidden = draw(Scheme.RANDOM_TOKEN, 0.5, shape=(20, 10, 300), codes=torch.zeros(300, dtype=torch.long)).hidden
    for first in range(0, 300, PATCH_NEURONS):
        patch = hidden[:, :, first : first + PATCH_NEURONS]
        assert torch.equal(patch.any(2), patch.all(2))
        assert 0.3 < patch.float().mean() < 0.7
    assert not torch.equal(hidden[:, :, 0], hidden[:, :, 299])


def test_half_of_the_causal_trials_hide_a_tail():
    hidden = draw(Scheme.CAUSAL, 0.6).hidden
    assert torch.equal(hidden.any(2), hidden.all(2))
    bins = hidden[:, :, 0].int()
    tail = (bins.diff(dim=1) >= 0).all(1) & bins.any(1)
    length = bins.sum(1)
    # Scattered bins form a tail by chance in about 4 % of the trials.
    assert 0.42 < tail.float().mean() < 0.62
    assert set(length[tail].tolist()) >= {1, 2, 3, 4, 5, 6}
    assert bins[~tail].float().mean() == pytest.approx(0.6, abs=0.05)
    longest = draw(Scheme.CAUSAL, 0.2).hidden[:, :, 0].int()
    assert longest[(longest.diff(dim=1) >= 0).all(1)].sum(1).max() <= 3  # 2 as a tail; 3 by chance


def test_intra_region_shows_one_region_and_scores_a_part_of_it():
    mask = draw(Scheme.INTRA_REGION, 0.4)
    assert torch.equal(mask.hidden.any(1), mask.hidden.all(1))
    for hidden, target in zip(mask.hidden[:, 0], mask.target[:, 0], strict=True):
        region = CODES[target | ~hidden].unique()
        if len(region) == 0:  # every neuron of the region was drawn or none: nothing tells which region it was
            continue
        assert len(region) == 1 and region >= 0
        assert torch.equal(target, hidden & (CODES == region))
        assert hidden[CODES != region].all()


def test_intra_region_targets_every_region():
    targets = draw(Scheme.INTRA_REGION, 0.5).target[:, 0]
    assert set(CODES[targets.any(0)].tolist()) == {CA1, LP, VISP}


def test_inter_region_hides_one_whole_region():
    mask = draw(Scheme.INTER_REGION)
    assert torch.equal(mask.hidden, mask.target)
    found = set()
    for hidden in mask.hidden[:, 0]:
        (region,) = CODES[hidden].unique().tolist()
        assert torch.equal(hidden, CODES == region)
        found.add(region)
    assert found == {CA1, LP, VISP}


def test_regions_are_equally_likely_whatever_their_size():
    hidden = draw(Scheme.INTER_REGION, shape=(3000, 1, 12)).hidden[:, 0]
    share = [hidden[:, first].float().mean().item() for first in (0, 4, 8)]
    assert share == pytest.approx([1 / 3] * 3, abs=0.04)


@pytest.mark.parametrize("scheme", REGION_SCHEMES)
def test_neurons_of_unknown_place_are_never_a_regions_target(scheme):
    assert not draw(scheme, 1.0).target[:, :, UNKNOWN].any()


@pytest.mark.parametrize("scheme", REGION_SCHEMES)
def test_region_schemes_need_a_known_region(scheme):
    with pytest.raises(ValueError, match="no neuron has a known region"):
        draw(scheme, codes=region_codes(["root", "void"] * 6))


# --- region codes -----------------------------------------------------------------------------------------------------


def test_codes_follow_the_alphabet_and_leave_the_unknown_out():
    assert CODES.tolist() == [VISP] * 4 + [CA1] * 4 + [LP] * 2 + [-1, -1]
    assert region_codes(["b", "a", "b"], min_neurons=2).tolist() == [0, -1, 0]
    assert region_codes(["void"]).tolist() == [-1]


# --- evaluation masks -------------------------------------------------------------------------------------------------


def test_one_neuron_is_held_out():
    mask = hold_out_neuron(SHAPE, 3)
    assert mask.hidden[:, :, 3].all() and mask.hidden.sum() == SHAPE[0] * SHAPE[1]
    assert torch.equal(mask.hidden, mask.target) and mask.scheme is Scheme.NEURON


@pytest.mark.parametrize("n_future", [1, 4, 10])
def test_the_future_is_held_out(n_future):
    mask = hold_out_future(SHAPE, n_future)
    assert mask.hidden[:, -n_future:].all() and not mask.hidden[:, :-n_future].any()
    assert torch.equal(mask.hidden, mask.target) and mask.scheme is Scheme.CAUSAL


def test_one_neuron_is_held_out_within_its_region():
    mask = hold_out_within_region(SHAPE, CODES, 5)
    assert torch.equal(mask.hidden, torch.tensor([n == 5 or CODES[n] != CA1 for n in range(12)]).expand(SHAPE))
    assert torch.equal(mask.target, (torch.arange(12) == 5).expand(SHAPE)) and mask.scheme is Scheme.INTRA_REGION


def test_a_region_is_held_out():
    mask = hold_out_region(SHAPE, CODES, LP)
    assert torch.equal(mask.hidden, (CODES == LP).expand(SHAPE)) and torch.equal(mask.hidden, mask.target)
    assert mask.scheme is Scheme.INTER_REGION


@pytest.mark.parametrize("absent", [-1, 12, 99])
def test_what_is_not_there_cannot_be_held_out(absent):
    with pytest.raises(ValueError, match="no such neuron or region"):
        hold_out_neuron(SHAPE, absent)
    with pytest.raises(ValueError, match="no such neuron or region"):
        hold_out_region(SHAPE, CODES, absent + 20)
    with pytest.raises(ValueError, match="give 1 to 10"):
        hold_out_future(SHAPE, 0 if absent < 0 else absent)


def test_a_free_mask_is_the_union_of_its_parts():
    mask = free_mask((2, 6, 5), neurons=[4], bins=[0, 5], rectangles=[(1, 3, 2, 4)], scheme=Scheme.TEMPORAL)
    expected = torch.zeros(6, 5, dtype=torch.bool)
    expected[:, 4] = expected[0] = expected[5] = True
    expected[2:4, 1:3] = True
    assert torch.equal(mask.hidden, expected.expand(2, 6, 5)) and torch.equal(mask.hidden, mask.target)
    assert mask.scheme is Scheme.TEMPORAL
    assert not free_mask((2, 6, 5)).hidden.any()


# --- what a mask can do -----------------------------------------------------------------------------------------------


def test_a_visible_target_is_refused():
    hidden = torch.zeros(2, 3, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="a target entry is visible"):
        Mask(hidden, ~hidden, Scheme.NEURON)


def test_other_shapes_are_refused(unchecked):
    hidden = torch.zeros(2, 3, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), target \(1, 3, 4\)"):
        Mask(hidden, hidden[:1], Scheme.NEURON)


def test_a_mask_cannot_be_changed():
    mask = hold_out_neuron(SHAPE, 3)
    with pytest.raises(FrozenInstanceError):
        mask.hidden = mask.target


def test_bins_without_data_are_hidden_and_never_scored():
    mask, valid = draw(Scheme.NEURON), torch.rand(SHAPE[:2], generator=rng()) < 0.8
    before = mask.hidden.clone(), mask.target.clone()
    new = mask.restrict(valid)
    assert new.hidden[~valid].all() and not new.target[~valid].any()
    assert torch.equal(new.hidden[valid], mask.hidden[valid]) and torch.equal(new.target[valid], mask.target[valid])
    assert torch.equal(mask.hidden, before[0]) and torch.equal(mask.target, before[1])


def test_masks_join_with_their_prompts_and_part_again():
    masks = [draw(scheme, shape=(2, 10, 12)) for scheme in Scheme]
    joined = join(masks)
    assert joined.prompts.tolist() == [int(s) for s in Scheme for _ in range(2)]
    for i, mask in enumerate(masks):
        part = joined.rows(slice(2 * i, 2 * i + 2))
        assert torch.equal(part.hidden, mask.hidden) and torch.equal(part.target, mask.target)
        assert torch.equal(part.prompts, mask.prompts)
    assert join([joined, masks[0]]).prompts.tolist()[-2:] == [0, 0]
    assert torch.equal(joined.to("cpu").hidden, joined.hidden)


def test_rows_of_a_mask_with_one_scheme_keep_it():
    assert draw(Scheme.CAUSAL).rows(slice(0, 3)).scheme is Scheme.CAUSAL


def test_a_mask_of_one_trial_bin_and_neuron_works():
    for scheme in Scheme:
        assert draw(scheme, 1.0, shape=(1, 1, 1), codes=torch.zeros(1, dtype=torch.long)).hidden.all()


# --- array annotations ------------------------------------------------------------------------------------------------


def test_a_wrong_shape_or_type_is_refused_in_tests():
    hidden = torch.zeros(2, 3, 4, dtype=torch.bool)
    with pytest.raises(TypeError, match="target"):
        Mask(hidden, hidden[:1], Scheme.NEURON)
    with pytest.raises(TypeError, match="hidden"):
        Mask(hidden.int(), hidden, Scheme.NEURON)
    with pytest.raises(TypeError, match="counts"):
        poisson_loss(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5), Mask(hidden, hidden, Scheme.NEURON), torch.ones(2))
    with pytest.raises(TypeError, match="valid"):
        replace(small_trials(), valid=np.ones((3, 3), dtype=bool))
