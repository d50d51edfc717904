"""All scores of one recording in both directions: a NEDS model, other models, and the baselines on the same trials.

NEDS, arXiv 2504.08201, sections 5.1 and 5.2, and its table 1: encoding from all behaviors and from each one alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ...checkpoint import Checkpoint
from ...masking_modalities import hold_out_behaviors, hold_out_spikes
from ...modality import BEHAVIORS
from ...session import Trials
from ...translate import translate
from ..score import Score
from ..tasks import check_protocol, part_of
from .decoders import DECODERS, decode_from_spikes
from .encoders import ENCODERS, encode
from .features import chosen_behaviors
from .scores import DecodingScore, decoding_score, encoding_score

ALL = "all"  # source of an encoding: every behavior that the recording has
MODEL = "neds"
NO_SOURCE = ("psth",)  # encoders that read no behavior: one answer, whatever the source


@dataclass
class TranslationScores:
    """encoding: predictor -> source (ALL or a behavior) -> score; decoding: predictor -> behavior -> score."""

    encoding: dict[str, dict[str, Score]] = field(default_factory=dict)
    decoding: dict[str, dict[str, DecodingScore]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            direction: {
                predictor: {name: score.to_json() for name, score in found.items()} for predictor, found in by.items()
            }
            for direction, by in (("encoding", self.encoding), ("decoding", self.decoding))
        }


@dataclass(frozen=True)
class Progress:
    """How far the scoring is; `scores` grows."""

    share: float
    what: str
    scores: TranslationScores


def present_behaviors(model: Checkpoint, trials: Trials) -> tuple[str, ...]:
    """The behaviors of a session that the model was trained with; raises UnknownSessionError."""
    return model.model.present(model.model.rows(trials.session_id, tuple(trials.unit_ids))[1])


def score_model(model: Checkpoint, trials: Trials, split: str = "test") -> Iterator[tuple[str, str, Any]]:
    """Yields (direction, source or behavior, score) of a NEDS model.

    trials: the whole session, with its splits. Raises ValueError for another split than that of the training, and
    UnknownSessionError for a session that the model does not know.
    """
    check_protocol(model, trials)
    part, present = part_of(trials, split), present_behaviors(model, trials)
    shape, about = part.counts.shape[:2], {"model": model.manifest["hash"], "path": model.path.name}
    for source in sources(present):
        read = present if source == ALL else (source,)
        rates = translate(model, part, hold_out_spikes(shape, read, present)).rates
        yield "encoding", source, encoding_score(rates, trials, split, {**about, "read": list(read)})
    found = translate(model, part, hold_out_behaviors(shape, present))
    for name in present:
        predicted = found.probabilities[name] if BEHAVIORS[name].static else found.traces[name]
        yield "decoding", name, decoding_score(predicted, trials, name, split)


def sources(present: tuple[str, ...]) -> tuple[str, ...]:
    """What spikes are predicted from: everything, and each behavior alone where there are several."""
    return (ALL, *present) if len(present) > 1 else (ALL,)


def score_baselines(trials: Trials, split: str = "test") -> Iterator[tuple[str, str, str, Any]]:
    """Yields (predictor, direction, source or behavior, score) of the linear baselines."""
    present = chosen_behaviors(trials)
    for source in sources(present):
        read = present if source == ALL else (source,)
        for method in ENCODERS:
            if source == ALL or method not in NO_SOURCE:
                rates = encode(trials, method, read, split)
                yield method, "encoding", source, encoding_score(rates, trials, split, {"read": list(read)})
    for name in present:
        for method in DECODERS:
            values = decode_from_spikes(trials, name, method, split).values
            yield method, "decoding", name, decoding_score(values, trials, name, split)


def score_translation(
    models: Mapping[str, Checkpoint], trials: Trials, split: str = "test", baselines: bool = True
) -> Iterator[Progress]:
    """Scores of the models, by name, and of the baselines, one after another; whoever stops keeps what there is."""
    scores = TranslationScores()
    n_present = len(chosen_behaviors(trials))
    n_sources = len(sources(chosen_behaviors(trials)))
    n_baselines = n_sources * len(ENCODERS) - (n_sources - 1) * len(NO_SOURCE) + n_present * len(DECODERS)
    total = len(models) * (n_sources + n_present) + (n_baselines if baselines else 0)
    asked = ((name, *each) for name, model in models.items() for each in score_model(model, trials, split))
    linear = score_baselines(trials, split) if baselines else iter(())
    for done, (predictor, direction, what, score) in enumerate(chain(asked, linear), start=1):
        table = scores.encoding if direction == "encoding" else scores.decoding
        table.setdefault(predictor, {})[what] = score
        yield Progress(min(1.0, done / total), f"{predictor}, {direction} {what}", scores)
