"""Options of the commands that run many models. Imports nothing that is slow: `mtm --help` reads this."""

from __future__ import annotations

import argparse

# The names of mtm_core.experiments.ablation.ROWS, which would import torch.
ROWS = (
    "temporal",
    "random_token",
    "neuron",
    "causal",
    "intra_region",
    "inter_region",
    "mtm_not_prompted",
    "mtm_prompted",
)
PRESETS = ("small", "paper", "large")  # as in mtm_core.training.presets
LEVELS = ("allen", "beryl", "cosmos")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache-dir", metavar="DIR", help="ONE cache with recordings (default: $MTM_CACHE_DIR)")
    parser.add_argument("--event", default="stimOn_times", help="trials column to align to (default: %(default)s)")
    parser.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("START", "END"),
        help="s around the event (default: -0.5 1.5, or what exists)",
    )
    parser.add_argument("--bin-size", type=float, default=0.02, metavar="S", help="s (default: %(default)s)")
    parser.add_argument("--region-level", default="beryl", choices=LEVELS)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=PRESETS, default="small", help="settings by name (default: %(default)s)")
    parser.add_argument("--tokens", choices=("ndt1", "ndt2"), default="ndt1", help="ndt2: patches of 128 neurons")
    parser.add_argument("--width", type=int, help="channels of the model (default: the preset's)")
    parser.add_argument("--layers", type=int, help="transformer blocks (default: the preset's)")
    parser.set_defaults(no_prompt=False)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="default: 0")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a CUDA card if there is one)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for results; what is there is not repeated")
    parser.add_argument("--json", metavar="FILE", help="write all results as JSON")


def _add_spread(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="spread over the workers of a dask scheduler")
    where.add_argument("--workers", type=int, metavar="N", help="spread over N processes of this machine")


def add_ablation(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("ablation", help="train on one masking scheme at a time, and on all: the paper's table")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--session", nargs="+", metavar="EID", help="each is an ablation of its own")
    which.add_argument("--simulated", action="store_true", help="the first simulated session")
    _add_data(parser)
    _add_model(parser)
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--steps", type=int, metavar="N", help="of every model (default: by the size of the session)")
    _add_runs(parser)
    _add_spread(parser)
    parser.add_argument("--markdown", metavar="FILE", help="write the tables beside the published numbers")
