"""Decoding in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...analyses.decoding import Decodings
from ...words import count, interval, number, plain
from ...work import Job

BEHAVIORS = {
    "choice": "Choice (left or right)",
    "block": "Block (which side is more likely)",
    "reward": "Reward",
    "contrast": "Side of the stimulus",
    "wheel_speed": "Wheel speed",
    "whisker_motion_energy": "Whisker motion energy",
    "pupil": "Pupil",
    "paw_speed": "Paw speed",
}
UNITS = {
    "wheel_speed": "wheel speed (rad/s)",
    "whisker_motion_energy": "motion energy (unit of the source)",
    "pupil": "pupil (unit of the source)",
    "paw_speed": "paw speed (unit of the source)",
}
SOURCES = {
    "counts": "all counts",
    "rates": "the model's rates",
    "latents": "the model's latents",
}
KINDS = {"region": "counts", "without": "all counts but", "reconstruction": "model's guess"}
PARTIAL = {
    "running": "Still running. ",
    "cancelled": "Cancelled, partial. ",
    "failed": "Stopped by an error, partial. ",
}
LEGEND = "A filled dot scores above its null. Bar: 95 % interval; dashed: guessing, or for R² a flat guess."
Record = Mapping[str, Any]


def behavior_name(name: str) -> str:
    return BEHAVIORS.get(name, plain(name))


def source_name(name: str) -> str:
    """counts -> all counts; region:CA1 -> CA1, counts."""
    kind, _, region = name.partition(":")
    if not region:
        return SOURCES.get(name, plain(name))
    return f"{KINDS[kind]} {plain(region)}" if kind == "without" else f"{plain(region)}, {KINDS[kind]}"


def second_of(record: Record) -> tuple[str, str]:
    """Key and name of the companion of the score."""
    return ("auc", "ROC AUC") if "auc" in record else ("r2_residual", "R² beyond the trial average")


def metric_name(record: Record) -> str:
    return "R²" if record["metric"] == "R2" else record["metric"]


def about(shown: Decodings | None, jobs: list[Job]) -> str:
    """What there is, or how to get it."""
    if shown is None:
        return "Nothing decoded yet for this recording. It takes a minute or more; scores appear as they are measured."
    states = [PARTIAL[job.state] for job in jobs if job.state in PARTIAL]
    problems = f" Cannot be decoded: {'; '.join(plain(each) for each in shown.problems)}." if shown.problems else ""
    return f"{states[0] if states else ''}{LEGEND}{problems}"


def null_words(record: Record) -> str:
    """How the score stands against its null."""
    if record["p"] is None:
        return "No null yet."
    verdict = "not told apart from the null" if record["at_null"] else "above the null"
    return (
        f"This is {verdict}: p = {record['p']:.3f}, null {number(record['null'])} on average, 95 % of "
        f"{count(record['n_nulls'], 'null')} below {number(record['null_95'])} ({record['null_kind']})."
    )


def sentence(behavior: str, source: str, record: Record) -> str:
    """One decoder in words."""
    key, name = second_of(record)
    left_out = ", ".join(f"{n} left out: {reason}" for reason, n in record["n_left_out"].items())
    return (
        f"{behavior_name(behavior)} from {source_name(source)}: {metric_name(record)} {number(record['score'])} "
        f"(95 % interval {interval(record['ci'], 2)}), {name} {number(record[key])}. {null_words(record)} "
        f"{count(record['n_trials'], 'held-out trial')}, {record['n_train']} for fitting"
        f"{f', {left_out}' if left_out else ''}. {_against_counts(record)}Read: {record['features']}."
    )


def _against_counts(record: Record) -> str:
    """The model must not look better, or worse, than it is."""
    versus = record["against_counts"]
    if versus is None:
        return ""
    low, high = versus["ci"]
    words = "worse than" if high < 0 else "better than" if low > 0 else "not told apart from"
    difference = f"{number(versus['difference'])}, {interval((low, high), 2)}"
    return f"It is {words} decoding from raw counts (difference {difference}). "
