"""Nothing hidden reaches an output, no future reaches a causal one, no trial reaches another: the checks of leaks.py.

Whether the checks can fail is tested in test_leak_mutations.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import analysis_leaks
import leaks
import numpy as np
import pytest
import torch
from analysis_leaks import BEHAVING, PROTOCOLS, SOURCES
from leaks import BASELINES, CODES, COUNTS, LONGER, MASKS, MODEL_CHECKS, SHAPE, TRIALS, forward_of, noise
from small import small_model, small_trials

from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.information.map import Kind
from mtm_core.evaluation.questions import TASKS, Asking
from mtm_core.masking import Scheme
from mtm_core.predict import predict, to_batch

# --- the model --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[{}, {"prompted": False}, {"hidden_signal": False}], ids=str)
def model(request):
    return small_model(TRIALS, **request.param)


@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_model_leaks_nothing(model, mask, training, bf16, unchecked):
    forward = forward_of(model, training, bf16)
    for check in MODEL_CHECKS[1:]:
        check(forward, COUNTS, mask)
    leaks.hidden_counts_do_not_matter(forward, COUNTS, mask, n_redraws=3 if bf16 or training else 20)
    with torch.inference_mode():  # without gradients the attention runs in another kernel
        for check in MODEL_CHECKS:
            if check is not leaks.no_gradient_reaches_hidden_counts:
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
            gradient = parameter.grad.to_dense()
            assert (gradient[rows[1][0]] == 0).all() and (gradient[rows[0][0]] != 0).any(), name
    assert (model.session.weight.grad.to_dense()[rows[1][1]] == 0).all()


def test_other_sessions_rows_do_not_matter():
    leaks.other_sessions_rows_do_not_matter()


def test_what_is_known_of_a_trial_beside_its_counts_does_not_matter():
    leaks.what_else_is_known_of_a_trial_does_not_matter()


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [s for s in Scheme if s is not Scheme.RANDOM_TOKEN])
def test_a_training_mask_hides_what_its_scheme_names(scheme):
    leaks.a_training_mask_hides_what_its_scheme_names(scheme)


def test_only_hidden_entries_are_scored():
    leaks.only_hidden_entries_are_scored()
    leaks.only_hidden_entries_are_scored(leaks.with_gaps(LONGER))


# --- predict ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "with gaps"])
@pytest.mark.parametrize("task", TASKS)
def test_predict_reads_neither_what_a_question_hides_nor_bins_without_data(task, gaps):
    trials = leaks.with_gaps(TRIALS) if gaps else TRIALS
    leaks.a_prediction_reads_what_its_task_shows(small_model(TRIALS), trials, task)


def test_predictions_in_small_pieces_are_each_trials_own():
    leaks.predictions_in_small_pieces_are_each_trials_own()


def test_what_is_predicted_together_stays_apart():
    leaks.other_trials_change_no_prediction()


def test_predict_refuses_another_masks_shape_and_a_model_in_training():
    model, mask = small_model(TRIALS), MASKS["neuron"]
    with pytest.raises(ValueError, match="mask of shape"):
        predict(model, TRIALS, mask.rows(slice(0, 3)))
    with pytest.raises(ValueError, match=r"model\.eval"):
        predict(model.train(), TRIALS, mask)
    with pytest.raises(ValueError, match="does not know session b"):
        predict(model.eval(), small_trials("b", SHAPE), mask)
    same = predict(Checkpoint(model, {}, Path()), TRIALS, mask, np.array([3]))
    np.testing.assert_allclose(same[..., 0], predict(model, TRIALS, mask)[..., 3], rtol=1e-6)


# --- answers ----------------------------------------------------------------------------------------------------------

ASKINGS = {
    "one by one": Asking(),
    "without duplicates": Asking(duplicates=leaks.neighbours(TRIALS)),
}


@pytest.mark.parametrize("asking", ASKINGS.values(), ids=ASKINGS)
@pytest.mark.parametrize("task", TASKS)
def test_an_answer_reads_nothing_hidden(task, asking):
    leaks.an_answer_reads_what_its_task_shows(task, asking, leaks.with_gaps(TRIALS))
    leaks.an_answer_is_the_plain_prediction(task, asking, leaks.with_gaps(TRIALS))


@pytest.mark.parametrize("duplicates", [None, leaks.neighbours(leaks.MANY)], ids=["", "without duplicates"])
@pytest.mark.parametrize("task", ["co_smoothing", "intra_region"])
def test_neurons_that_are_held_out_together_do_not_see_each_other(task, duplicates):
    asking = Asking(grouped=True, duplicates=duplicates)
    leaks.an_answer_reads_what_its_task_shows(task, asking, leaks.MANY, n_asked=2)
    leaks.an_answer_is_the_plain_prediction(task, asking, leaks.MANY)


def test_answers_about_a_trial_do_not_depend_on_the_others():
    leaks.other_trials_change_no_answer()


def test_latents_read_nothing_hidden():
    leaks.no_latent_reads_what_is_hidden()


# --- scores and baselines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_score_depends_on_what_its_task_shows_and_on_the_neuron_itself(task):
    leaks.a_score_reads_what_its_task_shows(task)


@pytest.mark.parametrize("task", TASKS)
def test_a_score_counts_every_hidden_entry_with_data_once(task):
    leaks.a_score_counts_the_hidden_entries(task)
    leaks.a_score_counts_the_hidden_entries(task, leaks.with_gaps(LONGER))


def test_a_model_that_may_have_seen_the_test_trials_is_refused():
    leaks.a_model_of_another_split_is_refused()


@pytest.mark.parametrize(("name", "task"), leaks.ASKED_OF_BASELINES)
def test_a_baseline_reads_nothing_hidden(name, task):
    leaks.a_baseline_reads_what_its_task_shows(name, task)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baselines_rates_of_one_test_trial_do_not_depend_on_the_others(name):
    leaks.a_baselines_trials_are_apart(name)


@pytest.mark.parametrize("name", [*BASELINES, "true_rates"])
def test_bins_without_data_change_no_score(name):
    leaks.bins_without_data_change_no_baseline(name)


# --- analyses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_features_of_a_decoder_are_the_trials_own_spikes_of_the_named_neurons(source):
    analysis_leaks.a_feature_holds_no_behavior(source)
    analysis_leaks.a_source_reads_the_neurons_it_names(source)
    analysis_leaks.features_of_a_trial_are_its_own(source)


@pytest.mark.parametrize("poison", ["huge", "scrambled", "like training", "without data"])
@pytest.mark.parametrize("behavior", BEHAVING.behaviors)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_decoder_knows_no_other_test_trial(protocol, behavior, poison):
    analysis_leaks.a_decoder_knows_no_other_test_trial(protocol, behavior, poison)


@pytest.mark.parametrize("kind", Kind)
def test_a_cell_of_the_information_map_reads_what_it_names(kind):
    analysis_leaks.an_information_cell_reads_what_it_names(kind)


@pytest.mark.parametrize("task", TASKS)
def test_one_neuron_is_predicted_from_what_its_task_shows(task):
    analysis_leaks.one_neuron_is_predicted_from_what_its_task_shows(task)


def test_what_is_not_scored_of_a_neuron_is_not_judged():
    analysis_leaks.what_is_not_scored_is_not_judged()


def test_few_shots_read_no_held_out_count_of_a_test_trial():
    analysis_leaks.few_shots_read_no_held_out_test_count()
