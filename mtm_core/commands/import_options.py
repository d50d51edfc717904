"""Options of `mtm import`. Imports nothing that is slow: `mtm --help` reads this."""

from __future__ import annotations

import argparse

FORMATS = ("alf", "nwb", "phy", "npz", "bwb")


def add_import(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("import", help="look at a recording in a folder, and keep it if it is sound")
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", help="folder of one recording, or a .nwb, .npz, .h5 file"
    )
    parser.add_argument("--fetch", metavar="ID", help="instead of a folder: a public session of BrainWideBench")
    parser.add_argument("--set", choices=("eval", "pretrain"), default="eval", help="of --fetch (default: %(default)s)")
    parser.add_argument(
        "--all-units", action="store_true", help="of --fetch: not only those that passed quality control"
    )
    parser.add_argument("--format", choices=FORMATS, default="", help="default: what the files look like")
    parser.add_argument("--event", default="", metavar="COLUMN", help="trials column that becomes time 0")
    parser.add_argument("--regions", default="", metavar="COLUMN", help="column that names the regions")
    parser.add_argument("--good-only", action="store_true", help="leave out units that the source does not call good")
    parser.add_argument("--complete-trials", action="store_true", help="leave out trials without event or choice")
    parser.add_argument("--drop-bad-spikes", action="store_true", help="leave out spikes without a finite time")
    parser.add_argument("--sampling-rate", type=float, default=0.0, metavar="HZ", help="spike times are samples")
    parser.add_argument("--subject", default="", metavar="NAME", help="name of the animal (default: as found)")
    parser.add_argument("--keep", action="store_true", help="put it into the list of mtm sessions and of the app")
    parser.add_argument(
        "--replace", action="store_true", help="with --keep: in place of the same one, chosen otherwise"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON")
