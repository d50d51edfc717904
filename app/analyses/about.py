"""What the page "About" says of this program, the machine and the models that are here."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from mtm_core import __version__

from ..recordings import device_name, models
from .models import model_facts

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "panel", "bokeh", "holoviews", "datashader")
MTM, NEDS = "neurons from neurons (MtM)", "spikes from behavior and back (NEDS)"


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """What a bug report or a methods section needs: name and version."""
    return (
        ("MtM Explorer", __version__),
        *((name, version(name)) for name in PACKAGES),
        ("models run on", device_name()),
    )


def model_rows() -> list[tuple[str, str, str]]:
    """Name, what it predicts, and which recordings it knows, of every model in the lists."""
    rows = []
    for name in models():
        facts = model_facts(name)
        what = NEDS if facts.translates else MTM
        known = ", ".join(facts.sessions[:4]) + (f" and {len(facts.sessions) - 4} more" * (len(facts.sessions) > 4))
        rows.append((facts.label, what, known or "none: to be fine-tuned"))
    return rows
