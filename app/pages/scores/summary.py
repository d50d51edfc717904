"""All neurons in one line per task, with everything one needs to judge a score."""

from __future__ import annotations

import panel as pn

from ...analyses.score_tables import TaskTables
from ...analyses.scores import Results
from ...state import State
from ...words import TASK_NAMES, count, interval, number, plain
from ..parts import TABLE_STYLE, Announce, follow, table
from .found import found

HEAD = (
    "Task",
    "Mean",
    "Median",
    "Pooled",
    "D²",
    "Ceiling",
    "Mean, training null",
    "Pooled, training null",
    "Scored",
    "Silent",
    "Excluded",
)
SMALL = {"font-size": "12.5px", "opacity": ".8"}


def rows(results: Results) -> list[tuple]:
    return [_row(one) for one in results.tasks.values()]


def _row(one: TaskTables) -> tuple:
    s, train = one.summary, one.against_train_mean
    return (
        TASK_NAMES[one.task] + ("" if one.complete else " (partial)"),
        *((number(value, 3), interval(ends)) for value, ends in _measures(s)),
        number(s.poisson_d2, 3),
        _ceiling(one),
        *((number(value, 3), interval(ends)) for value, ends in (_measures(train)[0], _measures(train)[2])),
        s.n,
        s.n_silent,
        s.n_excluded,
    )


def _measures(s) -> list[tuple]:
    return [(s.mean, s.mean_ci), (s.median, s.median_ci), (s.pooled, s.pooled_ci)]


def _ceiling(one: TaskTables) -> tuple[str, str]:
    if one.ceiling.mean is None:
        return one.ceiling.kind, ""
    reached = f"{one.summary.mean / one.ceiling.mean:.0%} reached" if one.summary.mean is not None else ""
    return number(one.ceiling.mean, 3), reached


def notes(results: Results) -> list[str]:
    """What the numbers alone do not say."""
    said = []
    if (grouped := results.grouped) is not None:
        said.append(
            f"Fast minus exact co-smoothing, measured on {count(grouped.n, 'neuron')}: mean "
            f"{number(grouped.mean, 4)}, root mean square {number(grouped.rms, 4)}, largest "
            f"{number(grouped.largest, 4)} bits per spike."
        )
    if (found := results.duplicates) is not None:
        unseen = "" if found.positions_known else " Positions of the units are not known, so split neurons may remain."
        said.append(f"{count(found.n_pairs, 'pair')} of likely duplicates are hidden together.{unseen}")
    for one in results.tasks.values():
        said += [f"{TASK_NAMES[one.task]}: {count(n, 'neuron')} excluded, {why}." for why, n in one.excluded.items()]
    reasons = {one.ceiling.reason for one in results.tasks.values() if one.ceiling.mean is None}
    return said + [f"Ceiling not measurable: {reason}." for reason in sorted(reasons)]


def protocol(results: Results) -> str:
    """What another score must share to be compared with these."""
    every = [one.protocol for one in results.tasks.values()]
    p, (start, end) = every[0], every[0]["window"]
    exact = all(each["exact"] for each in every)
    return " · ".join(
        [
            f"Protocol: {plain(p['session'])}",
            f"{plain(p['event'])} {number(start)} to {number(end)} s in bins of {1000 * p['bin_size']:g} ms",
            f"{count(p['n_trials'], p['split'] + ' trial')}, split {p['split_sha256'][:8]}",
            f"unit filter: {plain(p['unit_filter'])}",
            f"regions: {plain(p['region_level'])}",
            f"likely duplicates {'hidden' if p['duplicates_hidden'] else 'visible'}",
            f"prompt: {', '.join(dict.fromkeys(plain(each['prompt']) for each in every))}",
            "exact" if exact else "fast: several neurons held out at once",
            plain(p["precision"]),
            f"checkpoint {plain(p['path'])} {p['model'][:8]}",
        ]
    )


def view(state: State) -> pn.viewable.Viewable:
    shown = pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width")
    more = [Announce(label="note", styles=SMALL, margin=(4, 8)) for _ in range(2)]

    def draw() -> None:
        got = found(state)
        if got.results is None or not got.results.tasks:
            return
        intervals = "with 95 % intervals" if not got.partial else "a task gets its intervals when it is complete"
        shown.object = table(HEAD, rows(got.results), f"{got.label}. Bits per spike; {intervals}.")
        more[0].text = " ".join(notes(got.results))
        more[1].text = protocol(got.results)

    follow(state, ["jobs", "views", "spec"], draw, page="scores")
    return pn.Column(shown, *more, sizing_mode="stretch_width", margin=0)
