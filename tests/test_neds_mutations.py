"""The leak checks of NEDS find leaks: each mutant plants one in the code, and checks of neds_leaks.py must find it.

`pytest -m "" -s tests/test_neds_mutations.py` prints which check finds which mutant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from neds_leaks import SUITE

from mtm_core import masking_modalities, translate
from mtm_core.masking_modalities import ROWS, SPIKES_ROW, ModalityMask, NedsScheme
from mtm_core.modality import UNKNOWN
from mtm_core.models import neds
from mtm_core.models.neds import Neds, NedsBatch
from mtm_core.models.tables import AnimalTables
from mtm_core.models.transformer import Transformer
from mtm_core.training import build
from mtm_core.training.loop import Trainer
from mtm_core.training.translation import NedsTrials

Patch = pytest.MonkeyPatch
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
    modules = [module for name, module in list(sys.modules.items()) if name.split(".")[0] in ("mtm_core", "neds_leaks")]
    places = [(m, name) for m in modules for name, value in list(vars(m).items()) if value is original]
    assert places
    for module, name in places:
        patch.setattr(module, name, new)


def patch_tokens(patch, tokens) -> None:
    """tokens(original, self, batch, mask) in place of the method that hides."""
    original = Neds._tokens
    patch.setattr(Neds, "_tokens", lambda self, batch, mask: tokens(original, self, batch, mask))


def patch_traces(patch, tokens) -> None:
    """tokens(original, self, name, batch, shown) in place of the tokens of traces."""
    original = Neds._trace_tokens
    patch.setattr(Neds, "_trace_tokens", lambda self, *given: tokens(original, self, *given))


def readable_of(batch, flags):
    """Flags (B, M, T) in the order of the tokens."""
    order = [*(ROWS[name] for name in batch.classes), SPIKES_ROW, *(ROWS[name] for name in batch.traces)]
    return torch.cat([flags[:, row, : 1 if i < len(batch.classes) else None] for i, row in enumerate(order)], dim=1)


def small(values):
    return values.nan_to_num(0, 0, 0).clamp(-5, 5)


# --- hiding -----------------------------------------------------------------------------------------------------------


@found_by("hidden_entries_do_not_matter")
def mask_of_the_first_trial(patch):
    def tokens(original, self, batch, mask):
        return original(self, batch, mask.rows(torch.zeros(len(mask.hidden), dtype=torch.long)))

    patch_tokens(patch, tokens)


@found_by("hidden_entries_do_not_matter", "decoding_reads_no_behavior")
def mask_token_added_instead_of_put_in_place(patch):
    def tokens(original, self, name, batch, shown):
        values = small(self.standardised(name, batch.traces[name], batch.session_row))
        return original(self, name, batch, shown) + 0.1 * values[:, :, None] * self.trace_in[name]

    patch_traces(patch, tokens)


@found_by("hidden_entries_do_not_matter")
def mask_off_by_one_bin(patch):
    def tokens(original, self, name, batch, shown):
        return original(self, name, batch, shown.roll(1, dims=1))

    patch_traces(patch, tokens)


@found_by("hidden_entries_do_not_matter", "decoding_reads_no_behavior")
def hidden_traces_among_the_scale(patch):
    """A trial's trace is standardised by all its bins, hidden ones included."""
    original = Neds.standardised

    def standardised(self, name, values, session_row):
        found = original(self, name, values, session_row)
        return found - small(found).mean(1, keepdim=True)

    def tokens(plain, self, name, batch, shown):
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Neds, "standardised", standardised)
            found = plain(self, name, batch, shown | shown.any(1, keepdim=True))
        return (
            torch.where(shown[:, :, None], found, plain(self, name, batch, shown))
            + 0.01 * small(original(self, name, batch.traces[name], batch.session_row)).mean(1)[:, None, None]
        )

    patch_traces(patch, tokens)


@found_by("hidden_entries_do_not_matter")
def mask_by_multiplying(patch):
    """NaN times 0 is NaN."""

    def tokens(original, self, batch, hidden):
        mean = self.units.mean[batch.unit_rows]
        visible = batch.counts * ~hidden[:, :, None] + mean * hidden[:, :, None]
        return self.units.deviation(visible, batch.unit_rows) @ self.units.input[batch.unit_rows]

    patch.setattr(Neds, "_spike_tokens", lambda self, batch, hidden: tokens(None, self, batch, hidden))


@found_by("no_gradient_reaches_hidden_entries")
def one_spike_more_does_not_show(patch):
    """A leak too small for the outputs' rounding still has a gradient."""

    def tokens(original, self, batch, mask):
        sequence, readable = original(self, batch, mask)
        own = (batch.counts * mask.hidden[:, SPIKES_ROW, :, None]).nan_to_num(0, 0, 0).sum((1, 2))
        return sequence + 1e-30 * own[:, None, None], readable

    patch_tokens(patch, tokens)


@found_by("hidden_entries_do_not_matter", "decoding_reads_no_behavior")
def class_of_a_hidden_behavior_as_its_token(patch):
    original = Neds._class_token
    patch.setattr(
        Neds,
        "_class_token",
        lambda self, name, batch, shown: original(self, name, batch, shown | (batch.classes[name] == 1)),
    )


@found_by("hidden_entries_do_not_matter", "decoding_reads_no_behavior")
def presence_tells_of_a_hidden_value(patch):
    """What is hidden reads as a mask only where it is known: a hidden no-go shows."""

    def tokens(original, self, batch, mask):
        sequence, readable = original(self, batch, mask)
        return sequence, readable & readable_of(batch, batch.known())

    patch_tokens(patch, tokens)


@found_by("hidden_entries_do_not_matter")
def readable_by_the_size_of_hidden_values(patch):
    """Bins in which the hidden wheel stands still are left out."""

    def tokens(original, self, batch, mask):
        sequence, readable = original(self, batch, mask)
        still = torch.zeros_like(mask.hidden)
        still[:, ROWS["wheel_speed"]] = batch.traces["wheel_speed"].abs() < 2.0
        return sequence, readable & ~readable_of(batch, still & mask.hidden)

    patch_tokens(patch, tokens)


@found_by("hidden_entries_do_not_matter")
def session_embedding_from_the_data(patch):
    """Spikes of all bins, hidden ones included, say which day it is."""

    def tokens(original, self, batch, mask):
        sequence, readable = original(self, batch, mask)
        return sequence + 0.01 * small(batch.counts).mean((1, 2))[:, None, None], readable

    patch_tokens(patch, tokens)


@found_by("hidden_entries_do_not_matter", "decoding_reads_no_behavior")
def unmasked_path_to_the_read_out(patch):
    original = Neds._read_out

    def read_out(self, states, batch):
        found = original(self, states, batch)
        traces = {name: x + 1e-3 * small(batch.traces[name]) for name, x in found.traces.items()}
        return replace(found, traces=traces)

    patch.setattr(Neds, "_read_out", read_out)


@found_by("hidden_entries_do_not_matter")
def hidden_where_scored_only(patch):
    patch_tokens(patch, lambda original, self, batch, mask: original(self, batch, replace(mask, hidden=mask.target)))


# --- what is unknown --------------------------------------------------------------------------------------------------


@found_by("what_is_unknown_reads_as_if_it_did_not_exist", "an_unknown_bin_is_made_up_by_nothing")
def unknown_values_are_zeros_that_others_read(patch):
    def tokens(original, self, batch, mask):
        sequence, readable = original(self, batch, mask)
        return sequence, torch.ones_like(readable)

    patch_tokens(patch, tokens)


@found_by("what_is_unknown_reads_as_if_it_did_not_exist")
def no_answer_is_a_class(patch):
    original = NedsBatch.known
    known_classes = {name: 0 for name in neds.STATICS}

    def known(self):
        found = original(self)
        for name in self.classes:
            found[:, ROWS[name]] |= (self.classes[name] == UNKNOWN)[:, None]
        return found

    patch.setattr(NedsBatch, "known", known)
    plain = Neds._class_token
    patch.setattr(
        Neds,
        "_class_token",
        lambda self, name, batch, shown: plain(
            self,
            name,
            replace(batch, classes={n: x.clamp_min(known_classes[n]) for n, x in batch.classes.items()}),
            shown,
        ),
    )


@found_by("bins_without_spikes_do_not_matter", "what_is_scored_is_hidden")
def bins_without_spikes_are_silent(patch):
    patch.setattr(ModalityMask, "restrict", lambda self, valid, known: replace(self, target=self.target & known))


# --- between trials, between sessions, between calls ------------------------------------------------------------------


@found_by("other_trials_do_not_matter", "trials_asked_about_together_are_apart")
def mean_of_the_batch(patch):
    def tokens(original, self, batch, mask):
        sequence, readable = original(self, batch, mask)
        return sequence - 0.1 * sequence.mean(0, keepdim=True), readable

    patch_tokens(patch, tokens)


@found_by("other_sessions_in_the_batch_do_not_matter")
def mean_of_all_sessions_of_a_step(patch):
    """Not seen as long as every trial is alone with its session."""
    original = Transformer.forward
    patch.setattr(
        Transformer,
        "forward",
        lambda self, x, *rest: original(self, x - 0.1 * x[:8].mean((0, 1)) if len(x) > 8 else x, *rest),
    )


@found_by("trials_asked_about_together_are_apart")
def traces_standardised_by_the_trials_asked_about(patch):
    original = translate.to_batch

    def to_batch(model, trials):
        batch = original(model, trials)
        return replace(batch, traces={name: x - 0.5 * small(x).mean() for name, x in batch.traces.items()})

    swap(patch, original, to_batch)


@found_by("earlier_calls_do_not_matter")
def running_mean_of_the_inputs(patch):
    kept = {"mean": 0.0}

    def tokens(original, self, batch, mask):
        sequence, readable = original(self, batch, mask)
        kept["mean"] = 0.9 * kept["mean"] + 0.1 * float(sequence.detach().mean())
        return sequence + 0.1 * kept["mean"], readable

    patch_tokens(patch, tokens)


@found_by("visible_entries_matter")
def answer_kept_by_mask(patch):
    original, kept = Neds.together, {}

    def together(self, batches, masks):
        key = b"".join(mask.hidden.numpy().tobytes() for mask in masks)
        return kept.setdefault(key, original(self, batches, masks))

    patch.setattr(Neds, "together", together)


@found_by("what_is_hidden_matters")
def answer_kept_by_batch(patch):
    original, kept = Neds.together, {}

    def together(self, batches, masks):
        key = b"".join(batch.counts.detach().numpy().tobytes() for batch in batches)
        return kept.setdefault(key, original(self, batches, masks))

    patch.setattr(Neds, "together", together)


@found_by("sessions_share_no_row")
def rows_by_position(patch):
    """As in the released code, where sessions with equally many neurons share a stitcher."""
    patch.setattr(AnimalTables, "unit_rows", lambda self, unit_ids: torch.arange(len(unit_ids)))


@found_by("sessions_share_no_row")
def scale_of_another_session(patch):
    original = Neds.standardised
    patch.setattr(Neds, "standardised", lambda self, name, values, row: original(self, name, values, -1))


@found_by("what_else_is_known_of_a_trial_does_not_matter")
def response_time_among_the_inputs(patch):
    original = translate.to_batch

    def to_batch(model, trials):
        batch, seconds = original(model, trials), trials.behaviors.get("response_time", np.zeros(trials.n_trials))
        own = torch.as_tensor(seconds).float().clamp(max=5)
        return replace(batch, counts=batch.counts + 0.1 * own[:, None, None])

    swap(patch, original, to_batch)


# --- masks ------------------------------------------------------------------------------------------------------------


def unchecked_masks(patch) -> None:
    patch.setattr(ModalityMask, "__post_init__", lambda self: None)


def draw_by(patch, scheme, draw) -> None:
    """draw(original, given) in place of how a scheme is drawn."""
    original = masking_modalities._DRAW[scheme]
    patch.setitem(masking_modalities._DRAW, scheme, lambda given: draw(original, given))


@found_by("what_is_scored_is_hidden")
def targets_stay_visible(patch):
    unchecked_masks(patch)
    draw_by(patch, NedsScheme.CROSS_MODALITY, lambda original, draw: (draw.nothing(), original(draw)[1]))


@found_by("what_is_scored_is_hidden")
def static_behaviors_are_hidden_bin_by_bin(patch):
    unchecked_masks(patch)

    def within(original, draw):
        n_trials, n_bins = draw.shape
        target = draw.chance(n_trials, masking_modalities.N_MODALITIES, n_bins) & draw.behaviors()
        return target, target

    draw_by(patch, NedsScheme.WITHIN_BEHAVIOR, within)


@found_by("every_scheme_hides_what_it_names")
def contrast_and_reward_stay_visible(patch):
    """They give the choice away."""

    def decoding(original, draw):
        return original(replace(draw, present=tuple(n for n in draw.present if n not in ("contrast", "reward"))))

    draw_by(patch, NedsScheme.DECODING, decoding)


@found_by("every_scheme_hides_what_it_names")
def encoding_from_one_shows_two(patch):
    def draw(original, given):
        hidden, target = original(given)
        hidden[:, ROWS["pupil"]] = False
        return hidden, target

    draw_by(patch, NedsScheme.ENCODING_FROM_ONE, draw)


@found_by("every_scheme_hides_what_it_names")
def modalities_are_masked_in_bins_of_their_own(patch):
    """What is hidden of the spikes shows in the behaviors of the same bin."""

    def draw(original, given):
        target = given.bins(together=False) & (given.spikes() | given.behaviors())
        return target, target

    draw_by(patch, NedsScheme.CROSS_MODALITY, draw)


@found_by("encoding_reads_the_named_behaviors_only")
def held_out_spikes_with_all_behaviors(patch):
    original = masking_modalities.hold_out_spikes
    swap(patch, original, lambda shape, read, present: original(shape, present, present))


@found_by("decoding_reads_no_behavior")
def held_out_behaviors_without_the_statics(patch):
    original = masking_modalities.hold_out_behaviors
    swap(patch, original, lambda shape, present: original(shape, tuple(n for n in present if n in neds.TRACES)))


# --- test trials ------------------------------------------------------------------------------------------------------


def everything_trains(trials):
    return replace(trials, split=np.where(trials.split == "test", "train", trials.split))


def patch_behaviors(patch, change) -> None:
    """_set_behaviors sees other trials than those of training: change(all trials of the session)."""
    original, whole = build._set_behaviors, {}
    build_model = build.build_model

    def with_sessions(config, sessions, *rest):
        whole.update({trials.session_id: trials for trials in sessions})
        return build_model(config, sessions, *rest)

    patch.setattr(build, "_set_behaviors", lambda model, row, t: original(model, row, change(whole[t.session_id], t)))
    swap(patch, build_model, with_sessions)


@found_by("the_scales_are_those_of_training_trials", "no_test_trial_is_learned_from")
def scale_of_all_trials(patch):
    original = Neds.set_behaviors
    seen = {}

    def change(whole, train):
        seen["trials"] = whole
        return train

    def set_behaviors(self, row, scales, names):
        values = {name: seen["trials"].behaviors[name].astype(np.float64) for name in scales}
        original(self, row, {n: (float(np.nanmean(x)), float(np.nanstd(x))) for n, x in values.items()}, names)

    patch_behaviors(patch, change)
    patch.setattr(Neds, "set_behaviors", set_behaviors)


@found_by("what_a_session_has_is_decided_by_training_trials")
def presence_by_all_trials(patch):
    patch_behaviors(patch, lambda whole, train: whole)


@found_by("what_a_session_has_is_decided_by_training_trials")
def presence_by_test_trials(patch):
    patch_behaviors(patch, lambda whole, train: whole.select(whole.split != "train"))


def patch_trainer(patch, change) -> None:
    original = Trainer.__init__
    patch.setattr(
        Trainer,
        "__init__",
        lambda self, run, given, config: original(self, run, [change(trials) for trials in given], config),
    )


@found_by("no_test_trial_is_learned_from")
def model_trained_on_test_trials(patch):
    patch_trainer(patch, everything_trains)


@found_by("no_test_trial_is_learned_from")
def weights_chosen_on_test_trials(patch):
    other = {"test": "validation", "validation": "test", "train": "train"}
    patch_trainer(patch, lambda t: replace(t, split=np.array([other[label] for label in t.split])))


@found_by("what_is_scored_is_hidden")
def unknown_values_are_scored_as_zeros(patch):
    patch.setattr(NedsTrials, "scored", lambda self: torch.ones_like(self.batch.known()))


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
    table = {}
    for mutant, (plant, known) in MUTANTS.items():
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            table[mutant] = [check for check in SUITE if _finds_or_breaks(check)]
        assert set(known) <= set(table[mutant]), mutant
    print("\n" + "\n".join(f"{mutant:50} {', '.join(checks)}" for mutant, checks in table.items()))


def _finds_or_breaks(check: str) -> bool:
    """A mutant may break where a check does not aim at it: that finds nothing."""
    try:
        return finds(check)
    except Exception:
        return False
