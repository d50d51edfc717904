"""The report as a page: everything that the template shows, and the policy that forbids it any outside request."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from . import figures, tables
from .verdict import incomplete, verdict
from .words import BASELINES, GLOSSARY, TASKS, count, listed, number, plain, real, task_name, what, whole, within

HERE = Path(__file__).parent
HELD_OUT = "held_out_set"


def render(result: Mapping[str, Any]) -> str:
    """The page of a result; the same result gives the same bytes. Raises ValueError for a result without tasks."""
    if not isinstance(result.get("tasks"), Mapping) or not result["tasks"]:
        raise ValueError("this result holds no scores; give the JSON that `mtm evaluate --json` writes")
    scores = {**result["tasks"], **({HELD_OUT: result["held_out"]} if result.get("held_out") else {})}
    tasks = ordered(scores, TASKS)
    compared = result.get("comparisons") or {}
    names = ordered({*(result.get("baselines") or {}), *compared}, BASELINES)
    result = {
        **result,
        "tasks": {task: scores[task] for task in tasks},
        "comparisons": {name: compared[name] for name in names if name in compared},
    }
    script = (HERE / "sort.js").read_text("utf-8")
    return (
        _environment()
        .get_template("template.html")
        .render(
            style=Markup((HERE / "style.css").read_text("utf-8")),  # noqa: S704  (our own file)
            script=Markup(script),  # noqa: S704  (our own file)
            policy=policy(script),
            session=plain(result.get("session", "unknown")),
            incomplete=incomplete(result),
            verdict=verdict(result),
            scored=scored(result, tasks),
            protocol=tables.protocol(result, tasks),
            checkpoint=checkpoint(result),
            columns=[column(task, result["tasks"][task]) for task in tasks],
            summary=tables.summary(result, tasks),
            ceiling_reasons=tables.ceiling_reasons(result, tasks),
            baselines=tables.baselines(result, tasks, names) if names else [],
            grouped=grouped(result),
            few_shot=tables.few_shot(result.get("few_shot")),
            figures=drawn(result, tasks, names),
            glossary=GLOSSARY,
            command=command(result, tasks),
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.globals["what"] = what
    return found


def policy(script: str) -> str:
    """Content security policy: nothing from anywhere, and of scripts only this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Known names in their usual order, then the others by name: files may have sorted them."""
    names = set(names)
    usual = [name for name in known if name in names]
    return [*usual, *sorted(names - set(usual))]


def column(task: str, score: Mapping[str, Any]) -> dict[str, Any]:
    """One task, as the tables of regions and neurons show it."""
    return {
        "name": task_name(task),
        "complete": bool(score.get("complete", True)),
        "regions": tables.regions(score),
        "neurons": tables.neurons(score),
    }


def scored(result: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """On how many trials and neurons, in one sentence per task group."""
    about = {**(result["tasks"][tasks[0]].get("protocol") or {}), **(result.get("protocol") or {})}
    split = plain(about.get("split", "held-out"))
    trials = count(whole(about["n_trials"]), f"{split} trial") if real(about.get("n_trials")) is not None else split
    parts = [f"{within(task_name(task))} {_scored(result['tasks'][task])}" for task in tasks]
    return f"Scored on {trials} of session {plain(result.get('session', 'unknown'))}: {listed(parts)}."


def _scored(score: Mapping[str, Any]) -> str:
    silent, excluded = whole(score.get("n_silent")), whole(score.get("n_excluded"))
    rest = [f"{silent} silent"] if silent else []
    rest += [f"{excluded} excluded"] if excluded else []
    return count(whole(score.get("n")), "neuron") + (f" ({', '.join(rest)})" if rest else "")


def checkpoint(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The model's hash, then its settings."""
    about = result.get("checkpoint") or {}
    return [("hash", plain(about.get("hash", "not named"))), *tables.settings(about.get("config") or {})]


def grouped(result: Mapping[str, Any]) -> str:
    """What asking about several neurons at once did to the score; "" where that was not measured."""
    found = result.get("grouped_difference") or {}
    if not whole(found.get("n")):
        return ""
    mean, rms, largest = (number(found.get(name)) for name in ("mean", "rms", "largest"))
    return (
        f"Several neurons were hidden at once. On {count(whole(found['n']), 'neuron')} asked about one by one as well, "
        f"co-smoothing scores differ by {mean} bits per spike on average (grouped minus exact; root mean square {rms}, "
        f"largest {largest})."
    )


def drawn(result: Mapping[str, Any], tasks: Sequence[str], baselines: Sequence[str]) -> dict[str, list[figures.Panel]]:
    return {
        "scores": figures.scores(result, tasks, baselines),
        "by_region": figures.by_region(result, tasks),
        "by_rate": figures.by_rate(result, tasks),
    }


def command(result: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """The command that computes the result again, safe to paste into a shell."""
    by_task = {task: result["tasks"][task].get("protocol") or {} for task in tasks}
    about = {**(result.get("protocol") or {}), **by_task[tasks[0]]}
    words = ["mtm", "evaluate", about.get("path") or "CHECKPOINT", "--session", result.get("session", "EID")]
    words += ["--tasks", *(task for task in tasks if task != HELD_OUT), "--split", about.get("split", "test")]
    words += ["--region-level", about["region_level"]] if "region_level" in about else []
    words += ["--fast"] if any(each.get("exact") is False for each in by_task.values()) else []
    words += ["--hide-duplicates"] if about.get("duplicates_hidden") is True else []
    words += ["--precision", "float32"] if about.get("precision") == "float32" else []
    words += _others(result)
    words += ["--few-shot"] if result.get("few_shot") else []
    words += ["--held-out", "SET"] if HELD_OUT in tasks else []
    return f"{shlex.join(map(plain, words))} --json FILE.json --report FILE.html"


def _others(result: Mapping[str, Any]) -> list[str]:
    """Options that name what the model was compared with; only a checkpoint's protocol holds a path."""
    given = result.get("baselines") or {}
    paths = {
        (score.get("protocol") or {}).get("path")
        for each in given.values()
        for score in (each.get("tasks") or {}).values()
    }
    against = sorted(str(path) for path in paths if path)
    options = ["--against", *against] if against else []
    return options if set(given) & set(BASELINES) else [*options, "--no-baselines"]
