"""Python that prints the numbers of a page in a fresh process, equal to the last digit shown.

To give a page a script: write `script(spec) -> Script` in a file of its own here and add a row to SCRIPTS.
"""

from __future__ import annotations

from collections.abc import Callable

from ...spec import Spec
from . import decoding, explore, information, neuron, scores, translate, units
from .lines import Script

NONE = "This page has no script: nothing on it is a score that a script could compute again."
SCRIPTS: dict[str, Callable[[Spec], Script]] = {
    "explore": explore.script,
    "scores": scores.script,
    "neuron": neuron.script,
    "decoding": decoding.script,
    "map": information.script,
    "embeddings": units.script,
    "translate": translate.script,
}


def script_of(spec: Spec) -> Script:
    """The script of the open page, or why there is none."""
    make = SCRIPTS.get(spec.page)
    return Script(why=NONE) if make is None else make(spec)
