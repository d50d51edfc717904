"""Spec: everything a visitor chose, as one frozen value.

The address, undo, the caches and the tests are all functions of it. `decode` accepts any text: what it does not
understand becomes the default, and it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from .chain import Chain, chain_text, parse_chain
from .comparison import TASKS, Comparison, comparison_text, parse_comparison
from .teaching import Place, Round, parse_place, parse_round, place_text, round_text
from .translation import Translation, parse_translation, translation_text

HAND = "hand"
SCHEMES = ("neuron", "causal", "intra_region", "inter_region", "temporal", "random_token")
SORTS = ("region", "rate", "similarity")
PAGES = (
    *("explore", "scores", "neuron", "decoding", "map", "embeddings", "translate", "compare"),
    *("masking", "guess", "learn", "recordings", "train", "about"),
)
TRAINING = ("scratch", "pretrain", "finetune")  # what the page "train" is set to
TABS = ("scores", "session", "leak", "help")  # of the page "explore"
LEVELS = ("allen", "beryl", "cosmos")
MOVED = {("tab", "tasks"): ("page", "scores")}  # what old addresses say, and what is meant now
MAX_QUERY = 8192  # characters; longer addresses are not ours
MAX_INDEX = 20_000  # neurons, bins and trials beyond this are not offered
MAX_ITEMS = 64  # regions or boxes in one address
MAX_NAME = 64  # characters of an id or region name


@dataclass(frozen=True)
class Box:
    """A dragged box: display rows (of one sort order) and bins, ends excluded."""

    sort: str
    row0: int
    row1: int
    bin0: int
    bin1: int


@dataclass(frozen=True)
class Hide:
    """What the model may not read: a scheme with ratio and seed, or what was hidden by hand."""

    scheme: str = "inter_region"
    prompt: str = ""  # "" = the scheme's own
    ratio: int = -1  # percent; -1 = the scheme's default
    seed: int = 0
    neurons: tuple[int, ...] = ()
    regions: tuple[str, ...] = ()
    window: tuple[int, int] = (0, 0)  # bins, end excluded; empty = none
    boxes: tuple[Box, ...] = ()

    @property
    def by_hand(self) -> bool:
        return self.scheme == HAND


@dataclass(frozen=True)
class Pin:
    """A view of Explore that was set aside as A, to be compared with the present one."""

    session: str
    model: str
    hide: Hide


@dataclass(frozen=True)
class Scoring:
    """What the page "scores" scores and how, and what of it is looked at."""

    tasks: tuple[str, ...] = TASKS
    exact: bool = False  # one neuron at a time; otherwise several at once, many times faster
    duplicates: bool = False  # also hide likely duplicates of the target
    task: str = "co_smoothing"  # the one whose regions and neurons are shown
    against: str = "ridge"  # the baseline that regions and neurons are compared with
    region: str = ""  # whose neurons are listed; "" = of all


@dataclass(frozen=True)
class Spec:
    session: str = "simulated-1"
    model: str = "simulated-mtm"
    trial: int = -1  # position among the kept trials; -1 = the first test trial
    sort: str = "region"
    neuron: int = -1  # the neuron that is looked at; -1 = a busy one
    page: str = "explore"
    level: str = ""  # of the regions that scores are summed up by; "" = as the model was trained
    tab: str = "scores"
    train: str = "scratch"
    translator: str = ""  # the model of the page "translate"; "" = one that knows the recording
    translation: Translation = field(default_factory=Translation)
    lesson: Place = field(default_factory=Place)
    guess: Round = field(default_factory=Round)
    chain: Chain = field(default_factory=Chain)  # on the page "masking"
    comparison: Comparison = field(default_factory=Comparison)
    pin: Pin | None = None
    hide: Hide = field(default_factory=Hide)
    scoring: Scoring = field(default_factory=Scoring)


def part(spec: Spec, names: Iterable[str]) -> Spec:
    """A spec with only these fields; the others are at their defaults. What a cache needs for its key."""
    return Spec(**{name: getattr(spec, name) for name in names})


def picture_key(spec: Spec) -> Spec:
    """The part of a spec that a picture depends on."""
    return part(spec, ("session", "model", "trial", "sort", "hide"))


# --- text of one field ------------------------------------------------------------------------------------------------


def _runs(numbers: Iterable[int]) -> str:
    """1, 2, 3, 7 as "1-3.7"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ".".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _integer(text: str, low: int = 0, high: int = MAX_INDEX) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(text)
    number = int(text)
    if not low <= number <= high:
        raise ValueError(text)
    return number


def _parse_runs(text: str) -> tuple[int, ...]:
    chosen: set[int] = set()
    for part in text.split("."):
        first, _, last = part.partition("-")
        start, stop = _integer(first), _integer(last or first)
        chosen.update(range(start, stop + 1))
    return tuple(sorted(chosen))


def _parse_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", text):
        raise ValueError(text)
    return text


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return parse


def _parse_tasks(text: str) -> tuple[str, ...]:
    chosen = {_one_of(TASKS)(part) for part in text.split(".")}
    return tuple(task for task in TASKS if task in chosen)


def _parse_region(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(name)
    return name


def _parse_regions(text: str) -> tuple[str, ...]:
    names = {_parse_region(unquote(part)) for part in text.split(",")}
    if len(names) > MAX_ITEMS:
        raise ValueError(text)
    return tuple(sorted(names))


def _parse_window(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    window = _integer(first), _integer(last)
    if window[0] >= window[1]:
        raise ValueError(text)
    return window


def _parse_boxes(text: str) -> tuple[Box, ...]:
    boxes = []
    for part in text.split("_"):
        sort, *numbers = part.split(".")
        box = Box(_one_of(SORTS)(sort), *map(_integer, numbers))
        if box.row0 >= box.row1 or box.bin0 >= box.bin1:
            raise ValueError(part)
        boxes.append(box)
    if len(boxes) > MAX_ITEMS:
        raise ValueError(text)
    return tuple(boxes)


def _box_text(boxes: tuple[Box, ...]) -> str:
    return "_".join(f"{b.sort}.{b.row0}.{b.row1}.{b.bin0}.{b.bin1}" for b in boxes)


def _pin_text(pin: Pin) -> str:
    return urlencode([("session", pin.session), ("model", pin.model), *_pairs(pin.hide, _HIDE)])


def _parse_pin(text: str) -> Pin:
    found = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=16))
    names = [_parse_name(found.pop(name, "")) for name in ("session", "model")]
    if not found.keys() <= _HIDE.keys():
        raise ValueError(text)
    return Pin(*names, Hide(**{name: _HIDE[name].parse(value) for name, value in found.items()}))


@dataclass(frozen=True)
class _Key:
    parse: Callable[[str], Any]
    text: Callable[[Any], str] = str


_FLAG = _Key(lambda text: bool(_integer(text, 0, 1)), lambda flag: str(int(flag)))
_VIEW = {
    "session": _Key(_parse_name),
    "model": _Key(_parse_name),
    "trial": _Key(_integer),
    "sort": _Key(_one_of(SORTS)),
    "neuron": _Key(_integer),
    "page": _Key(_one_of(PAGES)),
    "level": _Key(_one_of(LEVELS)),
    "tab": _Key(_one_of(TABS)),
    "train": _Key(_one_of(TRAINING)),
    "translator": _Key(_parse_name),
    "translation": _Key(parse_translation, translation_text),
    "lesson": _Key(parse_place, place_text),
    "guess": _Key(parse_round, round_text),
    "chain": _Key(parse_chain, chain_text),
    "comparison": _Key(parse_comparison, comparison_text),
    "pin": _Key(_parse_pin, _pin_text),
}
_HIDE = {
    "scheme": _Key(_one_of((HAND, *SCHEMES))),
    "prompt": _Key(_one_of(SCHEMES)),
    "ratio": _Key(lambda text: _integer(text, 0, 100)),
    "seed": _Key(lambda text: _integer(text, 0, 999_999)),
    "neurons": _Key(_parse_runs, _runs),
    "regions": _Key(_parse_regions, lambda names: ",".join(quote(name, safe="") for name in names)),
    "window": _Key(_parse_window, lambda window: f"{window[0]}-{window[1]}"),
    "boxes": _Key(_parse_boxes, _box_text),
}
_SCORING = {
    "tasks": _Key(_parse_tasks, ".".join),
    "exact": _FLAG,
    "duplicates": _FLAG,
    "task": _Key(_one_of(TASKS)),
    "against": _Key(_parse_name),
    "region": _Key(_parse_region),
}


# --- the whole --------------------------------------------------------------------------------------------------------


def _pairs(value: Spec | Hide | Scoring, keys: dict[str, _Key]) -> list[tuple[str, str]]:
    default = type(value)()
    present = {f.name: getattr(value, f.name) for f in fields(value)}
    return [(name, key.text(present[name])) for name, key in keys.items() if present[name] != getattr(default, name)]


def encode(spec: Spec) -> str:
    """The query string of a spec, without "?": only what differs from the default."""
    return urlencode(_pairs(spec, _VIEW) + _pairs(spec.hide, _HIDE) + _pairs(spec.scoring, _SCORING))


def decode(query: str) -> tuple[Spec, bool]:
    """The spec of a query string, and whether all of it was understood. Never raises."""
    if len(query) > MAX_QUERY:
        return Spec(), False
    try:
        pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=32)
    except ValueError:
        return Spec(), False
    found: list[dict[str, Any]] = [{}, {}, {}]
    understood = True
    for name, text in (MOVED.get(pair, pair) for pair in pairs):
        try:
            values, keys = next(both for both in zip(found, (_VIEW, _HIDE, _SCORING), strict=True) if name in both[1])
            values[name] = keys[name].parse(text)
        except (StopIteration, TypeError, ValueError):
            understood = False
    view, hide, scoring = found
    return Spec(hide=Hide(**hide), scoring=Scoring(**scoring), **view), understood
