"""Nothing hidden reaches an output, no future reaches a causal one, no trial reaches another.

A check takes `forward(counts, mask) -> outputs` and raises AssertionError. The last section plants leaks in the model
and demands that the checks find every one of them.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_model, small_trials

from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.baselines import FITS, score_baseline
from mtm_core.evaluation.linear import Ridge
from mtm_core.evaluation.psth import tuned_psth
from mtm_core.evaluation.tasks import TASKS, n_future_bins, questions, train_means
from mtm_core.masking import (
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
from mtm_core.models import mtm
from mtm_core.models.mtm import MtM
from mtm_core.predict import log_rates, predict, to_batch
from mtm_core.training.loop import build_model

SHAPE = (6, 10, 12)
TRIALS = small_trials(shape=SHAPE)
CODES = region_codes(TRIALS.regions)
COUNTS = torch.as_tensor(TRIALS.counts).float()


def drawn(scheme, n_trials=SHAPE[0]):
    return draw_mask(scheme, (n_trials, *SHAPE[1:]), CODES, torch.Generator().manual_seed(3))


MASKS = {
    **{scheme.label: drawn(scheme) for scheme in Scheme},
    "all schemes at once": join([drawn(scheme, 1) for scheme in Scheme]),
    "co_smoothing": hold_out_neuron(SHAPE, 4),
    "forward_prediction": hold_out_future(SHAPE, 3),
    "within region": hold_out_within_region(SHAPE, CODES, 5),
    "whole region": hold_out_region(SHAPE, CODES, 1),
    "rectangle": free_mask(SHAPE, rectangles=[(2, 7, 3, 8)]),
    "causal rectangle": free_mask(SHAPE, neurons=[1], rectangles=[(2, 7, 3, 8)], scheme=Scheme.CAUSAL),
}


def forward_of(model, training=False, bf16=False):
    """Outputs as a function of counts and mask. Dropout is seeded, so that any difference comes from the arguments."""
    model.train(training)
    batch = to_batch(model, TRIALS)

    def forward(counts, mask):
        torch.manual_seed(7)
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            return model(replace(batch, counts=counts), mask)

    return forward


def noise(like, seed):
    return torch.poisson(torch.full_like(like, 3.0), generator=torch.Generator().manual_seed(seed))


# --- the checks -------------------------------------------------------------------------------------------------------


def hidden_counts_do_not_matter(forward, counts, mask, n_redraws=3):
    expected = forward(counts, mask)
    poisons = [noise(counts, seed) for seed in range(n_redraws)] + [
        torch.full_like(counts, x) for x in (1e6, np.nan, np.inf)
    ]
    for poison in poisons:
        found = forward(torch.where(mask.hidden, poison, counts), mask)
        assert torch.isfinite(found).all() and torch.equal(found, expected), "a hidden count changes an output"


def no_gradient_reaches_hidden_counts(forward, counts, mask):
    counts = counts.clone().requires_grad_()
    output = forward(counts, mask)
    output.backward(torch.randn(output.shape, generator=torch.Generator().manual_seed(1)))
    assert counts.grad is not None, "no count has a gradient"
    assert (counts.grad[mask.hidden] == 0).all(), "a hidden count has a gradient"
    assert (counts.grad[~mask.hidden] != 0).any() or mask.hidden.all(), "no visible count has a gradient"


def the_future_does_not_matter(forward, counts, mask):
    """Neither the counts of later bins nor what is hidden there, in the trials with the causal prompt."""
    causal = mask.prompts == Scheme.CAUSAL
    if not causal.any():
        return
    expected = forward(counts, mask)[causal]
    for t in range(counts.shape[1] - 1):
        later = torch.arange(counts.shape[1])[None, :, None] > t
        hidden = torch.where(later, ~mask.hidden, mask.hidden)
        for other in (mask, replace(mask, hidden=hidden, target=mask.target & hidden)):
            found = forward(torch.where(later, noise(counts, t) + 1, counts), other)[causal]
            assert torch.equal(found[:, : t + 1], expected[:, : t + 1]), f"bin {t} or an earlier one sees a later one"


def other_trials_do_not_matter(forward, counts, mask):
    expected = forward(counts, mask)
    for j in (0, 3, 5):
        changed, hidden, others = counts.clone(), mask.hidden.clone(), torch.arange(len(counts)) != j
        changed[j] += 1 + noise(counts[j], j)
        hidden[j] = ~hidden[j]
        found = forward(changed, replace(mask, hidden=hidden, target=mask.target & hidden))
        assert torch.equal(found[others], expected[others]), f"trial {j} changes another one"


def visible_counts_matter(forward, counts, mask):
    """Else the other checks would pass for a model that answers always the same."""
    changed = torch.where(mask.hidden, counts, counts + 1)
    assert mask.hidden.all() or not torch.equal(forward(changed, mask), forward(counts, mask)), "nothing matters"


CHECKS = (
    hidden_counts_do_not_matter,
    no_gradient_reaches_hidden_counts,
    the_future_does_not_matter,
    other_trials_do_not_matter,
    visible_counts_matter,
)


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[True, False], ids=["prompted", "not prompted"])
def model(request):
    return small_model(TRIALS, prompted=request.param)


@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_model_leaks_nothing(model, mask, training, bf16, unchecked):
    forward = forward_of(model, training, bf16)
    for check in CHECKS[1:]:
        check(forward, COUNTS, mask)
    hidden_counts_do_not_matter(forward, COUNTS, mask, n_redraws=3 if bf16 or training else 20)
    with torch.inference_mode():  # without gradients the attention runs in another kernel
        for check in CHECKS:
            if check is not no_gradient_reaches_hidden_counts:
                check(forward, COUNTS, mask)


def test_the_causal_prompt_decides_and_nothing_else(model):
    """The same mask with another prompt reads the future."""
    mask = replace(MASKS["forward_prediction"], scheme=Scheme.TEMPORAL)
    forward = forward_of(model)
    changed = COUNTS.clone()
    changed[:, 5] += 3
    assert not torch.equal(forward(changed, mask)[:, :5], forward(COUNTS, mask)[:, :5])


def test_within_a_region_other_regions_do_not_matter(model):
    forward, mask = forward_of(model), MASKS["within region"]
    outside = CODES != CODES[5]
    expected = forward(COUNTS, mask)
    assert torch.equal(forward(torch.where(outside, noise(COUNTS, 0), COUNTS), mask), expected)
    inside = ~outside & (torch.arange(SHAPE[2]) != 5)
    assert not torch.equal(forward(torch.where(inside, COUNTS + 1, COUNTS), mask), expected)


def test_between_regions_the_predicted_region_does_not_matter(model):
    forward, mask = forward_of(model), MASKS["whole region"]
    expected = forward(COUNTS, mask)
    assert torch.equal(forward(torch.where(CODES == 1, noise(COUNTS, 0), COUNTS), mask), expected)
    assert not torch.equal(forward(torch.where(CODES == 1, COUNTS, COUNTS + 1), mask), expected)


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_sessions_of_equal_size_share_no_parameter():
    one, two = small_trials("a", SHAPE), small_trials("b", SHAPE, seed=1)
    model = small_model(one, two)
    rows = [model.rows(s.session_id, tuple(s.unit_ids)) for s in (one, two)]
    assert not set(rows[0][0].tolist()) & set(rows[1][0].tolist()) and rows[0][1] != rows[1][1]
    batch = to_batch(model, one)
    model(replace(batch, counts=batch.counts.float()), MASKS["all schemes at once"]).sum().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("units."):
            assert (parameter.grad[rows[1][0]] == 0).all() and (parameter.grad[rows[0][0]] != 0).any(), name
    assert (model.session.weight.grad[rows[1][1]] == 0).all()


def test_other_sessions_rows_do_not_matter():
    one, two = small_trials("a", SHAPE), small_trials("b", (8, 10, 9), seed=1)
    model = small_model(one, two)
    expected = predict(model, one, MASKS["all schemes at once"])
    rows, session_row = model.rows("b", tuple(two.unit_ids))
    with torch.no_grad():
        for table in model.units.state_dict().values():
            table[rows] = torch.nan
        model.session.weight[session_row] = torch.nan
    np.testing.assert_array_equal(predict(model, one, MASKS["all schemes at once"]), expected)


def test_what_is_known_of_a_trial_beside_its_counts_does_not_matter():
    model, mask = small_model(TRIALS), MASKS["all schemes at once"]
    other = replace(
        TRIALS,
        behaviors={"choice": -TRIALS.behaviors["choice"]},
        table=TRIALS.table * 7,
        regions=TRIALS.regions[::-1],
        split=TRIALS.split[::-1],
        excluded={"reason": 3},
        true_rates=TRIALS.true_rates * 2,
    )
    np.testing.assert_array_equal(predict(model, other, mask), predict(model, TRIALS, mask))


# --- predict ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_predict_reads_neither_what_a_question_hides_nor_bins_without_data(task):
    model = small_model(TRIALS)
    valid = np.random.default_rng(0).random(SHAPE[:2]) < 0.7
    trials = replace(TRIALS, valid=valid)
    for question in list(questions(task, trials))[::4]:
        unreadable = question.mask.hidden.numpy() | ~valid[:, :, None]
        expected = predict(model, trials, question.mask, question.neurons)
        for value in (0, 255):
            counts = np.where(unreadable, np.uint8(value), TRIALS.counts)
            found = predict(model, replace(trials, counts=counts), question.mask, question.neurons)
            np.testing.assert_array_equal(found, expected)


def test_predictions_in_small_pieces_are_each_trials_own():
    model, mask = small_model(TRIALS), MASKS["all schemes at once"]
    with torch.inference_mode():
        whole, pieces = (log_rates(model, to_batch(model, TRIALS), mask, n) for n in (SHAPE[0], 1))
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-6)


# --- baselines --------------------------------------------------------------------------------------------------------


def unseen_by(task, trials, neuron):
    """Entries (T, N) that a prediction of `neuron` may not read."""
    same = trials.regions == trials.regions[neuron]
    others = {"co_smoothing": False, "intra_region": ~same, "inter_region": same, "forward_prediction": False}[task]
    unseen = np.zeros(trials.counts.shape[1:], dtype=bool)
    unseen[:, others | (np.arange(trials.n_neurons) == neuron)] = True
    if task == "forward_prediction":
        unseen[:] = (np.arange(trials.n_bins) >= trials.n_bins - n_future_bins(trials.n_bins))[:, None]
    return unseen


@pytest.mark.parametrize("task", TASKS)
def test_the_ridge_baseline_reads_nothing_hidden(task):
    trials = small_trials(shape=(40, 20, 12))
    test, baseline, rng = trials.select("test"), Ridge(trials), np.random.default_rng(0)
    expected = baseline.rates(task, test)
    scored = slice(-2, None) if task == "forward_prediction" else slice(None)
    for neuron in range(0, 11, 2):
        for high in (4, 255):
            scrambled = rng.integers(0, high, test.counts.shape, dtype=np.uint8)
            counts = np.where(unseen_by(task, trials, neuron), scrambled, test.counts)
            found = baseline.rates(task, replace(test, counts=counts))
            np.testing.assert_array_equal(found[:, scored, neuron], expected[:, scored, neuron])
        visible = np.where(unseen_by(task, trials, neuron), test.counts, test.counts + 1)
        changed = baseline.rates(task, replace(test, counts=visible))
        assert (changed[:, scored, neuron] != expected[:, scored, neuron]).any()


def artefacts(trials):
    """Everything that is fitted, as arrays."""
    ridge, train = Ridge(trials), trials.select("train")
    model = build_model(small_model(trials).config, [trials])
    return [
        train_means(trials),
        tuned_psth(trials),
        *vars(ridge.moments).values(),
        *(ridge._choose(task)[0] for task in TASKS),
        np.array([ridge._choose(task)[1] for task in TASKS]),
        *(FITS[name](trials).rates("co_smoothing", train) for name in FITS),
        *(value.numpy() for value in model.state_dict().values()),
    ]


def test_test_trials_change_nothing_that_is_fitted():
    trials = small_trials(shape=(40, 20, 12))
    test = trials.split == "test"
    rates = np.where(test[:, None, None], np.nan, trials.true_rates).astype(np.float32)
    counts = np.where(test[:, None, None], np.nan, trials.counts)
    poisoned = replace(trials, counts=counts, true_rates=rates, valid=trials.valid & ~test[:, None])
    for one, two in zip(artefacts(trials), artefacts(poisoned), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", [name for name in FITS if name != "true_rates"])
def test_a_baselines_rates_of_one_test_trial_do_not_depend_on_the_others(name):
    trials = small_trials(shape=(40, 20, 12))
    test, baseline = trials.select("test"), FITS[name](trials)
    for task in TASKS:
        expected = baseline.rates(task, test)
        changed = test.counts.copy()
        changed[1:] = 9
        np.testing.assert_array_equal(baseline.rates(task, replace(test, counts=changed))[0], expected[0])


def test_bins_without_data_change_no_score():
    trials = small_trials(shape=(40, 20, 12))
    valid = np.random.default_rng(1).random(trials.valid.shape) < 0.8
    one = replace(trials, valid=valid)
    two = replace(one, counts=np.where(valid[:, :, None], trials.counts, 77).astype(np.uint8))
    for name in FITS:
        scores = [score_baseline(name, each, TASKS) for each in (one, two)]
        for task in TASKS:
            assert scores[0][task].summary == scores[1][task].summary, (name, task)


def test_predict_refuses_another_masks_shape_and_a_model_in_training():
    model, mask = small_model(TRIALS), MASKS["neuron"]
    with pytest.raises(ValueError, match="mask of shape"):
        predict(model, TRIALS, mask.rows(slice(0, 3)))
    with pytest.raises(ValueError, match=r"model\.eval"):
        predict(model.train(), TRIALS, mask)
    with pytest.raises(ValueError, match="not trained on session b"):
        predict(model.eval(), small_trials("b", SHAPE), mask)
    same = predict(Checkpoint(model, {}, Path()), TRIALS, mask, np.array([3]))
    np.testing.assert_allclose(same[..., 0], predict(model, TRIALS, mask)[..., 3], rtol=1e-6)


# --- the checks find leaks --------------------------------------------------------------------------------------------


def off_by_one_bin(patch):
    original = MtM._tokens
    patch.setattr(MtM, "_tokens", lambda self, batch, hidden: original(self, batch, hidden.roll(1, dims=1)))


def signal_from_counts(patch):
    original = MtM._tokens

    def tokens(self, batch, hidden):
        own = (batch.counts * hidden).nan_to_num(0, 0, 0).clamp(max=5)
        return original(self, batch, hidden) + 0.01 * own @ self.units.input[batch.unit_rows]

    patch.setattr(MtM, "_tokens", tokens)


def mask_of_the_first_trial(patch):
    original = MtM._tokens
    patch.setattr(MtM, "_tokens", lambda self, batch, hidden: original(self, batch, hidden[:1].expand(hidden.shape)))


def mask_by_multiplying(patch):
    def tokens(self, batch, hidden):
        return self.units.embed(batch.counts.float() * ~hidden, hidden, batch.unit_rows)

    patch.setattr(MtM, "_tokens", tokens)


def largest_of_the_batch(patch):
    original = MtM._tokens

    def tokens(self, batch, hidden):
        visible = torch.where(hidden, 0, batch.counts)
        return original(self, batch, hidden) + 0.01 * visible.amax((0, 2), keepdim=True)

    patch.setattr(MtM, "_tokens", tokens)


def mean_over_all_bins(patch):
    original = MtM._tokens

    def tokens(self, batch, hidden):
        return original(self, batch, hidden) + torch.where(hidden, 0, batch.counts).mean((1, 2), keepdim=True)

    patch.setattr(MtM, "_tokens", tokens)


def unmasked_residual_path(patch):
    original = MtM.forward
    patch.setattr(MtM, "forward", lambda self, batch, mask: original(self, batch, mask) + 1e-3 * batch.counts)


def prefix_reads_bins(patch):
    original = mtm._may_read

    def may_read(prompts, n_bins):
        found = original(prompts, n_bins)
        if found is not None:
            found = found.clone()
            found[..., : mtm.N_PREFIX, :] = True
        return found

    patch.setattr(mtm, "_may_read", may_read)


def one_bin_ahead(patch):
    original = mtm._may_read

    def may_read(prompts, n_bins):
        found = original(prompts, n_bins)
        if found is not None:
            found = found | torch.ones(found.shape[-2:], dtype=torch.bool).tril(1)
        return found

    patch.setattr(mtm, "_may_read", may_read)


def prompt_of_the_first_trial(patch):
    original = mtm._may_read
    patch.setattr(mtm, "_may_read", lambda prompts, n_bins: original(prompts[:1].expand(len(prompts)), n_bins))


def hidden_signal_of_later_bins(patch):
    original = MtM._tokens

    def tokens(self, batch, hidden):
        return original(self, batch, hidden) + 0.01 * hidden.float().mean((1, 2), keepdim=True)

    patch.setattr(MtM, "_tokens", tokens)


def answer_of_the_last_request(patch):
    original, kept = MtM.forward, {}
    patch.setattr(MtM, "forward", lambda self, batch, mask: kept.setdefault(id(self), original(self, batch, mask)))


LEAKS = (
    off_by_one_bin,
    signal_from_counts,
    mask_of_the_first_trial,
    mask_by_multiplying,
    largest_of_the_batch,
    mean_over_all_bins,
    unmasked_residual_path,
    prefix_reads_bins,
    one_bin_ahead,
    prompt_of_the_first_trial,
    hidden_signal_of_later_bins,
    answer_of_the_last_request,
)


def problems(model, first=False):
    found = set()
    for mask in MASKS.values():
        forward = forward_of(model)
        for check in CHECKS:
            try:
                check(forward, COUNTS, mask)
            except AssertionError:
                found.add(check.__name__)
                if first:
                    return found
    return found


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_found(leak, monkeypatch, unchecked):
    leak(monkeypatch)
    assert problems(small_model(TRIALS), first=True)


def test_a_sound_model_has_no_problem():
    assert not problems(small_model(TRIALS))
