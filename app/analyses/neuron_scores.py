"""The scores of one neuron as rows of text: value, interval, ceiling, and what each of them means."""

from __future__ import annotations

from dataclasses import dataclass

from mtm_core.evaluation.single_neuron.explained import Explained
from mtm_core.evaluation.single_neuron.measured import Ceiling, CeilingKind, Measured

from ..words import count, number
from .single_neuron import Judged

MISSING = "not measurable"


@dataclass(frozen=True)
class ScoreRow:
    """One line of the table; `notes` say why something is missing."""

    name: str
    meaning: str
    measured: Measured
    ceiling_measured: Measured | None  # None where `best` says what an honest prediction gives
    if_poisson: str
    notes: tuple[str, ...]
    best: float | None = None

    @property
    def value(self) -> str:
        return measured_text(self.measured)

    @property
    def ceiling(self) -> str:
        return f"{self.best:g}" if self.ceiling_measured is None else measured_text(self.ceiling_measured)


NAMES = {
    "bits_per_spike": "Bits per spike",
    "bits_per_spike_train_null": "Bits per spike (training null)",
    "poisson_d2": "Poisson D²",
    "psth_r2": "PSTH R²",
    "trial_r2": "Single-trial R²",
    "residual_correlation": "Residual correlation",
}
MEANINGS = {
    "bits_per_spike": "Information per spike that the prediction adds to a flat guess at the neuron's mean rate in the "
    "same bins. 0: no better than that guess.",
    "bits_per_spike_train_null": "The same against a flat guess at its mean rate in the training trials, which a "
    "prediction could have known.",
    "poisson_d2": "Share of the Poisson deviance from the neuron's mean rate that the prediction explains. 1 would "
    "need every spike to be known.",
    "psth_r2": "R² of the mean response per condition (block, choice, reward; three trials or more) and bin. Few "
    "trials make the recorded means noisy, so even the truth stays below 1: see the ceiling.",
    "trial_r2": "R² over single trials and bins, not smoothed. Spikes are noisy: the true rate itself scores little.",
    "residual_correlation": "Correlation of recorded and predicted departures from the training PSTH, smoothed. Above "
    "0: the prediction says more than the mean response.",
    "slope": "1: rates are right on all levels. Below 1: high rates are predicted too high and low ones too low.",
    "ratio": "Spikes counted over spikes expected, in the scored bins.",
    "Ceiling": "What the best possible prediction would score on these trials. Known exactly for simulated recordings; "
    "for PSTH R² also from the spread between trials of one condition, as an average that counts every difference "
    "between such trials as noise.",
    "If Poisson": "What the true rates would score if spikes were Poisson given the rate. A landmark, no limit: "
    "regular neurons can be predicted better.",
}


def p_text(p: float) -> str:
    """p = 0.04; p < 0.001 where rounding would say 0."""
    return "p < 0.001" if p < 0.001 else f"p = {number(p, 3)}"


def measured_text(measured: Measured) -> str:
    """0.62 (0.57 to 0.67)"""
    if measured.value is None:
        return MISSING
    if measured.interval is None:
        return number(measured.value)
    return f"{number(measured.value)} ({number(measured.interval[0])} to {number(measured.interval[1])})"


def _notes(name: str, score: Measured, ceiling: Ceiling) -> tuple[str, ...]:
    """Reasons, unless the ceiling has the score's own."""
    found = [f"{name}: {score.reason}."] if score.reason else []
    if ceiling.kind is CeilingKind.NOT_MEASURABLE and score.value is not None:
        found.append(f"Ceiling of {name}: {ceiling.measured.reason}.")
    if ceiling.if_poisson is not None and ceiling.if_poisson.value is None and score.value is not None:
        found.append(f"If Poisson, {name}: {ceiling.if_poisson.reason}.")
    return tuple(found)


def _row(field: str, explained: Explained) -> ScoreRow:
    measured, ceiling = explained.measured, explained.ceiling
    if_poisson = "" if ceiling.if_poisson is None else measured_text(ceiling.if_poisson)
    notes = _notes(NAMES[field], measured, ceiling)
    return ScoreRow(NAMES[field], MEANINGS[field], measured, ceiling.measured, if_poisson, notes)


def score_rows(judged: Judged) -> list[ScoreRow]:
    rows = [_row(field, getattr(judged.scores, field)) for field in NAMES]
    honest = {
        "slope": ("Calibration slope", judged.calibration.slope),
        "ratio": ("Observed / expected", judged.calibration.ratio),
    }
    for field, (name, measured) in honest.items():
        notes = (f"{name}: {measured.reason}.",) if measured.reason else ()
        rows.append(ScoreRow(name, MEANINGS[field], measured, None, "", notes, best=1.0))
    return rows


def notes(rows: list[ScoreRow]) -> list[str]:
    """Why numbers are missing, each reason once with all it concerns."""
    by_reason: dict[str, list[str]] = {}
    for each in (note for row in rows for note in row.notes):
        about, reason = each.split(": ", 1)
        by_reason.setdefault(reason, []).append(about)
    return [f"{_joined(names)}: {reason}" for reason, names in by_reason.items()]


def _joined(names: list[str]) -> str:
    """Ceiling of A, Ceiling of B -> Ceiling of A and B"""
    shared = next((start for start in ("Ceiling of ", "If Poisson, ") if all(n.startswith(start) for n in names)), "")
    names = [name.removeprefix(shared) for name in names]
    return shared + (", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0])


def tested_on(judged: Judged) -> str:
    """On what the numbers stand."""
    scores = judged.scores
    rate = "" if scores.rate is None else f", {number(scores.rate, 1)} Hz"
    return (
        f"{count(scores.n_trials, 'held-out trial')}, {count(scores.n_entries, 'scored bin')} of "
        f"{judged.trials.bin_size * 1e3:g} ms, {count(scores.n_spikes, 'spike')}{rate}. "
        "In brackets and as lines: 95 % over trials. Dot: this prediction; bar: its ceiling."
    )
