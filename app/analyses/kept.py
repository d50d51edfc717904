"""Results that all visitors share: the newest of functions whose calls are generators, which lru_cache cannot keep."""

from __future__ import annotations

from typing import Any


class Kept(dict[Any, Any]):
    """At most `most` values; the oldest goes first. Written in the model thread only."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def keep(self, key: Any, value: Any) -> Any:
        self[key] = value
        while len(self) > self.most:
            del self[next(iter(self))]
        return value
