"""Checks that find leaks in NEDS. Each raises AssertionError where something is read that must not be.

test_neds.py runs them on the real code in full, test_neds_mutations.py plants leaks in that code and demands that
`SUITE`, the same checks on few inputs, finds every one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from leaks import POISONS, digest, noise
from small_neds import NEDS_SIZE, neds_trials, small_neds
from torch import Tensor

from mtm_core.masking_modalities import (
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
)
from mtm_core.modality import BEHAVIORS, UNKNOWN
from mtm_core.models.neds import N_CLASSES, Neds, NedsBatch, Predicted
from mtm_core.session import Trials
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.fit import finished
from mtm_core.training.loop import Trainer, best_model, new_run
from mtm_core.training.translation import fixed_masks, put_on_device
from mtm_core.translate import Translated, to_batch, translate

SESSION = neds_trials(shape=(30, 7, 5))
TRIALS = SESSION.select(np.arange(8))
SHAPE = (TRIALS.n_trials, TRIALS.n_bins)
PRESENT = tuple(BEHAVIORS)
TRAINING = neds_trials(shape=(40, 5, 4))
STEPS = TrainConfig(steps=3, batch_size=8, n_validations=2, schemes=tuple(NedsScheme))


def drawn(scheme: NedsScheme, n_trials: int = SHAPE[0]) -> ModalityMask:
    return draw_mask(scheme, Draw((n_trials, SHAPE[1]), PRESENT, 0.4, torch.Generator().manual_seed(3)))


MASKS = {
    **{scheme.label: drawn(scheme) for scheme in NedsScheme},
    "all schemes at once": join([drawn(scheme, 1) for scheme in NedsScheme]),
    "spikes held out": hold_out_spikes(SHAPE, ("wheel_speed", "block"), PRESENT),
    "behaviors held out": hold_out_behaviors(SHAPE, PRESENT),
    "by hand": hide(SHAPE, (2, 5), {"pupil": (0, 3), "choice": (0, 7)}),
    "one behavior of each trial": join([hide((1, 7), None, {name: (0, 7)}) for name in PRESENT]),
}
FEW_MASKS = ("encoding_from_one", "decoding", "cross_modality", "all schemes at once", "by hand")
Outputs = dict[str, Tensor]
Forward = Callable[[NedsBatch, ModalityMask], Outputs]


def outputs_of(found: Predicted) -> Outputs:
    return {"spikes": found.log_rates, **found.traces, **found.logits}


def forward_of(model: Neds, training: bool = False, bf16: bool = False) -> Forward:
    """Outputs as a function of batch and mask. Dropout is seeded, so that differences come from the arguments."""
    model.train(training)

    def forward(batch, mask):
        torch.manual_seed(7)
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            return outputs_of(model(batch, mask))

    return forward


def batch_of(model: Neds, trials: Trials = TRIALS) -> NedsBatch:
    """Counts as floats, so that they can be NaN and have gradients."""
    batch = to_batch(model, trials)
    return replace(batch, counts=batch.counts.float())


def changed(batch: NedsBatch, where: Tensor, change: Callable[[str, Tensor], Tensor]) -> NedsBatch:
    """The batch with change(modality, values) in the tokens `where` (B, M, T)."""

    def with_change(name, values):
        row = ROWS.get(name, SPIKES_ROW)
        flags = where[:, row, 0] if row in STATIC_ROWS else where[:, row]
        return torch.where(flags[:, :, None] if name == "spikes" else flags, change(name, values), values)

    return replace(
        batch,
        counts=with_change("spikes", batch.counts),
        traces={name: with_change(name, values) for name, values in batch.traces.items()},
        classes={name: with_change(name, values) for name, values in batch.classes.items()},
    )


def poisons(n_redraws: int = 2) -> list[Callable[[str, Tensor], Tensor]]:
    """Numbers for counts and traces, and every class, also none."""

    def redrawn(seed, name, values):
        if name in N_CLASSES:
            return (values + 1 + seed) % N_CLASSES[name]
        return noise(values, seed) if name == "spikes" else values + noise(values.nan_to_num(), seed) - 2

    def constant(value, of_class, name, values):
        return torch.full_like(values, min(of_class, N_CLASSES[name] - 1) if name in N_CLASSES else value)

    kinds = [(1e6, 0), (np.nan, UNKNOWN), (np.inf, 1), (-np.inf, 2), (0.0, UNKNOWN)]
    return [partial(redrawn, seed) for seed in range(n_redraws)] + [partial(constant, *kind) for kind in kinds]


def assert_same(found: Outputs, expected: Outputs, what: str, chosen: Tensor | slice = slice(None)) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.isfinite(found[name][chosen]).all(), f"{what}: predicted {name} is not finite"
        assert torch.equal(found[name][chosen], values[chosen]), f"{what} changes predicted {name}"


def differ(found: Outputs, expected: Outputs) -> bool:
    return any(not torch.equal(found[name], values) for name, values in expected.items())


# --- a model's forward pass -------------------------------------------------------------------------------------------


def hidden_entries_do_not_matter(forward, batch, mask):
    expected = forward(batch, mask)
    for poison in poisons():
        assert_same(forward(changed(batch, mask.hidden, poison), mask), expected, "a hidden entry")


def no_gradient_reaches_hidden_entries(forward, batch, mask):
    leaves = {"spikes": batch.counts.clone(), **{name: values.clone() for name, values in batch.traces.items()}}
    for leaf in leaves.values():
        leaf.requires_grad_()
    found = forward(replace(batch, counts=leaves["spikes"], traces={n: leaves[n] for n in batch.traces}), mask)
    rng = torch.Generator().manual_seed(1)
    total = sum((values * torch.randn(values.shape, generator=rng)).sum() for values in found.values())
    total.backward()
    for name, leaf in leaves.items():
        hidden = mask.hidden[:, ROWS.get(name, SPIKES_ROW)]
        assert leaf.grad is not None, f"no {name} has a gradient"
        assert (leaf.grad[hidden] == 0).all(), f"hidden {name} has a gradient"
        assert (leaf.grad[~hidden] != 0).any() or hidden.all(), f"no visible {name} has a gradient"


def other_trials_do_not_matter(forward, batch, mask):
    """Neither their values, nor what is hidden or unknown in them."""
    expected = forward(batch, mask)
    for j in (0, 4, 7):
        at = torch.zeros_like(mask.hidden)
        at[j] = True
        others = torch.arange(len(at)) != j
        hidden = mask.hidden ^ at
        for other in (mask, replace(mask, hidden=hidden, target=mask.target & hidden)):
            for poison in (poisons()[0], poisons()[2], poisons()[3]):  # the last: nothing is known
                assert_same(forward(changed(batch, at, poison), other), expected, f"trial {j}", others)


def earlier_calls_do_not_matter(forward, batch, mask):
    """Running statistics, caches and modes that a call leaves behind."""
    expected = forward(batch, mask)
    everything = torch.ones_like(mask.hidden)
    forward(changed(batch, everything, poisons()[0]), replace(mask, hidden=~mask.hidden, target=~mask.hidden))
    assert_same(forward(batch, mask), expected, "the call before")


def visible_entries_matter(forward, batch, mask):
    """Else the other checks would pass for a model that answers always the same."""
    expected = forward(batch, mask)
    for name, row in {"spikes": SPIKES_ROW, **ROWS}.items():
        visible = torch.zeros_like(mask.hidden)
        visible[:, row] = ~mask.hidden[:, row]
        found = forward(changed(batch, visible, poisons()[0]), mask)
        assert differ(found, expected) or not visible.any(), f"visible {name} does not matter"


def what_is_hidden_matters(forward, batch, mask):
    """Hiding more is noticed, so no answer to another mask is given."""
    more = replace(mask, hidden=torch.ones_like(mask.hidden))
    assert mask.hidden.all() or differ(forward(batch, more), forward(batch, mask)), "the mask is not read"


MODEL_CHECKS = (
    hidden_entries_do_not_matter,
    no_gradient_reaches_hidden_entries,
    other_trials_do_not_matter,
    earlier_calls_do_not_matter,
    visible_entries_matter,
    what_is_hidden_matters,
)


def over_a_few_masks(check: Callable[..., None]) -> None:
    model = small_neds(SESSION)
    forward, batch = forward_of(model), batch_of(model)
    for name in FEW_MASKS:
        check(forward, batch, MASKS[name])


# --- what is unknown --------------------------------------------------------------------------------------------------


def unknown(batch: NedsBatch, name: str) -> NedsBatch:
    """No trial's value of this behavior is known."""
    if name in batch.classes:
        return replace(batch, classes={**batch.classes, name: torch.full_like(batch.classes[name], UNKNOWN)})
    return replace(batch, traces={**batch.traces, name: torch.full_like(batch.traces[name], torch.nan)})


def without(batch: NedsBatch, name: str) -> NedsBatch:
    """The batch of a session that has no such behavior."""
    classes = {n: values for n, values in batch.classes.items() if n != name}
    return replace(batch, classes=classes, traces={n: values for n, values in batch.traces.items() if n != name})


def what_is_unknown_reads_as_if_it_did_not_exist():
    """Visible, but not known: no token that others read."""
    model = small_neds(SESSION)
    batch, mask = batch_of(model), hide(SHAPE, (1, 3))
    for name in PRESENT:
        found, expected = (outputs_of(model(each(batch, name), mask)) for each in (unknown, without))
        for other, values in expected.items():
            gap = float((found[other] - values).detach().abs().max())
            assert gap < 1e-5, f"predicted {other} reads {name}, which is unknown ({gap})"


def an_unknown_bin_is_made_up_by_nothing():
    """Whatever stands in the token of an unknown value changes that token's own prediction at most."""
    model = small_neds(SESSION)
    batch, mask = batch_of(model), hide(SHAPE, (1, 3), {"pupil": (0, 4), "block": (0, 7)})
    gaps = torch.zeros_like(mask.hidden)
    gaps[::2, ROWS["wheel_speed"], 2:4] = gaps[1::2, ROWS["pupil"], 5] = gaps[:4, ROWS["choice"]] = True
    batch = changed(batch, gaps, lambda name, x: torch.full_like(x, UNKNOWN if name in N_CLASSES else torch.nan))
    expected, tokens = outputs_of(model(batch, mask)), model._tokens

    def made_up(batch, mask):
        sequence, readable = tokens(batch, mask)
        rows = [ROWS[name] for name in batch.classes], [SPIKES_ROW, *(ROWS[name] for name in batch.traces)]
        flags = torch.cat([gaps[:, rows[0], 0], gaps[:, rows[1]].flatten(1)], dim=1)
        return sequence + 5.0 * flags[:, :, None] * torch.randn(sequence.shape), readable

    model._tokens = made_up
    found = outputs_of(model(batch, mask))
    for name, values in expected.items():
        own = gaps[:, ROWS.get(name, SPIKES_ROW)]
        own = own[:, 0] if name in N_CLASSES else own
        assert torch.isfinite(found[name]).all()
        assert torch.equal(found[name][~own], values[~own]), f"predicted {name} reads what was made up"
        assert not own.any() or differ({name: found[name][own]}, {name: values[own]})


# --- through translate ------------------------------------------------------------------------------------------------


def assert_same_translation(found: Translated, expected: Translated, what: str, chosen=slice(None)) -> None:
    pairs = {"spikes": (found.rates, expected.rates)}
    for one, other in ((found.traces, expected.traces), (found.probabilities, expected.probabilities)):
        assert one.keys() == other.keys()
        pairs |= {name: (one[name], other[name]) for name in other}
    for name, (one, other) in pairs.items():
        assert np.isfinite(one[chosen]).all(), f"{what}: translated {name} is not finite"
        assert np.array_equal(one[chosen], other[chosen]), f"{what} changes translated {name}"


def with_behaviors(trials: Trials, change: Callable[[str, np.ndarray], np.ndarray]) -> Trials:
    return replace(trials, behaviors={name: change(name, x) for name, x in trials.behaviors.items()})


def decoding_reads_no_behavior():
    """Not the decoded one, and none that goes along with it: contrast and reward give the choice away."""
    model, mask = small_neds(SESSION), hold_out_behaviors(SHAPE, PRESENT)
    expected = translate(model, TRIALS, mask)
    rng = np.random.default_rng(0)
    for change in (
        lambda name, x: np.full_like(x, np.nan),
        lambda name, x: -x,
        lambda name, x: x[rng.permutation(len(x))],
        lambda name, x: x + 1e6 if name == "wheel_speed" else x,
    ):
        assert_same_translation(translate(model, with_behaviors(TRIALS, change), mask), expected, "a behavior")
    assert_same_translation(translate(model, replace(TRIALS, behaviors={}), mask), expected, "a behavior")
    louder = replace(TRIALS, counts=TRIALS.counts + 1)
    assert not np.array_equal(translate(model, louder, mask).rates, expected.rates)


def encoding_reads_the_named_behaviors_only():
    model = small_neds(SESSION)
    for read in ("choice", "wheel_speed"):
        mask = hold_out_spikes(SHAPE, (read,), PRESENT)
        expected = translate(model, TRIALS, mask)
        others = with_behaviors(TRIALS, lambda name, x, read=read: x if name == read else np.flip(x, 0) * -1)
        spikes = replace(others, counts=255 - TRIALS.counts)
        assert_same_translation(translate(model, spikes, mask), expected, f"encoding from {read}")
        own = with_behaviors(TRIALS, lambda name, x, read=read: -x if name == read else x)
        assert not np.array_equal(translate(model, own, mask).rates, expected.rates)


def bins_without_spikes_do_not_matter():
    model, mask = small_neds(SESSION), hide(SHAPE, None, {"pupil": (0, 2)})
    valid = np.random.default_rng(1).random(SHAPE) > 0.3
    trials = replace(TRIALS, valid=valid)
    expected = translate(model, trials, mask)
    counts = np.where(valid[:, :, None], TRIALS.counts, 200).astype(np.uint8)
    assert_same_translation(translate(model, replace(trials, counts=counts), mask), expected, "a bin without data")


def what_else_is_known_of_a_trial_does_not_matter():
    """The trial table, true rates, and behaviors that the model does not know."""
    model, mask = small_neds(SESSION), hold_out_behaviors(SHAPE, PRESENT)
    expected = translate(model, TRIALS, mask)
    behaviors = {**TRIALS.behaviors, "response_time": np.full(SHAPE[0], 1e6), "answer": np.full(SHAPE[0], np.nan)}
    table = TRIALS.table.assign(choice=np.arange(SHAPE[0]), feedbackType=1e6, stimOn_times=0.0)
    found = translate(model, replace(TRIALS, behaviors=behaviors, table=table, true_rates=None), mask)
    assert_same_translation(found, expected, "what else is known")
    split = np.roll(TRIALS.split, 1)
    assert_same_translation(translate(model, replace(TRIALS, split=split), mask), expected, "the split")


def trials_asked_about_together_are_apart():
    model = small_neds(SESSION)
    for mask in (MASKS["all schemes at once"], hold_out_behaviors(SHAPE, PRESENT), hide(SHAPE)):
        expected = translate(model, TRIALS, mask)
        for j in range(SHAPE[0]):
            alone = translate(model, TRIALS.select(np.array([j])), mask.rows(slice(j, j + 1)))
            np.testing.assert_allclose(alone.rates[0], expected.rates[j], rtol=2e-5, atol=1e-6)
            for name, values in expected.traces.items():
                np.testing.assert_allclose(alone.traces[name][0], values[j], rtol=2e-5, atol=1e-5)


# --- between sessions -------------------------------------------------------------------------------------------------

TWO = (neds_trials("a", (30, 7, 5)), neds_trials("b", (30, 7, 5), seed=1))


def other_sessions_in_the_batch_do_not_matter():
    """Same bins and behaviors, so both go through the transformer at once."""
    model = small_neds(*TWO)
    batches, masks = [batch_of(model, t.select(np.arange(8))) for t in TWO], [MASKS["cross_modality"]] * 2
    expected = [outputs_of(each) for each in model.together(batches, masks)]
    for poison in poisons():
        everything = torch.ones_like(masks[0].hidden)
        visible = changed(batches[0], everything if poison in poisons()[:2] else masks[0].hidden, poison)
        found = model.together([visible, batches[1]], [masks[0], masks[1]])
        assert_same(outputs_of(found[1]), expected[1], "another session")
    more = replace(masks[0], hidden=torch.ones_like(masks[0].hidden))
    assert_same(outputs_of(model.together(batches, [more, masks[1]])[1]), expected[1], "another session's mask")


def sessions_share_no_row():
    """Sessions with equally many neurons; what one learns is not written over what the other knows."""
    model = small_neds(*TWO)
    rows = [model.rows(t.session_id, tuple(t.unit_ids)) for t in TWO]
    assert not set(rows[0][0].tolist()) & set(rows[1][0].tolist()), "sessions share rows of neurons"
    assert rows[0][1] != rows[1][1], "sessions share an embedding"
    trials, mask = TWO[0].select(np.arange(8)), MASKS["all schemes at once"]
    expected = translate(model, trials, mask)
    with torch.no_grad():
        for table in model.units.parameters():
            table[rows[1][0]] += 1.0
        model.session.weight[1] += 1.0
        model.trace_mean[1] += 1.0
        model.trace_scale[1] *= 2.0
    assert_same_translation(translate(model, trials, mask), expected, "a row of another session")


# --- masks ------------------------------------------------------------------------------------------------------------


def what_is_scored_is_hidden():
    """In training and in validation; a value per trial is hidden whole, and what is unknown is not scored."""
    gaps = with_behaviors(TRAINING, _with_gaps)
    valid = np.random.default_rng(2).random(TRAINING.valid.shape) > 0.2
    model = build_model(NEDS_SIZE, [gaps])
    for split in ("train", "validation"):
        data = put_on_device(model, replace(gaps, valid=valid).select(split))
        rng = torch.Generator().manual_seed(0)
        for mask in (*(data.draw(STEPS, rng) for _ in range(5)), *fixed_masks(data, STEPS.schemes)):
            assert mask.target.any() and not (mask.target & ~mask.hidden).any(), "a visible token is scored"
            static = mask.hidden[:, STATIC_ROWS]
            assert torch.equal(static.any(2), static.all(2)), "a static behavior is visible in some bins"
            assert mask.hidden[:, SPIKES_ROW][~data.valid].all(), "bins without spikes are read"
            assert not mask.target[:, SPIKES_ROW][~data.valid].any(), "bins without spikes are scored"
            assert not (mask.target & ~data.batch.known()).any(), "what is unknown is scored"


def _with_gaps(name, values):
    return np.where(np.random.default_rng(len(name)).random(values.shape) < 0.2, np.nan, values)


def every_scheme_hides_what_it_names():
    """By the scheme's definition, not by its mask: what stays visible of spikes and behaviors."""
    for scheme in NedsScheme:
        mask = drawn(scheme)
        spikes, behaviors = ~mask.hidden[:, SPIKES_ROW], ~mask.hidden[:, 1:]
        whole = behaviors.all(2).sum(1)
        if scheme in (NedsScheme.ENCODING, NedsScheme.ENCODING_FROM_ONE, NedsScheme.WITHIN_BEHAVIOR_ALONE):
            assert not spikes.any(), f"{scheme.label} shows spikes"
        if scheme in (NedsScheme.DECODING, NedsScheme.WITHIN_SPIKES_ALONE):
            assert not behaviors.any(), f"{scheme.label} shows behaviors"
        if scheme is NedsScheme.ENCODING_FROM_ONE:
            assert (whole == 1).all() and torch.equal(behaviors.any(2), behaviors.all(2)), "not one behavior is shown"
        if scheme is NedsScheme.CROSS_MODALITY:
            traces = torch.tensor([row - 1 for row in ROWS.values() if row not in STATIC_ROWS])
            assert torch.equal(behaviors[:, traces], spikes[:, None].expand(-1, len(traces), -1)), "bins differ"
    spikes_hidden, behaviors_hidden = fixed_masks(put_on_device(small_neds(SESSION), TRIALS), ())
    assert spikes_hidden.hidden[:, SPIKES_ROW].all() and behaviors_hidden.hidden[:, 1:].all(), "validation shows"


# --- training ---------------------------------------------------------------------------------------------------------


def _fresh(trials: Trials) -> object:
    return build_model(NEDS_SIZE, [trials]).state_dict()


def _trained(trials: Trials) -> object:
    run = new_run(build_model(NEDS_SIZE, [trials]), STEPS)
    trainer = Trainer(run, [trials], STEPS)
    steps = [(step.loss, step.validation) for step in trainer.steps()]
    weights = run.model.state_dict()
    return weights, best_model(run).state_dict(), finished(trainer)[0].state_dict(), steps


def _unlike(trials: Trials) -> Trials:
    """Test trials with other scales, and constant behaviors in training trials where they vary."""
    test = trials.split == "test"

    def change(name, values):
        at = test.reshape(-1, *[1] * (values.ndim - 1))
        return np.where(at, 50.0 + 7.0 * np.arange(len(values)).reshape(at.shape), values).astype(np.float32)

    return with_behaviors(trials, change)


TEST_POISONS = {**POISONS, "unlike": _unlike}


def test_trials_change_nothing(what: Callable[[Trials], object], poison: str) -> None:
    poisoned = TEST_POISONS[poison](TRAINING)
    clean = replace(TRAINING, counts=TRAINING.counts.astype(poisoned.counts.dtype))  # else other rounding
    assert digest(what(poisoned)) == digest(what(clean)), f"training changes with test trials that are {poison}"


test_trials_change_nothing.__test__ = False


def the_scales_are_those_of_training_trials():
    for poison in ("unlike", "no number"):
        test_trials_change_nothing(_fresh, poison)


def what_a_session_has_is_decided_by_training_trials():
    """A behavior that varies in test trials alone is absent, and one that is known in training trials alone present."""
    train = TRAINING.split == "train"
    constant = np.where(train, 1.0, np.resize([1.0, -1.0], len(train)))
    for values, expected in ((constant, False), (np.where(train, TRAINING.behaviors["choice"], np.nan), True)):
        trials = replace(TRAINING, behaviors={**TRAINING.behaviors, "choice": values})
        model = build_model(NEDS_SIZE, [trials])
        assert ("choice" in model.present(0)) == expected, "held-out trials decide what a session has"


def no_test_trial_is_learned_from():
    for poison in ("huge", "scrambled", "unlike"):
        test_trials_change_nothing(_trained, poison)


# --- the suite --------------------------------------------------------------------------------------------------------

SUITE: dict[str, Callable[[], None]] = {
    **{check.__name__: partial(over_a_few_masks, check) for check in MODEL_CHECKS},
    **{
        check.__name__: check
        for check in (
            what_is_unknown_reads_as_if_it_did_not_exist,
            an_unknown_bin_is_made_up_by_nothing,
            decoding_reads_no_behavior,
            encoding_reads_the_named_behaviors_only,
            bins_without_spikes_do_not_matter,
            what_else_is_known_of_a_trial_does_not_matter,
            trials_asked_about_together_are_apart,
            other_sessions_in_the_batch_do_not_matter,
            sessions_share_no_row,
            what_is_scored_is_hidden,
            every_scheme_hides_what_it_names,
            the_scales_are_those_of_training_trials,
            what_a_session_has_is_decided_by_training_trials,
            no_test_trial_is_learned_from,
        )
    },
}
