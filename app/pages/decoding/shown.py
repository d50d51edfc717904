"""What the page shows: one behavior from every source, one decoder in words and examples, and a table of all."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui

from ...analyses.decoding import Decodings, example, names_of
from ...plots.decoding import ScoreRows, draw_scores, make_score_figure, recolour_scores
from ...state import State
from ...theme import look
from ...work import Job
from ..grid import Column, Grid
from ..parts import Announce, button, download, flexible, guarded, offer
from .examples import Examples
from .said import about, behavior_name, metric_name, null_words, second_of, sentence, source_name

KINDS = ("decoding", "decoding_regions")
READS = ("session", "model")  # what results depend on
COLUMNS = {
    "behavior": Column("Behavior", "What is decoded."),
    "source": Column("From", "Where the decoder may look."),
    "metric": Column(
        "Metric", "Balanced accuracy: mean over both sides of the share of right trials. R²: explained share."
    ),
    "score": Column("Score", "On held-out trials.", 3),
    "low": Column("From (95 %)", "Lower end of the 95 % interval over resampled held-out trials.", 3),
    "high": Column("To (95 %)", "Upper end of the 95 % interval.", 3),
    "second": Column("AUC / R² beyond", "ROC AUC of a side; of a stream R² beyond the average over trials.", 3),
    "null": Column("Null", "Mean score of the same decoder on behavior of no relation to these neurons.", 3),
    "null_95": Column("Null 95 %", "95 % of the nulls score lower.", 3),
    "p": Column("p", "Share of nulls that score as high, the score itself counted as one.", 3),
    "versus": Column("Minus counts", "Difference to decoding from all raw counts, on the same trials.", 3),
    "n_trials": Column("Trials", "Held-out trials that are scored.", 0),
    "left_out": Column("Left out", "Trials that do not take part: no-go, contrast zero, missing values and so on.", 0),
}
TEXT_WIDTHS = {"behavior": 215, "source": 150, "metric": 135}  # px


class Shown:
    """The chosen behavior and source are only a way of looking, so they are not in the address."""

    def __init__(self, state: State) -> None:
        self.state, self.scores, self.examples = state, make_score_figure(), Examples(state)
        self.behavior = pmui.Select(label="Behavior", options={}, size="small", width=250, margin=(4, 8))
        self.source = pmui.Select(
            label="Decoded from", options={}, size="small", width=200, margin=(4, 8), visible=False
        )
        self.buttons = [
            button(state, "Decode behavior", lambda: state.run(KINDS[0]), variant="contained"),
            button(state, "Decode from single regions", lambda: state.run(KINDS[1])),
        ]
        self.about, self.sentence = Announce(margin=(6, 4)), Announce(margin=(6, 4))
        self.figure = flexible(self.scores.figure, 380, visible=False)
        self.aside = pn.Column(
            pn.FlexBox(self.source, self.examples.pick, align_items="center"),
            self.sentence,
            self.examples.trace_pane,
            self.examples.sides_pane,
            styles={"flex": "1 1 380px", "min-width": "0"},
            margin=(8, 0),
        )
        self.grid = Grid(state, COLUMNS, self.look_at)
        self.grid.widget.widths = {**self.grid.widget.widths, **TEXT_WIDTHS}
        self.file = download("Download JSON", "decoding.json", self._json, disabled=True)  # until something is decoded
        for widget in (self.behavior, self.source):
            widget.param.watch(guarded(state, lambda _: self.draw_behavior()), "value")

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """The newest jobs about the present recording and model."""
        jobs = [self.state.jobs[kind] for kind in KINDS if kind in self.state.jobs]
        return [job for job in jobs if all(getattr(job.spec, name) == getattr(self.state.spec, name) for name in READS)]

    @property
    def parts(self) -> dict[str, Decodings]:
        """Results by kind: from this visitor's jobs, or complete from another visitor's."""
        of_jobs = {job.kind: job.result for job in self.jobs if job.result is not None}
        found = of_jobs | (self.state.views.get("decoding") or {})
        return {kind: found[kind] for kind in KINDS if kind in found}

    @property
    def found(self) -> Decodings | None:
        """All of it together."""
        parts = list(self.parts.values())
        return reduce(Decodings.joined, parts) if parts else None

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        found, parts = self.found, self.parts
        self.about.text = about(found, self.jobs)
        for kind, start in zip(KINDS, self.buttons, strict=True):
            start.disabled = self.state.running is not None or (kind in parts and parts[kind].complete)
        if (picture := self.state.picture) is not None:
            names = names_of(picture.recording)
            offer(self.behavior, {behavior_name(name): name for name in names})
            if names and self.behavior.value not in names:
                self.behavior.value = names[0]
        self.grid.show(_table(found), "decoding")
        self.file.disabled = found is None
        self.draw_behavior()

    def _json(self) -> str:
        return json.dumps(self.found.records if self.found else {}, indent=1)

    def draw_behavior(self) -> None:
        """The chosen behavior from every source, and one of these in words and examples."""
        behavior, found = self.behavior.value, self.found
        records = {} if found is None else found.records.get(behavior, {})
        self.scores.figure.visible = self.figure.visible = self.source.visible = self.sentence.visible = bool(records)
        if not records:
            self.examples.draw(behavior or "", None)
            return
        draw_scores(self.scores, _rows(records))
        offer(self.source, {source_name(name): name for name in records})
        if self.source.value not in records:
            self.source.value = next(iter(records))
        self.sentence.text = sentence(behavior, self.source.value, records[self.source.value])
        self.examples.draw(behavior, example(found, behavior, self.source.value))

    def look_at(self, row: pd.Series) -> None:
        """A row of the table was clicked."""
        names = {behavior_name(name): name for name in self.behavior.options.values()}
        self.behavior.value = names.get(row["behavior"], self.behavior.value)
        self.source.value = self.source.options.get(row["source"], self.source.value)

    def recolour(self) -> None:
        recolour_scores(self.scores, look(self.state.dark))


def _rows(records: dict[str, dict[str, Any]]) -> ScoreRows:
    each = list(records.values())
    low, high = np.array([record["ci"] for record in each], dtype=float).T
    return ScoreRows(
        names=tuple(source_name(name) for name in records),
        metric=metric_name(each[0]),
        chance=each[0]["chance"],
        score=np.array([record["score"] for record in each], dtype=float),
        low=low,
        high=high,
        above_null=np.array([record["at_null"] is False for record in each]),
        p=tuple(null_words(record) for record in each),
        nulls=tuple(np.array(record["null_scores"], dtype=float) for record in each),
    )


def _table(found: Decodings | None) -> pd.DataFrame:
    rows = [] if found is None else [(b, s, r) for b, by in found.records.items() for s, r in by.items()]
    lines = [
        {
            "behavior": behavior_name(behavior),
            "source": source_name(source),
            "metric": metric_name(r),
            "score": r["score"],
            "low": r["ci"][0],
            "high": r["ci"][1],
            "second": r[second_of(r)[0]],
            "versus": (r["against_counts"] or {}).get("difference"),
            "n_trials": r["n_trials"],
            "left_out": sum(r["n_left_out"].values()),
            **{name: r[name] for name in ("null", "null_95", "p")},
        }
        for behavior, source, r in rows
    ]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    return table.astype({name: float for name, column in COLUMNS.items() if column.digits})
