"""Scores of several predictors on many sessions: one line per number, means over sessions, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..checkpoint import Checkpoint
from ..data.catalogue import open_session
from ..evaluation.baselines import baseline_names, score_baseline
from ..evaluation.questions import Asking
from ..evaluation.tasks import score_task
from ..session import Trials
from .measure import MEASURES
from .paired import paired


@dataclass(frozen=True)
class Cut:
    """How trials are cut from a recording; as a checkpoint was trained, or its test trials would be others."""

    event: str
    window: tuple[float, float]
    bin_size: float
    region_level: str

    @classmethod
    def of(cls, manifest: dict[str, Any], session_id: str) -> Cut:
        """As a manifest says of this session, or else of its first one; raises ValueError if it says nothing."""
        known = manifest.get("data")
        if not known:
            raise ValueError("this checkpoint knows no session; fine-tune it first")
        about = next((about for about in known if about["session"] == session_id), known[0])
        return cls(about["event"], tuple(about["window"]), about["bin_size"], about["region_level"])

    def trials(self, session_id: str, cache_dir: str | Path | None) -> Trials:
        return open_session(session_id, cache_dir).align(self.event, self.window, self.bin_size, self.region_level)


def model_scores(model: Checkpoint, trials: Trials, tasks: Sequence[str], asking: Asking) -> dict[str, dict[str, Any]]:
    """task -> summary (`mtm_core.evaluation.score.Summary`) of a model that knows the session."""
    return {task: asdict(list(score_task(model, trials, task, asking))[-1].score.summary) for task in tasks}


def baseline_scores(name: str, trials: Trials, tasks: Sequence[str], asking: Asking) -> dict[str, dict[str, Any]]:
    """task -> summary of a baseline, where it exists."""
    if name not in baseline_names(trials):
        return {}
    return {task: asdict(score.summary) for task, score in score_baseline(name, trials, tasks, asking).items()}


def table(results: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One line per session, predictor, task and measure: value, low and high of the interval over test trials, n.

    results: {"session", "predictor", "tasks": as `model_scores` gives them}. What is not measurable has no line.
    """
    lines = []
    for result in results:
        for task, found in result["tasks"].items():
            for measure in (measure for measure in MEASURES if found[measure] is not None):
                low, high = found[f"{measure}_ci"] or (None, None)
                about = {"session": result["session"], "predictor": result["predictor"], "task": task}
                numbers = {"value": found[measure], "low": low, "high": high, "n_neurons": found["n"]}
                lines.append({**about, "measure": measure, **numbers})
    names = ["session", "predictor", "task", "measure", "value", "low", "high", "n_neurons"]
    return pd.DataFrame(lines, columns=names)


def over_sessions(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over sessions of each predictor, task and measure, and the number of sessions."""
    keys = ["task", "measure", "predictor"]
    return scores.groupby(keys, sort=False)["value"].agg(["mean", "count"]).reset_index()


def differences(scores: pd.DataFrame, first: str) -> list[dict[str, Any]]:
    """`first` minus every other predictor, over the sessions on which both have a score."""
    found = []
    for (task, measure), part in scores.groupby(["task", "measure"], sort=False):
        wide = part.pivot(index="session", columns="predictor", values="value")
        for other in (name for name in scores["predictor"].unique() if name != first):
            if first not in wide or other not in wide:
                continue
            both = (wide[first] - wide[other]).dropna().to_numpy(dtype=float)
            if len(both):
                found.append({"task": task, "measure": measure, "minus": other, **asdict(paired(both))})
    return found
