"""What an import found, in words and tables; everything that comes from a file is made harmless here."""

from __future__ import annotations

import html
from collections.abc import Sequence

from ...analyses.catalogue_errands import Looked, Step
from ...analyses.training import plain_sentence
from ...words import count, plain, seconds

FORMATS = {
    "alf": "ALF (IBL)",
    "nwb": "NWB",
    "phy": "Kilosort / Phy",
    "npz": "NumPy arrays (NPZ)",
    "bwb": "BrainWideBench",
}
SHOWN_REGIONS = 24
LISTS = """
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 4px 0 8px; font-size: 14px }
dt { font-weight: 600 }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
ul { margin: 4px 0 8px; padding-left: 20px; font-size: 13.5px; line-height: 1.45 }
li { margin: 3px 0; overflow-wrap: anywhere }
h4 { margin: 8px 0 2px; font-size: 13.5px }
.bad { border-left: 4px solid #c62828; padding: 2px 0 2px 10px; background: rgba(198, 40, 40, .08) }
.note { border-left: 4px solid #d98e04; padding: 2px 0 2px 10px; background: rgba(217, 142, 4, .08) }
"""


def facts(looked: Looked) -> str:
    """Number of spikes, units, regions and trials."""
    report = looked.report
    regions = [f"{plain(name)} {n}" for name, n in list(report.regions.items())[:SHOWN_REGIONS]]
    more = f" and {len(report.regions) - SHOWN_REGIONS} more" if len(report.regions) > SHOWN_REGIONS else ""
    good = f"{report.n_good:,} called good by the source" if report.quality_known else "which are good is not known"
    per_unit = report.n_spikes / max(1, report.n_units) / max(report.duration, 1e-9)
    continuous = report.session is not None and report.session.coverage is None
    rate = f" ({per_unit:.1f} per second and unit)" if continuous else ""
    rows = [
        ["Found", f"{plain(report.name)}, as {FORMATS.get(report.format, report.format)}"],
        ["Spikes", f"{report.n_spikes:,} in {seconds(report.duration)}{rate}"],
        ["Units", f"{report.n_units:,}; {good}"],
        ["Trials", f"{report.n_trials:,}; {report.n_usable:,} with their event within the recording"],
        ["Behavior", ", ".join(map(plain, looked.found.behaviors)) or "none"],
    ]
    rows.insert(3, [count(len(report.regions), "region").title(), f"{', '.join(regions)}{more} (units in each)"])
    return "<dl>" + "".join(f"<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>" for a, b in rows) + "</dl>"


def steps(found: Sequence[Step]) -> str:
    """The answers of a connection check, one after the other."""
    rows = ((f"{'✓' if step.ok else '✗'} {step.name}", sentence(step.said)) for step in found)
    return "<dl>" + "".join(f"<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>" for a, b in rows) + "</dl>"


def problems(fatal: Sequence[str], notes: Sequence[str]) -> str:
    """Two lists: what forbids keeping it, and what was noticed."""
    parts = []
    for title, name, sentences in (
        ("This must be solved first", "bad", fatal),
        ("Noticed, and what was done about it", "note", notes),
    ):
        if sentences:
            items = "".join(f"<li>{html.escape(sentence(text))}</li>" for text in sentences[:40])
            parts.append(f"<div class='{name}'><h4>{title}</h4><ul>{items}</ul></div>")
    return "".join(parts)


def sentence(text: str) -> str:
    """A sentence of the library, with a capital letter and a full stop."""
    said = plain_sentence(text)
    first = said.split(" ", 1)[0]
    begin = said[:1].upper() if first.isalpha() else said[:1]  # a name of a file stays as it is
    return f"{begin}{said[1:]}." if said else ""
