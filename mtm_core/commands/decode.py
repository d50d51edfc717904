"""`mtm decode`: behavior from spikes, from a model's reading of them, and from regions, each against its null."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..atomic import write_json
from ..checkpoint import Checkpoint, load_checkpoint
from ..data.donors import donor_ids, donors
from ..device import describe, pick_device
from ..evaluation.decoding.decode import FITTED_ON, Plan, Progress, Records, decode
from ..evaluation.decoding.joint import REDUCED_RANK, decode_jointly
from ..evaluation.decoding.nulls import FEWEST_DONORS
from ..evaluation.decoding.records import is_worse_than_counts
from ..session import Trials
from .console import ProgressLine
from .evaluate import trials_of

NOTE = (
    "score with 95 % interval over test trials; null: mean and 95 % quantile of the same decoder on behavior of no "
    "relation to these neurons; -: at null (p > .05)"
)


def plan_of(options: argparse.Namespace) -> Plan:
    behaviors, sources = (tuple(given or ()) for given in (options.behaviors, options.sources))
    return Plan(behaviors, sources, options.protocol, options.nulls, options.seed, options.split)


def of_one(checkpoint: Checkpoint, trials: Trials, plan: Plan, cache_dir: str | None) -> tuple[Records, list[str]]:
    """Records of one session and what cannot be decoded: linear decoders, and a reduced-rank one if it is asked for."""
    linear = replace(plan, sources=tuple(source for source in plan.sources if source != REDUCED_RANK))
    runs = []
    if linear.sources or not plan.sources:
        enough = plan.n_nulls and len(donor_ids(trials.session_id, cache_dir)) >= FEWEST_DONORS
        runs.append(followed(decode(checkpoint, trials, list(donors(trials, cache_dir)) if enough else [], linear)))
    if REDUCED_RANK in plan.sources:
        runs.append(followed(decode_jointly([trials], plan)))
    records: Records = {}
    for behavior, sources in ((behavior, sources) for last in runs for behavior, sources in last.records.items()):
        records[behavior] = records.get(behavior, {}) | sources
    return records, list(dict.fromkeys(problem for last in runs for problem in last.problems))


def followed(steps: Iterator[Progress]) -> Progress:
    """The last step, with a progress line meanwhile."""
    shown = ProgressLine()
    for step in steps:
        shown.show(f"{100 * step.share:3.0f} %  {step.doing}", step.share)
    shown.end()
    return step


def table(records: Records) -> str:
    """One line per behavior and source."""

    def number(value: float | None) -> str:
        return "  -  " if value is None else f"{value:.3f}"

    width = max([len(name) for sources in records.values() for name in sources] + [6])
    lines = [f"{'behavior':<22} {'source':<{width}} {'metric':<18} score [interval]        null  95 %    p      second"]
    for behavior, sources in records.items():
        for source, r in sources.items():
            second = "auc" if "auc" in r else "r2_residual"
            score = f"{r['score']:.3f} [{r['ci'][0]:.3f}, {r['ci'][1]:.3f}]{' -' if r['at_null'] else '  '}"
            null = "  ".join(number(r[name]) for name in ("null", "null_95", "p"))
            lines.append(
                f"{behavior:<22} {source:<{width}} {r['metric']:<18} {score}  {null}  {second} {r[second]:.3f}"
            )
    return "\n".join(lines)


def remarks(records: Records) -> Iterator[str]:
    """What a reader must not miss: trials left out, which null, and where a model is worse than the counts."""
    for behavior, sources in records.items():
        some = next(iter(sources.values()))
        left_out = "".join(f", {n} left out: {reason}" for reason, n in some["n_left_out"].items())
        n_trials = f"{some['n_trials']} test and {some['n_train']} training trials"
        yield f"{behavior}: {n_trials}{left_out}; null: {some['null_kind']}"
        for source, r in sources.items():
            if is_worse_than_counts(r):
                low, high = r["against_counts"]["ci"]
                by = f"{r['against_counts']['difference']:.3f} [{low:.3f}, {high:.3f}]"
                yield f"  {source} decode worse than raw counts: {by}"


def run(options: argparse.Namespace) -> int:
    if options.split not in FITTED_ON:
        raise ValueError(f"decoders are fitted to the {options.split} trials; score them on test or validation")
    device = pick_device(options.device)
    if options.json:
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after minutes of work
    checkpoint, plan = load_checkpoint(options.checkpoint, device), plan_of(options)
    sessions = [trials_of(checkpoint, each, options.cache_dir) for each in options.session or [None]]
    for trials in sessions:
        n_trials = int((trials.split == options.split).sum())
        print(f"session {trials.session_id}, {trials.n_neurons} neurons, {n_trials} {options.split} trials")
    print(f"on {describe(device)}")
    if len(sessions) == 1:
        records, problems = of_one(checkpoint, sessions[0], plan, options.cache_dir)
    else:
        last = followed(decode_jointly(sessions, plan))
        records, problems = last.records, list(last.problems)
    print(NOTE)
    print(table(records))
    for line in (*remarks(records), *problems):
        print(line)
    if options.json:
        write_json(Path(options.json), records)
        print(f"all of it: {options.json}")
    return 0
