"""The same hidden entries asked for with one prompt after another: what the hint alone is worth."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from mtm_core.evaluation.compare import compare
from mtm_core.evaluation.metrics import SMALLEST_RATE, SpikeSums
from mtm_core.evaluation.score import Interval, Neurons, Score
from mtm_core.evaluation.tasks import train_means
from mtm_core.masking import MTM_SCHEMES, Mask, Scheme
from mtm_core.models.mtm import MtM
from mtm_core.models.released import ReleasedMtM
from mtm_core.predict import predict
from mtm_core.session import Trials

from ..compute import TRIALS_PER_STEP, default_prompt, mask
from ..recordings import Recording, checkpoint, recording
from ..spec import Hide, Spec
from .kept import Kept

UNPROMPTED, TRUE_RATES = "", "true_rates"  # in place of the name of a prompt
_kept = Kept(16)


@dataclass(frozen=True)
class PromptScore:
    """Bits per spike of one prompt. The null is each neuron's mean in the scored entries; intervals are 95 %."""

    prompt: str
    trained: bool
    mean: float | None  # over neurons
    mean_ci: Interval | None
    pooled: float | None
    pooled_ci: Interval | None
    against: float | None  # mean over neurons, minus that of the prompt in use
    against_ci: Interval | None


@dataclass(frozen=True)
class Prompts:
    in_use: str
    scores: tuple[PromptScore, ...]  # so far
    n_trials: int
    n_entries: int  # scored, of all these trials
    n_neurons: int  # with a score
    n_silent: int
    complete: bool = False


def kept(spec: Spec) -> Prompts | None:
    """What some visitor has asked for already."""
    return _kept.get(_key(spec))


def steps(spec: Spec) -> Iterator[tuple[float, Prompts]]:
    """Share done and the scores so far; one prompt after another, that in use first."""
    if (known := kept(spec)) is not None:
        yield 1.0, known
        return
    opened = _checked(spec)
    drawn = mask(spec.session, spec.model, spec.hide)
    who, asked = _who(opened), [*prompts_of(spec), *([TRUE_RATES] if opened.trials.true_rates is not None else [])]
    found, scores = Prompts(asked[0], (), opened.test.size, 0, 0, 0), {}
    for i, prompt in enumerate(asked):
        sums = SpikeSums.empty(opened.test.size, opened.trials.n_neurons)
        for start in range(0, opened.test.size, TRIALS_PER_STEP):
            rows = slice(start, min(start + TRIALS_PER_STEP, opened.test.size))
            part = opened.trials.select(opened.test[rows])
            _add(sums, part, rows, (spec.model, _prompted(drawn, prompt), prompt))
            yield (i + rows.stop / opened.test.size) / len(asked) * 0.999, found
        scores[prompt] = Score("", sums, who, {}, complete=True)
        found = _with(found, spec.model, prompt, scores)
    yield 1.0, _kept.keep(_key(spec), replace(found, complete=True))


def prompts_of(spec: Spec) -> list[str]:
    """The prompts that a model can be asked with, that in use first, then those it was trained with, then none."""
    in_use, model = spec.hide.prompt or default_prompt(spec.hide), checkpoint(spec.model).model
    blank = [UNPROMPTED] if isinstance(model, MtM) else []
    if isinstance(model, MtM) and not model.config.prompted:
        # All prompts are blank to it, but the causal one still keeps it from reading the future.
        return list(dict.fromkeys([in_use, Scheme.NEURON.label, Scheme.CAUSAL.label]))
    return list(dict.fromkeys([in_use, *trained_prompts(spec.model), *blank]))


def trained_prompts(model: str) -> list[str]:
    loaded = checkpoint(model)
    named = loaded.manifest.get("schemes", ()) if not isinstance(loaded.model, ReleasedMtM) else ()
    return [scheme.label for scheme in Scheme if scheme.label in named] or [scheme.label for scheme in MTM_SCHEMES]


def answer(model: str, part: Trials, drawn: Mask, prompt: str) -> np.ndarray:
    """Expected counts (K, T, N) as the library predicts them; without a prompt, with the token of the prompt blank."""
    loaded = checkpoint(model)
    shape = part.counts.shape
    whole = replace(drawn, hidden=drawn.hidden.expand(shape), target=drawn.target.expand(shape))
    return predict(unprompted(loaded.model) if prompt == UNPROMPTED else loaded, part, whole)


def unprompted(model: MtM) -> MtM:
    """The same weights with zeros in place of the prompt token; the model itself is as it was."""
    blank = copy.copy(model)
    blank.config = replace(model.config, prompted=False)
    return blank


def _prompted(drawn: Mask, prompt: str) -> Mask:
    """Without a prompt, bins may read later bins, as with all prompts but the causal one."""
    return replace(drawn, scheme=Scheme[prompt.upper()] if prompt in (s.label for s in Scheme) else Scheme.NEURON)


def _add(sums: SpikeSums, part: Trials, rows: slice, asked: tuple[str, Mask, str]) -> None:
    """Score the target entries of some trials."""
    model, drawn, prompt = asked
    target = drawn.target.numpy() & part.valid[:, :, None]
    if prompt == TRUE_RATES:
        rates = np.maximum(part.true_rates, SMALLEST_RATE)
    else:
        rates = answer(model, part, drawn, prompt)
    sums.add(part.counts, rates, target, trials=rows)


def _with(found: Prompts, model: str, prompt: str, scores: dict[str, Score]) -> Prompts:
    """The scores so far and that of one more prompt."""
    score, first = scores[prompt], scores[found.in_use]
    summary, difference = score.summary, None
    if score is not first and summary.n:
        difference = compare(score, first)
    new = PromptScore(
        prompt=prompt,
        trained=prompt in trained_prompts(model),
        mean=summary.mean,
        mean_ci=summary.mean_ci,
        pooled=summary.pooled,
        pooled_ci=summary.pooled_ci,
        against=None if difference is None else difference.mean_difference,
        against_ci=None if difference is None else difference.mean_ci,
    )
    entries = int(score.total.n_entries.sum())
    return replace(
        found, scores=(*found.scores, new), n_entries=entries, n_neurons=summary.n, n_silent=summary.n_silent
    )


def _who(opened: Recording) -> Neurons:
    trials = replace(opened.trials, true_rates=None)  # selecting trials would copy the true rates
    return Neurons(trials.unit_ids, trials.regions, np.ones(trials.n_neurons, dtype=bool), train_means(trials))


def _checked(spec: Spec) -> Recording:
    """The recording; raises ValueError with what the visitor should know if there is nothing to ask."""
    opened = recording(spec.session, spec.model)
    if not opened.known:
        raise ValueError("this model has not been trained on this recording, so it cannot be asked")
    if opened.test.size < 2:
        raise ValueError("this recording has fewer than two test trials, so there is no interval over trials")
    if not bool(torch.any(mask(spec.session, spec.model, spec.hide).target)):
        raise ValueError("nothing that is scored is hidden; choose a scheme, or draw again")
    return opened


def _key(spec: Spec) -> tuple[str, str, Hide]:
    return spec.session, spec.model, spec.hide
