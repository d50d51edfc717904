"""Comparison: who is compared on the page "compare", and on which task; and its text.

The text is one field of the address, `co_smoothing~baseline.ridge~model..`: the task, "fast" where several neurons are
hidden at once, and the contenders: a baseline by name, a model as `model.NAME.PROMPT` with both parts empty for the
model that all pages look at and for the prompt that belongs to the task.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mtm_core.masking import Scheme

TASKS = ("co_smoothing", "forward_prediction", "intra_region", "inter_region")
EXPLORE = "explore"  # instead of a task: the pinned view of Explore and the present one
PROMPTS = tuple(scheme.label for scheme in Scheme)
# Without the mean of the scored entries: it scores 0 by definition, every score is already a comparison with it.
BASELINES = (
    "train_mean",
    "psth",
    "condition_psth",
    "coupling",
    "reduced_rank",
    "ridge",
    "autoregression",
    "true_rates",
)
MOST = 8  # contenders
FAST = "fast"
_MODEL = re.compile(r"model\.([A-Za-z0-9_.\-]{0,64})\.([a-z_]{0,32})")


@dataclass(frozen=True)
class Contender:
    """Who predicts: a baseline, or else a model and how it is prompted."""

    baseline: str = ""  # "" = a model
    model: str = ""  # "" = the one that all pages look at
    prompt: str = ""  # "" = the task's own
    view: str = ""  # "pinned" or "present": what Explore hides; never in an address


@dataclass(frozen=True)
class Comparison:
    """contenders: A, B and any others; all differences are to A."""

    contenders: tuple[Contender, ...] = (Contender(baseline="ridge"), Contender())
    task: str = "co_smoothing"
    fast: bool = False  # several neurons hidden at once; otherwise one at a time

    @property
    def others(self) -> tuple[Contender, ...]:
        return self.contenders[2:]


def with_contender(now: Comparison, place: int, contender: Contender) -> Comparison:
    """Another A (place 0) or B (place 1)."""
    chosen = list(now.contenders)
    chosen[place] = contender
    return replace(now, contenders=tuple(chosen))


def with_others(now: Comparison, others: tuple[Contender, ...]) -> Comparison:
    """Other contenders beside A and B, each once, as many as fit."""
    new = tuple(dict.fromkeys(each for each in others if each not in now.contenders[:2]))
    return replace(now, contenders=(*now.contenders[:2], *new)[:MOST])


def swapped(now: Comparison) -> Comparison:
    first, second, *others = now.contenders
    return replace(now, contenders=(second, first, *others))


# --- text -------------------------------------------------------------------------------------------------------------


def contender_text(one: Contender) -> str:
    return f"baseline.{one.baseline}" if one.baseline else f"model.{one.model}.{one.prompt}"


def parse_contender(text: str) -> Contender:
    """The contender that a text stands for; raises ValueError for any other text."""
    kind, _, name = text.partition(".")
    if kind == "baseline" and name in BASELINES:
        return Contender(baseline=name)
    match = _MODEL.fullmatch(text)
    if match is None or match[2] not in ("", *PROMPTS):
        raise ValueError(text)
    return Contender(model=match[1], prompt=match[2])


def comparison_text(value: Comparison) -> str:
    return "~".join([value.task, *[FAST] * value.fast, *map(contender_text, value.contenders)])


def parse_comparison(text: str) -> Comparison:
    """The comparison that a text stands for; raises ValueError for any other text."""
    task, *parts = text.split("~")
    fast = parts[:1] == [FAST]
    contenders = tuple(map(parse_contender, parts[fast:]))
    if task not in (*TASKS, EXPLORE) or not 2 <= len(contenders) <= MOST:
        raise ValueError(text)
    return Comparison(contenders, task, fast)
