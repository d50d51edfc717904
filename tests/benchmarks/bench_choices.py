"""What each choice of the training is worth: the settings as they are, with one thing changed at a time.

python tests/benchmarks/bench_choices.py --session EID --cache-dir DIR --window 0 0.4 --steps 1000 --seeds 0 1 2

Bits per spike over the training mean, pooled over neurons, under fixed masks of the test trials (the best weights are
picked on validation trials): mean over the four tasks, and its difference from "as it is" with the same seed, with the
standard deviation over seeds. Masks, weights and batches differ between seeds; between rows of a seed only the change.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from mtm_core import open_session
from mtm_core.masking import MTM_SCHEMES, Scheme
from mtm_core.models import transformer
from mtm_core.models.mtm import MtM, MtMConfig
from mtm_core.session import Trials
from mtm_core.training import batches
from mtm_core.training.batches import put_on_device
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Run, Trainer, best_model, new_run
from mtm_core.training.validation import fixed_masks, validate


@dataclass(frozen=True)
class Choice:
    """One change: of the network, of the settings, of the code while it trains, of the run, or of what is kept."""

    model: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    code: Callable[[], Any] = nullcontext
    run: Callable[[Run], None] = lambda run: None
    keep: Callable[[Run], MtM] = best_model


def ratios(share: float) -> Callable[[], Any]:
    fixed = {scheme: (share, share) for scheme in Scheme} | {Scheme.INTER_REGION: (1.0, 1.0)}
    return lambda: patch.object(batches, "RATIO_RANGE", fixed)


@contextmanager
def no_rotation() -> Iterator[None]:
    """The time from the event stays, as a sum of sines; the distance between two bins is no longer told."""
    with patch.object(transformer, "rotary_angles", lambda positions, width: torch.zeros(len(positions), width // 2)):
        yield


def no_hidden_signal(run: Run) -> None:
    """Hidden counts become "no news" (the training mean), which a visible average count says as well."""
    run.model.units.hidden_signal.requires_grad_(False)


class Muon(torch.optim.Optimizer):
    """torch's Muon for the matrices of the blocks, AdamW for everything else of the trunk."""

    def __init__(self, run: Run) -> None:
        matrices = [w for name, w in run.model.trunk() if name.startswith("transformer") and w.dim() == 2]
        others = [w for _, w in run.model.trunk() if not any(w is m for m in matrices)]
        self.parts = (torch.optim.Muon(matrices, weight_decay=0.01), torch.optim.AdamW(others, weight_decay=0.01))
        super().__init__([*matrices, *others], {})

    def step(self, closure: None = None) -> None:
        for part, factor in zip(self.parts, (10.0, 1.0), strict=True):
            for group in part.param_groups:
                group["lr"] = self.param_groups[0]["lr"] * factor
            part.step()


def use_muon(run: Run) -> None:
    run.optimizers.trunk = Muon(run)


CHOICES = {
    "as it is": Choice(),
    "ratios of MtM (0.3, causal 0.6)": Choice(train={"fixed_ratios": True}),
    "ratio 0.1": Choice(code=ratios(0.1)),
    "ratio 0.3": Choice(code=ratios(0.3)),
    "no learned signal of hidden neurons": Choice(run=no_hidden_signal),
    "no rotary positions": Choice(code=no_rotation),
    "Muon for the matrices": Choice(run=use_muon),
    "dropout 0.1": Choice(model={"dropout": 0.1}),
    "dropout 0.5": Choice(model={"dropout": 0.5}),
    "attention dropout 0.4": Choice(model={"attention_dropout": 0.4}),
    "width 256": Choice(model={"width": 256}),
    "last weights, not their average": Choice(keep=lambda run: run.model.eval()),
}


def score(choice: Choice, trials: Trials, steps: int, seed: int) -> dict[str, float]:
    """Train with one change; scores by scheme on the test trials, and their mean."""
    config = replace(TrainConfig(steps=steps, seed=seed, n_validations=10), **(choice.train or {}))
    run = new_run(build_model(replace(MtMConfig(), **(choice.model or {})), [trials], seed), config)
    choice.run(run)
    with choice.code():
        for _ in Trainer(run, [trials], config).steps():
            pass
        model = choice.keep(run).eval()
        held = put_on_device(model, trials.select("test"))
        return validate(model, [(held, fixed_masks(held, MTM_SCHEMES))], MTM_SCHEMES)


def line(name: str, scores: list[dict[str, float]], base: list[dict[str, float]]) -> str:
    means = np.array([each["mean"] for each in scores])
    gains = means - [each["mean"] for each in base[: len(means)]]
    spread = f"+- {gains.std(ddof=1):.4f}" if len(gains) > 1 else ""
    by_scheme = "  ".join(f"{np.mean([each[s.label] for each in scores]):.3f}" for s in MTM_SCHEMES)
    return f"{name:<38}{means.mean():>8.4f}{gains.mean():>+10.4f} {spread:<10}  {by_scheme}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", required=True)
    parser.add_argument("--cache-dir")
    parser.add_argument("--window", nargs=2, type=float, default=(0.0, 0.4))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--choices", nargs="+", default=list(CHOICES), choices=list(CHOICES))
    options = parser.parse_args()
    trials = open_session(options.session, options.cache_dir).align(window=tuple(options.window))
    print(f"{'':<38}{'mean':>8}{'change':>10} {'over seeds':<10}  neuron causal intra inter")
    base = [score(CHOICES["as it is"], trials, options.steps, seed) for seed in options.seeds]
    print(line("as it is", base, base), flush=True)
    for name in options.choices:
        if name != "as it is":
            found = [score(CHOICES[name], trials, options.steps, seed) for seed in options.seeds]
            print(line(name, found, base), flush=True)


if __name__ == "__main__":
    main()
