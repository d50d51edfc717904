"""The rows of the report's tables: cells of text, each with the number it is sorted by."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..regions import region_color, sort_regions
from .verdict import Outcome, duel
from .words import (
    MINUS,
    MODEL,
    NOTHING,
    ORACLES,
    baseline_name,
    interval,
    number,
    plain,
    probability,
    real,
    task_name,
    whole,
)

PROTOCOL = {
    "session": "Session",
    "event": "Aligned to",
    "window": "Window (s)",
    "bin_size": "Bin size (s)",
    "region_level": "Region level",
    "split": "Split scored",
    "n_trials": "Trials scored",
    "split_sha256": "Split (SHA-256)",
    "counts_sha256": "Counts (SHA-256)",
    "unit_filter": "Unit filter",
    "duplicates_hidden": "Possible duplicates hidden",
    "exact": "One question per neuron",
    "precision": "Precision",
    "prompt": "Prompt",
    "path": "Checkpoint folder",
    "model": "Checkpoint hash",
}
OUTCOME_CLASSES = {Outcome.MODEL: "win", Outcome.BASELINE: "loss", Outcome.MIXED: "mixed"}


@dataclass(frozen=True)
class Cell:
    """A number, its interval below it, and what it is sorted by."""

    text: str
    detail: str = ""
    key: int | str = ""
    kind: str = "number"


def cell(score: Mapping[str, Any], name: str, digits: int = 3, signed: bool = False) -> Cell:
    """A measure with its interval where it has one: mean and mean_ci, mean_difference and mean_ci."""
    value = real(score.get(name))
    ends = score.get(f"{name.removesuffix('_difference')}_ci")
    return Cell(number(value, digits, signed), interval(ends, digits, signed), "" if value is None else f"{value:.6g}")


def plain_count(value: Any) -> Cell:
    return Cell(f"{whole(value):,}", key=whole(value))


# --- what was asked ---------------------------------------------------------------------------------------------------


def protocol(result: Mapping[str, Any], tasks: Sequence[str]) -> list[tuple[str, str]]:
    """(name, value) of everything two results must share to be compared; by task where the tasks differ."""
    by_task = {task: result["tasks"][task].get("protocol") or {} for task in tasks}
    shared = result.get("protocol") or {}
    names = dict.fromkeys([*PROTOCOL, *sorted({*shared, *(name for each in by_task.values() for name in each)})])
    rows = []
    for name in names:
        values = {task: each[name] for task, each in by_task.items() if name in each}
        if name in shared:
            values = {task: values.get(task, shared[name]) for task in tasks}
        if values:
            rows.append((PROTOCOL.get(name) or plain(name.replace("_", " ").capitalize()), _by_task(values)))
    return rows


def _by_task(values: Mapping[str, Any]) -> str:
    texts = {task: _value(value) for task, value in values.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{task_name(task)}: {text}" for task, text in texts.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and len(value) == 2:
        return " to ".join(_value(end) for end in value)
    if isinstance(value, int | float):
        return f"{value:g}".replace("-", MINUS) if math.isfinite(value) else NOTHING
    return plain(value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str), 200)


def settings(config: Any, inside: str = "") -> list[tuple[str, str]]:
    """(name, value) of nested settings, one level of names below another joined by dots."""
    if not isinstance(config, Mapping):
        return [(plain(inside), _value(config))]
    return [
        row for name in sorted(config) for row in settings(config[name], f"{inside}.{name}" if inside else str(name))
    ]


# --- summary, tasks side by side --------------------------------------------------------------------------------------

MEASURES = (("mean", "Mean over neurons", "mean"), ("median", "Median", "median"), ("pooled", "Pooled", "pooled"))


def summary(result: Mapping[str, Any], tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Sections of rows {label, anchor, cells}, one cell per task."""
    scores = [result["tasks"][task] for task in tasks]
    train = [score.get("against_train_mean") or {} for score in scores]
    d2 = {"label": "Poisson D²", "anchor": "d2", "cells": [cell(score, "poisson_d2") for score in scores]}
    kinds = (("n", "Scored"), ("n_silent", "Silent"), ("n_excluded", "Excluded"))
    counts = [_row(label, "counts", [plain_count(score.get(kind)) for score in scores]) for kind, label in kinds]
    ceilings = [
        _row("Ceiling, mean", "ceiling", [_ceiling(score, "mean") for score in scores]),
        _row("Ceiling, pooled", "ceiling", [_ceiling(score, "pooled") for score in scores]),
    ]
    return [
        {"title": "Bits per spike against the test mean", "anchor": "null", "rows": [*_measures(scores), d2]},
        {"title": "Bits per spike against the training mean", "anchor": "null", "rows": _measures(train)},
        {"title": "Best possible, bits per spike against the test mean", "anchor": "ceiling", "rows": ceilings},
        {"title": "Neurons", "anchor": "counts", "rows": counts},
    ]


def _measures(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [_row(label, anchor, [cell(score, name) for score in scores]) for name, label, anchor in MEASURES]


def _row(label: str, anchor: str, cells: list[Cell]) -> dict[str, Any]:
    return {"label": label, "anchor": anchor, "cells": cells}


def _ceiling(score: Mapping[str, Any], measure: str) -> Cell:
    """The ceiling and how much of it is reached, or that there is none."""
    value, reached = real((score.get("ceiling") or {}).get(measure)), real(score.get(measure))
    if value is None:
        return Cell("not measurable", kind="words")
    share = f"{100 * reached / value:.0f} % reached".replace("-", MINUS) if reached is not None and value > 0 else ""
    return Cell(number(value), share)


def ceiling_reasons(result: Mapping[str, Any], tasks: Sequence[str]) -> list[str]:
    """Why there is no ceiling, each reason once."""
    ceilings = [result["tasks"][task].get("ceiling") or {"reason": "this result names none"} for task in tasks]
    reasons = [str(c.get("reason") or "no reason given") for c in ceilings if real(c.get("mean")) is None]
    return [plain(reason, 300) for reason in dict.fromkeys(reasons)]


# --- baselines --------------------------------------------------------------------------------------------------------


def baselines(result: Mapping[str, Any], tasks: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """Per task its rows of baselines, the model's own score first."""
    return [{"task": task, "rows": [_own(result["tasks"][task]), *_others(result, task, names)]} for task in tasks]


def _own(score: Mapping[str, Any]) -> dict[str, Any]:
    cells = [cell(score, "mean"), cell(score, "pooled")]
    return {"name": MODEL, "kind": "model", "cells": cells, "outcome": "", "class": "", "differences": []}


def _others(result: Mapping[str, Any], task: str, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for name in names:
        score = ((result.get("baselines") or {}).get(name, {}).get("tasks") or {}).get(task) or {}
        compared = ((result.get("comparisons") or {}).get(name) or {}).get(task)
        if score or compared:
            rows.append(_other(name, score, compared, task))
    return rows


def _other(name: str, score: Mapping[str, Any], compared: Mapping[str, Any] | None, task: str) -> dict[str, Any]:
    row = {"name": baseline_name(name), "kind": "oracle" if name in ORACLES else "baseline"}
    row["cells"] = [cell(score, "mean"), cell(score, "pooled")]
    if compared is None:
        return {**row, "outcome": "not compared", "class": "", "differences": []}
    found = duel(task, name, compared)
    row["differences"] = [cell(compared, f"{kind}_difference", signed=True) for kind in ("mean", "median", "pooled")]
    row["split"] = f"{whole(compared.get('n_better')):,} / {whole(compared.get('n_worse')):,}"
    row["p"] = probability(compared.get("p_sign"))
    return {**row, "outcome": found.words, "class": OUTCOME_CLASSES.get(found.outcome, "")}


def few_shot(found: Any) -> dict[str, Any]:
    """{"rows"}: name, trials, draws and scores of every point of a few-shot curve; {"facts"} of it besides."""
    about = found if isinstance(found, Mapping) else {"points": found or []}
    rows = [
        {
            "name": plain(point.get("predictor", NOTHING)),
            "cells": [
                plain_count(point.get("k")),
                plain_count(point.get("n_repeats")),
                Cell(number(point.get("pooled")), interval([point.get("low"), point.get("high")])),
                cell(point, "mean"),
                cell(point, "median"),
            ],
        }
        for point in about.get("points") or []
    ]
    return {"rows": rows, "facts": settings({name: value for name, value in about.items() if name != "points"})}


# --- regions and neurons ----------------------------------------------------------------------------------------------


def regions(score: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows in Allen order."""
    found = score.get("per_region") or {}
    rows = []
    for place, region in enumerate(sort_regions(found)):
        one = found[region]
        measures = [cell(one, name) for name in ("mean", "median", "pooled", "poisson_d2")]
        counts = [plain_count(one.get(name)) for name in ("n", "n_silent", "n_excluded")]
        name = plain(region)
        rows.append({"name": name, "key": place, "color": region_color(region), "cells": [*measures, *counts]})
    return rows


def neurons(score: Mapping[str, Any]) -> list[list[Cell]]:
    """One row per neuron: the result's own order."""
    given = score.get("neurons")
    if given is None:  # an older result knows only the scores
        given = [
            {"uuid": uuid, "bits_per_spike": bits} for uuid, bits in sorted((score.get("per_neuron") or {}).items())
        ]
    place = {region: i for i, region in enumerate(sort_regions(str(row.get("region", "")) for row in given))}
    return [_neuron(row, place) for row in given]


def _neuron(row: Mapping[str, Any], place: Mapping[str, int]) -> list[Cell]:
    region, status = str(row.get("region", "")), plain(row.get("status", NOTHING))
    ends = [row.get("low"), row.get("high")]
    bits = cell(row, "bits_per_spike")
    return [
        Cell(plain(row.get("uuid", NOTHING)), key=plain(row.get("uuid", "")), kind="code"),
        Cell(plain(region) or NOTHING, key=place[region], kind="words"),
        Cell(status, key=status, kind="words"),
        Cell(bits.text, interval(ends), bits.key),
        cell(row, "bits_per_spike_train_null"),
        cell(row, "poisson_d2"),
        plain_count(row.get("n_spikes")) if real(row.get("n_spikes")) is not None else Cell(NOTHING),
        cell(row, "rate_hz", 2),
    ]
