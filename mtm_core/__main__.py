"""The `mtm` command; also `python -m mtm_core`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__


def _add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache-dir", metavar="DIR", help="ONE cache with recordings (default: $MTM_CACHE_DIR)")


def _add_sessions(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("sessions", help="list the sessions that can be opened")
    _add_cache(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train MtM on one or more sessions, or go on with an interrupted run")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--session", nargs="+", metavar="EID", help="ids of sessions, or unique beginnings of ids")
    which.add_argument("--simulated", action="store_true", help="the four simulated sessions")
    _add_cache(parser)
    parser.add_argument("--event", default="stimOn_times", help="trials column to align to (default: %(default)s)")
    parser.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("START", "END"),
        help="s around the event (default: -0.5 1.5, or what exists)",
    )
    parser.add_argument("--bin-size", type=float, default=0.02, metavar="S", help="s (default: %(default)s)")
    parser.add_argument("--region-level", default="beryl", choices=("allen", "beryl", "cosmos"))
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, metavar="M", help="training time (default: 5)")
    budget.add_argument(
        "--steps", type=int, metavar="N", help="steps instead of minutes; such a run can be repeated exactly"
    )
    parser.add_argument("--width", type=int, help="channels of the model (default: 128)")
    parser.add_argument("--layers", type=int, help="transformer blocks (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a CUDA card if there is one)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the checkpoint")


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    tasks = ("co_smoothing", "forward_prediction", "intra_region", "inter_region")
    parser = commands.add_parser("evaluate", help="score a checkpoint and the baselines on held-out trials")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by mtm train")
    _add_cache(parser)
    parser.add_argument("--session", metavar="EID", help="default: the first session of the checkpoint")
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a CUDA card if there is one)")
    parser.add_argument("--json", metavar="FILE", help="write all scores, per region and per neuron")


def _add_app(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("app", help="open the app in the browser")
    _add_cache(parser)
    parser.add_argument("--port", type=int, default=5006)
    parser.add_argument(
        "--address", default="127.0.0.1", help="name or address that visitors type (default: %(default)s)"
    )
    parser.add_argument("--no-show", action="store_true", help="do not open a browser window")


def parser() -> argparse.ArgumentParser:
    """The command line, without importing what the commands need."""
    main_parser = argparse.ArgumentParser(prog="mtm", description="MtM on Neuropixels recordings.")
    main_parser.add_argument("--version", action="version", version=__version__)
    commands = main_parser.add_subparsers(dest="command", required=True)
    for add in (_add_sessions, _add_train, _add_evaluate, _add_app):
        add(commands)
    return main_parser


def _run(options: argparse.Namespace) -> int:
    # Imported here: `mtm --help` should not wait for torch.
    if options.command == "sessions":
        from .commands.sessions import run
    elif options.command == "train":
        from .commands.train import run
    elif options.command == "evaluate":
        from .commands.evaluate import run
    else:
        from .serve import serve_app

        return serve_app(options.port, not options.no_show, options.cache_dir, options.address)
    return run(options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 refused with a sentence on standard error, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, OSError, RuntimeError) as error:
        # Expected refusals carry a sentence for the user; a traceback would hide it.
        print(f"mtm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mtm: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
