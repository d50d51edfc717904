"""Tables of an ablation: for a terminal, and in Markdown beside the published numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ..report.words import MEASURES
from .ablation import ROWS
from .published import COLUMNS, SOURCE, published

TITLES = {
    "co_smoothing": "co-smoothing",
    "forward_prediction": "forward",
    "intra_region": "intra-region",
    "inter_region": "inter-region",
    "choice": "choice",
    "motion_energy": "motion energy",
}
ROW_NAMES = {name: name.replace("_", " ").replace("mtm", "MtM") for name in ROWS}
WEIGHTS = {"as_trained": "as trained", "calibrated": "calibrated"}
NOTE = (
    "Bits per spike on test trials, groups of neurons held out; choice: balanced accuracy, motion energy: R2, both "
    "decoded from predicted rates. Mean and standard deviation over seeds."
)


def plain(table: pd.DataFrame) -> str:
    """All tables of `ablation.cells` for a terminal."""
    blocks = []
    for title, part in _parts(table):
        grid = _grid(part, False)
        widths = [max(map(len, column)) + 2 for column in zip(*grid, strict=True)]
        lines = ("".join(f"{text:>{w}}" for text, w in zip(row, widths, strict=True)) for row in grid)
        blocks.append("\n".join([title, *lines]))
    return "\n\n".join([*blocks, NOTE])


def markdown(table: pd.DataFrame) -> str:
    """The same in Markdown, with the paper's number in brackets where it has one."""
    blocks = []
    for title, part in _parts(table):
        head, *rows = _grid(part, part["measure"].iloc[0] == "mean")
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        blocks.append("\n".join([f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in lines)]))
    sources = {SOURCE[tokens] for tokens in table["tokens"]}
    brackets = f"In brackets: {'; '.join(sorted(sources))}, another recording; choice there is plain accuracy."
    return "\n\n".join([*blocks, f"{NOTE} {brackets}"]) + "\n"


def _parts(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for key, part in table.groupby(["session", "tokens", "weights", "measure"], sort=False):
        session, tokens, weights, measure = key
        yield f"{session}, {tokens}, {WEIGHTS[weights]}, {MEASURES[measure]}", part


def _grid(part: pd.DataFrame, beside: bool) -> list[list[str]]:
    """Head and rows of one table as text; columns that no row has are left out."""
    columns = [name for name in COLUMNS if (part["column"] == name).any()]
    rows = [name for name in ROWS if (part["row"] == name).any()]
    tokens, by_cell = part["tokens"].iloc[0], part.set_index(["row", "column"])
    grid = [["trained on", *(TITLES[name] for name in columns)]]
    for row in rows:
        texts = [_cell(by_cell, (row, column)) for column in columns]
        if beside:
            texts = [text + _beside(tokens, row, column) for text, column in zip(texts, columns, strict=True)]
        grid.append([ROW_NAMES[row], *texts])
    return grid


def _cell(by_cell: pd.DataFrame, key: tuple[str, str]) -> str:
    if key not in by_cell.index:
        return "-"
    mean, sd, n = by_cell.loc[key, ["mean", "sd", "n"]]
    return f"{mean:.3f}" if n < 2 else f"{mean:.3f} ± {sd:.3f}"


def _beside(tokens: str, row: str, column: str) -> str:
    number = published(tokens, row, column)
    return "" if number is None else f" ({number:.2f})"
