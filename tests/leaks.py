"""Checks that find leaks. Each raises AssertionError where something is read that must not be.

test_leaks.py runs them on the real code in full, test_leak_mutations.py plants leaks in that code and demands that
`SUITE`, the same checks on few inputs, finds every one. test_poison.py runs `FITTED` against every poison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from small import SIZE, small_model, small_trials

from mtm_core.checkpoint import Checkpoint
from mtm_core.data.splits import SplitKind, with_split
from mtm_core.evaluation.answers import answers
from mtm_core.evaluation.baselines import FITS, ORACLES, score_baseline
from mtm_core.evaluation.duplicates import likely_duplicates
from mtm_core.evaluation.linear import Ridge
from mtm_core.evaluation.psth import tuned_psth
from mtm_core.evaluation.questions import TASKS, Asking, n_future_bins, questions
from mtm_core.evaluation.score import Score
from mtm_core.evaluation.single_neuron.trials import neuron_trials
from mtm_core.evaluation.tasks import neurons_of, score_task, target_entries, train_means
from mtm_core.masking import (
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
from mtm_core.models.mtm import MtM
from mtm_core.predict import in_pieces, latents, predict, to_batch
from mtm_core.session import Trials, identity
from mtm_core.training.build import build_model
from mtm_core.training.calibration import calibrated
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, best_model, new_run

SHAPE = (6, 10, 12)
TRIALS = small_trials(shape=SHAPE)
CODES = region_codes(TRIALS.regions)
COUNTS = torch.as_tensor(TRIALS.counts).float()
LONGER = small_trials(shape=(20, 20, 12))  # four test trials, two future bins
BASELINE_TRIALS = small_trials(shape=(40, 20, 12))
BASELINES = tuple(name for name in FITS if name not in ORACLES)
OF_NO_SPIKES = ("train_mean", "psth", "condition_psth")  # baselines that read no count of the trial
FAST = ("train_mean", "psth", "ridge")  # stand for all in the suite


def drawn(scheme: Scheme, n_trials: int = SHAPE[0]) -> Mask:
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
Forward = Callable[[torch.Tensor, Mask], torch.Tensor]


def forward_of(model: MtM, training: bool = False, bf16: bool = False) -> Forward:
    """Outputs as a function of counts and mask. Dropout is seeded, so that any difference comes from the arguments."""
    model.train(training)
    batch = to_batch(model, TRIALS)

    def forward(counts, mask):
        torch.manual_seed(7)
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            return model(replace(batch, counts=counts), mask)

    return forward


def noise(like: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.poisson(torch.full_like(like, 3.0), generator=torch.Generator().manual_seed(seed))


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.isfinite(expected).all() and np.array_equal(found, expected))


# --- a model's forward pass -------------------------------------------------------------------------------------------


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
    assert output.requires_grad, "no count has a gradient"
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


def earlier_calls_do_not_matter(forward, counts, mask):
    """Running statistics, caches and modes that a call leaves behind."""
    expected = forward(counts, mask)
    forward(noise(counts, 5), replace(mask, hidden=~mask.hidden, target=~mask.hidden))
    assert torch.equal(forward(counts, mask), expected), "the call before changes an output"


def visible_counts_matter(forward, counts, mask):
    """Else the other checks would pass for a model that answers always the same."""
    changed = torch.where(mask.hidden, counts, counts + 1)
    assert mask.hidden.all() or not torch.equal(forward(changed, mask), forward(counts, mask)), "nothing matters"


def what_is_hidden_matters(forward, counts, mask):
    """Hiding more is noticed, so no answer to another mask is given."""
    hidden = torch.ones_like(mask.hidden)
    more = replace(mask, hidden=hidden, target=mask.target)
    assert mask.hidden.all() or not torch.equal(forward(counts, more), forward(counts, mask)), "the mask is not read"


MODEL_CHECKS = (
    hidden_counts_do_not_matter,
    no_gradient_reaches_hidden_counts,
    the_future_does_not_matter,
    other_trials_do_not_matter,
    earlier_calls_do_not_matter,
    visible_counts_matter,
    what_is_hidden_matters,
)


FEW_MASKS = ("neuron", "intra_region", "all schemes at once", "forward_prediction", "causal rectangle")


def over_a_few_masks(check: Callable[..., None]) -> None:
    forward = forward_of(small_model(TRIALS))
    for name in FEW_MASKS:
        check(forward, COUNTS, MASKS[name])


# --- masks ------------------------------------------------------------------------------------------------------------


def unseen_by(task: str, trials: Trials, neuron: int) -> np.ndarray:
    """Entries (T, N) that a prediction of `neuron` may not read, by the task's definition and not by its mask."""
    same_region = trials.regions == trials.regions[neuron]
    others = {"intra_region": ~same_region, "inter_region": same_region}.get(task, False)
    unseen = np.zeros(trials.counts.shape[1:], dtype=bool)
    unseen[:, others | (np.arange(trials.n_neurons) == neuron)] = True
    if task == "forward_prediction":
        unseen[:] = (np.arange(trials.n_bins) >= trials.n_bins - n_future_bins(trials.n_bins))[:, None]
    return unseen


def _whole(hidden: torch.Tensor, axis: int) -> bool:
    """Hidden is the same along the axis."""
    return bool((hidden.all(axis) == hidden.any(axis)).all())


def a_training_mask_hides_what_its_scheme_names(scheme: Scheme) -> None:
    mask = draw_mask(scheme, (60, *SHAPE[1:]), CODES, torch.Generator().manual_seed(1), None)
    hidden, target = mask.hidden, mask.target
    assert target.any() and not (target & ~hidden).any(), "a target is visible"
    if scheme in (Scheme.CAUSAL, Scheme.TEMPORAL):
        assert _whole(hidden, 2), "a neuron is visible in a hidden bin"
    if scheme in (Scheme.NEURON, Scheme.INTRA_REGION, Scheme.INTER_REGION):
        assert _whole(hidden, 1), "a bin of a hidden neuron is visible"
    for k in range(len(hidden)):
        asked, shown = CODES[target[k, 0]].unique(), CODES[~hidden[k, 0]].unique()
        if scheme is Scheme.INTRA_REGION and len(asked):
            assert len(asked) == 1 and set(shown.tolist()) <= set(asked.tolist()), "another region is visible"
        if scheme is Scheme.INTER_REGION:
            assert len(asked) == 1 and not set(shown.tolist()) & set(asked.tolist()), "the target region is visible"


def every_scheme_hides_what_it_names() -> None:
    for scheme in Scheme:
        if scheme is not Scheme.RANDOM_TOKEN:
            a_training_mask_hides_what_its_scheme_names(scheme)


def only_hidden_entries_are_scored(trials: Trials = LONGER) -> None:
    """Of a model and of a baseline alike."""
    for task in TASKS:
        for neuron in np.flatnonzero(neurons_of(task, trials).eligible):
            seen = ~unseen_by(task, trials, neuron)[None, :, neuron]
            assert not (target_entries(task, trials)[:, :, 0] & seen).any(), f"{task} scores what it shows"
        for question in questions(task, trials):
            for neuron in question.neurons:
                target = question.mask.target[:, :, neuron].numpy()
                assert target.any() and not (target & ~unseen_by(task, trials, neuron)[:, neuron]).any(), task


def a_score_counts_the_hidden_entries(task: str, trials: Trials = LONGER) -> None:
    """Each of them once, unless there is no data, and no other."""
    test, able = trials.select("test"), neurons_of(task, trials).eligible
    sums = _last_score(trials, task).sums
    for n in range(trials.n_neurons):
        scored = test.valid & unseen_by(task, trials, n)[:, n] & able[n]
        assert np.array_equal(sums.n_entries[:, n], scored.sum(1)), f"{task}: other entries are scored"


def scores_count_the_hidden_entries() -> None:
    for task in TASKS:
        a_score_counts_the_hidden_entries(task, with_gaps(LONGER))


# --- predictions ------------------------------------------------------------------------------------------------------


def with_gaps(trials: Trials) -> Trials:
    return replace(trials, valid=np.random.default_rng(0).random(trials.valid.shape) < 0.7)


def a_prediction_reads_what_its_task_shows(model: MtM, trials: Trials, task: str, step: int = 1) -> None:
    """What is hidden is told by `unseen_by`, so a wrong mask is found as well as a model that does not obey it."""
    for question in list(questions(task, trials))[::step]:
        expected = predict(model, trials, question.mask, question.neurons)
        for place, neuron in enumerate(question.neurons[:2]):
            unreadable = unseen_by(task, trials, neuron) | ~trials.valid[:, :, None]
            for value in (0, 255, np.nan):
                counts = np.where(unreadable, value, trials.counts)
                found = predict(model, replace(trials, counts=counts), question.mask, question.neurons)
                assert same(found[..., place], expected[..., place]), f"{task}: neuron {neuron} reads what is hidden"
            changed = replace(trials, counts=np.where(unreadable, trials.counts, trials.counts + 1))
            found = predict(model, changed, question.mask, question.neurons)
            assert not same(found[..., place], expected[..., place]), f"{task}: neuron {neuron} reads nothing"


def predictions_read_what_their_task_shows() -> None:
    for task in TASKS:
        a_prediction_reads_what_its_task_shows(small_model(TRIALS), with_gaps(TRIALS), task, step=4)


def no_latent_reads_what_is_hidden() -> None:
    model, trials = small_model(TRIALS), with_gaps(TRIALS)
    for mask in MASKS.values():
        unreadable = mask.hidden.numpy() | ~trials.valid[:, :, None]
        expected = latents(model, trials, mask)
        for value in (0, 255, np.nan):
            found = latents(model, replace(trials, counts=np.where(unreadable, value, trials.counts)), mask)
            assert same(found, expected), "a hidden count changes a latent"


def predictions_in_small_pieces_are_each_trials_own() -> None:
    model, mask = small_model(TRIALS), MASKS["all schemes at once"]
    with torch.inference_mode():
        whole, pieces = (in_pieces(model, to_batch(model, TRIALS), mask, n) for n in (SHAPE[0], 1))
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-6)


def what_else_is_known_of_a_trial_does_not_matter() -> None:
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
    assert same(predict(model, other, mask), predict(model, TRIALS, mask)), "something beside the counts is read"


def other_trials_change_no_prediction() -> None:
    """Whatever is predicted together: standardising by the trials that are asked about would couple them."""
    model = small_model(TRIALS)
    changed = TRIALS.counts.copy()
    changed[1:] += 9
    for mask in MASKS.values():
        found, expected = (predict(model, replace(TRIALS, counts=c), mask)[0] for c in (changed, TRIALS.counts))
        assert same(found, expected), "another trial changes a prediction"


def other_sessions_rows_do_not_matter() -> None:
    one, two = small_trials("a", SHAPE), small_trials("b", (8, 10, 9), seed=1)
    model = small_model(one, two)
    expected = predict(model, one, MASKS["all schemes at once"])
    rows, session_row = model.rows("b", tuple(two.unit_ids))
    with torch.no_grad():
        for table in model.units.state_dict().values():
            table[rows] = torch.nan
        model.session.weight[session_row] = torch.nan
    assert same(predict(model, one, MASKS["all schemes at once"]), expected), "another session's weights are read"


# --- answers: predictions whose work is shared between questions ------------------------------------------------------

# Enough neurons in one region that groups of a twentieth hold two and more
MANY = with_gaps(small_trials(shape=(6, 8, 46), regions=np.repeat(["CA1", "LP"], [42, 4])))


def neighbours(trials: Trials) -> np.ndarray:
    """Every neuron and the next are taken for duplicates of one another."""
    flags = np.eye(trials.n_neurons, k=1, dtype=bool)
    return flags | flags.T


def _answered(model: MtM, trials: Trials, task: str, asking: Asking) -> list[tuple[Any, np.ndarray]]:
    """(question, rates of its neurons in all trials) of all questions of a task."""
    found, pieces = [], []
    for answer in answers(model, trials, questions(task, trials, asking), bf16=False):
        pieces.append(answer.rates)
        if answer.last:
            found.append((answer.question, np.concatenate(pieces)))
            pieces = []
    return found


def an_answer_reads_what_its_task_shows(task: str, asking: Asking, trials: Trials, n_asked: int = 3) -> None:
    """Neither what the task hides, nor others that are held out with a neuron, nor its duplicates."""
    model = small_model(trials)
    expected = _answered(model, trials, task, asking)
    for number in np.unique(np.linspace(0, len(expected) - 1, n_asked).astype(int)):
        question, rates = expected[number]
        unseen = np.any([unseen_by(task, trials, n) for n in question.neurons], axis=0)
        if asking.duplicates is not None and task != "forward_prediction":
            unseen |= asking.duplicates[:, question.neurons].any(axis=1)
        unreadable = unseen | ~trials.valid[:, :, None]
        for value in (255, np.nan):
            counts = np.where(unreadable, value, trials.counts)
            _, found = _answered(model, replace(trials, counts=counts), task, asking)[number]
            assert same(found, rates), f"{task}: an answer reads what is hidden"
        changed = replace(trials, counts=np.where(unreadable, trials.counts, trials.counts + 1))
        assert not same(_answered(model, changed, task, asking)[number][1], rates), f"{task}: an answer reads nothing"


def answers_read_what_their_task_shows() -> None:
    for task in TASKS:
        an_answer_reads_what_its_task_shows(task, Asking(), with_gaps(TRIALS), n_asked=2)


def grouped_answers_read_what_their_task_shows() -> None:
    for task in ("co_smoothing", "intra_region"):
        an_answer_reads_what_its_task_shows(task, Asking(grouped=True), MANY, n_asked=1)


def answers_do_not_read_duplicates() -> None:
    asking = Asking(duplicates=neighbours(TRIALS))
    for task in ("co_smoothing", "intra_region", "inter_region"):
        an_answer_reads_what_its_task_shows(task, asking, TRIALS, n_asked=1)


def an_answer_is_the_plain_prediction(task: str, asking: Asking, trials: Trials) -> None:
    """The shared work hides what the model hides: another implementation of the same."""
    model = small_model(trials)
    for question, rates in _answered(model, trials, task, asking):
        expected = predict(model, trials, question.mask, question.neurons)
        np.testing.assert_allclose(rates, expected, rtol=2e-5, err_msg=task)


def answers_are_the_plain_predictions() -> None:
    for task in TASKS:
        an_answer_is_the_plain_prediction(task, Asking(), with_gaps(TRIALS))


def other_trials_change_no_answer() -> None:
    model = small_model(TRIALS)
    changed = TRIALS.counts.copy()
    changed[1:] += 9
    for task in TASKS:
        one, two = (_answered(model, replace(TRIALS, counts=c), task, Asking()) for c in (changed, TRIALS.counts))
        for (_, found), (_, expected) in zip(one, two, strict=True):
            assert same(found[0], expected[0]), "another trial changes an answer"


# --- scores -----------------------------------------------------------------------------------------------------------


def checkpoint_of(trials: Trials) -> Checkpoint:
    return Checkpoint(small_model(trials), {"hash": "0" * 64, "data": [identity(trials)]}, Path("some/model"))


def _last_score(trials: Trials, task: str, known: Trials | None = None) -> Score:
    *_, last = score_task(checkpoint_of(known or trials), trials, task)
    return last.score


def score_of(trials: Trials, task: str, known: Trials | None = None) -> dict[str, float | None]:
    """Bits per spike of each neuron of the test trials; `known` is what the model was trained on."""
    return _last_score(trials, task, known).per_neuron


def a_score_reads_what_its_task_shows(task: str, trials: Trials = LONGER) -> None:
    """A neuron's score does not change with hidden counts other than its own, with training trials or with gaps."""
    trials, neuron = with_gaps(trials), 4
    unseen = unseen_by(task, trials, neuron) & (np.arange(trials.n_neurons) != neuron)
    unreadable = unseen | ~trials.valid[:, :, None] | (trials.split != "test")[:, None, None]
    other = replace(trials, counts=np.where(unreadable, np.uint8(37), trials.counts))
    found, expected = (score_of(each, task, trials)[trials.unit_ids[neuron]] for each in (other, trials))
    assert expected is not None and found == expected, f"{task}: the score depends on what is hidden"


def scores_read_what_their_task_shows() -> None:
    for task in TASKS:
        a_score_reads_what_its_task_shows(task)


def a_model_of_another_split_is_refused() -> None:
    other = replace(LONGER, split=np.roll(LONGER.split, 1))
    try:
        score_of(LONGER, "forward_prediction", known=other)
    except ValueError:
        return
    raise AssertionError("test trials may have been training trials, and are scored")


# --- baselines --------------------------------------------------------------------------------------------------------


def a_baseline_reads_what_its_task_shows(name: str, task: str, step: int = 2) -> None:
    trials = BASELINE_TRIALS
    test, baseline, rng = trials.select("test"), FITS[name](trials), np.random.default_rng(0)
    expected = baseline.rates(task, test)
    scored = slice(-2, None) if task == "forward_prediction" else slice(None)
    for neuron in range(0, 11, step):
        unseen = unseen_by(task, trials, neuron)
        for high in (4, 255):
            scrambled = rng.integers(0, high, test.counts.shape, dtype=np.uint8)
            found = baseline.rates(task, replace(test, counts=np.where(unseen, scrambled, test.counts)))
            assert same(found[:, scored, neuron], expected[:, scored, neuron]), f"{name} reads what {task} hides"
        changed = baseline.rates(task, replace(test, counts=np.where(unseen, test.counts, test.counts + 1)))
        if name not in OF_NO_SPIKES:
            assert not same(changed[:, scored, neuron], expected[:, scored, neuron]), f"{name} reads nothing"


# Some exist for some tasks only
ASKED_OF_BASELINES = [(name, task) for name in BASELINES for task in FITS[name](BASELINE_TRIALS).tasks]


def baselines_read_what_their_task_shows() -> None:
    for name, task in ASKED_OF_BASELINES:
        if name in ("ridge", "coupling", "autoregression"):
            a_baseline_reads_what_its_task_shows(name, task, step=5)


def a_baselines_trials_are_apart(name: str) -> None:
    """Rates of one test trial do not depend on the others."""
    trials = BASELINE_TRIALS
    test, baseline = trials.select("test"), FITS[name](trials)
    for task in baseline.tasks:
        changed = test.counts.copy()
        changed[1:] = 9
        found, expected = (baseline.rates(task, replace(test, counts=c))[0] for c in (changed, test.counts))
        assert same(found, expected), f"{name}: another test trial changes a rate"


def baselines_trials_are_apart() -> None:
    for name in FAST:
        a_baselines_trials_are_apart(name)


def bins_without_data_change_no_baseline(name: str) -> None:
    trials = BASELINE_TRIALS
    one = replace(trials, valid=np.random.default_rng(1).random(trials.valid.shape) < 0.8)
    two = replace(one, counts=np.where(one.valid[:, :, None], trials.counts, 77).astype(np.uint8))
    scores = [score_baseline(name, each, TASKS) for each in (one, two)]
    for task in scores[0]:
        assert scores[0][task].summary == scores[1][task].summary, f"{name}, {task}: bins without data are read"
        assert scores[0][task].against_train_mean == scores[1][task].against_train_mean, (name, task)


def bins_without_data_change_no_score() -> None:
    for name in FAST:
        bins_without_data_change_no_baseline(name)


# --- what is fitted ---------------------------------------------------------------------------------------------------


def digest(value: Any) -> str:
    """Hash of the bytes of whatever a fit leaves behind: arrays, tensors, tables, and objects that hold such."""
    state = sha256(type(value).__name__.encode())
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        state.update(f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, pd.DataFrame | pd.Series):
        state.update(value.to_json(double_precision=15).encode())
    elif isinstance(value, str | bytes | int | float | bool | np.generic | None):
        state.update(repr(value).encode())
    else:
        for part in _parts(value):
            state.update(digest(part).encode())
    return state.hexdigest()


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (part for pair in value.items() for part in pair)
    elif isinstance(value, list | tuple | set | np.ndarray):
        yield from value
    elif is_dataclass(value):
        yield from ((each.name, getattr(value, each.name)) for each in fields(value))
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()
    else:
        raise TypeError(f"cannot hash a {type(value)}; say here what of it is fitted")


def _trained(trials: Trials) -> Any:
    """Best weights, validation scores and calibration after a few steps."""
    config = TrainConfig(steps=2, batch_size=8, n_validations=1)
    run = new_run(build_model(replace(SIZE, n_layers=1), [trials]), config)
    trainer = Trainer(run, [trials], config)
    list(trainer.steps())
    fitted, groups = calibrated(best_model(run), [trials], trainer.validation)
    history = [{k: v for k, v in entry.items() if k != "seconds"} for entry in run.history]
    return run.best, run.best_step, run.best_score, history, fitted.state_dict(), groups


def _splits(trials: Trials) -> Any:
    kinds = [with_split(trials, kind, seed=3) for kind in SplitKind]
    return [split.split for split in kinds], [identity(split)["split_sha256"] for split in kinds]


def _ridge(trials: Trials) -> Any:
    ridge = Ridge(trials)
    return vars(ridge.moments), [ridge._choose(task) for task in TASKS]


def _one_neuron(trials: Trials) -> Any:
    n_trials = int((trials.split == "validation").sum())
    found = neuron_trials(trials, 3, np.ones((n_trials, trials.n_bins)), split="validation")
    return found.psth, found.train_mean


def _duplicates(trials: Trials) -> Any:
    """Of neurons that share more and more of each other's spikes, so that some pairs are duplicates."""
    rows = (trials.table["stimOn_times"].to_numpy() / 3).astype(int)
    shared = np.random.default_rng(9).random((rows.max() + 1, trials.n_bins))[rows] < 0.2
    counts = trials.counts + shared[:, :, None] * (np.arange(trials.n_neurons) // 3)
    return likely_duplicates(replace(trials, counts=counts)).matrix


def _rates(name: str, trials: Trials, clean: Trials) -> Any:
    """Not only what the fit holds, but what it answers, also about test trials."""
    baseline = FITS[name](trials)
    return [baseline.rates(task, part) for task in baseline.tasks for part in (clean, clean.select("test"))]


# name -> what is fitted, as a function of the trials and of the same trials before they were poisoned
FITTED: dict[str, Callable[[Trials, Trials], Any]] = {
    "train means": lambda trials, clean: train_means(trials),
    "tuned psth": lambda trials, clean: tuned_psth(trials),
    "ridge": lambda trials, clean: _ridge(trials),
    "who is scored": lambda trials, clean: [neurons_of(task, trials) for task in TASKS],
    "region codes": lambda trials, clean: region_codes(trials.regions),
    "splits": lambda trials, clean: _splits(trials),
    "fresh model": lambda trials, clean: build_model(SIZE, [trials]).state_dict(),
    "trained model": lambda trials, clean: _trained(trials),
    **{f"rates of {name}": partial(_rates, name) for name in BASELINES},
    "duplicates": lambda trials, clean: _duplicates(trials),
    "psth of one neuron": lambda trials, clean: _one_neuron(trials),
}


def _on_test(trials: Trials, value: float) -> Trials:
    """Test trials with `value` in everything but the event times, which the splits are made of."""
    test = trials.split == "test"
    at = test[:, None, None]
    dtype = np.result_type(trials.counts, np.min_scalar_type(value))
    rates = None if trials.true_rates is None else np.where(at, value, trials.true_rates).astype(np.float32)
    behaviors = {
        name: np.where(test.reshape(-1, *[1] * (x.ndim - 1)), value, x) for name, x in trials.behaviors.items()
    }
    table = trials.table.copy()
    for name in set(table.columns) - {trials.event, "stimOn_times", "stimOnRecorded_times"}:
        table.loc[test, name] = value
    counts = np.where(at, value, trials.counts).astype(dtype)
    return replace(trials, counts=counts, true_rates=rates, behaviors=behaviors, table=table)


def _scrambled(trials: Trials) -> Trials:
    order = np.arange(trials.n_trials)
    test = np.flatnonzero(trials.split == "test")
    order[test] = np.random.default_rng(2).permutation(test)
    mixed = np.random.default_rng(3).permuted(trials.counts[order], axis=2)
    counts = np.where((trials.split == "test")[:, None, None], mixed, trials.counts)
    return replace(trials, counts=counts, behaviors={name: x[order] for name, x in trials.behaviors.items()})


def _like_training(trials: Trials) -> Trials:
    """Test trials with as many spikes in each bin as all training trials together: the sharpest PSTH is best."""
    sums = trials.select("train").counts.sum(0).clip(max=255).astype(np.uint8)
    return replace(trials, counts=np.where((trials.split == "test")[:, None, None], sums, trials.counts))


POISONS: dict[str, Callable[[Trials], Trials]] = {
    "no number": lambda trials: _on_test(trials, np.nan),
    "huge": lambda trials: _on_test(trials, 255),
    "scrambled": _scrambled,
    "like training": _like_training,
    "without data": lambda trials: replace(trials, valid=trials.valid & (trials.split != "test")[:, None]),
}


def poisoned_test_trials_change_nothing(name: str, poison: str, trials: Trials = BASELINE_TRIALS) -> None:
    poisoned = POISONS[poison](trials)
    clean = replace(trials, counts=trials.counts.astype(poisoned.counts.dtype))  # else other rounding
    found, expected = (digest(FITTED[name](each, clean)) for each in (poisoned, clean))
    assert found == expected, f"{name} changes with test trials that are {poison}"


def no_test_trial_is_fitted(name: str) -> None:
    expected = digest(FITTED[name](BASELINE_TRIALS, BASELINE_TRIALS))
    for poison in ("huge", "like training"):
        found = digest(FITTED[name](POISONS[poison](BASELINE_TRIALS), BASELINE_TRIALS))
        assert found == expected, f"{name} changes with test trials that are {poison}"


# --- the suite --------------------------------------------------------------------------------------------------------


def _named(*checks: Callable[[], None]) -> dict[str, Callable[[], None]]:
    return {check.__name__: check for check in checks}


# Codes cannot depend on counts; some baselines stand for all
NOT_IN_THE_SUITE = {"region codes", *(f"rates of {name}" for name in BASELINES if name not in FAST)}
# What a leak of one kind can be found by
SUITES: dict[str, dict[str, Callable[[], None]]] = {
    "model": {
        **{check.__name__: partial(over_a_few_masks, check) for check in MODEL_CHECKS},
        **_named(
            no_latent_reads_what_is_hidden,
            predictions_in_small_pieces_are_each_trials_own,
            what_else_is_known_of_a_trial_does_not_matter,
            other_trials_change_no_prediction,
            other_sessions_rows_do_not_matter,
        ),
    },
    "tasks": _named(
        every_scheme_hides_what_it_names,
        only_hidden_entries_are_scored,
        scores_count_the_hidden_entries,
        predictions_read_what_their_task_shows,
        answers_read_what_their_task_shows,
        grouped_answers_read_what_their_task_shows,
        answers_do_not_read_duplicates,
        answers_are_the_plain_predictions,
        other_trials_change_no_answer,
        scores_read_what_their_task_shows,
        a_model_of_another_split_is_refused,
    ),
    "fits": {
        **_named(
            baselines_read_what_their_task_shows,
            baselines_trials_are_apart,
            bins_without_data_change_no_score,
        ),
        **{
            f"{name}: no test trial": partial(no_test_trial_is_fitted, name)
            for name in FITTED
            if name not in NOT_IN_THE_SUITE
        },
    },
}
SUITE: dict[str, Callable[[], None]] = {name: check for suite in SUITES.values() for name, check in suite.items()}
