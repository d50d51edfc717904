"""What a run was asked to do, checked against what exists, and the arguments of the `mtm` command that does it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

CACHE_VARIABLE = "MTM_CACHE_DIR"  # as mtm_core.data.catalogue, which imports more than a waiting process needs
COMMANDS = ("train", "pretrain", "finetune")
MODELS = ("mtm", "neds")
PRESETS = ("small", "paper", "large")
SCHEMES = ("neuron", "causal", "intra_region", "inter_region", "temporal", "random_token")
BINS_MS = (20, 40, 100)  # what recordings with bins of 20 ms can be cut into as well
MOST_MINUTES = 7 * 24 * 60
MOST_STEPS = 10_000_000
MOST_SESSIONS = 500
LONGEST_NAME = 64  # characters


@dataclass(frozen=True)
class Request:
    """One run. Budget: `minutes`, or `steps`. Model size and schemes of a fine-tuned model are those it has."""

    command: str  # of COMMANDS
    sessions: tuple[str, ...]  # ids as in the catalogue
    name: str = ""  # for people
    model: str = "mtm"  # of MODELS; of a fine-tuned model: what it is
    preset: str = "small"  # of PRESETS
    schemes: tuple[str, ...] = SCHEMES[:4]  # the mix of MtM; NEDS has its own
    minutes: float | None = 5.0
    steps: int | None = None
    checkpoint: str = ""  # folder of the model to fine-tune; chosen by the program, never typed by a visitor
    bin_ms: int = 20  # of BINS_MS
    only_stitcher: bool = False  # fine-tuning leaves the trunk as it is
    cache_dir: str = ""  # ONE cache with the recordings; "": simulated sessions only

    def arguments(self, out: Path) -> list[str]:
        """The command line after `mtm`; the recordings come through the environment."""
        budget = ["--steps", str(self.steps)] if self.steps is not None else ["--minutes", f"{self.minutes:g}"]
        bins = ["--bin-size", f"{self.bin_ms / 1000:g}"] if self.bin_ms != BINS_MS[0] else []  # else as by default
        ends = [*bins, *budget, "--out", str(out)]
        if self.command == "finetune":
            stitcher = ["--only-stitcher"] if self.only_stitcher else []
            return ["finetune", self.checkpoint, "--session", *self.sessions, *stitcher, *ends]
        option = "--sessions" if self.command == "pretrain" else "--session"
        kind = ["--schemes", *self.schemes] if self.model == "mtm" else ["--model", self.model]
        return [self.command, option, *self.sessions, "--preset", self.preset, *kind, *ends]

    def check(self) -> None:
        """Raises ValueError with a sentence for the visitor: nothing unknown may reach a command line."""
        _check_words(self)
        _check_budget(self)
        _check_sessions(self)
        if (self.command == "finetune") != bool(self.checkpoint):
            raise ValueError("choose the model that is to be fine-tuned; other runs start from nothing")
        if self.checkpoint and not (Path(self.checkpoint) / "checkpoint.json").is_file():
            raise ValueError("the model to fine-tune is no longer there; choose another one")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_request(value: Any) -> Request:
    """A request from JSON; ValueError where it is none."""
    known = {field.name for field in fields(Request)}
    if not isinstance(value, dict) or not {"command", "sessions"} <= value.keys() or value.keys() - known:
        raise ValueError("not what was asked of a run")
    lists = {name: tuple(value[name]) for name in ("sessions", "schemes") if isinstance(value.get(name), list)}
    request = Request(**{**value, **lists})
    _check_words(request)
    _check_budget(request)
    return request


def present_cache() -> str:
    """The ONE cache that is in use now, as it must be found again when the run is resumed from elsewhere."""
    folder = os.environ.get(CACHE_VARIABLE, "")
    return str(Path(folder).absolute()) if folder else ""


def _check_words(request: Request) -> None:
    if request.command not in COMMANDS:
        raise ValueError(f"a run can {', '.join(COMMANDS)}; not {request.command!r}")
    if request.model not in MODELS:
        raise ValueError(f"models are {', '.join(MODELS)}; not {request.model!r}")
    if request.preset not in PRESETS:
        raise ValueError(f"sizes of a model are {', '.join(PRESETS)}; not {request.preset!r}")
    if request.bin_ms not in BINS_MS:
        raise ValueError(f"bins have {', '.join(map(str, BINS_MS))} ms; not {request.bin_ms!r}")
    if not request.schemes or not set(request.schemes) <= set(SCHEMES):
        raise ValueError("choose at least one masking scheme")
    if not isinstance(request.name, str) or len(request.name) > LONGEST_NAME or not request.name.isprintable():
        raise ValueError(f"a name has at most {LONGEST_NAME} printable characters")


def _check_budget(request: Request) -> None:
    if (request.minutes is None) == (request.steps is None):
        raise ValueError("give minutes or steps")
    if request.minutes is not None and not _between(request.minutes, 0, MOST_MINUTES):
        raise ValueError(f"minutes lie between 0 and {MOST_MINUTES:,}; not {request.minutes}")
    if request.steps is not None and (type(request.steps) is not int or not _between(request.steps, 0, MOST_STEPS)):
        raise ValueError(f"steps lie between 1 and {MOST_STEPS:,}; not {request.steps}")


def _between(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and low < value <= high


def _check_sessions(request: Request) -> None:
    from ..data.catalogue import list_sessions  # a waiting process can do without pandas

    chosen = request.sessions
    fewest, most = {"pretrain": (2, MOST_SESSIONS), "finetune": (1, 1)}.get(request.command, (1, MOST_SESSIONS))
    if not fewest <= len(chosen) <= most or len(set(chosen)) < len(chosen):
        raise ValueError("choose at least two recordings" if fewest == 2 else "choose a recording")
    check_recordings(chosen, list_sessions(request.cache_dir or None).to_dict("records"))


def check_recordings(chosen: Sequence[str], rows: Sequence[dict]) -> None:
    """`rows` of the catalogue; raises ValueError naming a recording that cannot be used, or two that are one."""
    known = {row["id"]: row for row in rows}
    for session in chosen:
        if session not in known:
            raise ValueError(f"there is no recording named {str(session)[:LONGEST_NAME]!r}; pick one from the list")
        if known[session]["problem"]:
            raise ValueError(f"recording {session} cannot be used: {known[session]['problem']}")
        if (twin := known[session]["same_recording_as"]) in chosen:
            raise ValueError(
                f"{session[:8]} and {twin[:8]} are two records of one recording: a model trained on one has seen the "
                "test trials of the other; choose one of them"
            )
