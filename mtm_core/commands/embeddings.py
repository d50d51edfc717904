"""`mtm embeddings`: what a model has learned about each neuron, and whether its brain region can be read from it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..atomic import write_bytes, write_json
from ..checkpoint import Checkpoint, load_checkpoint
from ..device import pick_device
from ..evaluation.bootstrap import interval
from ..evaluation.firing_features import FEATURES, firing_features
from ..evaluation.information.table import csv_text
from ..evaluation.probe_scores import ProbeScore
from ..evaluation.region_probe import (
    EMBEDDING,
    FIRING,
    PROTOCOL_NAMES,
    Neurons,
    Probed,
    Protocol,
    Settings,
    region_probe,
)
from ..evaluation.unit_embeddings import UnitEmbeddings, joined, unit_embeddings
from ..evaluation.unit_map import UnitMap, map_2d
from .console import ProgressLine
from .evaluate import open_trials

SAID = {EMBEDDING: "embedding [in; out]", FIRING: "firing statistics (baseline)"}
NOTE = (
    "balanced accuracy with 95 % interval / macro F1 with 95 % interval, neurons drawn again; firing statistics: rate, "
    "Fano factor, PSTH, autocorrelation, intervals between spikes, all of training trials; shuffled: mean and 95 % "
    "range with regions exchanged within sessions"
)


def opened(
    checkpoint: Checkpoint, asked: list[str] | None, cache_dir: str | None, level: str
) -> tuple[UnitEmbeddings, np.ndarray]:
    """Embeddings and firing statistics (N, F) of the neurons of these sessions, or of all that the model knows."""
    ids = asked or [about["session"] for about in checkpoint.manifest.get("data", ())] or [None]
    parts: list[UnitEmbeddings] = []
    firing = []
    for session_id in ids:
        session, trials = open_trials(checkpoint, session_id, cache_dir)
        if session.id in [part.sessions[0] for part in parts]:
            raise ValueError(f"session {session.id} is named twice")
        parts.append(unit_embeddings(checkpoint, session.id, session.units, level))
        firing.append(firing_features(session, trials))
    return joined(parts), np.concatenate(firing)


def probe(units: UnitEmbeddings, firing: np.ndarray, settings: Settings) -> dict[Protocol, Probed]:
    """All results, with a progress line meanwhile."""
    shown, neurons = ProgressLine(), Neurons(units.regions, units.sessions)
    for step in region_probe({EMBEDDING: units.embedding, FIRING: firing}, neurons, settings):
        shown.show(f"{100 * step.share:3.0f} %  {step.doing}", step.share)
    shown.end()
    return step.found


# --- words ------------------------------------------------------------------------------------------------------------


def table(protocol: Protocol, probed: Probed) -> Iterator[str]:
    """Lines about one protocol."""
    yield f"\n{PROTOCOL_NAMES[protocol]}"
    if probed.problem:
        yield f"  not possible: {probed.problem}"
        return
    for name, score in probed.scores.items():
        cells = (
            f"{_with(score.balanced_accuracy, score.balanced_accuracy_ci)} / {_with(score.macro_f1, score.macro_f1_ci)}"
        )
        yield f"  {SAID[name]:<30} {cells}   {score.n_neurons} neurons, {len(score.n_per_class)} regions"
    if (null := probed.null) is not None:
        cells = " / ".join(_with(np.mean(values), interval(np.array(values))) for values in vars(null).values())
        p = null.p(probed.scores[EMBEDDING].balanced_accuracy)
        yield f"  {'shuffled regions':<30} {cells}   p = {p:.3f} of the embedding, {len(null.macro_f1)} shuffles"
    for name, each in probed.against.items():
        yield f"  embedding minus {name}: {each.balanced_accuracy:+.3f} [{_ends(each.balanced_accuracy_ci, '+')}]"
    for session, reason in probed.not_asked.items():
        yield f"  not asked: {session}: {reason}"


def recall_table(found: dict[Protocol, Probed]) -> Iterator[str]:
    """Share of each region that was found."""
    columns = [(protocol, name) for protocol, probed in found.items() for name in probed.scores]
    if not columns:
        return
    regions = dict.fromkeys(region for p, name in columns for region in found[p].scores[name].recall)
    heads = "".join(f"{name + ', ' + protocol.value:>22}" for protocol, name in columns)
    yield f"\nrecall (neurons)  {heads}"
    for region in regions:
        yield f"{region:<18}" + "".join(f"{_recall(found[p].scores[name], region):>22}" for p, name in columns)


def _recall(score: ProbeScore, region: str) -> str:
    return f"{score.recall[region]:.3f} ({score.n_per_class[region]})" if region in score.recall else "-"


def _with(value: float, ends: Any) -> str:
    return f"{value:.3f} [{_ends(ends)}]"


def _ends(ends: Any, sign: str = "") -> str:
    return f"{ends[0]:{sign}.3f}, {ends[1]:{sign}.3f}"


# --- files ------------------------------------------------------------------------------------------------------------


def units_table(units: UnitEmbeddings, plane: UnitMap) -> pd.DataFrame:
    """uuid, session, neuron, region and place on the map."""
    return units.table.assign(map_1=plane.places[:, 0], map_2=plane.places[:, 1])


def csv_of(units: UnitEmbeddings, plane: UnitMap) -> str:
    """One row per neuron, with the whole embedding: in_0, in_1, ..., out_0, out_1, ..."""
    width = units.embedding.shape[1] // 2
    names = [f"{half}_{column}" for half in ("in", "out") for column in range(width)]
    values = pd.DataFrame(units.embedding, columns=names)
    return csv_text(pd.concat([units_table(units, plane), values], axis=1))


def json_of(units: UnitEmbeddings, plane: UnitMap, found: dict[Protocol, Probed], settings: Settings) -> dict[str, Any]:
    """Everything but the embeddings themselves, which the CSV holds."""
    return {
        "level": units.level,
        "settings": asdict(settings),
        "firing_features": list(FEATURES),
        "map_axes": list(plane.axes),
        "units": units_table(units, plane).to_dict("records"),
        "probe": {protocol.value: probed_json(probed) for protocol, probed in found.items()},
    }


def probed_json(probed: Probed) -> dict[str, Any]:
    null = probed.null
    return {
        "problem": probed.problem,
        "not_asked": probed.not_asked,
        "scores": {name: score.to_json() for name, score in probed.scores.items()},
        "embedding_minus": {name: asdict(each) for name, each in probed.against.items()},
        "by_session": {
            name: {session: score.to_json() for session, score in scores.items()}
            for name, scores in probed.by_session.items()
        },
        "null": None if null is None else {**asdict(null), "p": null.p(probed.scores[EMBEDDING].balanced_accuracy)},
    }


def run(options: argparse.Namespace) -> int:
    for path in filter(None, (options.json, options.csv)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after minutes of work
    checkpoint = load_checkpoint(options.checkpoint, pick_device(options.device))
    settings = Settings(options.min_neurons, options.shuffles, options.seed)
    units, firing = opened(checkpoint, options.session, options.cache_dir, options.level)
    n_sessions = len(set(units.sessions.tolist()))
    size = f"{units.embedding.shape[1]} numbers each"
    print(f"{len(units.unit_ids)} neurons of {n_sessions} session(s), {size}; regions at level {units.level}")
    found = probe(units, firing, settings)
    print(NOTE)
    for protocol, probed in found.items():
        print("\n".join(table(protocol, probed)))
    print("\n".join(recall_table(found)))
    if not (options.json or options.csv):
        return 0
    plane = map_2d(units.embedding, options.seed)
    if options.json:
        write_json(Path(options.json), json_of(units, plane, found, settings))
        print(f"all of it but the embeddings: {options.json}")
    if options.csv:
        write_bytes(Path(options.csv), csv_of(units, plane).encode())
        print(f"one row per neuron with its embedding: {options.csv}")
    return 0
