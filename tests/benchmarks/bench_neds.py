"""NEDS on real and simulated recordings: single-session, multi-session and unimodal models beside linear baselines.

python tests/benchmarks/bench_neds.py --cache-dir DIR --out DIR [--recordings cori] [--seeds 0 1 2] [--table FILE.md]

Test trials; mean and standard deviation over seeds, for the multi-session model over seeds of the fine-tuning. In
brackets the 95 % interval over resampled trials, its ends averaged over seeds. Finished parts lie in --out and are not
repeated. The trunk of a multi-session model has never seen the animal.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mtm_core import load_checkpoint, open_session
from mtm_core.checkpoint import CheckpointError, save_checkpoint
from mtm_core.data.catalogue import list_sessions
from mtm_core.evaluation.translation.scores import DecodingScore
from mtm_core.evaluation.translation.session_scores import score_baselines, score_model
from mtm_core.experiments.measure import as_checkpoint
from mtm_core.experiments.results import Results
from mtm_core.masking_modalities import NEDS_SCHEMES, NedsScheme
from mtm_core.models.neds import Neds, NedsConfig
from mtm_core.session import Trials, identity
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.fit import finished, fit
from mtm_core.training.loop import best_model
from mtm_core.training.transfer import transfer, trunk_only

SHORT = ((0.0, 0.4), 0.02)  # s: what all sessions of three animals hold


@dataclass(frozen=True)
class Recording:
    """What is scored, how it is cut, and whose sessions a trunk learns from."""

    session: str
    window: tuple[float, float]
    bin_size: float
    steps: int
    others: tuple[str, ...]  # subjects


RECORDINGS = {
    "cori": Recording("c4e577fb", *SHORT, 600, ("Forssmann", "Lederberg")),
    "forssmann": Recording("4f044a39", *SHORT, 600, ("Cori", "Lederberg")),
    "lederberg": Recording("b0cda810", (-0.5, 1.5), 0.05, 1000, ("Cori", "Forssmann")),
    "dy_016": Recording("d23a44ef", (-0.2, 0.8), 0.04, 1000, ("Cori", "Forssmann", "Lederberg")),
    "simulated": Recording("simulated-1", (-0.5, 1.5), 0.04, 500, ()),
}
TWIN = "b2d90972"  # another entry of the recording b0cda810
SIMULATED_OTHERS = ("simulated-2", "simulated-3", "simulated-4")
PRETRAIN_STEPS = 2500
MIXES = {
    "single session": NEDS_SCHEMES,
    "encoding only": (NedsScheme.ENCODING,),
    "decoding only": (NedsScheme.DECODING,),
    "without cross-modality": tuple(s for s in NEDS_SCHEMES if s is not NedsScheme.CROSS_MODALITY),
    "without within-modality": tuple(
        s for s in NEDS_SCHEMES if s not in (NedsScheme.WITHIN_SPIKES, NedsScheme.WITHIN_BEHAVIOR)
    ),
}


def aligned(session: str, recording: Recording, cache_dir: str) -> Trials:
    return open_session(session, cache_dir).align(window=recording.window, bin_size=recording.bin_size)


def others(recording: Recording, cache_dir: str) -> list[Trials]:
    """Sessions of other animals that have behavior, cut short: long windows do not exist for all."""
    if not recording.others:
        return [aligned(session, recording, cache_dir) for session in SIMULATED_OTHERS]
    known = list_sessions(cache_dir)
    found = []
    for session in known.loc[known["subject"].isin(recording.others), "id"]:
        if session.startswith(TWIN):
            continue
        try:
            found.append(aligned(session, replace(recording, window=SHORT[0], bin_size=SHORT[1]), cache_dir))
        except ValueError as error:
            print(f"{session} is left out: {error}")
    return found


def scores_of(model: Neds, trials: Trials) -> dict[str, Any]:
    """direction -> source or behavior -> number: bits per spike (mean and pooled), balanced accuracy or R2."""
    found: dict[str, Any] = {"encoding": {}, "decoding": {}}
    for direction, what, score in score_model(as_checkpoint(model, [trials], "neds"), trials):
        found[direction][what] = numbers(score)
    return found


def numbers(score: Any) -> dict[str, list[float] | None]:
    """name -> value and the ends of its interval."""
    if isinstance(score, DecodingScore):
        found = {name: (measure.value, measure.ci) for name, measure in score.measures.items()}
    else:
        summary = score.summary
        found = {"mean": (summary.mean, summary.mean_ci), "pooled": (summary.pooled, summary.pooled_ci)}
    return {name: None if None in both else [both[0], *both[1]] for name, both in found.items()}


def trained(model: Neds, sessions: list[Trials], config: TrainConfig) -> Neds:
    return finished(fit(model, sessions, config))[0]


@dataclass(frozen=True)
class Bench:
    recording: Recording
    trials: Trials
    cache_dir: str
    kept: Results

    def config(self, seed: int, mix: tuple[NedsScheme, ...] = NEDS_SCHEMES) -> TrainConfig:
        return TrainConfig(steps=self.recording.steps, seed=seed, schemes=mix, n_validations=10)

    def settings(self, name: str, config: TrainConfig) -> dict[str, Any]:
        about = {"data": identity(self.trials), "config": config.to_json(), "model": asdict(NedsConfig())}
        return {"name": name, "intervals": True, **about}

    def result(self, name: str, seed: int) -> dict[str, Any]:
        """Scores of one model, from --out if they lie there."""
        config = self.config(seed, MIXES.get(name, NEDS_SCHEMES))
        settings = self.settings(name, config)
        key = f"{self.trials.session_id[:11]}-{name.replace(' ', '-')}-{seed}"
        found = self.kept.get(key, settings)
        if found is None:
            print(key, flush=True)
            fresh = build_model(NedsConfig(), [self.trials], seed)
            start = transfer(self.trunk(), [self.trials], seed) if name == "multi-session" else fresh
            found = scores_of(trained(start, [self.trials], config), self.trials)
            self.kept.put(key, settings, found)
        return found

    def trunk(self) -> Neds:
        folder = self.kept.folder / f"{self.trials.session_id[:11]}-trunk"
        try:
            return load_checkpoint(folder).model
        except (CheckpointError, OSError):
            sessions = others(self.recording, self.cache_dir)
        sessions = [each for each in sessions if build_model(NedsConfig(), [each]).present(0)]
        print(f"pre-training on {len(sessions)} sessions", flush=True)
        config = TrainConfig(steps=PRETRAIN_STEPS, schemes=NEDS_SCHEMES, n_validations=10, batch_size=16)
        config = replace(config, sessions_per_batch=min(2, len(sessions)))
        trainer = fit(build_model(NedsConfig(), sessions), sessions, config)
        trunk = trunk_only(best_model(trainer.run))
        save_checkpoint(folder, trunk, {"data": [], "pretrained_on": [identity(each) for each in sessions]})
        return trunk

    def baselines(self) -> dict[str, Any]:
        settings = {"name": "baselines", "intervals": True, "data": identity(self.trials)}
        key = f"{self.trials.session_id[:11]}-baselines"
        found = self.kept.get(key, settings)
        if found is None:
            print(key, flush=True)
            found = {}
            for predictor, direction, what, score in score_baselines(self.trials):
                found.setdefault(predictor, {}).setdefault(direction, {})[what] = numbers(score)
            self.kept.put(key, settings, found)
        return found


def rows(bench: Bench, names: list[str], seeds: list[int]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name in names:
        yield name, [bench.result(name, seed) for seed in seeds]
    for name, found in bench.baselines().items():
        yield name, [found]


def cell(results: list[dict[str, Any]], direction: str, what: str, names: tuple[str, ...]) -> str:
    """First of `names` that the score has: mean and standard deviation over seeds, and the interval over trials."""
    found = [result.get(direction, {}).get(what, {}) for result in results]
    values = [next((each[name] for name in names if each.get(name) is not None), None) for each in found]
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return "-"
    value, low, high = known.mean(axis=0)
    spread = f" ± {known[:, 0].std(ddof=1):.3f}" if len(known) > 1 else ""
    return f"{value:.3f}{spread} ({low:.2f} to {high:.2f})"


def table(bench: Bench, found: list[tuple[str, list[dict[str, Any]]]]) -> str:
    """Markdown."""
    behaviors = build_model(NedsConfig(), [bench.trials]).present(0)
    head = ["", "encoding, mean", "pooled", *behaviors]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for name, results in found:
        cells = [cell(results, "encoding", "all", (measure,)) for measure in ("mean", "pooled")]
        if name == "decoding only":
            cells = ["-", "-"]
        cells += [cell(results, "decoding", each, ("balanced_accuracy", "r2")) for each in behaviors]
        if name == "encoding only":
            cells[2:] = ["-"] * len(behaviors)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def from_each(bench: Bench, found: list[tuple[str, list[dict[str, Any]]]]) -> str:
    """Encoding from every behavior alone, of the multimodal model and the best baselines."""
    lines = []
    for name, results in found:
        if name in ("single session", "ridge", "reduced_rank", "condition_psth"):
            sources = results[0].get("encoding", {})
            parts = [f"{source} {cell(results, 'encoding', source, ('mean',))}" for source in sources]
            lines.append(f"- {name}: {', '.join(parts)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--recordings", nargs="+", choices=list(RECORDINGS), default=list(RECORDINGS))
    parser.add_argument("--models", nargs="+", choices=[*MIXES, "multi-session"], default=[*MIXES, "multi-session"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--table", metavar="FILE.md")
    options = parser.parse_args()
    text = []
    for name in options.recordings:
        recording = RECORDINGS[name]
        trials = aligned(recording.session, recording, options.cache_dir)
        bench = Bench(recording, trials, options.cache_dir, Results(Path(options.out)))
        found = list(rows(bench, options.models, options.seeds))
        text.append(f"### {name}, {trials.session_id[:8]}\n\n{table(bench, found)}\n\n{from_each(bench, found)}\n")
        print(text[-1], flush=True)
    if options.table:
        Path(options.table).write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
