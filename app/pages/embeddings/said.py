"""The embeddings and the probe in words and tables."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np

from ...analyses.embeddings import ShownUnits
from ...words import count, interval, number, plain
from ...work import Job
from ..parts import table

PARTIAL = {"running": "Still running", "cancelled": "Cancelled, partial", "failed": "Stopped by an error, partial"}
FEATURES = {"embedding": "Embedding", "firing": "Firing statistics"}
PROTOCOLS = {"folds": "5 folds", "sessions": "Recording left out"}
SHUFFLED, MINUS = "Shuffled regions", "Embedding minus firing"
DIGITS = 3
TIPS = {
    FEATURES["embedding"]: "The input and read-out weights that the model has learned for each neuron.",
    FEATURES["firing"]: "What the spikes of the training trials say without any model: rate, Fano factor, silent bins, "
    "PSTH, autocorrelation, intervals between spikes.",
    SHUFFLED: "The same probe on the embedding with regions exchanged within each recording: the mean, and where 95 % "
    "of the shuffles lie.",
    MINUS: "Paired difference of balanced accuracy on the same neurons; above 0 the embedding tells more.",
    "5 folds: balanced accuracy": "Mean share of each region's neurons that is named right; a fifth of the neurons of "
    "all recordings is asked at a time.",
    "Recording left out: balanced accuracy": "The same, but no neuron of the asked recording is known to the probe.",
    "5 folds: macro F1": "Mean over regions of the harmonic mean of recall and precision.",
    "Recording left out: macro F1": "Mean over regions of the harmonic mean of recall and precision.",
}


def about(shown: ShownUnits | None, job: Job | None) -> str:
    """What is on the page, or how to get it."""
    if shown is None:
        if job is not None and job.state == "running":
            return "The recordings of this model are being opened."
        return (
            "Not measured yet for this model. It opens all recordings that the model knows; the map takes some seconds "
            "for a thousand neurons, the probe with its shuffles some minutes."
        )
    n, recordings = count(len(shown.table), "neuron"), count(len(shown.sessions), "recording")
    state = "" if shown.complete or job is None else f"{PARTIAL.get(job.state, 'Partial')}: {shown.doing}. "
    problems = f" Not opened: {'; '.join(shown.problems)}." if shown.problems else ""
    return f"{state}{n} of {recordings}, {shown.n_numbers} numbers each; regions at level {shown.level}.{problems}"


def verdict(shown: ShownUnits) -> str:
    """The result in sentences."""
    return " ".join(filter(None, (_verdict(protocol.value, probed) for protocol, probed in shown.probed.items())))


def _verdict(protocol: str, probed: object) -> str:
    name = PROTOCOLS[protocol]
    if probed.problem:
        return f"{name}: not possible, {plain_long(probed.problem)}."
    if "embedding" not in probed.scores:
        return ""
    score = probed.scores["embedding"]
    said = [f"{name}: balanced accuracy {number(score.balanced_accuracy)} from the embedding"]
    if "firing" in probed.scores:
        said.append(f"{number(probed.scores['firing'].balanced_accuracy)} from firing statistics")
    if probed.null is not None:
        n, p = len(probed.null.macro_f1), probed.null.p(score.balanced_accuracy)
        mean = np.mean(probed.null.balanced_accuracy)
        said.append(f"{number(float(mean))} with shuffled regions (p = {p:.3f}, {count(n, 'shuffle')})")
    left_out = [f"{plain(session)[:12]} ({reason})" for session, reason in probed.not_asked.items()]
    return ", ".join(said) + "." + (f" Not asked: {'; '.join(left_out)}." if left_out else "")


def plain_long(text: str) -> str:
    """A sentence of the library; the names in it were made harmless with the rest."""
    return " ".join(plain(word) for word in text.split())


def probe_table(shown: ShownUnits) -> str:
    """Features by protocols, as HTML; every cell is escaped."""
    asked = {protocol.value: probed for protocol, probed in shown.probed.items() if probed.scores}
    if not asked:
        return ""
    head = ["", *(f"{PROTOCOLS[name]}: {what}" for name in asked for what in ("balanced accuracy", "macro F1"))]
    rows: list[list[object]] = []
    for name, title in FEATURES.items():
        scores = [probed.scores.get(name) for probed in asked.values()]
        rows.append([title, *(cell for score in scores for cell in _score_cells(score))])
    rows.append([SHUFFLED, *(cell for probed in asked.values() for cell in _null_cells(probed.null))])
    differences = [probed.against.get("firing") for probed in asked.values()]
    rows.append([MINUS, *(cell for each in differences for cell in _difference_cells(each))])
    n = [
        f"{PROTOCOLS[name]}: {count(probed.scores['embedding'].n_neurons, 'neuron')}" for name, probed in asked.items()
    ]
    return table(head, rows, f"Reading the region by a line. {'; '.join(n)}. Small: 95 %, neurons drawn again.", TIPS)


def _score_cells(score: object | None) -> list[object]:
    if score is None:
        return ["…", "…"]
    values = (score.balanced_accuracy, score.balanced_accuracy_ci), (score.macro_f1, score.macro_f1_ci)
    return [(number(value, DIGITS), interval(ends)) for value, ends in values]


def _null_cells(null: object | None) -> list[object]:
    if null is None:
        return ["…", "…"]
    both = np.array(null.balanced_accuracy), np.array(null.macro_f1)
    return [(number(float(v.mean()), DIGITS), interval(tuple(np.quantile(v, [0.025, 0.975])))) for v in both]


def _difference_cells(each: object | None) -> list[object]:
    if each is None:
        return ["…", ""]
    return [(number(each.balanced_accuracy, DIGITS), interval(each.balanced_accuracy_ci)), ""]


def recall_table(shown: ShownUnits) -> str:
    """Each region: how many of its neurons are named right, and what the others are taken for."""
    asked = {protocol.value: p.scores for protocol, p in shown.probed.items() if "embedding" in p.scores}
    if not asked:
        return ""
    head = ["Region", "Neurons"]
    for name, scores in asked.items():
        head += [f"{FEATURES[each]}, {PROTOCOLS[name].lower()}" for each in scores]
    head.append("Most often taken for")
    first = next(iter(asked.values()))["embedding"]
    rows = []
    for region, n in first.n_per_class.items():
        recall = [score.recall.get(region) for scores in asked.values() for score in scores.values()]
        rows.append([plain(region), n, *(number(value) for value in recall), plain(_taken_for(first, region))])
    return table(head, rows, "Share of each region's neurons that is named right (recall).", TIPS)


def _taken_for(score: object, region: str) -> str:
    """The wrong region that was named most often for it, in 5 folds."""
    row = score.confusion[score.classes.index(region)].copy()
    row[score.classes.index(region)] = 0
    if not row.any():
        return "–"
    return f"{score.classes[int(row.argmax())]} ({int(row.max())})"


def keys(colours: Mapping[str, str]) -> str:
    """What the colours stand for, as HTML; names are escaped, colours are those of tables of ours."""
    dot = "display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:4px;background:"
    return "".join(
        f"<span style='white-space:nowrap;margin-right:10px'><span style='{dot}{colour}'></span>"
        f"{html.escape(name)}</span> "
        for name, colour in colours.items()
    )
