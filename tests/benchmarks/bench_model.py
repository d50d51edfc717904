"""Time of a training step and of exact co-smoothing, 676 neurons x 100 trials x 100 bins, for two model sizes.

python tests/benchmarks/bench_model.py [--neurons-timed 16]

Co-smoothing asks one question per neuron, all alike, so some are timed and the time of all 676 follows by proportion
(--neurons-timed 676 times every one). Peak memory is that of the whole process so far.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd
import torch

from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.tasks import Question, add_scored
from mtm_core.masking import hold_out_neuron
from mtm_core.models.mtm import MtMConfig
from mtm_core.predict import predict
from mtm_core.session import Trials
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, build_model, new_run

N_NEURONS, N_BINS, N_TRIALS = 676, 100, 150
SIZES = {
    "bundled: width 128, 3 layers": MtMConfig(),
    "paper: width 512, 5 layers": MtMConfig(width=512, n_layers=5, n_heads=8),
}


def made_up_trials() -> Trials:
    """Poisson counts of about 7 Hz in 12 regions; times do not depend on what they mean."""
    rng = np.random.default_rng(0)
    split = np.array(["train"] * 40 + ["validation"] * 10 + ["test"] * 100)
    return Trials(
        session_id="benchmark",
        counts=rng.poisson(0.14, (N_TRIALS, N_BINS, N_NEURONS)).astype(np.uint8),
        valid=np.ones((N_TRIALS, N_BINS), dtype=bool),
        bin_size=0.02,
        window=(-0.5, 1.5),
        event="stimOn_times",
        unit_ids=np.array([f"unit-{n}" for n in range(N_NEURONS)]),
        regions=np.array([f"R{n % 12}" for n in range(N_NEURONS)]),
        region_level="beryl",
        behaviors={},
        table=pd.DataFrame(index=range(N_TRIALS)),
        excluded={},
        split=split,
    )


def step_time(trials: Trials, size: MtMConfig, n_steps: int) -> float:
    """Median seconds of a training step of 16 trials, the first two left out."""
    config = TrainConfig(steps=10_000, n_validations=1)
    trainer = Trainer(new_run(build_model(size, [trials]), config), [trials], config)
    times, steps = [], trainer.steps()
    for _ in range(n_steps + 2):
        start = time.perf_counter()
        next(steps)
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))


def co_smoothing_time(trials: Trials, size: MtMConfig, n_timed: int) -> float:
    """Seconds for all neurons over 100 test trials, by proportion from `n_timed` of them."""
    model = build_model(size, [trials]).eval()
    part, sums = trials.select("test"), SpikeSums.empty(N_NEURONS)
    times = []
    for neuron in range(n_timed):
        question = Question(hold_out_neuron(part.counts.shape, neuron), np.array([neuron]))
        start = time.perf_counter()
        add_scored(sums, part, predict(model, part, question.mask, question.neurons), question)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * N_NEURONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons-timed", type=int, default=16)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    trials = made_up_trials()
    print(f"{torch.get_num_threads()} threads; medians of {options.steps} steps and {options.neurons_timed} neurons")
    print(f"{'size':<32}{'train step':>12}{'co-smoothing':>15}{'peak memory':>14}")
    for name, size in SIZES.items():
        step = step_time(trials, size, options.steps)
        whole = co_smoothing_time(trials, size, options.neurons_timed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:<32}{step * 1e3:>9.0f} ms{whole:>13.0f} s{peak:>11.0f} MB")


if __name__ == "__main__":
    main()
