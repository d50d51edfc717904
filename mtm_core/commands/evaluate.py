"""`mtm evaluate`: a checkpoint and the baselines on held-out trials of one session."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..atomic import write_json
from ..checkpoint import Checkpoint, load_checkpoint
from ..data.catalogue import open_session
from ..device import describe, pick_device
from ..evaluation.baselines import baseline_names, score_baseline
from ..evaluation.score import TaskScore
from ..evaluation.tasks import score_task
from ..session import Trials
from .console import ProgressLine

NOTE = "bits per spike against the mean of the test entries; mean over neurons / pooled over spikes"


def trials_of(checkpoint: Checkpoint, session_id: str | None, cache_dir: str | None) -> Trials:
    """A session cut as the checkpoint was trained on it; one that the checkpoint does not know, like its first."""
    known = checkpoint.manifest.get("data")
    if not known:
        raise ValueError(f"{checkpoint.path}: does not say which data it was trained on; give one from `mtm train`")
    session = open_session(session_id or known[0]["session"], cache_dir)
    about = next((about for about in known if about["session"] == session.id), known[0])
    return session.align(about["event"], tuple(about["window"]), about["bin_size"], about["region_level"])


def score_model(checkpoint: Checkpoint, trials: Trials, tasks: list[str], split: str) -> dict[str, TaskScore]:
    scores = {}
    for task in tasks:
        shown = ProgressLine()
        for progress in score_task(checkpoint, trials, task, split):
            share = progress.done / max(progress.total, 1)
            shown.show(f"{task}: {progress.done} of {progress.total} questions ({100 * share:.0f} %)", share)
        scores[task] = progress.score
        shown.end()
    return scores


def table(scores: dict[str, dict[str, TaskScore]], tasks: list[str]) -> str:
    """Rows of predictors, columns of tasks."""

    def cell(score: TaskScore) -> str:
        s = score.summary
        return "not measurable" if s.mean is None or s.pooled is None else f"{s.mean:.3f} / {s.pooled:.3f}"

    lines = ["".join([f"{'':<12}", *(f"{task:>20}" for task in tasks)])]
    for name, by_task in scores.items():
        lines.append("".join([f"{name:<12}", *(f"{cell(by_task[task]):>20}" for task in tasks)]))
    some = next(iter(scores.values()))
    numbers = [f"{s.n}, {s.n_silent}, {s.n_excluded}" for s in (some[task].summary for task in tasks)]
    lines.append("".join([f"{'neurons':<12}", *(f"{text:>20}" for text in numbers)]))
    return "\n".join([*lines, "neurons: scored, silent, excluded"])


def result(checkpoint: Checkpoint, trials: Trials, scores: dict[str, dict[str, TaskScore]]) -> dict[str, Any]:
    """The JSON that later work reads."""
    as_json = {name: {task: s.to_json() for task, s in by_task.items()} for name, by_task in scores.items()}
    first = next(iter(scores["mtm"].values()))
    return {
        "session": trials.session_id,
        "protocol": {k: v for k, v in first.protocol.items() if k != "prompt"},
        "checkpoint": {"hash": checkpoint.manifest["hash"], "config": asdict(checkpoint.model.config)},
        "tasks": as_json.pop("mtm"),
        "baselines": {name: {"tasks": by_task} for name, by_task in as_json.items()},
    }


def run(options: argparse.Namespace) -> int:
    device = pick_device(options.device)
    if options.json:
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after minutes of scoring
    checkpoint = load_checkpoint(options.checkpoint, device)
    trials = trials_of(checkpoint, options.session, options.cache_dir)
    about = f"{trials.n_neurons} neurons, {int((trials.split == options.split).sum())} {options.split} trials"
    print(f"session {trials.session_id}, {about}, on {describe(device)}")
    others = [s for s in checkpoint.session_ids if s != trials.session_id]
    if others and not options.session:
        print(f"other sessions of this checkpoint: {', '.join(others)} (choose with --session)")
    tasks = list(options.tasks)
    scores = {"mtm": score_model(checkpoint, trials, tasks, options.split)}
    for name in baseline_names(trials):
        scores[name] = score_baseline(name, trials, tasks, options.split)
    print(NOTE)
    print(table(scores, tasks))
    if options.json:
        write_json(Path(options.json), result(checkpoint, trials, scores))
        print(f"all scores, per region and per neuron: {options.json}")
    return 0
