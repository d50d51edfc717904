"""`mtm score-sessions`: models and baselines on many sessions at once, one process per core or on a dask scheduler."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from ..atomic import write_bytes, write_json
from ..checkpoint import Checkpoint, load_checkpoint, read_manifest
from ..data.catalogue import list_sessions
from ..device import pick_device
from ..evaluation.questions import Asking
from ..experiments.many_sessions import Cut, baseline_scores, differences, model_scores, over_sessions, table
from ..experiments.measure import MEASURES
from ..jobs import Failed, spread
from .console import ProgressLine


@dataclass(frozen=True)
class Job:
    """One predictor on one session; plain values, as it travels to other processes."""

    session: str
    predictor: str
    checkpoint: str | None  # folder; None: a baseline
    cut: Cut
    tasks: tuple[str, ...]
    asking: Asking
    cache_dir: str | None
    device: str


@lru_cache(maxsize=2)
def _loaded(folder: str, device: str) -> Checkpoint:
    """A process scores one model on many sessions."""
    return load_checkpoint(folder, device)


def score(job: Job) -> dict[str, Any]:
    """What a worker does."""
    trials = job.cut.trials(job.session, job.cache_dir)
    if job.checkpoint is None:
        tasks = baseline_scores(job.predictor, trials, job.tasks, job.asking)
    else:
        tasks = model_scores(_loaded(job.checkpoint, job.device), trials, job.tasks, job.asking)
    return {"session": trials.session_id, "predictor": job.predictor, "tasks": tasks}


def workers_device(options: argparse.Namespace) -> str:
    """The device of the workers; those of a scheduler use a card only if they are asked to."""
    if options.scheduler:
        return options.device or "cpu"
    return str(pick_device(options.device))


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """Every predictor on every session; raises ValueError if two have one name, or a session is not known."""
    folders = {Path(path).name: str(Path(path).resolve()) for path in options.checkpoint}
    names = [*folders, *options.baselines]
    if len(folders) < len(options.checkpoint) or len(set(names)) < len(names):
        raise ValueError(f"two predictors have one name: {', '.join(names)}; rename a folder, the table goes by names")
    manifest = read_manifest(options.checkpoint[0])
    if not manifest.get("data"):
        what = manifest.get("label") or "a trunk that knows no neurons; first `mtm finetune` it on a session"
        raise ValueError(f"{options.checkpoint[0]}: {what}; nothing can be scored")
    sessions = full_ids(options.session, options.cache_dir) if options.session else manifest["session_ids"]
    asking = Asking(options.split, options.fast)
    fixed = (tuple(options.tasks), asking, options.cache_dir, workers_device(options))
    return [
        Job(session, name, folders.get(name), Cut.of(manifest, session), *fixed)
        for name in names
        for session in sessions
    ]


def full_ids(beginnings: Sequence[str], cache_dir: str | None) -> list[str]:
    """Ids of sessions from unique beginnings, each once."""
    known, found = list_sessions(cache_dir)["id"].tolist(), []
    for beginning in beginnings:
        like = [each for each in known if each == beginning] or [each for each in known if each.startswith(beginning)]
        if len(like) != 1:
            raise ValueError(f"{beginning!r} begins {len(like)} ids of sessions; give one of `mtm sessions`")
        found.append(like[0])
    return list(dict.fromkeys(found))


def run(options: argparse.Namespace) -> int:
    for file in filter(None, (options.json, options.csv)):
        Path(file).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after minutes of scoring
    jobs = jobs_of(options)
    results, problems = scored(jobs, options)
    for problem in problems:
        print(f"not scored: {problem}")
    if not results:
        raise ValueError("nothing could be scored; the reasons are above")
    scores = table(results)
    first = jobs[0].predictor
    compared = differences(scores, first)
    print(text(scores, compared, first))
    if options.json:
        summary = over_sessions(scores).to_dict("records")
        write_json(Path(options.json), {"sessions": results, "mean": summary, "differences": compared})
    if options.csv:
        write_bytes(Path(options.csv), scores.to_csv(index=False).encode())
    return 0


def scored(jobs: list[Job], options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """Results in the order of the jobs, and what failed in words."""
    shown, done, problems = ProgressLine(), {}, []
    gpu, n_workers = jobs[0].device.startswith("cuda"), options.workers
    for number, (job, result) in enumerate(
        spread(score, jobs, scheduler=options.scheduler, gpu=gpu, workers=n_workers), 1
    ):
        what = f"{job.predictor}, session {job.session}"
        if isinstance(result, Failed):
            problems.append(f"{what}: {result.error}")
        else:
            done[job] = result
        shown.show(f"{number} of {len(jobs)}: {what}", number / len(jobs))
    shown.end()
    return [done[job] for job in jobs if job in done and done[job]["tasks"]], problems


def text(scores: pd.DataFrame, compared: list[dict[str, Any]], first: str) -> str:
    """A table of sessions and predictors, means over sessions, and differences."""
    wide = {}
    for measure in MEASURES:
        part = scores[scores["measure"] == measure]
        wide[measure] = part.pivot(index=["session", "predictor"], columns="task", values="value")
    both = wide["mean"].map("{:.3f}".format) + " / " + wide["pooled"].map("{:.3f}".format)
    tasks, order = list(dict.fromkeys(scores["task"])), scores[["session", "predictor"]].drop_duplicates()
    blocks = [
        "bits per spike, mean over neurons / pooled",
        both.loc[pd.MultiIndex.from_frame(order), tasks].to_string(),
    ]
    means = over_sessions(scores).pivot(index=["measure", "predictor"], columns="task", values="mean")
    blocks += ["mean over sessions", means[tasks].round(3).to_string()]
    if compared:
        blocks.append(f"{first} minus others, paired over sessions, Student's 95 % interval")
        blocks += [_difference(each) for each in compared]
    return "\n".join(blocks)


def _difference(each: dict[str, Any]) -> str:
    interval = "" if each["interval"] is None else f" [{each['interval'][0]:+.3f}, {each['interval'][1]:+.3f}]"
    where = f"{each['task']:<20}{each['measure']:<8}{each['minus']:<20}"
    return f"{where}{each['mean']:+.3f}{interval}  better in {each['n_better']} of {each['n']}"
