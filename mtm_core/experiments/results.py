"""Every finished part of an experiment in a file of its own: a killed experiment loses the part it was at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..atomic import json_sha256, write_json

FORMAT = 1  # changes when results of an older program must not be taken for those of this one


@dataclass(frozen=True)
class Results:
    """A folder of JSON files, each named by the hash of all settings that its result depends on."""

    folder: Path

    def file(self, name: str, settings: dict[str, Any]) -> Path:
        """name: for a person who looks into the folder; the settings alone make the file's name unique."""
        return self.folder / f"{name}-{json_sha256(_complete(settings))[:16]}.json"

    def get(self, name: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The result of these settings; None if there is none, or none that can be read."""
        try:
            found = json.loads(self.file(name, settings).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        same = isinstance(found, dict) and found.get("settings") == json.loads(json.dumps(_complete(settings)))
        return found["result"] if same and isinstance(found.get("result"), dict) else None

    def put(self, name: str, settings: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep a result; raises OSError if the disk refuses."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.file(name, settings), {"settings": _complete(settings), "result": result})


def _complete(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "format": FORMAT, "version": __version__}
