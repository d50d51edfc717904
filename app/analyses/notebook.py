"""A page's script as a Jupyter notebook (nbformat 4.5): what it is about, the numbers, and a picture of them.

Format: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import json
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mtm_core import __version__
from mtm_core.session import identity

from ..recordings import checkpoint, recording
from ..spec import Spec
from ..words import plain
from .scripts import Script

PACKAGES = ("numpy", "pandas", "torch", "scikit-learn")
LINK = re.compile(r"https?://[^\s<>\"'`\\]{1,9000}")


def notebook_text(spec: Spec, script: Script, title: str, link: str) -> str:
    """The notebook as JSON; raises ValueError for a page without a script."""
    if not script.numbers:
        raise ValueError(script.why)
    cells = [
        _cell("about", "markdown", _about(spec, script.model, title, link)),
        _cell("numbers", "code", script.numbers),
        _cell("picture", "code", script.picture),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python", "version": platform.python_version()}}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def _cell(name: str, kind: str, text: str) -> dict[str, Any]:
    lines = text.rstrip("\n").splitlines(keepends=True)
    cell = {"cell_type": kind, "id": name, "metadata": {}, "source": lines}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def _about(spec: Spec, model: str, title: str, link: str) -> str:
    """Protocol, link and versions. What comes from files was made harmless, and the link is one."""
    lines = [f"# MtM Explorer: {title}", "", *(f"* {fact}" for fact in protocol(spec, model))]
    if LINK.fullmatch(link):
        lines.append(f"* The view in the app: <{link}>")
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    lines.append(f"* Made with mtm-explorer {__version__}, Python {platform.python_version()}, {versions}")
    lines += [
        "",
        "The first cell of code prints the numbers of the page, the second draws them with matplotlib.",
    ]
    return "\n".join(lines)


def protocol(spec: Spec, model: str) -> list[str]:
    """What another number must share to be compared with those of the page."""
    trials, loaded = recording(spec.session, model).trials, checkpoint(model)
    about = identity(trials)
    (start, end), per_split = trials.window, about["n_per_split"]
    sizes = ", ".join(f"{n} {plain(split)}" for split, n in per_split.items())
    return [
        f"Recording {plain(spec.session)}: {trials.n_neurons} neurons, {trials.n_trials} trials ({sizes})",
        f"Cut around {plain(trials.event)}, {start:g} to {end:g} s in bins of {1000 * trials.bin_size:g} ms; regions "
        f"at level {plain(spec.level or trials.region_level)}; split {about['split_sha256'][:12]}",
        f"Model {plain(model)}, checkpoint {plain(loaded.manifest.get('hash', 'without a hash'))[:16]}",
        "Scores are of held-out trials, in which the model never sees what it is asked about",
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
