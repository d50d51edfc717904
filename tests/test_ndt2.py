"""Tokens of groups of neurons (NDT2): several per bin, none of which knows more than mask and prompt allow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import leaks
import numpy as np
import pytest
import torch
from leaks import COUNTS, MASKS, MODEL_CHECKS, SHAPE, TRIALS, forward_of
from small import SIZE, small_model, small_trials

from mtm_core.evaluation.questions import TASKS, Asking
from mtm_core.masking import Mask, Scheme, draw_mask, join, region_codes
from mtm_core.models.mtm import MOST_PATCHES, MtM
from mtm_core.models.patches import sum_patches, token_bins
from mtm_core.predict import predict, to_batch
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, new_run

PATCHED = partial(small_model, patch_neurons=5)  # twelve neurons: patches of 5, 5 and 2
MODELS = {
    "ndt2": PATCHED(TRIALS),
    "ndt2 not prompted": PATCHED(TRIALS, prompted=False),
}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def patched(monkeypatch):
    """The checks of leaks.py build NDT2 models."""
    monkeypatch.setattr(leaks, "small_model", PATCHED)


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [12, 128])
def test_one_patch_for_all_neurons_is_ndt1(size):
    plain, one_patch = small_model(TRIALS), small_model(TRIALS, patch_neurons=size)
    one_patch.load_state_dict({**plain.state_dict(), "patch.weight": torch.zeros(MOST_PATCHES, SIZE.width)})
    for mask in MASKS.values():
        np.testing.assert_allclose(predict(one_patch, TRIALS, mask), predict(plain, TRIALS, mask), rtol=1e-6)


def test_a_token_is_the_sum_over_its_patch():
    values, vectors = torch.randn(2, 3, 7, generator=rng()), torch.randn(7, 4, generator=rng(1))
    tokens = sum_patches(values, vectors, torch.arange(7) // 3, 3)
    for b, t, s in np.ndindex(2, 3, 3):
        expected = sum(values[b, t, n] * vectors[n] for n in range(3 * s, min(7, 3 * s + 3)))
        torch.testing.assert_close(tokens[b, t, s], expected)


def test_tokens_are_ordered_by_bin_and_then_by_patch():
    assert token_bins(3, 2, torch.device("cpu")).tolist() == [-2, -1, 0, 0, 1, 1, 2, 2]


def test_more_patches_than_the_model_has_vectors_for_are_refused():
    many = small_trials(shape=(4, 3, MOST_PATCHES + 1))
    with pytest.raises(ValueError, match="use larger patches"):
        predict(small_model(many, patch_neurons=1), many, leaks.hold_out_neuron(many.counts.shape, 0))


# --- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_model_leaks_nothing(model, mask, unchecked):
    forward = forward_of(model)
    for check in MODEL_CHECKS:
        check(forward, COUNTS, mask)
    with torch.inference_mode():  # without gradients the attention runs in another kernel
        leaks.hidden_counts_do_not_matter(forward, COUNTS, mask)
        leaks.the_future_does_not_matter(forward, COUNTS, mask)


@pytest.mark.parametrize("name", ["random_token", "all schemes at once", "causal rectangle"])
def test_the_model_leaks_nothing_while_it_learns(name, unchecked):
    forward = forward_of(PATCHED(TRIALS), training=True, bf16=True)
    for check in MODEL_CHECKS:
        check(forward, COUNTS, MASKS[name])


def test_a_token_per_neuron_leaks_nothing(unchecked):
    forward = forward_of(small_model(TRIALS, patch_neurons=1))
    for check in MODEL_CHECKS:
        check(forward, COUNTS, MASKS["all schemes at once"])


@pytest.mark.parametrize("n_layers", [1, 3])
def test_a_causal_bin_reads_all_patches_up_to_itself_and_nothing_later(n_layers, unchecked):
    model, t = PATCHED(TRIALS, n_layers=n_layers), 4
    hidden = torch.zeros(SHAPE, dtype=torch.bool)
    counts = COUNTS.clone().requires_grad_()
    forward_of(model)(counts, Mask(hidden, hidden, Scheme.CAUSAL))[:, t].square().sum().backward()
    assert (counts.grad[:, t + 1 :] == 0).all()
    assert (counts.grad[:, : t + 1] != 0).any(0).all()


@pytest.mark.parametrize("task", TASKS)
def test_answers_and_scores_read_what_their_task_shows(task, patched):
    trials = leaks.with_gaps(TRIALS)
    leaks.an_answer_is_the_plain_prediction(task, Asking(), trials)
    leaks.an_answer_reads_what_its_task_shows(task, Asking(), trials, n_asked=2)
    leaks.a_score_reads_what_its_task_shows(task)
    leaks.a_score_counts_the_hidden_entries(task)


def test_grouped_answers_are_the_plain_predictions(patched):
    leaks.an_answer_is_the_plain_prediction("co_smoothing", Asking(grouped=True), leaks.MANY)
    leaks.an_answer_reads_what_its_task_shows("co_smoothing", Asking(grouped=True), leaks.MANY, n_asked=1)


def test_predictions_and_latents_are_each_trials_own(patched):
    leaks.no_latent_reads_what_is_hidden()
    leaks.other_trials_change_no_prediction()
    leaks.other_sessions_rows_do_not_matter()


# --- reading out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neurons", [[11, 0, 7, 6], [4], [5, 4], [2, 2, 9], list(range(11, -1, -1))], ids=str)
def test_neurons_are_read_in_any_order(neurons):
    model, mask = MODELS["ndt2"], MASKS["neuron"]
    found = predict(model, TRIALS, mask, np.array(neurons))
    np.testing.assert_allclose(found, predict(model, TRIALS, mask)[..., neurons], rtol=1e-5)


@pytest.mark.parametrize("patch_neurons", [0, 5])
def test_sessions_together_are_as_each_alone(patch_neurons):
    """Other bins, other neurons, other windows; two of them share bins and patches, and so a pass."""
    shapes = [(3, 10, 12), (2, 6, 9), (4, 10, 11), (1, 10, 3)]
    starts = [-0.1, 0.0, -0.4, 0.2]
    sessions = [
        small_trials(str(i), shape, i, window=(start, start + 0.02 * shape[1]))
        for i, (shape, start) in enumerate(zip(shapes, starts, strict=True))
    ]
    model = small_model(*sessions, patch_neurons=patch_neurons)
    masks = []
    for i, trials in enumerate(sessions):
        codes, shape = region_codes(trials.regions), trials.counts.shape[1:]
        schemes = [Scheme.CAUSAL, Scheme.NEURON, Scheme.TEMPORAL, Scheme.RANDOM_TOKEN][: len(trials.counts)]
        masks.append(join([draw_mask(scheme, (1, *shape), codes, rng(i)) for scheme in schemes]))
    batches = [to_batch(model, trials) for trials in sessions]
    with torch.inference_mode():
        for found, batch, mask in zip(model.together(batches, masks), batches, masks, strict=True):
            assert found.shape == batch.counts.shape
            torch.testing.assert_close(found, model(batch, mask), rtol=1e-5, atol=1e-5)


# --- training ---------------------------------------------------------------------------------------------------------


def test_ndt2_learns():
    trials, config = small_trials(shape=(60, 8, 12)), TrainConfig(steps=60, n_validations=10, schemes=tuple(Scheme))
    run = new_run(build_model(replace(SIZE, patch_neurons=5), [trials]), config)
    steps = list(Trainer(run, [trials], config).steps())
    assert isinstance(run.model, MtM) and run.n_skipped == 0
    scores = [step.validation for step in steps if step.validation]
    assert scores[-1]["mean"] > scores[0]["mean"] and "random_token" in scores[-1]
