"""The leak checks find leaks: each mutant here plants one in the real code, and the checks of leaks.py must find it.

`pytest -m "" -s tests/test_leak_mutations.py` prints which check finds which mutant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from analysis_leaks import ANALYSES
from leaks import FAST, SUITES
from scipy.ndimage import gaussian_filter1d

from mtm_core import masking, predict
from mtm_core.data import splits
from mtm_core.evaluation import answers, coupling, duplicates, few_shot_inputs, linear, psth, questions, tasks
from mtm_core.evaluation.baselines import FITS
from mtm_core.evaluation.decoding import features, row_space
from mtm_core.evaluation.decoding.nested import Nested
from mtm_core.evaluation.information import null
from mtm_core.evaluation.information.questions import Groups
from mtm_core.evaluation.questions import Question
from mtm_core.evaluation.single_neuron import judge
from mtm_core.masking import Mask, Scheme
from mtm_core.models import mtm
from mtm_core.models.mtm import MtM
from mtm_core.models.stitcher import UnitTable
from mtm_core.models.transformer import Transformer, rotary_angles
from mtm_core.training import build
from mtm_core.training.loop import Trainer

Patch = pytest.MonkeyPatch
ALL_SUITES = {**SUITES, "analyses": ANALYSES}
SUITE = {name: check for suite in ALL_SUITES.values() for name, check in suite.items()}
Plant = Callable[[Patch], None]
MUTANTS: dict[str, tuple[Plant, tuple[str, ...]]] = {}  # name -> what plants the leak, checks that must find it


def found_by(*checks: str):
    assert set(checks) <= set(SUITE), checks

    def add(plant):
        MUTANTS[plant.__name__] = plant, checks
        return plant

    return add


def swap(patch, original, new) -> None:
    """Put `new` wherever a module of ours, or the checks, knows `original` by name."""
    ours = ("mtm_core", "leaks", "analysis_leaks")
    modules = [module for name, module in list(sys.modules.items()) if name.split(".")[0] in ours]
    places = [(m, name) for m in modules for name, value in list(vars(m).items()) if value is original]
    assert places
    for module, name in places:
        patch.setattr(module, name, new)


def everything_trains(trials):
    """Test trials train too."""
    return replace(trials, split=np.where(trials.split == "test", "train", trials.split))


def test_for_validation(trials):
    """Test and validation trials change places."""
    other = {"test": "validation", "validation": "test", "train": "train"}
    return replace(trials, split=np.array([other[label] for label in trials.split]))


test_for_validation.__test__ = False


def on_other_trials(patch, original, change) -> None:
    """The function gets other trials than it was given."""
    swap(patch, original, lambda trials, *rest: original(change(trials), *rest))


def patch_tokens(patch, tokens) -> None:
    """tokens(original, self, batch, hidden) in place of the method that hides."""
    original = MtM.tokens
    patch.setattr(MtM, "tokens", lambda self, batch, hidden: tokens(original, self, batch, hidden))


def patch_may_read(patch, change) -> None:
    original = mtm._may_read

    def may_read(prompts, n_bins):
        found = original(prompts, n_bins)
        return None if found is None else change(found.clone())

    patch.setattr(mtm, "_may_read", may_read)


def visible_counts(batch, hidden):
    return torch.where(hidden, 0, batch.counts).float()


# --- hiding -----------------------------------------------------------------------------------------------------------


def first_of(flags):
    """The first True of every row only."""
    return flags & (flags.cumsum(-1) == 1)


@found_by("hidden_counts_do_not_matter", "no_latent_reads_what_is_hidden")
def mask_off_by_one_bin(patch):
    patch_tokens(patch, lambda original, self, batch, hidden: original(self, batch, hidden.roll(1, dims=1)))


@found_by("hidden_counts_do_not_matter")
def mask_off_by_one_neuron(patch):
    patch_tokens(patch, lambda original, self, batch, hidden: original(self, batch, hidden.roll(1, dims=2)))


@found_by("hidden_counts_do_not_matter")
def mask_after_the_embedding(patch):
    """Tokens are hidden where the whole bin is, but the embedding has mixed the neurons before."""

    def tokens(original, self, batch, hidden):
        embedded = self.embed(batch.counts.float(), hidden, batch.unit_rows)
        return torch.where(hidden.all(2)[:, :, None, None], 0, embedded)

    patch_tokens(patch, tokens)


@found_by("hidden_counts_do_not_matter")
def mask_of_the_first_trial(patch):
    patch_tokens(patch, lambda original, self, batch, hidden: original(self, batch, hidden[:1].expand(hidden.shape)))


@found_by("hidden_counts_do_not_matter")
def mask_by_multiplying(patch):
    """NaN times 0 is NaN."""

    def tokens(original, self, batch, hidden):
        mean = self.units.mean[batch.unit_rows]
        return self.embed(batch.counts * ~hidden + mean * hidden, hidden, batch.unit_rows)

    patch_tokens(patch, tokens)


@found_by("no_gradient_reaches_hidden_counts")
def one_spike_more_does_not_show(patch):
    """A leak too small for the outputs' rounding still has a gradient."""

    def tokens(original, self, batch, hidden):
        own = (batch.counts * hidden).nan_to_num(0, 0, 0).sum((1, 2))[:, None, None, None]
        return original(self, batch, hidden) + 1e-30 * own

    patch_tokens(patch, tokens)


@found_by("hidden_counts_do_not_matter")
def signal_scaled_by_the_hidden_counts(patch):
    def tokens(original, self, batch, hidden):
        own = (batch.counts * hidden).nan_to_num(0, 0, 0).clamp(max=5)
        return original(self, batch, hidden) + 0.01 * (own @ self.units.hidden_signal[batch.unit_rows])[:, :, None]

    patch_tokens(patch, tokens)


@found_by("hidden_counts_do_not_matter")
def unmasked_path_to_the_read_out(patch):
    original = MtM.forward
    patch.setattr(MtM, "forward", lambda self, batch, mask: original(self, batch, mask) + 1e-3 * batch.counts)


@found_by("hidden_counts_do_not_matter")
def hidden_where_scored_only(patch):
    """The target, not everything hidden, is kept from the model."""
    original = MtM.forward
    patch.setattr(MtM, "forward", lambda self, batch, mask: original(self, batch, replace(mask, hidden=mask.target)))


# --- between trials, between calls ------------------------------------------------------------------------------------


@found_by("other_trials_do_not_matter")
def largest_of_the_batch(patch):
    def tokens(original, self, batch, hidden):
        return (
            original(self, batch, hidden) + 0.01 * visible_counts(batch, hidden).amax((0, 2), keepdim=True)[..., None]
        )

    patch_tokens(patch, tokens)


@found_by("other_trials_do_not_matter")
def mean_of_the_batch(patch):
    def tokens(original, self, batch, hidden):
        found = original(self, batch, hidden)
        return found - 0.1 * found.mean(0, keepdim=True)

    patch_tokens(patch, tokens)


@found_by("earlier_calls_do_not_matter")
def running_mean_of_the_inputs(patch):
    kept = {"mean": 0.0}

    def tokens(original, self, batch, hidden):
        kept["mean"] = 0.9 * kept["mean"] + 0.1 * float(visible_counts(batch, hidden).detach().mean())
        return original(self, batch, hidden) + 0.01 * kept["mean"]

    patch_tokens(patch, tokens)


def answers_kept_by(patch, key) -> None:
    original, kept = MtM.forward, {}
    patch.setattr(
        MtM, "forward", lambda self, batch, mask: kept.setdefault(key(batch, mask), original(self, batch, mask))
    )


@found_by("visible_counts_matter")
def answer_kept_by_mask(patch):
    answers_kept_by(patch, lambda batch, mask: mask.hidden.numpy().tobytes() + mask.prompts.numpy().tobytes())


@found_by("what_is_hidden_matters")
def answer_kept_by_counts_and_prompt(patch):
    answers_kept_by(patch, lambda batch, mask: (digest_of(batch.counts), str(mask.prompts.tolist())))


def digest_of(counts):
    return counts.detach().float().numpy().tobytes()


@found_by("visible_counts_matter")
def answer_kept_by_session_and_shape(patch):
    answers_kept_by(patch, lambda batch, mask: (batch.session_row, batch.counts.shape))


@found_by("predictions_in_small_pieces_are_each_trials_own")
def mask_of_the_first_piece(patch):
    original = Mask.rows
    patch.setattr(Mask, "rows", lambda self, rows: original(self, slice(0, len(self.hidden[rows]))))


@found_by("other_trials_change_no_prediction")
def inputs_standardised_by_the_trials_asked_about(patch):
    original = predict.to_batch

    def to_batch(model, trials):
        batch = original(model, trials)
        return replace(batch, counts=batch.counts / (1 + batch.counts.float().mean((0, 1))))

    swap(patch, original, to_batch)


@found_by("what_else_is_known_of_a_trial_does_not_matter")
def choice_among_the_inputs(patch):
    original = predict.to_batch

    def to_batch(model, trials):
        batch = original(model, trials)
        choice = torch.as_tensor(trials.behaviors["choice"]).float()
        return replace(batch, counts=batch.counts.float() + 0.1 * choice[:, None, None])

    swap(patch, original, to_batch)


@found_by("other_sessions_rows_do_not_matter")
def mean_neuron_of_all_sessions(patch):
    original = UnitTable.read_out
    patch.setattr(
        UnitTable, "read_out", lambda self, states, rows: original(self, states, rows) + 0.1 * self.bias.mean()
    )


# --- the future -------------------------------------------------------------------------------------------------------


@found_by("the_future_does_not_matter")
def prefix_reads_bins(patch):
    def change(found):
        found[..., : mtm.N_PREFIX, :] = True
        return found

    patch_may_read(patch, change)


@found_by("the_future_does_not_matter")
def one_bin_ahead(patch):
    patch_may_read(patch, lambda found: found | torch.ones(found.shape[-2:], dtype=torch.bool).tril(1))


@found_by("the_future_does_not_matter")
def causal_in_the_first_layer_only(patch):
    def forward(self, x, positions, may_read):
        angles = rotary_angles(positions, self.head_width)
        for number, block in enumerate(self.blocks):
            x = block(x, angles, may_read if number == 0 else None)
        return self.norm(x)

    patch.setattr(Transformer, "forward", forward)


@found_by("the_future_does_not_matter")
def prompt_of_the_first_trial(patch):
    original = mtm._may_read
    patch.setattr(mtm, "_may_read", lambda prompts, n_bins: original(prompts[:1].expand(len(prompts)), n_bins))


@found_by("the_future_does_not_matter")
def mean_over_all_bins(patch):
    def tokens(original, self, batch, hidden):
        return original(self, batch, hidden) + visible_counts(batch, hidden).mean((1, 2), keepdim=True)[..., None]

    patch_tokens(patch, tokens)


@found_by("the_future_does_not_matter")
def hidden_signal_of_later_bins(patch):
    def tokens(original, self, batch, hidden):
        return original(self, batch, hidden) + 0.01 * hidden.float().mean((1, 2), keepdim=True)[..., None]

    patch_tokens(patch, tokens)


# --- masks and scores -------------------------------------------------------------------------------------------------


def ask(patch, change) -> None:
    """change(question, trials) in place of every question."""
    original = questions.questions

    def asked(task, trials, *rest):
        yield from (change(question, trials) for question in original(task, trials, *rest))

    swap(patch, original, asked)


def showing(question, neurons) -> Question:
    """The same question with some neurons (positions) visible."""
    hidden = question.hidden.copy()
    hidden[neurons] = False
    return replace(question, hidden=hidden)


@found_by("only_hidden_entries_are_scored", "single_neurons_are_predicted_from_what_their_task_shows")
def the_asked_neuron_is_visible(patch):
    ask(patch, lambda question, trials: showing(question, question.neurons[:1]))


@found_by("predictions_read_what_their_task_shows")
def held_out_region_shows_one_neuron(patch):
    def change(question, trials):
        if question.scheme is not Scheme.INTER_REGION:
            return question
        return replace(showing(question, question.neurons[-1:]), neurons=question.neurons[:-1])

    ask(patch, change)


@found_by("answers_read_what_their_task_shows")
def within_a_region_others_are_visible(patch):
    def change(question, trials):
        others = trials.regions != trials.regions[question.neurons[0]]
        return showing(question, others) if question.scheme is Scheme.INTRA_REGION else question

    ask(patch, change)


@found_by("answers_read_what_their_task_shows")
def first_future_bin_is_visible(patch):
    """And still scored: a hidden part that is one bin shorter than the scored one."""
    original = Question.mask.fget
    patch.setattr(
        Question, "mask", property(lambda self: original(replace(self, first_hidden_bin=self.first_hidden_bin + 1)))
    )


@found_by("grouped_answers_read_what_their_task_shows")
def group_members_see_each_other(patch):
    def change(question, trials):
        return showing(question, question.neurons[1:]) if len(question.neurons) > 1 else question

    ask(patch, change)


@found_by("answers_do_not_read_duplicates")
def duplicates_stay_visible(patch):
    original = questions.questions
    swap(patch, original, lambda task, trials, asking: original(task, trials, replace(asking, duplicates=None)))


@found_by("answers_read_what_their_task_shows")
def shared_sum_of_all_neurons(patch):
    """The block's sum holds what one of its questions hides."""
    original = answers._Reader.summed

    def summed(self, step, visible):
        everyone = np.ones_like(visible)
        return original(self, step, visible) + 1e-3 * original(self, step, everyone)

    patch.setattr(answers._Reader, "summed", summed)


@found_by("answers_read_what_their_task_shows")
def hidden_neurons_are_subtracted(patch):
    """All neurons' sum less the hidden ones': equal but for rounding, which is a trace."""
    original = answers._Reader.summed

    def summed(self, step, visible):
        return original(self, step, np.ones_like(visible)) - original(self, step, ~visible)

    patch.setattr(answers._Reader, "summed", summed)


@found_by("answers_are_the_plain_predictions")
def no_signal_of_the_hidden(patch):
    original = answers._Reader.signal
    patch.setattr(answers._Reader, "signal", lambda self, *given: 0 * original(self, *given))


@found_by("other_trials_change_no_answer")
def answers_standardised_by_the_step(patch):
    original = answers._Reader.summed

    def summed(self, step, visible):
        found = original(self, step, visible)
        return found - 0.1 * found.mean(0, keepdim=True)

    patch.setattr(answers._Reader, "summed", summed)


def redraw(patch, scheme, choose) -> None:
    """A training scheme that shows what choose(hidden, target) says, in each trial of its masks."""
    original = masking._DRAW[scheme]

    def draw(*given):
        mask = original(*given)
        shown = choose(mask.hidden, mask.target)
        return replace(mask, hidden=mask.hidden & ~shown, target=mask.target & ~shown)

    patch.setitem(masking._DRAW, scheme, draw)


@found_by("every_scheme_hides_what_it_names")
def trained_within_a_region_with_others_visible(patch):
    redraw(patch, Scheme.INTRA_REGION, lambda hidden, target: hidden & ~target)


@found_by("every_scheme_hides_what_it_names")
def trained_between_regions_with_one_neuron_visible(patch):
    redraw(patch, Scheme.INTER_REGION, lambda hidden, target: first_of(hidden))


@found_by("every_scheme_hides_what_it_names")
def trained_with_a_bin_of_hidden_neurons_visible(patch):
    def first_bin(hidden, target):
        shown = torch.zeros_like(hidden)
        shown[:, 0] = True
        return shown & hidden

    redraw(patch, Scheme.NEURON, first_bin)


@found_by("predictions_read_what_their_task_shows")
def bins_without_data_are_read(patch):
    patch.setattr(Mask, "restrict", lambda self, valid: replace(self, target=self.target & valid[:, :, None]))


@found_by("answers_read_what_their_task_shows")
def answers_read_bins_without_data(patch):
    original = answers._Reader.__init__

    def start(self, model, part, bf16):
        original(self, model, replace(part, valid=np.ones_like(part.valid)), bf16)

    patch.setattr(answers._Reader, "__init__", start)


@found_by("scores_read_what_their_task_shows", "scores_count_the_hidden_entries")
def bins_without_data_are_scored(patch):
    original = tasks.add_answer
    swap(
        patch,
        original,
        lambda sums, part, answer: original(sums, replace(part, valid=np.ones_like(part.valid)), answer),
    )


@found_by("scores_count_the_hidden_entries")
def the_visible_past_is_scored(patch):
    swap(patch, tasks._first_scored, lambda answer: 0)


@found_by("only_hidden_entries_are_scored")
def baselines_are_scored_on_all_bins(patch):
    swap(patch, tasks.target_entries, lambda task, part: part.valid[:, :, None])


@found_by("bins_without_data_change_no_score")
def baselines_are_scored_without_data(patch):
    original = tasks.target_entries
    swap(patch, original, lambda task, part: original(task, replace(part, valid=np.ones_like(part.valid))))


@found_by("a_model_of_another_split_is_refused")
def any_split_is_scored(patch):
    swap(patch, tasks.check_protocol, lambda model, trials: None)


# --- fits -------------------------------------------------------------------------------------------------------------


def not_from_test_trials(*fitted: str):
    return found_by(*(f"{name}: no test trial" for name in fitted))


@not_from_test_trials("train means")
def train_means_of_all_trials(patch):
    on_other_trials(patch, tasks.train_means, everything_trains)


@not_from_test_trials("tuned psth", "psth of one neuron")
def psth_of_all_trials(patch):
    on_other_trials(patch, psth.training_sums, everything_trains)


@not_from_test_trials("tuned psth")
def psth_tuned_on_test_trials(patch):
    on_other_trials(patch, psth.tuned_psth, test_for_validation)


@not_from_test_trials("ridge")
def ridge_of_all_trials(patch):
    on_other_trials(patch, linear.training_moments, everything_trains)


@not_from_test_trials("ridge")
def ridge_tuned_on_test_trials(patch):
    original = linear.Ridge.__init__

    def start(self, trials):
        original(self, trials)
        self.held = trials.select("test")

    patch.setattr(linear.Ridge, "__init__", start)


@not_from_test_trials("fresh model")
def model_starts_at_the_means_of_all_trials(patch):
    original = build.build_model
    swap(patch, original, lambda config, given, *rest: original(config, [everything_trains(t) for t in given], *rest))


@not_from_test_trials("who is scored")
def neurons_scored_by_their_test_spikes(patch):
    original = tasks.neurons_of

    def neurons_of(task, trials):
        who, spikes = original(task, trials), trials.select("test").counts.sum((0, 1), dtype=np.int64)
        return replace(who, eligible=who.eligible & (spikes >= np.median(spikes)))

    swap(patch, original, neurons_of)


def patch_trainer(patch, change) -> None:
    original = Trainer.__init__
    patch.setattr(
        Trainer,
        "__init__",
        lambda self, run, given, config: original(self, run, [change(trials) for trials in given], config),
    )


@not_from_test_trials("trained model")
def model_trained_on_test_trials(patch):
    patch_trainer(patch, everything_trains)


@not_from_test_trials("trained model")
def weights_chosen_on_test_trials(patch):
    patch_trainer(patch, test_for_validation)


@not_from_test_trials("duplicates")
def duplicates_of_all_trials(patch):
    on_other_trials(patch, duplicates.coincident, everything_trains)


@not_from_test_trials(*(f"rates of {name}" for name in FAST))
def baselines_of_all_trials(patch):
    for name, fit in FITS.items():
        patch.setitem(FITS, name, lambda trials, fit=fit: fit(everything_trains(trials)))


@not_from_test_trials("splits")
def split_by_the_number_of_spikes(patch):
    """A selection that looks at what it selects."""
    original = splits.with_split

    def with_split(trials, kind, seed=0):
        busiest = np.argsort(-trials.counts.sum((1, 2), dtype=np.int64), kind="stable")
        return replace(trials, split=original(trials, kind, seed).split[busiest])

    swap(patch, original, with_split)


@found_by("baselines_read_what_their_task_shows")
def a_neuron_predicts_itself(patch):
    """The ridge's diagonal stays."""

    def leave_one_out(covariance, penalty):
        precision = linear._inverse(covariance, penalty)
        return -precision / np.diag(precision)

    swap(patch, linear.leave_one_out, leave_one_out)


@found_by("baselines_read_what_their_task_shows")
def ridge_answers_every_task_as_co_smoothing(patch):
    original = linear.task_weights
    swap(patch, original, lambda task, *rest: original("co_smoothing", *rest))


@found_by("baselines_read_what_their_task_shows")
def ridge_reads_the_first_future_bin(patch):
    original = linear._before_and_after
    swap(patch, original, lambda part, psth, start: original(part, psth, start + 1))


@found_by("baselines_read_what_their_task_shows")
def a_neuron_follows_itself(patch):
    def visible_spikes(task, part):
        return np.broadcast_to(part.counts.sum(2, keepdims=True).astype(float), part.counts.shape)

    swap(patch, coupling.visible_spikes, visible_spikes)


@found_by("baselines_trials_are_apart")
def ridge_centred_on_the_trials_it_predicts(patch):
    original = linear.smoothed_deviations
    swap(patch, original, lambda part, mean: original(part, part.counts[part.valid].mean(0)))


@found_by("baselines_trials_are_apart")
def ridge_smooths_over_trials(patch):
    original = linear.smoothed_deviations
    swap(patch, original, lambda part, mean: gaussian_filter1d(original(part, mean), 1.0, axis=0))


@found_by("bins_without_data_change_no_score")
def means_of_bins_without_data(patch):
    on_other_trials(patch, tasks.train_means, lambda trials: replace(trials, valid=np.ones_like(trials.valid)))


@found_by("bins_without_data_change_no_score")
def psth_of_bins_without_data(patch):
    on_other_trials(patch, psth.sums_per_bin, lambda part: replace(part, valid=np.ones_like(part.valid)))


# --- analyses ---------------------------------------------------------------------------------------------------------


def patch_features(patch, compute) -> None:
    """compute(original, model, part, source) in place of the spike counts as features."""
    original = features._counts
    swap(patch, original, lambda model, part, source: compute(original, model, part, source))


@found_by("features_hold_no_behavior")
def behavior_among_the_features(patch):
    def compute(original, model, part, source):
        found, choice = original(model, part, source), part.behaviors["choice"].astype(np.float32)
        return np.concatenate([found, np.broadcast_to(choice[:, None, None], (*found.shape[:2], 1))], axis=2)

    patch_features(patch, compute)


@found_by("features_of_trials_are_apart")
def features_centered_on_the_trials_asked_about(patch):
    def compute(original, model, part, source):
        found = original(model, part, source)
        return found - found.mean(0)

    patch_features(patch, compute)


@found_by("sources_read_the_neurons_they_name")
def decoded_region_stays_visible(patch):
    original = features._mask

    def mask(part, source):
        nothing = torch.zeros(part.counts.shape, dtype=torch.bool)
        return replace(original(part, source), hidden=nothing, target=nothing)

    swap(patch, original, mask)


@found_by("decoders_know_no_other_test_trial")
def decoder_scaled_on_all_trials(patch):
    original = row_space.row_space

    def scaled(train, test, *rest):
        found = original(np.concatenate([train, test]), test, *rest)
        return replace(found, train=found.train[: len(train)])

    swap(patch, original, scaled)


@found_by("decoders_know_no_other_test_trial")
def decoder_fitted_on_test_trials(patch):
    original = Nested.on

    def on(cls, values, bin_size, train, test):
        return (yield from original(values, bin_size, np.concatenate([train, test]), test))

    patch.setattr(Nested, "on", classmethod(on))


@found_by("information_cells_read_what_they_name")
def source_stays_visible(patch):
    original = Groups.flags
    patch.setattr(Groups, "flags", lambda self, *regions: original(self, *regions[-1:]))


@found_by("information_cells_read_what_they_name")
def shifted_source_is_the_true_one(patch):
    """The control would be the gain itself."""
    original = null.with_moved
    swap(patch, original, lambda part, rows, moved, shift: original(part, rows, moved, 0))


@found_by("what_is_not_scored_is_not_judged")
def everything_of_a_neuron_is_judged(patch):
    original = judge.poisson_scores
    swap(patch, original, lambda neuron, weights: original(replace(neuron, scored=neuron.scored | True), weights))


@found_by("few_shots_read_no_held_out_test_count")
def held_out_neurons_are_among_the_latents(patch):
    original = few_shot_inputs.hold_out

    def hold_out(shape, neurons):
        nothing = torch.zeros(shape, dtype=torch.bool)
        return replace(original(shape, neurons), hidden=nothing, target=nothing)

    swap(patch, original, hold_out)


# --- the tests --------------------------------------------------------------------------------------------------------


def finds(check: str) -> bool:
    """Only a failed check counts: code that no longer runs is not a leak that was found."""
    try:
        SUITE[check]()
    except AssertionError:
        return True
    return False


def test_sound_code_passes_every_check(unchecked):
    assert [check for check in SUITE if finds(check)] == []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_leak_is_found(mutant, monkeypatch, unchecked):
    plant, checks = MUTANTS[mutant]
    plant(monkeypatch)
    assert [check for check in checks if not finds(check)] == []


def test_every_check_finds_a_leak():
    assert {check for _, checks in MUTANTS.values() for check in checks} == set(SUITE)


@pytest.mark.slow
def test_the_table_of_leaks_and_the_checks_that_find_them(unchecked):
    """Every check of the suites that a leak's own checks belong to."""
    table = {}
    for mutant, (plant, known) in MUTANTS.items():
        checks = [check for suite in ALL_SUITES.values() if set(known) & set(suite) for check in suite]
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            table[mutant] = [check for check in checks if _finds_or_breaks(check)]
        assert set(known) <= set(table[mutant]), mutant
    print("\n" + "\n".join(f"{mutant:50} {', '.join(checks)}" for mutant, checks in table.items()))


def _finds_or_breaks(check: str) -> bool:
    """A mutant may break where a check does not aim at it, as with rates that are no numbers: that finds nothing."""
    try:
        return finds(check)
    except Exception:
        return False
