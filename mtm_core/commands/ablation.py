"""`mtm ablation`: one masking scheme at a time against all of them, beside the numbers of the paper."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..atomic import write_bytes, write_json
from ..data.simulate import SIMULATED_IDS
from ..device import describe, pick_device
from ..experiments.ablation import Part, cells, run_part, tokens_of, usual_rows, values
from ..experiments.ablation_tables import markdown, plain
from ..experiments.many_sessions import Cut
from ..experiments.results import Results
from ..jobs import Failed, spread
from ..session import Trials
from ..training.config import steps_that_pay
from ..training.loop import Step
from ..training.presets import PRESETS
from .console import ProgressLine
from .recordings import open_trials
from .running import line
from .score_sessions import workers_device
from .train import model_settings


def parts_of(options: argparse.Namespace, trials: Trials) -> list[Part]:
    """All models of the ablation of one session: seeds outside, so that an unfinished one holds whole tables."""
    model, base = model_settings(options), PRESETS[options.preset].train
    steps = options.steps or steps_that_pay(int(trials.select("train").valid.sum()))
    names = options.rows or usual_rows(tokens_of(model))
    return [Part(name, seed, model, replace(base, steps=steps)) for seed in options.seeds for name in names]


def results_of(trials: Trials, options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Results of one session in the order of its parts; what `--out` holds already is read."""
    parts, kept = parts_of(options, trials), Results(Path(options.out))
    settings = {part: part.settings(trials) for part in parts}
    found = {part: kept.get(part.name, settings[part]) for part in parts}
    missing = [part for part in parts if found[part] is None]
    print(f"{len(parts)} models, {len(parts) - len(missing)} of them done before", flush=True)
    spreads = options.scheduler or options.workers
    for part, result in spread_out(missing, trials, options) if spreads else one_by_one(missing, trials, device):
        kept.put(part.name, settings[part], result)
        found[part] = result
    return [found[part] for part in parts]


def one_by_one(parts: list[Part], trials: Trials, device: torch.device) -> Iterator[tuple[Part, dict[str, Any]]]:
    for number, part in enumerate(parts, 1):
        print(f"{number} of {len(parts)}: {part.name}", flush=True)
        yield part, followed(part, trials, device)


@dataclass(frozen=True)
class Job:
    """A part as it travels to another process, which opens the recording itself."""

    part: Part
    session: str
    cut: Cut
    cache_dir: str | None
    device: str


def compute(job: Job) -> dict[str, Any]:
    """What a worker does."""
    return run_part(job.part, job.cut.trials(job.session, job.cache_dir), torch.device(job.device))


def spread_out(parts: list[Part], trials: Trials, options: argparse.Namespace) -> Iterator[tuple[Part, dict[str, Any]]]:
    """Parts as they are done; raises RuntimeError, once all others are, if some failed."""
    cut, device = Cut(trials.event, trials.window, trials.bin_size, trials.region_level), workers_device(options)
    jobs = [Job(part, trials.session_id, cut, options.cache_dir, device) for part in parts]
    failed, gpu = [], device.startswith("cuda")
    for job, result in spread(compute, jobs, scheduler=options.scheduler, gpu=gpu, workers=options.workers):
        print(f"{job.part.name}: {result if isinstance(result, Failed) else 'done'}", flush=True)
        if isinstance(result, Failed):
            failed.append(job.part.name)
        else:
            yield job.part, result
    if failed:
        raise RuntimeError(f"{', '.join(failed)} failed, for the reasons above; the same command tries them again")


def followed(part: Part, trials: Trials, device: torch.device) -> dict[str, Any]:
    """One part, with a progress line meanwhile."""
    shown = ProgressLine()

    def watch(step: Step) -> None:
        shown.show(f"{part.name}  {line(step)}", step.progress)
        for notice in step.notices:
            shown.say(notice)

    try:
        return run_part(part, trials, device, watch)
    finally:
        shown.end()


def run(options: argparse.Namespace) -> int:
    device = pick_device(options.device)
    for file in filter(None, (options.json, options.markdown)):
        Path(file).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after hours
    Path(options.out).mkdir(parents=True, exist_ok=True)
    print(f"on {describe(device)}")
    results: list[dict[str, Any]] = []
    for session_id in SIMULATED_IDS[:1] if options.simulated else options.session:
        results += results_of(open_trials(session_id, options), options, device)
    table = cells(values(results))
    print(plain(table))
    if options.json:
        write_json(Path(options.json), results)
    if options.markdown:
        write_bytes(Path(options.markdown), markdown(table).encode())
    return 0
