"""`mtm sessions`: what can be opened."""

from __future__ import annotations

import argparse

from ..data.catalogue import list_sessions

COLUMNS = ["id", "subject", "date", "number", "n_neurons", "n_trials", "window", "bin_size", "regions", "problem"]


def run(options: argparse.Namespace) -> int:
    table = list_sessions(options.cache_dir)
    if options.json:
        print(table.to_json(orient="records", indent=1))
        return 0
    shown = table[COLUMNS].copy()
    shown["regions"] = [" ".join(regions) for regions in shown["regions"]]
    print(shown.to_string(index=False))
    return 0
