"""`mtm evaluate`: a checkpoint, other checkpoints and the baselines on held-out trials of one session."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..atomic import write_json
from ..checkpoint import Checkpoint, load_checkpoint
from ..data.catalogue import open_session
from ..device import describe, pick_device
from ..evaluation.baselines import baseline_names
from ..evaluation.compare import Comparison
from ..evaluation.duplicates import likely_duplicates
from ..evaluation.few_shot import FewShot, few_shot
from ..evaluation.held_out_sets import brain_wide_bench, read_uuids, with_uuids
from ..evaluation.questions import Asking
from ..evaluation.score import Score
from ..evaluation.session_scores import MODEL, UNTRAINED, Plan, SessionScores, result_of, score_session
from ..evaluation.tasks import score_held_out
from ..models.neds import Neds
from ..report import write_report
from ..report.verdict import verdict
from ..session import Session, Trials
from . import evaluate_neds
from .console import ProgressLine

NOTE = "bits per spike against the mean of the test entries; mean over neurons / pooled over spikes"


def open_trials(
    checkpoint: Checkpoint, session_id: str | None, cache_dir: str | None, level: str | None = None
) -> tuple[Session, Trials]:
    """A session and its trials, cut as the checkpoint was trained on it; one it does not know, like its first."""
    known = checkpoint.manifest.get("data")
    if not known:
        raise ValueError(f"{checkpoint.path}: {_why_no_session(checkpoint)}")
    session = open_session(session_id or known[0]["session"], cache_dir)
    about = next((about for about in known if about["session"] == session.id), known[0])
    level = level or about["region_level"]
    return session, session.align(about["event"], tuple(about["window"]), about["bin_size"], level)


def _why_no_session(checkpoint: Checkpoint) -> str:
    if checkpoint.manifest.get("pretrained_on"):
        return "a trunk that knows no neurons; first `mtm finetune` it on a session"
    if label := checkpoint.manifest.get("label"):
        return f"{label}; they know no recordings: give arrays to `mtm predict`"
    return "does not say which data it was trained on; give one from `mtm train`"


def trials_of(checkpoint: Checkpoint, session_id: str | None, cache_dir: str | None) -> Trials:
    """The trials alone."""
    return open_trials(checkpoint, session_id, cache_dir)[1]


def asking_of(options: argparse.Namespace, session: Session, trials: Trials) -> Asking:
    """How the options want the questions to be asked."""
    duplicates = None
    if options.hide_duplicates:
        found = likely_duplicates(trials, session.units)
        known = "" if found.positions_known else "; positions are not known, so neighbors on the probe are not found"
        print(f"{found.n_pairs} pairs of likely duplicates are hidden together{known}")
        duplicates = found.matrix
    return Asking(options.split, options.fast, duplicates, False if options.precision == "float32" else None)


def score_all(checkpoint: Checkpoint, trials: Trials, plan: Plan) -> SessionScores:
    """All scores, with a progress line."""
    shown = ProgressLine()
    for done in score_session(checkpoint, trials, plan):
        shown.show(f"{100 * done.share:3.0f} %  {done.what}", done.share)
    shown.end()
    return done.scores


def table(scores: SessionScores, tasks: list[str]) -> str:
    """Rows of predictors, columns of tasks."""

    def cell(score: Score | None) -> str:
        if score is None:
            return "-"
        s = score.summary
        return "not measurable" if s.mean is None or s.pooled is None else f"{s.mean:.3f} / {s.pooled:.3f}"

    width = max(12, *(len(name) + 2 for name in scores.by_predictor))
    lines = ["".join([" " * width, *(f"{task:>20}" for task in tasks)])]
    for name, by_task in scores.by_predictor.items():
        lines.append("".join([f"{name:<{width}}", *(f"{cell(by_task.get(task)):>20}" for task in tasks)]))
        if name == MODEL:
            lines.append("".join([f"{'  95 %':<{width}}", *(f"{_interval(by_task[task]):>20}" for task in tasks)]))
    numbers = [f"{s.n}, {s.n_silent}, {s.n_excluded}" for s in (scores.model[task].summary for task in tasks)]
    lines.append("".join([f"{'neurons':<{width}}", *(f"{text:>20}" for text in numbers)]))
    return "\n".join([*lines, "neurons: scored, silent, excluded; 95 %: of the mean, trials resampled"])


def _interval(score: Score) -> str:
    ends = score.summary.mean_ci
    return "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


def differences(scores: SessionScores, tasks: list[str]) -> str:
    """Model minus each other predictor, paired over neurons."""

    def cell(c: Comparison | None) -> str:
        return "-" if c is None else f"{c.mean_difference:+.3f} ({c.mean_ci[0]:+.3f} to {c.mean_ci[1]:+.3f})"

    compared = scores.comparisons()
    width = max(12, *(len(name) + 2 for name in compared)) if compared else 12
    lines = ["".join([f"{'mtm minus':<{width}}", *(f"{task:>28}" for task in tasks)])]
    for name, by_task in compared.items():
        lines.append("".join([f"{name:<{width}}", *(f"{cell(by_task.get(task)):>28}" for task in tasks)]))
    return "\n".join([*lines, "mean difference per neuron with 95 % interval, trials resampled"])


def held_out_score(checkpoint: Checkpoint, trials: Trials, options: argparse.Namespace, asking: Asking) -> Score:
    """The score of the set of neurons that the option names."""
    if options.held_out == "bwb":
        neurons = brain_wide_bench(trials.unit_ids, "validation" if asking.split == "validation" else "test")
    else:
        neurons = with_uuids(trials.unit_ids, read_uuids(options.held_out))
    *_, last = score_held_out(checkpoint, trials, neurons, asking)
    s = last.score.summary
    numbers = ", ".join(
        f"{x:.3f} {of}" if x is not None else f"no {of}"
        for x, of in ((s.mean, "mean"), (s.pooled, "pooled"), (s.poisson_d2, "Poisson D2"))
    )
    print(f"{len(neurons)} neurons held out together: {numbers}")
    return last.score


def few_shot_curve(checkpoint: Checkpoint, trials: Trials, asking: Asking) -> list[dict[str, Any]]:
    """Scores of the benchmark's held-out set from few trials, a row per number of trials; also printed."""
    neurons, shown = brain_wide_bench(trials.unit_ids), ProgressLine()
    asked = FewShot(split=asking.split, duplicates=asking.duplicates)
    for progress in few_shot(checkpoint, trials, neurons, np.random.default_rng(0), asked):
        shown.show(f"few-shot: {100 * progress.share:.0f} %", progress.share)
    shown.end()
    print("few-shot co-smoothing of a tenth of the neurons, k training trials")
    print(progress.table().round(3).to_string(index=False))
    return progress.to_json()


def other_models(paths: list[str], device: torch.device, translates: bool) -> dict[str, Checkpoint]:
    """Checkpoints by folder name; raises ValueError if two folders have one name, and for one of another kind."""
    found = {Path(path).name: load_checkpoint(path, device) for path in paths}
    if len(found) < len(paths):
        raise ValueError(f"{len(paths)} models have {len(found)} folder names; rename one, the table goes by names")
    for each in found.values():
        if "label" in each.manifest:
            raise ValueError(f"{each.path}: {_why_no_session(each)}")
        if isinstance(each.model, Neds) != translates:
            raise ValueError(f"{each.path}: MtM and NEDS answer other questions; compare models of one kind")
    return found


def run(options: argparse.Namespace) -> int:
    device = pick_device(options.device)
    for path in filter(None, (options.json, options.report)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after minutes of scoring
    checkpoint = load_checkpoint(options.checkpoint, device)
    against = other_models(options.against, device, isinstance(checkpoint.model, Neds))
    session, trials = open_trials(checkpoint, options.session, options.cache_dir, options.region_level)
    about = f"{trials.n_neurons} neurons, {int((trials.split == options.split).sum())} {options.split} trials"
    print(f"session {trials.session_id}, {about}, on {describe(device)}")
    others = [s for s in checkpoint.session_ids if s != trials.session_id]
    if others and not options.session:
        print(f"other sessions of this checkpoint: {', '.join(others)} (choose with --session)")
    if isinstance(checkpoint.model, Neds):
        evaluate_neds.run(checkpoint, trials, options, against)
        return 0
    tasks, asking = list(options.tasks), asking_of(options, session, trials)
    names = () if options.no_baselines else (*baseline_names(trials), UNTRAINED)
    scores = score_all(checkpoint, trials, Plan(tasks, asking, names, against))
    found = result_of(checkpoint, scores)
    print("\n".join(verdict(found)))
    show(scores, tasks)
    if options.held_out:
        found["held_out"] = held_out_score(checkpoint, trials, options, asking).to_json()
    if options.few_shot:
        found["few_shot"] = few_shot_curve(checkpoint, trials, asking)
    write(found, options)
    return 0


def show(scores: SessionScores, tasks: list[str]) -> None:
    print(NOTE)
    print(table(scores, tasks))
    if any(scores.comparisons().values()):
        print(differences(scores, tasks))
    elif scores.others:
        print("no differences: no other predictor answered the same questions")
    if (grouped := scores.grouped) is not None:
        print(
            f"grouped minus exact co-smoothing on {grouped.n} neurons: mean {grouped.mean:+.4f}, "
            f"rms {grouped.rms:.4f}, largest {grouped.largest:.4f} bits per spike"
        )


def write(found: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        write_json(Path(options.json), found)
        print(f"all scores, per region and per neuron: {options.json}")
    if options.report:
        write_report(Path(options.report), found)
        print(f"report: {options.report}")
