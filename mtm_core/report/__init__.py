"""The report of `mtm evaluate --report`: one HTML file that needs nothing else, rebuilt from the JSON result alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..atomic import write_bytes
from .page import render


def write_report(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write the report of a result, as `mtm evaluate --json` holds it, in one step.

    Raises ValueError for a result without tasks, OSError where the disk refuses; the file at `path` then stays.
    """
    write_bytes(Path(path), render(result).encode())


__all__ = ["render", "write_report"]
