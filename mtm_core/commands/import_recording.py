"""`mtm import`: a report on a recording in a folder; with --keep it enters the list."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..atomic import write_json
from ..data.importing import Choices, Report, bench_url, download, inspect, keep, prepare
from .console import ProgressLine

SHOWN_REGIONS = 12


def run(options: argparse.Namespace) -> int:
    """0: sound; 1: something forbids its use."""
    if bool(options.folder) == bool(options.fetch):
        raise ValueError("give the folder of a recording, or --fetch with the id of a public session")
    line = ProgressLine()

    def tell(share: float, what: str) -> None:
        line.show(what, share)

    source = options.folder
    if options.fetch:
        build = "all_units" if options.all_units else "selected_units"
        source = download(bench_url(options.fetch, options.set, build), tell)
    found = inspect(source, options.format, tell)
    line.end()
    report = prepare(found, _choices(options))
    print("\n".join(_lines(report)))
    if options.json:
        write_json(Path(options.json), _finite(report.facts))
    if report.fatal:
        return 1
    if options.keep:
        session_id = keep(report, replaced=options.replace)
        print(f"kept as {session_id}: open it in the app, or train with: mtm train --session {session_id}")
    else:
        print("nothing was kept; with --keep it enters the list of recordings")
    return 0


def _choices(options: argparse.Namespace) -> Choices:
    return Choices(
        event=options.event,
        regions=options.regions,
        good_only=options.good_only,
        complete_trials=options.complete_trials,
        drop_bad_spikes=options.drop_bad_spikes,
        sampling_rate=options.sampling_rate,
        subject=options.subject,
    )


def _lines(report: Report) -> list[str]:
    regions = ", ".join(f"{name} {n}" for name, n in list(report.regions.items())[:SHOWN_REGIONS])
    more = f" and {len(report.regions) - SHOWN_REGIONS} more" if len(report.regions) > SHOWN_REGIONS else ""
    good = f", {report.n_good:,} of them good" if report.quality_known else ", quality unknown"
    return [
        f"{report.name} ({report.format}): {report.n_spikes:,} spikes in {report.duration:,.0f} s",
        f"units: {report.n_units:,}{good}",
        f"regions: {regions or 'none'}{more}",
        f"trials: {report.n_trials:,}, {report.n_usable:,} within the recording",
        f"events: {', '.join(report.events) or 'none'}; time 0 is {report.choices.event or 'not known'}",
        *(f"columns of regions: {', '.join(report.region_columns)}" for _ in [0] if report.region_columns),
        *(f"note: {text}" for text in report.notes),
        *(f"PROBLEM: {text}" for text in report.fatal),
    ]


def _finite(facts: dict) -> dict:
    """JSON knows no NaN."""
    return {name: None if value != value else value for name, value in facts.items()}
