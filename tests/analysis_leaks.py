"""Checks that find leaks in the analyses: decoding, the information map, single neurons, few-shot co-smoothing.

Run on the real code by test_leaks.py, and on leaks planted in it by test_leak_mutations.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from leaks import POISONS, checkpoint_of, digest, same, unseen_by, with_gaps
from small import small_trials

from mtm_core.evaluation.decoding.behaviors import target_of
from mtm_core.evaluation.decoding.features import features, open_source
from mtm_core.evaluation.decoding.mtm_protocol import MtmProtocol
from mtm_core.evaluation.decoding.nested import Nested
from mtm_core.evaluation.few_shot import FewShot, few_shot
from mtm_core.evaluation.information.map import Kind, Settings, Study, information_map
from mtm_core.evaluation.questions import TASKS
from mtm_core.evaluation.single_neuron.judge import judge
from mtm_core.evaluation.single_neuron.trials import NeuronTrials, predicted_trials
from mtm_core.session import Trials


def _behaving() -> Trials:
    trials = small_trials(shape=(60, 10, 12))
    speed = np.random.default_rng(4).normal(size=trials.counts.shape[:2]).cumsum(axis=1)
    return replace(trials, behaviors={**trials.behaviors, "wheel_speed": speed})


BEHAVING = _behaving()
PROTOCOLS = {"nested": Nested, "mtm": MtmProtocol}
# source -> does it read the neurons of CA1, and the others
SOURCES = {
    "counts": (True, True),
    "rates": (True, True),
    "latents": (True, True),
    "region:CA1": (True, False),
    "without:CA1": (False, True),
    "reconstruction:CA1": (False, True),
}


# --- decoding ---------------------------------------------------------------------------------------------------------


def _returned(steps: Generator[Any, None, Any]) -> Any:
    """What a generator returns at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _features(source: str, trials: Trials, positions: np.ndarray | None = None) -> np.ndarray:
    model = checkpoint_of(BEHAVING)
    positions = np.arange(trials.n_trials) if positions is None else positions
    return _returned(features(open_source(source, trials), model, trials, positions))


def a_feature_holds_no_behavior(source: str) -> None:
    """Neither the decoded one nor another, nor what the table says of the trial."""
    other = replace(
        BEHAVING,
        behaviors={name: np.full_like(values, np.nan) for name, values in BEHAVING.behaviors.items()},
        table=BEHAVING.table * 7,
        split=BEHAVING.split[::-1],
        true_rates=None,
    )
    assert same(_features(source, other), _features(source, BEHAVING)), f"{source}: behavior is among the features"


def a_source_reads_the_neurons_it_names(source: str) -> None:
    inside, expected = BEHAVING.regions == "CA1", _features(source, BEHAVING)
    for changed, is_read in zip((inside, ~inside), SOURCES[source], strict=True):
        other = replace(BEHAVING, counts=np.where(changed, BEHAVING.counts + 3, BEHAVING.counts))
        assert same(_features(source, other), expected) != is_read, f"{source} reads the wrong neurons"


def features_of_a_trial_are_its_own(source: str) -> None:
    changed = BEHAVING.counts.copy()
    changed[1:] += 3
    found, expected = (_features(source, replace(BEHAVING, counts=c))[0] for c in (changed, BEHAVING.counts))
    assert same(found, expected), f"{source}: another trial changes a feature"


def _decoded(protocol: str, name: str, trials: Trials) -> tuple[Any, np.ndarray]:
    """(all that is fitted, predictions for the test trials) of one behavior from spike counts."""
    train, test = (np.flatnonzero(np.isin(trials.split, s)) for s in (("train", "validation"), ("test",)))
    values = _features("counts", trials)
    decoder = _returned(PROTOCOLS[protocol].on(values, trials.bin_size, train, test))
    found = decoder.decode(target_of(name, trials.behaviors[name]))
    spaces = decoder.spaces.values() if protocol == "nested" else [decoder.space]
    return ([(s.train, s.mean, s.scale) for s in spaces], found.settings, found.n_train), found.predicted


def a_decoder_knows_no_other_test_trial(protocol: str, behavior: str, poison: str) -> None:
    """Its scaling, settings and weights are those of the training trials: one test trial is read out as before."""
    poisoned = POISONS[poison](BEHAVING)
    asked = np.flatnonzero(BEHAVING.split == "test")[0]
    counts, valid = poisoned.counts.copy(), poisoned.valid.copy()
    counts[asked], valid[asked] = BEHAVING.counts[asked], BEHAVING.valid[asked]
    poisoned = replace(poisoned, counts=counts, valid=valid)
    (found, predicted), (fitted, expected) = (_decoded(protocol, behavior, each) for each in (poisoned, BEHAVING))
    assert digest(found) == digest(fitted), f"{protocol}, {behavior}: test trials that are {poison} change the decoder"
    assert same(predicted[0], expected[0]), f"{protocol}, {behavior}: other test trials change a prediction"


def features_hold_no_behavior() -> None:
    for source in SOURCES:
        a_feature_holds_no_behavior(source)


def sources_read_the_neurons_they_name() -> None:
    for source in SOURCES:
        a_source_reads_the_neurons_it_names(source)


def features_of_trials_are_apart() -> None:
    for source in SOURCES:
        features_of_a_trial_are_its_own(source)


def decoders_know_no_other_test_trial() -> None:
    for behavior in BEHAVING.behaviors:
        a_decoder_knows_no_other_test_trial("nested", behavior, "scrambled")


# --- the information map ----------------------------------------------------------------------------------------------

MAPPED = small_trials(shape=(10, 8, 12), split=np.resize(["train", "validation", "test", "test", "test"], 10))
REGIONS = ("CA1", "LP", "VISp")  # as sorted below; the neuron of unknown region is in none


def _cells(kind: Kind, trials: Trials) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(source, target) -> predicted spikes per trial and target neuron: with the source, without, with a shifted one.

    Sums of predictions do not depend on what was recorded of the target, unless the model reads it.
    """
    found = {}

    def keep(study, cell, better, worse, controls):
        names = tuple(study.groups.regions[region] for region in cell)
        found[names] = tuple(sums.expected for sums in (better, worse, *controls))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "fill", keep)
        for _ in information_map(checkpoint_of(MAPPED), trials, Settings(kind, nulls=1)):
            pass
    return found


def an_information_cell_reads_what_it_names(kind: Kind) -> None:
    """Scramble a region: nothing changes where it is hidden, and something where it is said to be read."""
    expected = _cells(kind, MAPPED)
    assert len(expected) == len(REGIONS) ** 2
    assert not any(same(better, control) for better, _, control in expected.values()), "the control is the source"
    for region in REGIONS:
        counts = np.where(MAPPED.regions == region, MAPPED.counts[:, ::-1] + 2, MAPPED.counts)
        for (source, target), (better, worse, control) in _cells(kind, replace(MAPPED, counts=counts)).items():
            was_better, was_worse, was_control = expected[source, target]
            about = f"{kind.value}, {source} -> {target}: {region}"
            others_hidden = kind is Kind.ALONE and region != source
            if region in (source, target) or kind is Kind.ALONE:
                assert same(worse, was_worse), f"{about} is read where it is hidden"
            if source != target and region == target or others_hidden:
                assert same(better, was_better) and same(control, was_control), f"{about} is read where it is hidden"
            if region == source:
                assert not same(better, was_better) and not same(control, was_control), f"{about} is not read"


def information_cells_read_what_they_name() -> None:
    for kind in Kind:
        an_information_cell_reads_what_it_names(kind)


# --- single neurons ---------------------------------------------------------------------------------------------------


def _one_neuron() -> NeuronTrials:
    trials = with_gaps(small_trials(shape=(30, 10, 12)))
    return predicted_trials(checkpoint_of(trials), trials, 4)


def what_is_not_scored_is_not_judged() -> None:
    neuron = _one_neuron()
    other = replace(
        neuron,
        counts=np.where(neuron.scored, neuron.counts, 77).astype(np.uint8),
        rates=np.where(neuron.scored, neuron.rates, 1e6),
        true_rates=np.where(neuron.scored, neuron.true_rates, 1e6),
    )
    one, two = (digest(judge(each, np.random.default_rng(1))) for each in (other, neuron))
    assert one == two, "entries that are not scored are judged"


def one_neuron_is_predicted_from_what_its_task_shows(task: str) -> None:
    trials = with_gaps(small_trials(shape=(10, 20, 12)))
    unseen = unseen_by(task, trials, 4) | ~trials.valid[:, :, None]
    other = replace(trials, counts=np.where(unseen, 99, trials.counts).astype(np.uint8))
    model = checkpoint_of(trials)
    found, expected = (predicted_trials(model, each, 4, task).rates for each in (other, trials))
    assert same(found, expected), f"{task}: the prediction of one neuron reads what is hidden"


def single_neurons_are_predicted_from_what_their_task_shows() -> None:
    for task in TASKS:
        one_neuron_is_predicted_from_what_its_task_shows(task)


# --- few-shot co-smoothing --------------------------------------------------------------------------------------------


def few_shots_read_no_held_out_test_count() -> None:
    """What is predicted of the test trials, by the model's latents and by principal components."""
    trials, held_out = small_trials(shape=(30, 8, 12)), np.array([2, 7])

    def predicted(given: Trials) -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        *_, last = few_shot(checkpoint_of(trials), given, held_out, rng, FewShot(shots=(4,), n_repeats=1))
        return [sums.expected for point in last.points for sums in point.sums]

    hidden = (trials.split == "test")[:, None, None] & np.isin(np.arange(12), held_out)
    other = replace(trials, counts=np.where(hidden, trials.counts + 5, trials.counts))
    found, expected = predicted(other), predicted(trials)
    assert len(found) > 1 and all(map(same, found, expected)), "a held-out count of a test trial is read"


ANALYSES: dict[str, Callable[[], None]] = {
    check.__name__: check
    for check in (
        features_hold_no_behavior,
        sources_read_the_neurons_they_name,
        features_of_trials_are_apart,
        decoders_know_no_other_test_trial,
        information_cells_read_what_they_name,
        what_is_not_scored_is_not_judged,
        single_neurons_are_predicted_from_what_their_task_shows,
        few_shots_read_no_held_out_test_count,
    )
}
