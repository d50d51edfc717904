"""Options of the commands that train. Imports nothing that is slow: `mtm --help` reads this."""

from __future__ import annotations

import argparse

from .options import NEDS_SCHEMES, SCHEMES, add_data, add_device, add_model


def _add_training(parser: argparse.ArgumentParser) -> None:
    """What every command that trains takes."""
    add_data(parser)
    parser.add_argument(
        "--schemes",
        nargs="+",
        choices=(*SCHEMES, *NEDS_SCHEMES),
        metavar="SCHEME",
        help=f"masking schemes to mix, of {', '.join(SCHEMES)}; with --model neds of {', '.join(NEDS_SCHEMES)}",
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, metavar="M", help="training time (default: 5)")
    budget.add_argument(
        "--steps", type=int, metavar="N", help="steps instead of minutes; such a run can be repeated exactly"
    )
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the checkpoint")


def _add_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", choices=("mtm", "neds"), default="mtm", help="neds: spikes and behavior from one another"
    )
    add_model(parser)
    parser.add_argument("--no-prompt", action="store_true", help="do not tell the model the masking scheme")


def add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train MtM on one or more sessions, or go on with an interrupted run")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--session", nargs="+", metavar="EID", help="ids of sessions, or unique beginnings of ids")
    which.add_argument("--simulated", action="store_true", help="the four simulated sessions")
    _add_training(parser)
    _add_size(parser)


def add_pretrain(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("pretrain", help="train one transformer on the recordings of many animals")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--sessions", nargs="+", metavar="EID", help="ids of sessions, or unique beginnings of ids")
    which.add_argument("--subjects", nargs="+", metavar="NAME", help="all sessions of these animals")
    which.add_argument("--simulated", action="store_true", help="the four simulated sessions")
    _add_training(parser)
    _add_size(parser)
    parser.add_argument("--sessions-per-batch", type=int, metavar="N", help="default: 4, or what the preset says")
    parser.add_argument("--alpha", type=float, help="sessions are drawn with probability ~ trials^ALPHA")
    parser.add_argument("--trunk", action="store_true", help="keep the shared weights only, not those of the neurons")


def add_finetune(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("finetune", help="teach a trained model recordings that it does not know")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by mtm pretrain or mtm train")
    parser.add_argument("--session", nargs="+", required=True, metavar="EID")
    _add_training(parser)
    parser.add_argument("--only-stitcher", action="store_true", help="learn the new neurons, leave the shared weights")
    parser.add_argument("--compare", action="store_true", help="also train from scratch with the same budget")
