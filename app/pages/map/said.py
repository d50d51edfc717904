"""The information map in words."""

from __future__ import annotations

import numpy as np

from ...analyses.information import ShownLoss, ShownMap
from ...words import count, number
from ...work import Job

KINDS = {"Lost without the source": "lost", "From the source alone": "alone"}
PARTIAL = {
    "running": "Still running: ",
    "cancelled": "Cancelled, partial: ",
    "failed": "Stopped by an error, partial: ",
}
DIGITS = 3


def chance(value: float) -> str:
    """A p or q as one would write it."""
    if not np.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float, high: float) -> str:
    return f"{number(low, DIGITS)} to {number(high, DIGITS)}"


def about_map(shown: ShownMap | None, job: Job | None) -> str:
    """What is on the picture, or how to get it."""
    if shown is None:
        return "Not measured yet for this recording. It takes a minute or more; cells appear as they are measured."
    found, n = shown.found, len(shown.names)
    state = PARTIAL.get(job.state, "") if job is not None and not found.complete else ""
    left_out = [f"{each.region} ({count(each.n_neurons, 'neuron')}: {each.reason})" for each in found.excluded]
    return (
        f"{state}{len(found.cells)} of {n * n} cells, {found.protocol['n_trials']} held-out trials, "
        f"{sum(found.n_neurons) - sum(found.n_silent)} neurons scored, {sum(found.n_silent)} silent."
        + (f" Left out: {'; '.join(left_out)}." if left_out else "")
    )


def cell_sentence(shown: ShownMap, source: int, target: int) -> str:
    """One cell in words."""
    row = shown.found.table.iloc[source * len(shown.names) + target]
    names = shown.names[source], shown.names[target]
    if not np.isfinite(row["gain_mean"]):
        return f"{names[0]} → {names[1]}: not measured yet."
    n = int(row["n_neurons_target"] - row["n_silent"])
    gain = (
        f"{_claim(shown.found.kind, *names)} {number(row['gain_mean'], DIGITS)} bits per spike (mean over "
        f"{count(n, 'neuron')}, 95 % interval {interval(row['ci_low'], row['ci_high'])}; pooled over spikes "
        f"{number(row['gain_pooled'], DIGITS)})."
    )
    return f"{gain} {_control(row, bool(shown.found.found[source, target]))}"


def _claim(kind: str, source: str, target: str) -> str:
    if source == target:
        beyond = "beyond all other regions" if kind == "lost" else "with nothing else visible"
        return f"The rest of {source} adds to the prediction of a neuron of {source}, {beyond},"
    if kind == "lost":
        return f"Hiding {source} as well costs the prediction of {target}"
    return f"With nothing but {source} visible, the prediction of {target} gains"


def _control(row: dict, is_found: bool) -> str:
    if not np.isfinite(row["control"]):
        return ""
    verdict = "both say that it adds something" if is_found else "this does not prove that it adds anything"
    return (
        f"With the activity of {'the region' if row['source'] == row['target'] else 'the source'} taken from other "
        f"trials it is {number(row['control'], DIGITS)} (p {chance(row['p'])}, q {chance(row['q'])}): {verdict}."
    )


def about_loss(shown: ShownLoss, job: Job) -> str:
    """Whose loss the bars show."""
    loss, hidden = shown.loss, context_words(job.spec.hide.regions, job.spec.hide.neurons)
    state = PARTIAL.get(job.state, "") if not loss.complete else ""
    silent = int(loss.regions["n_silent"].sum())
    trials = loss.protocol["n_trials"]
    return (
        f"{state}{len(loss.regions)} target regions, each hidden, with and without {hidden} "
        f"({count(loss.n_hidden, 'neuron')}); {trials} held-out trials, {count(silent, 'neuron')} silent."
    )


def context_words(regions: tuple[str, ...], neurons: tuple[int, ...]) -> str:
    """CA1, DG and 3 neurons."""
    parts = [", ".join(regions)] if regions else []
    return " and ".join([*parts, *([count(len(neurons), "neuron")] if neurons else [])]) or "nothing"
