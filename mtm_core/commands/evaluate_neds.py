"""`mtm evaluate` of a NEDS checkpoint: encoding and decoding on held-out trials, beside the linear baselines."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ..atomic import write_json
from ..checkpoint import Checkpoint
from ..evaluation.translation.scores import DecodingScore
from ..evaluation.translation.session_scores import MODEL, TranslationScores, score_translation
from ..session import Trials
from .console import ProgressLine

NOTE = "encoding: bits per spike against the mean of the test entries, mean over neurons / pooled over spikes"
MEASURES = "decoding: balanced accuracy (95 %), AUC of two classes; R2 (95 %), R2 beyond the average trace"
ONLY_MTM = ("fast", "hide_duplicates", "few_shot", "held_out", "report")  # options that ask what only MtM answers


def refuse_options(options: argparse.Namespace) -> None:
    """Raises ValueError for what cannot be asked of a NEDS model."""
    given = [name for name in ONLY_MTM if getattr(options, name)]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} is a question to MtM; leave it out for a NEDS model")


def run(
    checkpoint: Checkpoint, trials: Trials, options: argparse.Namespace, others: dict[str, Checkpoint]
) -> dict[str, Any]:
    """Score, print the tables, and return all of it as JSON."""
    refuse_options(options)
    shown = ProgressLine()
    for done in score_translation(
        {MODEL: checkpoint, **others}, trials, options.split, baselines=not options.no_baselines
    ):
        shown.show(f"{100 * done.share:3.0f} %  {done.what}", done.share)
    shown.end()
    print(tables(done.scores))
    found = {
        "session": trials.session_id,
        "checkpoint": {"hash": checkpoint.manifest["hash"], "config": asdict(checkpoint.model.config)},
        **done.scores.to_json(),
    }
    if options.json:
        write_json(Path(options.json), found)
        print(f"all scores, per region and per neuron: {options.json}")
    return found


def tables(scores: TranslationScores) -> str:
    """Both directions as text."""
    encoding = {
        who: {f"from {what}": _bits(s.summary) for what, s in by.items()} for who, by in scores.encoding.items()
    }
    decoding = {who: {what: _decoded(s) for what, s in by.items()} for who, by in scores.decoding.items()}
    parts = [NOTE, _table(encoding), MEASURES, _table(decoding)]
    n_left_out = _left_out(next(iter(scores.decoding.values()), {}))
    return "\n".join([*parts, *([n_left_out] if n_left_out else [])])


def _table(cells: dict[str, dict[str, str]]) -> str:
    return pd.DataFrame.from_dict(cells, orient="index").fillna("-").to_string()


def _bits(summary: Any) -> str:
    if summary.mean is None or summary.pooled is None:
        return "not measurable"
    low, high = summary.mean_ci or (float("nan"),) * 2
    return f"{summary.mean:.3f} / {summary.pooled:.3f} ({low:.3f} to {high:.3f})"


def _decoded(score: DecodingScore) -> str:
    """The headline number with its interval, and the companion."""
    first, second = ("balanced_accuracy", "auc") if score.classes else ("r2", "r2_residual")
    head = score.measures[first]
    if head.value is None:
        return head.reason
    ends = "" if head.ci is None else f" ({head.ci[0]:.3f} to {head.ci[1]:.3f})"
    other = score.measures[second].value
    return f"{head.value:.3f}{ends}" + ("" if other is None else f", {other:.3f}")


def _left_out(by_behavior: dict[str, DecodingScore]) -> str:
    found = [
        f"{name}: {score.n} trials scored, " + ", ".join(f"{n} without ({reason})" for reason, n in left.items())
        for name, score in by_behavior.items()
        if (left := score.n_left_out)
    ]
    return "; ".join(found)
