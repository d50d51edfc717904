"""What would be kept of a recording, and everything that is wrong with it, before anything is kept."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
import pandas as pd
from numpy import ndarray

from ...session import Coverage, Session
from ..probes import merge_spikes
from ..validation import LONGEST_S, Findings, RawProbe, find_problems
from .found import Choices, Found
from .trial_tables import EVENT, event_columns
from .windows import spike_window

SOURCE = "imported"
MOST_TRIALS = 100_000
MANY_REGIONS = 400  # more than the Beryl parcellation has: probably the wrong column
EDGE = 1.0  # s before the first spike in which an event still belongs to the recording
LONGEST_NAME = 64  # characters
NO_TRIALS = (
    "there is no table of trials; put a trials.csv beside the spikes, with one row per trial and a column of event "
    "times in seconds"
)


@dataclass(frozen=True, eq=False)
class Report:
    """fatal: sentences that forbid keeping it. notes: what was found and done. session: what `keep` would write."""

    format: str
    name: str
    choices: Choices
    n_spikes: int
    n_units: int
    n_good: int  # units that their source calls good
    quality_known: bool
    n_bad_spikes: int  # with a time that is NaN or infinite
    n_trials: int
    n_usable: int  # trials whose event lies within the recording
    duration: float  # s from the first to the last spike
    regions: dict[str, int]  # acronym -> units
    events: dict[str, int]  # trials column -> trials that have a time there, the most likely first
    region_columns: tuple[str, ...]
    in_samples: bool  # spike times are whole numbers that may be samples
    fatal: tuple[str, ...]
    notes: tuple[str, ...]
    fingerprint: str  # of the spike times, whatever was chosen
    lab: str = ""
    session: Session | None = field(default=None, repr=False)

    @property
    def facts(self) -> dict:
        """Everything but the recording itself, as JSON."""
        left_out = ("session", "choices")
        named = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in left_out}
        return {**named, "choices": vars(self.choices), "id": self.session.id if self.session else ""}


def prepare(found: Found, choices: Choices | None = None) -> Report:
    """Apply the choices and look for every problem; writes nothing."""
    choices = choices or Choices()
    probes = [_timed(probe, choices.sampling_rate or found.sampling_rate) for probe in found.probes]
    n_bad = sum(int(np.count_nonzero(~np.isfinite(probe.spike_times))) for probe in probes)
    findings = Findings(list(found.findings.fatal), list(found.findings.notes))
    if choices.drop_bad_spikes and n_bad:
        probes = [_without_bad(probe) for probe in probes]
        findings.notes.append(f"{n_bad:,} spikes without a finite time were left out, as chosen")
    probes = _named_regions(probes, found, choices, findings)
    if not findings.fatal:  # else what follows from it would be reported as if it were another problem
        raw = find_problems(probes, found.trials)
        findings.fatal.extend(NO_TRIALS if "holds no trial" in text else text for text in raw.fatal)
        findings.notes.extend(raw.notes)
    if (first := _span(probes)[0]) < -LONGEST_S:
        findings.fatal.append(f"spike times begin at {first:.3g} s, which no recording does; export the spikes again")
    return _report(found, choices, _Parts(probes, findings, n_bad))


@dataclass(frozen=True, eq=False)
class _Parts:
    probes: list[RawProbe]
    findings: Findings
    n_bad: int


def _report(found: Found, choices: Choices, parts: _Parts) -> Report:
    findings, units = parts.findings, _all_units(parts.probes)
    good = units["quality"].to_numpy(dtype=np.float64) >= 1
    first, last = _span(parts.probes)
    events = event_columns(found.trials, first, last)
    event = _event(found, choices, events, findings)
    trials = _trials(found, choices, event, findings)
    fingerprint, session = "", None
    if choices.good_only and not good.any():
        findings.fatal.append("no unit is called good by its source; take all units")
    if not findings.fatal:
        times, rows = merge_spikes(parts.probes)
        fingerprint = sha256(np.rint(times * 1e5).astype(np.int64).tobytes()).hexdigest()
        keep = good if choices.good_only else np.ones(len(units), bool)
        session = _session(found, choices, _chosen(times, rows, units, keep), trials, findings)
    shown = session.units if session else units
    at = trials[EVENT].to_numpy() if EVENT in trials else np.zeros(0)
    return Report(
        format=found.format,
        name=clean(found.name),
        choices=replace(choices, event=event, regions=choices.regions or next(iter(found.region_columns), "")),
        n_spikes=len(session.spike_times) if session else found.n_spikes,
        n_units=len(shown),
        n_good=int(good.sum()),
        quality_known=bool(units["quality"].notna().any()),
        n_bad_spikes=parts.n_bad,
        n_trials=len(trials),
        n_usable=int(np.count_nonzero((at >= first - EDGE) & (at <= last))),
        duration=last - first,
        regions=dict(Counter(shown["region"]).most_common()),
        events=events,
        region_columns=tuple(found.region_columns),
        in_samples=any("look like samples" in text for text in findings.fatal) or found.sampling_rate > 0,
        fatal=tuple(findings.fatal),
        notes=tuple(findings.notes),
        fingerprint=fingerprint,
        lab=clean(found.lab),
        session=session,
    )


def _span(probes: list[RawProbe]) -> tuple[float, float]:
    """s of the first and the last spike with a finite time."""
    finite = [times[np.isfinite(times)] for times in (np.asarray(probe.spike_times) for probe in probes)]
    edges = [float(edge) for times in finite if len(times) for edge in (times.min(), times.max())]
    return (min(edges), max(edges)) if edges else (0.0, 0.0)


# --- spikes and units -------------------------------------------------------------------------------------------------


def _timed(probe: RawProbe, rate: float) -> RawProbe:
    """Samples become seconds; seconds stay as they are, 32 bits too, which are reported."""
    return replace(probe, spike_times=probe.spike_times / rate) if rate > 0 else probe


def _without_bad(probe: RawProbe) -> RawProbe:
    good = np.isfinite(probe.spike_times)
    if len(good) != len(probe.spike_clusters):
        return probe
    return replace(probe, spike_times=probe.spike_times[good], spike_clusters=probe.spike_clusters[good])


def _named_regions(probes: list[RawProbe], found: Found, choices: Choices, findings: Findings) -> list[RawProbe]:
    """The regions that were chosen, as harmless short text."""
    chosen = found.region_columns.get(choices.regions)
    if choices.regions and chosen is None:
        there = ", ".join(found.region_columns) or "none"
        findings.fatal.append(f"there is no column of regions {choices.regions[:40]!r}; there are: {there}")
    out, done = [], 0
    for probe in probes:
        n_units = len(probe.units)
        regions = probe.units["region"] if chosen is None else chosen[done : done + n_units]
        names = pd.Series([clean(region) or "root" for region in regions], dtype=object)
        uuids = [clean(uuid, 100) for uuid in probe.units["uuid"]]
        out.append(replace(probe, units=probe.units.assign(region=names.to_numpy(), uuid=uuids)))
        done += n_units
    n_regions = len({name for probe in out for name in probe.units["region"]})
    if n_regions > MANY_REGIONS:
        findings.notes.append(f"the units have {n_regions:,} different regions; choose another column if that is wrong")
    return out


def clean(text: object, longest: int = LONGEST_NAME) -> str:
    """Text of a file as one printable line, cut short."""
    return "".join(c if c.isprintable() else " " for c in str(text)[: 2 * longest])[:longest].strip()


def _all_units(probes: list[RawProbe]) -> pd.DataFrame:
    columns = ["uuid", "region", "probe", "depth", "quality"]
    tables = [probe.units[columns] for probe in probes if len(probe.units)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({name: [] for name in columns})


def _chosen(times: ndarray, rows: ndarray, units: pd.DataFrame, keep: ndarray) -> tuple[ndarray, ndarray, pd.DataFrame]:
    """Spikes and table of the units that are kept."""
    if keep.all():
        return times, rows, units
    place = np.cumsum(keep) - 1
    mine = keep[rows]
    return times[mine], place[rows[mine]].astype(np.int32), units[keep].reset_index(drop=True)


# --- trials -----------------------------------------------------------------------------------------------------------


def _event(found: Found, choices: Choices, events: dict[str, int], findings: Findings) -> str:
    """The column that becomes time 0; "" with a fatal problem if there is none."""
    if found.trials.empty:
        return ""
    if choices.event and choices.event not in found.trials:
        findings.fatal.append(f"the trials have no column {choices.event[:40]!r}; choose one of {', '.join(events)}")
        return ""
    if not (choices.event or events or findings.fatal):
        there = ", ".join(map(str, found.trials.columns[:6]))
        findings.fatal.append(f"no column of the trials holds event times within the recording (columns: {there})")
    return choices.event or next(iter(events), "")


def _trials(found: Found, choices: Choices, event: str, findings: Findings) -> pd.DataFrame:
    """Trials in the order of the event, which is called stimOn_times from here on."""
    trials = found.trials.copy()
    if not event:
        return trials
    if len(trials) > MOST_TRIALS:
        findings.fatal.append(f"the table has {len(trials):,} trials; at most {MOST_TRIALS:,} can be used")
    if event != EVENT:
        source = trials[event]
        trials = trials.rename(columns={EVENT: "stimOnRecorded_times"}).assign(**{EVENT: source})
        findings.notes.append(f"time 0 of every trial is {event}; the column {EVENT} holds it")
    trials = _complete(trials, choices, event, findings)
    known = trials[EVENT].dropna()
    if not known.is_monotonic_increasing:
        findings.notes.append(f"{event} goes back in time; trials were sorted by it")
    return trials.sort_values(EVENT, kind="stable").reset_index(drop=True)


def _complete(trials: pd.DataFrame, choices: Choices, event: str, findings: Findings) -> pd.DataFrame:
    """The trials that are kept; those without the event are said."""
    missing = ~np.isfinite(trials[EVENT])
    if missing.all():
        findings.fatal.append(f"no trial has a time of {event}; choose another event")
    if not choices.complete_trials:
        if missing.any():
            findings.notes.append(f"{int(missing.sum())} trials have no time of {event}; analyses leave them out")
        return trials
    if "choice" in trials:
        missing |= ~np.isfinite(trials["choice"])
    findings.notes.append(f"{int(missing.sum())} trials without event or choice were left out, as chosen")
    return trials[~missing]


def _session(
    found: Found,
    choices: Choices,
    spikes: tuple[ndarray, ndarray, pd.DataFrame],
    trials: pd.DataFrame,
    findings: Findings,
) -> Session:
    times, rows, units = spikes
    subject = clean(choices.subject) or clean(found.subject) or clean(found.name) or "unknown"
    date = found.date if re.fullmatch(r"\d{4}-\d{2}-\d{2}", found.date) else ""
    identity = sha256()
    for part in (times, rows.astype(np.int32), trials[EVENT].to_numpy(), "\n".join(units["region"])):
        identity.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    session_id = "-".join(filter(None, [slug(subject), date, identity.hexdigest()[:10]]))
    if not found.own_uuids:
        units = units.assign(uuid=[f"{session_id}/{uuid}" for uuid in units["uuid"]])
    window = spike_window(times, trials[EVENT].to_numpy())
    if window is not None:
        findings.notes.append(
            f"spikes exist from {window[0]:g} to {window[1]:g} s around the event only; outside there is no data, "
            "which is not taken for silence"
        )
    return Session(
        id=session_id,
        subject=subject,
        date=date,
        number=found.number,
        source=SOURCE,
        spike_times=times,
        spike_units=rows.astype(np.int32),
        units=units,
        trials=trials,
        behaviors={clean(name, 48): stream for name, stream in found.behaviors.items()},
        coverage=Coverage(EVENT, *window, 0.0) if window else None,
        problems=tuple(findings.notes),
    )


def slug(text: str) -> str:
    """A short piece of an id: lower case letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:32].strip("-") or "recording"
