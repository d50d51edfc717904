"""Recordings of others: read from a folder, a file or a public server, reported on, and kept in a folder of our own.

A reader (`from_alf`, `from_phy`, `from_nwb`, `from_npz`, `from_bwb`) turns files into `Found`; `report.prepare` applies
the user's `Choices` and says what is wrong; `kept.keep` writes the result. Nothing is written where it was read.
"""

from .fetch import bench_url, download
from .found import Cancelled, Choices, Found
from .inspect import FORMATS, inspect
from .kept import imports_dir, imports_stamp, keep, kept_rows, open_kept, remove
from .one_session import Account, Step, check, fetch_session
from .report import Report, prepare

__all__ = [
    "FORMATS",
    "Account",
    "Cancelled",
    "Choices",
    "Found",
    "Report",
    "Step",
    "bench_url",
    "check",
    "download",
    "fetch_session",
    "imports_dir",
    "imports_stamp",
    "inspect",
    "keep",
    "kept_rows",
    "open_kept",
    "prepare",
    "remove",
]
