"""Lines that several scripts share. Whatever stands in them by name is written as a Python literal."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mtm_core.installed import installed_models

from ...recordings import Recording, recording
from ...spec import Spec, encode

UNKNOWN = "This model has not been trained on this recording, so there is no number to compute again."
SHOW = 'show = "{:.3f}".format\n'


@dataclass(frozen=True)
class Script:
    """Python that prints the numbers of a page, and then what draws a picture of them; or why there is none."""

    numbers: str = ""
    picture: str = ""  # goes on where `numbers` ends; draws with matplotlib
    model: str = ""  # whose numbers these are
    why: str = ""


def made(spec: Spec, model: str, imports: str, body: str, picture: str) -> Script:
    """A script that says what it is and imports what it uses."""
    return Script(f"{_head(spec, model)}\n{_used(imports, body)}\n{body}", picture, model)


def _used(imports: str, body: str) -> str:
    """The lines of `imports` with the names that occur in the body."""
    lines = []
    for line in filter(None, imports.splitlines()):
        start, word, names = re.fullmatch(r"(.*)( as |import )(.*)", line).groups()
        there = [name for name in names.split(", ") if re.search(rf"\b{name}\b", body)]
        lines += [start + word + ", ".join(there)] if there else []
    ours = [line for line in lines if "mtm_core" in line]
    others = [line for line in lines if line not in ours]
    return "\n".join("".join(f"{line}\n" for line in group) for group in (others, ours) if group)


def _head(spec: Spec, model: str) -> str:
    """What the script is, and what it needs."""
    lines = [f"# MtM Explorer: {spec.session} with the model {model}. The view in the app: ?{encode(spec)}"]
    if model not in installed_models():
        lines.append("# The model is a training run of this computer.")
    if not recording(spec.session, model).entry.simulated:
        lines.append("# MTM_CACHE_DIR must name the folder with the recordings, as it does for the app.")
    return "\n".join(lines) + "\n"


def align(opened: Recording, level: str = "") -> str:
    """The call that cuts trials the way the model reads them, with regions of a level."""
    t = opened.trials
    window = tuple(float(edge) for edge in t.window)
    return f"align({literal(t.event)}, {window}, {float(t.bin_size)}, {literal(level or t.region_level)})"


def opening(spec: Spec, model: str, level: str = "") -> str:
    """The lines that open the model, the session and its trials."""
    return (
        f"model = open_model({literal(model)})\n"
        f"session = open_session({literal(spec.session)})\n"
        f"trials = session.{align(recording(spec.session, model), level)}\n"
    )


def literal(text: object) -> str:
    """A name as Python writes it, in double quotes where that is safe."""
    written = repr(str(text))
    plain = str(text).isascii() and str(text).isprintable() and not set(str(text)) & {'"', "'", "\\"}
    return f'"{text}"' if plain else written


def names(values: object) -> str:
    return "[" + ", ".join(literal(value) for value in values) + "]"


def runs(numbers: list[int]) -> str:
    """1, 2, 3, 7 as [*range(1, 4), 7]."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return "[" + ", ".join(str(a) if a == b else f"*range({a}, {b + 1})" for a, b in parts) + "]"
