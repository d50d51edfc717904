"""What linear baselines make of the translation between spikes and behavior, on real recordings.

python tests/benchmarks/bench_translation.py --cache-dir DIR [--methods linear ridge] [--json FILE]

Encoding: bits per spike of the test trials against their own mean, pooled over neurons and (in brackets) their average,
from all behaviors and from each alone. Decoding: balanced accuracy, or R2 and (in brackets) R2 beyond the average
trace. All with 95 % intervals over trials.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtm_core import open_session
from mtm_core.evaluation.score import Summary
from mtm_core.evaluation.translation.decoders import DECODERS, decode_from_spikes
from mtm_core.evaluation.translation.encoders import ENCODERS, encode
from mtm_core.evaluation.translation.features import chosen_behaviors
from mtm_core.evaluation.translation.scores import DecodingScore, Measure, decoding_score, encoding_score
from mtm_core.modality import BEHAVIORS
from mtm_core.session import Trials

RECORDINGS = {  # session: window and bin size, s
    "b0cda810": ((-0.5, 1.5), 0.05),
    "d23a44ef": ((-0.2, 0.8), 0.04),  # known in bins of 20 ms
    "c4e577fb": ((0.0, 0.4), 0.02),
    "4f044a39": ((0.0, 0.4), 0.02),
}


def encodings(trials: Trials, methods: list[str]) -> Iterator[dict[str, Any]]:
    there = chosen_behaviors(trials)
    for names in (there, *((name,) for name in there)) if len(there) > 1 else (there,):
        for method in (each for each in ENCODERS if each in methods):
            if (method == "psth" and names != there) or (
                method == "condition_psth" and not any(BEHAVIORS[name].static for name in names)
            ):
                continue  # they would read none of these
            started = time.perf_counter()
            summary = encoding_score(encode(trials, method, names), trials).summary
            took, source = time.perf_counter() - started, "all" if names == there else names[0]
            print(f"  from {source:22} {method:15} {bits(summary)}  {took:5.1f} s", flush=True)
            yield {"from": source, "method": method, "pooled": summary.pooled, "mean": summary.mean}


def decodings(trials: Trials, methods: list[str]) -> Iterator[dict[str, Any]]:
    for name in chosen_behaviors(trials):
        for method in (each for each in DECODERS if each in methods):
            started = time.perf_counter()
            predicted = decode_from_spikes(trials, name, method)
            score = decoding_score(predicted.values, trials, name)
            took = time.perf_counter() - started
            print(f"  {name:22} {method:15} {decoded(score)}  {took:5.1f} s  {predicted.settings}", flush=True)
            yield {"behavior": name, "method": method, **score.to_json()}


def bits(summary: Summary) -> str:
    if summary.pooled is None or summary.pooled_ci is None:
        return "not measurable"
    low, high = summary.pooled_ci
    return f"{summary.pooled:7.4f} ({low:7.4f}, {high:7.4f})  [{summary.mean:7.4f}]"


def decoded(score: DecodingScore) -> str:
    first, second, *_ = score.measures.values()
    return f"{shown(first)}  [{shown(second)}]  n {score.n}"


def shown(measure: Measure) -> str:
    if measure.value is None or measure.ci is None:
        return measure.reason
    return f"{measure.value:6.3f} ({measure.ci[0]:6.3f}, {measure.ci[1]:6.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", help="ONE cache; default: MTM_CACHE_DIR")
    parser.add_argument("--sessions", nargs="+", choices=RECORDINGS, default=list(RECORDINGS))
    parser.add_argument("--methods", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for session_id in options.sessions:
        window, bin_size = RECORDINGS[session_id]
        trials = open_session(session_id, options.cache_dir).align(window=window, bin_size=bin_size)
        print(f"{session_id}: {trials.n_neurons} neurons, {trials.n_trials} trials of {trials.n_bins} bins")
        found[session_id] = {
            "encoding": list(encodings(trials, options.methods)),
            "decoding": list(decodings(trials, options.methods)),
        }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, allow_nan=False), "utf-8")


if __name__ == "__main__":
    main()
