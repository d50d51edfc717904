"""From the scores of a scaling experiment to its lines: mean score by size, and the gain over training from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ..evaluation.questions import TASKS
from .measure import MEASURES
from .paired import paired

SCRATCH = "0"  # size of "from scratch"
MEAN = "mean of tasks"


def scores(results: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One line per number: animal, session, size (SCRATCH, "1", "all"), n_sessions, seed, task, measure, value.

    The mean over the tasks that the session allows is a task of its own.
    """
    lines = []
    for result in results:
        about = {name: result[name] for name in ("animal", "session", "size", "n_sessions", "seed")}
        for measure in MEASURES:
            asked = [task for task in TASKS if task in result["tasks"]]
            numbers = {task: result["tasks"][task][measure] for task in asked}
            numbers = {task: value for task, value in numbers.items() if value is not None}
            numbers |= {MEAN: float(np.mean(list(numbers.values())))} if numbers else {}
            lines += [{**about, "measure": measure, "task": task, "value": value} for task, value in numbers.items()]
    return pd.DataFrame(lines)


def gains(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Per task, measure and size: mean scores of tuned and fresh models over target sessions, and their difference.

    Seeds are averaged within a session first: they are not sessions. A session counts where both have a score.
    """
    keys = ["task", "measure", "size", "animal", "session"]
    both = table.groupby([*keys, "seed"], sort=False)[["value", "n_sessions"]].first()
    fresh = both.xs(SCRATCH, level="size")["value"].rename("fresh")
    tuned = both[both.index.get_level_values("size") != SCRATCH].rename(columns={"value": "tuned"})
    joined = tuned.join(fresh, how="inner").groupby(keys, sort=False).mean()
    found = []
    for (task, measure, size), part in joined.groupby(["task", "measure", "size"], sort=False):
        difference = paired((part["tuned"] - part["fresh"]).to_numpy())
        found.append(
            {
                "task": task,
                "measure": measure,
                "size": size,
                "n_sessions": float(part["n_sessions"].mean()),
                "fewest_sessions": int(part["n_sessions"].min()),
                "most_sessions": int(part["n_sessions"].max()),
                "n_targets": difference.n,
                "tuned": float(part["tuned"].mean()),
                "fresh": float(part["fresh"].mean()),
                "gain": difference.mean,
                "interval": difference.interval,
                "p": difference.p,
                "n_better": difference.n_better,
            }
        )
    return found


def table(found: list[dict[str, Any]]) -> str:
    """The gains as text."""
    head = f"{'':<20} {'':<7}{'sessions':>9}{'targets':>9}{'scratch':>9}{'tuned':>9}{'gain':>9}  95 %"
    lines = [head]
    for each in found:
        ends = each["interval"]
        interval = "" if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}"
        few, many = each["fewest_sessions"], each["most_sessions"]
        where = f"{few}" if few == many else f"{few} to {many}"
        numbers = f"{each['n_targets']:>9}{each['fresh']:>9.3f}{each['tuned']:>9.3f}{each['gain']:>+9.3f}"
        lines.append(f"{each['task']:<20} {each['measure']:<7}{where:>9}{numbers}  {interval}")
    note = "gain: fine-tuned minus from scratch, paired over target sessions (seeds averaged), Student's interval"
    return "\n".join([*lines, note])
