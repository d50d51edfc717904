"""Lines on a terminal."""

from __future__ import annotations

import sys

LINE = 110  # columns that a progress line may fill


class ProgressLine:
    """One line that is written over while something runs; in a log file, one line per tenth."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.next_share = 0.0

    def show(self, text: str, share: float) -> None:
        if self.live:
            print(f"\r{text:<{LINE}.{LINE}}", end="", file=sys.stderr, flush=True)
        elif share >= self.next_share:
            print(text, file=sys.stderr, flush=True)
            self.next_share = share + 0.1

    def say(self, text: str) -> None:
        """A sentence that stays."""
        print(f"\r{text:<{LINE}}" if self.live else text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.live:
            print(file=sys.stderr)


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
