"""Downloads one IBL session through ONE; a process of its own, started by `one_session` with a home folder of its own.

ONE keeps its settings and tokens in the home folder, and asks on the terminal when something is missing. Here the home
is a temporary one, and standard input holds one line of JSON: server, session, cache, user name and password. Progress
goes to standard output, one JSON line each.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable

WANTED = re.compile(
    r"(spikes\.(times|clusters)|clusters\.(channels|depths|uuids|metrics)|channels\.brainLocationIds_ccf_2017"
    r"|_ibl_trials\..*|_ibl_wheel\.(position|timestamps)|_ibl_(left|right)Camera\.(times|features)"
    r"|(left|right)Camera\.ROIMotionEnergy)\.[a-z]+"
)
SORTERS = ("iblsorter", "pykilosort")  # as mtm_core.data.probes prefers them


def wanted(paths: Iterable[str]) -> list[str]:
    """The files that a recording needs, of one sorting per probe."""
    names = [path for path in paths if WANTED.fullmatch(path.rsplit("/", 1)[-1])]
    chosen = {}
    for name in names:
        if name.endswith("spikes.times.npy"):
            probe, collection = name.split("/")[1], _collection(name)
            chosen[probe] = min(chosen.get(probe, collection), collection, key=_rank)
    sortings = set(chosen.values())
    above = {collection.rsplit("/", 1)[0] for collection in sortings}  # where older caches have the channels
    places = {"spikes": sortings, "clusters": sortings, "channels": sortings | above}
    return [name for name in names if _collection(name) in places.get(_object(name), {"alf"})]


def _collection(name: str) -> str:
    """Folder of a file, without its revision."""
    return re.sub(r"/#[^/]*#", "", name.rsplit("/", 1)[0])


def _object(name: str) -> str:
    return name.rsplit("/", 1)[-1].split(".")[0]


def _rank(collection: str) -> tuple[int, int]:
    sorter = collection.rsplit("/", 1)[-1]
    return SORTERS.index(sorter) if sorter in SORTERS else len(SORTERS), len(collection)


def say(share: float, text: str = "", path: str = "") -> None:
    print(json.dumps({"share": share, "said": text, "path": path}), flush=True)


def main() -> int:
    asked = json.loads(sys.stdin.readline())
    from one.api import ONE

    say(0.0, "Signing in")
    ONE.setup(base_url=asked["server"], username=asked["username"], silent=True, cache_dir=asked["cache"])
    one = ONE(
        base_url=asked["server"],
        username=asked["username"],
        password=asked["password"],
        silent=True,
        cache_dir=asked["cache"],
    )
    session = asked["session"]
    files = wanted(map(str, one.list_datasets(session)))
    for i, name in enumerate(files):
        say(i / len(files), f"Downloading {name.rsplit('/', 1)[-1]} ({i + 1} of {len(files)})")
        one.load_dataset(session, name, download_only=True, check_hash=False)
    say(1.0, path=str(one.eid2path(session)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # the last line tells the other process; a traceback would help nobody there
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
