"""Where the app and the bundled checkpoints lie: in the source tree, or in `mtm_core/_bundle` of an installed wheel.

The wheel keeps them inside the package so that no top-level package called "app" is installed. Both places hold the
same two directories side by side (pyproject.toml, force-include).
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent  # not resolved: importing must not read the disk


def app_dir() -> Path:
    """The directory that `panel serve` serves; FileNotFoundError if it is in neither place."""
    return _find("app")


def assets_dir() -> Path:
    """The directory with `checkpoints/` and SOURCES.md; FileNotFoundError if it is in neither place."""
    return _find("assets")


def _find(name: str) -> Path:
    candidates = (_PACKAGE / "_bundle" / name, _PACKAGE.parent / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"no directory {name!r} at {' or '.join(map(str, candidates))}; reinstall mtm-explorer, "
        "or run it from a clone with pip install -e ."
    )
