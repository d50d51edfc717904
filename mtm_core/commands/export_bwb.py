"""`mtm export-bwb`: a checkpoint's predictions as files that BrainWideBench's scorer reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoint import load_checkpoint
from ..device import describe, pick_device
from ..evaluation.bwb import GROUND_TRUTH, BenchTask, Submission, submit
from .evaluate import trials_of

SCORER = "python -m ibl_bwb_eval.scoring.ts2"


def run(options: argparse.Namespace) -> int:
    device = pick_device(options.device)
    wanted = Submission(BenchTask(options.task), options.label, Path(options.out), tuple(options.seeds))
    wanted.out.mkdir(parents=True, exist_ok=True)  # refused now, not after the predictions
    checkpoint = load_checkpoint(options.checkpoint, device)
    trials = trials_of(checkpoint, options.session, options.cache_dir)
    found, files = submit(checkpoint, trials, wanted)
    n_windows, n_bins, n_units = found.log_rates.shape
    print(
        f"session {trials.session_id} on {describe(device)}: {n_windows} windows of 1 s cut from the test trials, "
        f"{n_units} of {trials.n_neurons} neurons scored in {n_bins} bins of 20 ms"
    )
    if len(wanted.seeds) > 1:
        print(
            f"the {len(wanted.seeds)} seed files hold the same predictions, of one training run: their spread says "
            "nothing; train one checkpoint for each seed"
        )
    for file in files:
        print(file)
    print(f"score them: {SCORER} --pred_dir {wanted.out / wanted.label} --gt_dir {wanted.out / GROUND_TRUTH}")
    return 0
