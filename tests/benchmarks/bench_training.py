"""A training step of the paper's size against the same model in plain float32 PyTorch (plain.py), step by step in turn.

python tests/benchmarks/bench_training.py [--rounds 15] [--device cuda] [--small] [--profile]

Both take the same trials: 676 neurons, 100 bins, batches of 16. Ratios are of neighbouring steps, so other load on the
machine meets both; their median is what counts. --small times a step of pre-training on two cores: 1,000 neurons, 20
bins, width 128, against nothing. On a card also: samples per second, hours of 30,000 steps, share of the peak.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from bench_model import made_up_trials
from plain import PlainModel, PlainTrainer

from mtm_core.device import describe, has_bf16
from mtm_core.models.mtm import MtMConfig
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, new_run
from mtm_core.training.presets import PRESETS

GOAL = 0.4  # our time over the plain one
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bf16 operations per second, by name of the card


def our_steps(trials, size: MtMConfig, config: TrainConfig, device: torch.device) -> Callable[[], object]:
    config = replace(config, steps=10**6, n_validations=1)
    trainer = Trainer(new_run(build_model(size, [trials]).to(device), config), [trials], config)
    steps = trainer.steps()
    return lambda: next(steps)


def plain_steps(trials, size: MtMConfig, config: TrainConfig) -> Callable[[], object]:
    train = trials.select("train")
    dims, dropouts = (size.width, size.n_layers, size.n_heads), (size.token_dropout, size.dropout)
    model = PlainModel(trials.n_neurons, trials.n_bins, dims, dropouts)
    trainer = PlainTrainer(model, torch.tensor(train.counts), trials.regions.tolist(), config.learning_rate)
    return lambda: trainer.step(config.batch_size)


def seconds(step: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def in_turn(ways: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, np.ndarray]:
    """Seconds per step, rounds x ways, after two steps that are not counted."""
    for _ in range(2):
        for step in ways.values():
            step()
    times = [{name: seconds(step, device) for name, step in ways.items()} for _ in range(rounds)]
    return {name: np.array([each[name] for each in times]) for name in ways}


def operations(size: MtMConfig, n_neurons: int, n_bins: int, batch: int) -> float:
    """Of a training step: products of matrices, forward once and backward twice."""
    tokens = n_bins + 2
    layer = tokens * 8 * size.width**2 * 2 + 2 * 2 * tokens**2 * size.width
    ends = 3 * 2 * n_bins * n_neurons * size.width
    return 3.0 * batch * (size.n_layers * layer + ends)


def print_card(size: MtMConfig, trials, config: TrainConfig, taken: float) -> None:
    name = torch.cuda.get_device_name()
    used = operations(size, trials.n_neurons, trials.n_bins, config.batch_size) / taken
    peak = next((each for card, each in PEAK.items() if card in name), float("nan"))
    print(f"{name}: {config.batch_size / taken:,.0f} samples/s, 30,000 steps in {taken * 30_000 / 3600:.2f} h")
    print(f"{used / 1e12:.1f} TFLOP/s, {100 * used / peak:.1f} % of the peak")


def profiled(step: Callable[[], object], n_steps: int) -> None:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(n_steps):
            step()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=32, max_name_column_width=40))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--profile", action="store_true", help="where our step's time goes, instead of times")
    options = parser.parse_args()
    device, trials = torch.device(options.device), made_up_trials()
    preset = PRESETS["small" if options.small else "paper"]
    if options.small:
        counts = np.random.default_rng(1).poisson(0.14, (trials.n_trials, 20, 1000)).astype(np.uint8)
        names = np.array([f"unit-{n}" for n in range(1000)])
        regions = np.array([f"R{n % 12}" for n in range(1000)])
        trials = replace(trials, counts=counts, valid=np.ones(counts.shape[:2], bool), unit_ids=names, regions=regions)
    ours = our_steps(trials, preset.model, preset.train, device)
    if options.profile:
        in_turn({"ours": ours}, 1, device)
        profiled(ours, 10 if options.small else 3)
        return
    plain = {} if options.small or device.type == "cuda" else {"plain": plain_steps(trials, preset.model, preset.train)}
    times = in_turn({**plain, "ours": ours}, options.rounds, device)
    precision = "bfloat16" if has_bf16(device) else "float32"
    print(f"{describe(device)}, {precision}; {preset.model}; {trials.n_neurons} neurons, {trials.n_bins} bins")
    for name, each in times.items():
        print(f"{name:<8}{1e3 * np.median(each):>8.1f} ms   fastest {1e3 * each.min():>8.1f} ms")
    if plain:
        ratios = times["ours"] / times["plain"]
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        print(f"ratio   {middle:>8.3f}      quartiles {low:.3f} to {high:.3f}; goal: at most {GOAL}")
    if device.type == "cuda":
        print_card(preset.model, trials, preset.train, float(np.median(times["ours"])))


if __name__ == "__main__":
    main()
