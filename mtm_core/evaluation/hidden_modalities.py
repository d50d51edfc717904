"""How well a model of spikes and behavior predicts what a mask hides in every trial of a split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from ..masking_modalities import ROWS, SPIKES_ROW, ModalityMask
from ..modality import BEHAVIORS, SPIKES
from ..session import Trials
from ..translate import Translated
from .metrics import SpikeSums
from .score import Score
from .tasks import ceiling_of, neurons_of, part_of, protocol
from .translation.encoders import TASK
from .translation.scores import Measure, decoding_score


@dataclass(frozen=True)
class HiddenScores:
    """measures: (modality, measure) -> score. chance: what a constant answer scores, by behavior.

    ceiling: pooled bits per spike of the rates that generated the spikes, where they are known and all bins are hidden.
    """

    measures: dict[tuple[str, str], Measure] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    ceiling: float | None = None


def hidden_scores(found: Translated, trials: Trials, mask: ModalityMask, split: str = "test") -> HiddenScores:
    """Scores of the hidden entries alone.

    found: predictions for the trials of the split; mask: of the same trials, alike in all of them. trials: the whole
    session, with its splits. Spikes: pooled and mean bits per spike against the mean of the scored entries ("_test")
    and of the training trials ("_train"). Raises ValueError for a mask that differs between trials.
    """
    hidden = mask.hidden[0].cpu().numpy()
    if not bool((mask.hidden == mask.hidden[:1]).all()):
        raise ValueError("the mask differs between trials; score one mask at a time")
    measures, chance, ceiling = {}, {}, None
    if (flags := hidden[SPIKES_ROW]).any():
        score = _encoding(trials, found.rates, flags, split)
        for kind, summary in (("test", score.summary), ("train", score.against_train_mean)):
            measures[SPIKES.name, f"pooled_{kind}"] = Measure(summary.pooled, summary.pooled_ci)
            measures[SPIKES.name, f"mean_{kind}"] = Measure(summary.mean, summary.mean_ci)
        ceiling = score.ceiling.pooled if flags.all() else None
    for name, row in ROWS.items():
        predicted = found.probabilities.get(name, found.traces.get(name))
        if not hidden[row].any() or predicted is None or name not in trials.behaviors:
            continue
        scored = decoding_score(predicted, _only(trials, name, hidden[row], split), name, split)
        measures |= {(name, measure): value for measure, value in scored.measures.items()}
        if scored.chance is not None:
            chance[name] = scored.chance
    return HiddenScores(measures, chance, ceiling)


def _encoding(trials: Trials, rates: ndarray, flags: Bool[ndarray, " T"], split: str) -> Score:
    """As `encoding_score`, of the hidden bins alone."""
    part, who = part_of(trials, split), neurons_of(TASK, trials)
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    sums.add(part.counts, rates, (part.valid & flags)[:, :, None])
    return Score(TASK, sums, who, protocol(trials, TASK, split, {}), True, ceiling_of(TASK, part, who))


def _only(trials: Trials, name: str, flags: Bool[ndarray, " T"], split: str) -> Trials:
    """The trials, of which those of the split hold a trace in the hidden bins alone: only these are scored."""
    trials = replace(trials, true_rates=None)  # selecting trials would copy them
    if BEHAVIORS[name].static or flags.all():
        return trials
    values = np.array(trials.behaviors[name], dtype=np.float64)
    values[np.ix_(trials.split == split, ~flags)] = np.nan
    return replace(trials, behaviors={**trials.behaviors, name: values})
