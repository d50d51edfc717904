"""Time of a training step and of co-smoothing, 676 neurons x 100 trials x 100 bins, for two model sizes.

python tests/benchmarks/bench_model.py [--neurons-timed 33] [--rounds 3]

Co-smoothing asks one question per neuron, all alike, so some are timed and the time of all 676 follows by proportion
(--neurons-timed 676 times every one). Ratios are to a plain loop over the same neurons in float32, in the same round.
Peak memory is that of the whole process so far, the plain loop's copies included.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mtm_core.device import has_bf16
from mtm_core.evaluation.answers import answers
from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.questions import Asking, questions
from mtm_core.evaluation.tasks import add_answer
from mtm_core.masking import Mask, Scheme
from mtm_core.models.mtm import MtM, MtMConfig
from mtm_core.predict import to_batch
from mtm_core.session import Trials
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, new_run

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


def plain_loop(model: MtM, part: Trials, n_timed: int) -> int:
    """As the released code scores: copies of all test trials for eight neurons at a time, every neuron read out."""
    batch = to_batch(model, part)
    n_trials, sums = part.n_trials, SpikeSums.empty(part.n_trials, N_NEURONS)
    for first in range(0, n_timed, 8):
        counts = batch.counts.repeat(8, 1, 1)
        hidden = torch.zeros(counts.shape, dtype=torch.bool)
        for i in range(8):
            hidden[i * n_trials : (i + 1) * n_trials, :, first + i] = True
        with torch.inference_mode():
            rates = model(replace(batch, counts=counts), Mask(hidden, hidden, Scheme.NEURON)).exp()
        for i in range(8):
            one = slice(first + i, first + i + 1)
            found = rates[i * n_trials : (i + 1) * n_trials, :, one].numpy()
            sums.add(part.counts[:, :, one], found, neurons=one)
    return -(-n_timed // 8) * 8


def as_we_do(model: MtM, part: Trials, n_timed: int, grouped: bool) -> int:
    """The way of `mtm evaluate`, with or without --fast."""
    asked = list(questions("co_smoothing", part, Asking(grouped=grouped)))
    n_asked = max(1, n_timed // len(asked[0].neurons))
    sums = SpikeSums.empty(part.n_trials, N_NEURONS)
    for answer in answers(model, part, asked[:n_asked]):
        add_answer(sums, part, answer)
    return int((sums.total().n_entries > 0).sum())


def co_smoothing_times(trials: Trials, size: MtMConfig, options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds for all neurons over 100 test trials, by proportion, in rounds that take turns."""
    model, part = build_model(size, [trials]).eval(), trials.select("test")
    ways = {
        "plain fp32 loop": lambda: plain_loop(model, part, 8),
        "exact": lambda: as_we_do(model, part, options.neurons_timed, grouped=False),
        "grouped": lambda: as_we_do(model, part, options.neurons_timed, grouped=True),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            n_scored = way()
            times[name].append((time.perf_counter() - start) * N_NEURONS / n_scored)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons-timed", type=int, default=33)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    trials = made_up_trials()
    bf16 = "bfloat16" if has_bf16(torch.device("cpu")) else "float32"
    print(f"{torch.get_num_threads()} threads, {bf16}; medians of {options.steps} steps and {options.rounds} rounds")
    print(f"{'size':<30}{'train step':>12}{'co-smoothing of 676':>24}{'time':>9}{'ratio':>8}{'peak memory':>14}")
    for name, size in SIZES.items():
        step = step_time(trials, size, options.steps)
        times = co_smoothing_times(trials, size, options)
        for way, each in times.items():
            ratio = np.median(np.array(each) / np.array(times["plain fp32 loop"]))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            left = f"{name:<30}{step * 1e3:>9.0f} ms{way:>24}"
            print(f"{left}{np.median(each):>7.0f} s{ratio:>8.3f}{peak:>11.0f} MB", flush=True)


if __name__ == "__main__":
    main()
