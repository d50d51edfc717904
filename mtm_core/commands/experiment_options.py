"""Options of the commands that run many models. Imports nothing that is slow: `mtm --help` reads this."""

from __future__ import annotations

import argparse

from .options import TASKS, add_cache, add_data, add_device, add_model

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


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="default: 0")
    add_device(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for results; what is there is not repeated")
    parser.add_argument("--json", metavar="FILE", help="write all results as JSON")


def _add_spread(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="spread over the workers of a dask scheduler")
    where.add_argument("--workers", type=int, metavar="N", help="spread over N processes of this machine")


def add_ablation(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("ablation", help="train on one masking scheme at a time, and on all")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--session", nargs="+", metavar="EID", help="each is an ablation of its own")
    which.add_argument("--simulated", action="store_true", help="the first simulated session")
    add_data(parser)
    add_model(parser)
    parser.set_defaults(no_prompt=False)
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--steps", type=_positive, metavar="N", help="of every model (default: by the session)")
    _add_runs(parser)
    _add_spread(parser)
    parser.add_argument("--markdown", metavar="FILE", help="write the tables beside the published numbers")


def _size(text: str) -> str:
    if text == "all" or (text.isdigit() and int(text) > 0):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} sessions; give a positive number, or all")


def _positive(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}; give a positive number")


def add_scaling(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("scaling", help="what pre-training on other animals brings to one that is held out")
    parser.add_argument("--animals", nargs="+", required=True, metavar="NAME", help="each is held out in turn")
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=_size,
        default=["1", "3", "7", "all"],
        metavar="N",
        help="sessions to pre-train on (default: 1 3 7 all)",
    )
    add_data(parser)
    add_model(parser)
    parser.set_defaults(no_prompt=False)
    parser.add_argument("--pretrain-steps-per-session", type=_positive, metavar="N", help="default: 300")
    parser.add_argument("--steps", type=_positive, metavar="N", help="on each target (default: by its size)")
    parser.add_argument("--targets", type=_positive, metavar="N", help="sessions of each animal (default: all)")
    parser.set_defaults(sessions_per_batch=None, alpha=None)
    _add_runs(parser)
    parser.add_argument("--figure", metavar="FILE.svg", help="draw bits per spike against the number of sessions")


BASELINES = (
    "train_mean",
    "psth",
    "condition_psth",
    "coupling",
    "reduced_rank",
    "ridge",
    "autoregression",
    "true_rates",
)


def add_score_sessions(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("score-sessions", help="score models and baselines on many sessions in parallel")
    parser.add_argument("checkpoint", nargs="+", metavar="CHECKPOINT", help="folders; the first is compared with all")
    add_cache(parser)
    parser.add_argument("--session", nargs="+", metavar="EID", help="default: all sessions of the first checkpoint")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--fast", action="store_true", help="hold out up to 16 neurons at once in co-smoothing")
    parser.add_argument("--baselines", nargs="+", choices=BASELINES, default=[], help="default: none")
    add_device(parser)
    _add_spread(parser)
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write one line per session, predictor, task and measure")
