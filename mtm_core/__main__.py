"""The `mtm` command; also `python -m mtm_core`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module

from . import __version__
from .commands.experiment_options import add_ablation, add_scaling, add_score_sessions
from .commands.import_options import add_import
from .commands.options import LEVELS, SCHEMES, TASKS, add_cache, add_device
from .commands.train_options import add_finetune, add_pretrain, add_train


def _add_sessions(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("sessions", help="list the sessions that can be opened")
    add_cache(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_scored(parser: argparse.ArgumentParser) -> None:
    """What every command on a trained model takes."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by mtm train")
    add_cache(parser)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    add_device(parser)
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON")


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("evaluate", help="score a checkpoint and the baselines on held-out trials")
    _add_scored(parser)
    parser.add_argument("--session", metavar="EID", help="default: the first session of the checkpoint")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--region-level", choices=LEVELS, help="grouping of regions (default: as in training)")
    parser.add_argument("--fast", action="store_true", help="hold out up to 16 neurons at once in co-smoothing")
    parser.add_argument("--hide-duplicates", action="store_true", help="hide likely duplicates of a target as well")
    parser.add_argument(
        "--precision", choices=("auto", "float32"), default="auto", help="auto: bfloat16 where the hardware has it"
    )
    parser.add_argument("--against", nargs="+", default=[], metavar="CHECKPOINT", help="models to compare with")
    parser.add_argument("--no-baselines", action="store_true", help="score the model only")
    parser.add_argument("--few-shot", action="store_true", help="also few-shot co-smoothing, 4 to all training trials")
    parser.add_argument(
        "--held-out", metavar="SET", help="also a set of neurons hidden together: bwb, or a file of uuids"
    )
    parser.add_argument("--report", metavar="FILE", help="write a self-contained HTML report")


def _add_decode(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("decode", help="decode behavior from counts, predicted rates and latents")
    _add_scored(parser)
    parser.add_argument("--session", nargs="+", metavar="EID", help="several: one decoder shared by all (reduced rank)")
    parser.add_argument("--behaviors", nargs="+", metavar="NAME", help="default: all that the session has")
    sources = "default: counts rates latents; also region:XX, without:XX, reconstruction:XX, reduced_rank"
    parser.add_argument("--sources", nargs="+", metavar="SOURCE", help=sources)
    parser.add_argument("--protocol", choices=("nested", "mtm"), default="nested", help="mtm: as MtM's authors decode")
    parser.add_argument("--nulls", type=int, default=50, metavar="N", help="null behaviors (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)


def _add_map(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("map", help="what each region tells about each other region")
    _add_scored(parser)
    parser.add_argument("--session", metavar="EID", help="default: the first session of the checkpoint")
    parser.add_argument(
        "--kind", choices=("lost", "alone"), default="lost", help="lost: without the source; or it alone"
    )
    parser.add_argument("--level", choices=LEVELS, help="grouping of regions (default: as in training)")
    parser.add_argument("--min-neurons", type=int, default=2, metavar="N", help="in a region (default: %(default)s)")
    parser.add_argument("--nulls", type=int, default=3, metavar="N", help="shifted controls (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", metavar="FILE", help="write one line per pair of regions")


def _add_embeddings(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("embeddings", help="what was learned of each neuron; does it tell the region?")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by mtm train")
    add_cache(parser)
    parser.add_argument("--session", nargs="+", metavar="EID", help="default: all sessions of the checkpoint")
    parser.add_argument("--level", choices=LEVELS, default="beryl", help="grouping of regions (default: %(default)s)")
    parser.add_argument(
        "--min-neurons",
        type=int,
        default=10,
        metavar="N",
        help="fewest of a region, at least 10 (default: %(default)s)",
    )
    parser.add_argument(
        "--shuffles", type=int, default=20, metavar="N", help="of regions, as null (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    parser.add_argument("--json", metavar="FILE", help="write everything but the embeddings as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write one line per neuron, with its embedding")


def _add_export_bwb(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("export-bwb", help="write prediction files for the scorer of BrainWideBench")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by mtm train")
    add_cache(parser)
    parser.add_argument("--session", metavar="EID", help="default: the first session of the checkpoint")
    parser.add_argument("--task", choices=("co_smoothing", "forecasting"), default="co_smoothing")
    parser.add_argument("--label", default="mtm", help="name of the model in the files (default: %(default)s)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[43], help="BrainWideBench asks for 43 to 47")
    add_device(parser)
    parser.add_argument("--out", required=True, metavar="DIR")


def _add_import_weights(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("import-weights", help="make a checkpoint of the MtM authors' released weights")
    parser.add_argument("file", metavar="FILE", help="safetensors file; mtm convert-pickle makes one of a pickle")
    parser.add_argument("--config", required=True, metavar="FILE", help="JSON: sizes, prompts, sessions")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the checkpoint")


def _add_predict(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("predict", help="what a checkpoint says of counts in a numpy file, or of modalities")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by mtm train or mtm import-weights")
    spikes = parser.add_argument_group("spikes from spikes")
    spikes.add_argument("--counts", metavar="FILE", help=".npy, trials x bins x neurons")
    spikes.add_argument("--hidden", metavar="FILE", help=".npy of bool, the same shape")
    spikes.add_argument("--prompt", metavar="NAME", help=f"one of {', '.join(SCHEMES)}")
    neds = parser.add_argument_group("NEDS: spikes and behaviors from each other")
    arrays = "input.spikes_data, input.choice, input.block, input.wheel, input.whisker, those that are not hidden"
    neds.add_argument("--inputs", metavar="FILE", help=f".safetensors with {arrays}")
    neds.add_argument(
        "--task", choices=("encoding", "decoding"), help="encoding hides the spikes, decoding all behaviors"
    )
    parser.add_argument("--session", metavar="ID", help="id of a session, or its unique beginning")
    add_device(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help=".npy for the log rates, or .safetensors for NEDS")


def _add_convert_pickle(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("convert-pickle", help="tensors of a torch.save file as safetensors, running nothing")
    parser.add_argument("file", metavar="FILE", help="file written by torch.save")
    parser.add_argument("--out", required=True, metavar="FILE", help="name of the .safetensors file")


def _add_app(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("app", help="open the app in the browser")
    add_cache(parser)
    parser.add_argument("--port", type=int, help="default: 5006; with --desktop any free one")
    parser.add_argument(
        "--address", default="127.0.0.1", help="name or address that visitors type (default: %(default)s)"
    )
    parser.add_argument("--no-show", action="store_true", help="do not open a browser window")
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument("--class", dest="classroom", action="store_true", help="read-only, for many visitors at once")
    whom.add_argument("--desktop", action="store_true", help="a window of its own, which nobody else can open")
    parser.add_argument("--visitors", type=int, default=32, metavar="N", help="most of a class (default: %(default)s)")


def parser() -> argparse.ArgumentParser:
    """The command line, without importing what the commands need."""
    main_parser = argparse.ArgumentParser(prog="mtm", description="MtM on Neuropixels recordings.")
    main_parser.add_argument("--version", action="version", version=__version__)
    commands = main_parser.add_subparsers(dest="command", required=True)
    adders = (
        _add_sessions,
        add_import,
        add_train,
        add_pretrain,
        add_finetune,
        _add_evaluate,
        add_score_sessions,
        _add_decode,
        _add_map,
        _add_embeddings,
        add_ablation,
        add_scaling,
        _add_predict,
        _add_import_weights,
        _add_convert_pickle,
        _add_export_bwb,
        _add_app,
    )
    for add in adders:
        add(commands)
    return main_parser


def _run_app(options: argparse.Namespace) -> int:
    from .serve import a_class, desktop, serve_app

    audience = a_class(options.visitors) if options.classroom else desktop() if options.desktop else None
    port = options.port if options.port is not None else 0 if options.desktop else 5006
    return serve_app(port, not options.no_show, options.cache_dir, options.address, audience)


def _run(options: argparse.Namespace) -> int:
    if options.command == "app":
        return _run_app(options)
    # Imported here: `mtm --help` should not wait for torch.
    module = {"import": "import_recording"}.get(options.command, options.command.replace("-", "_"))
    return import_module(f".commands.{module}", __package__).run(options)


@contextmanager
def _first_speaks() -> Iterator[None]:
    """Of several processes that torchrun started, only the first prints; errors are told by all."""
    if os.environ.get("RANK", "0") == "0":
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 refused with a sentence on standard error, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        with _first_speaks():
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
