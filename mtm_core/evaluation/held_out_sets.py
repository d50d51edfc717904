"""Sets of held-out neurons: all of them hidden at once, instead of one at a time as in MtM's co-smoothing.

The Neural Latents Benchmark and BrainWideBench hold out a fixed set, which needs one pass through a model instead of
one per neuron, and asks more: held-out neurons cannot help to predict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from ..masking import Mask, Scheme, free_mask

SHARE = 0.1  # of the neurons, BrainWideBench
# BrainWideBench ranks units by a hash of one of these words and the uuid: two independent sets, fixed for good.
SALTS = {"test": "ts2_co_smoothing_test", "validation": "ts2_co_smoothing_val"}
LARGEST_LIST = 2**22  # bytes; 100,000 uuids


def brain_wide_bench(unit_ids: Sequence[str] | ndarray, split: str = "test") -> Int[ndarray, " n"]:
    """Positions of the neurons that BrainWideBench holds out for "test" or "validation", ascending.

    The k = max(1, round(N / 10)) units with the smallest sha256 of "ts2_co_smoothing_{test|val}:{uuid}", as in
    `co_smoothing_held_out_mask` of the benchmark's data pipeline (brainbench-org/ibl-bwb). The rule does not depend on
    the order of the units, but on which units there are: filter as the benchmark does to get its very set.
    """
    if split not in SALTS:
        raise ValueError(f"no set of held-out neurons for {split!r}; choose one of {', '.join(SALTS)}")
    digests = [sha256(f"{SALTS[split]}:{uuid}".encode()).hexdigest() for uuid in unit_ids]
    order = np.argsort(np.array(digests), kind="stable")
    return _leaving_some(order[: max(1, round(SHARE * len(digests)))], len(digests))


def random_share(n_neurons: int, rng: np.random.Generator, share: float = SHARE) -> Int[ndarray, " n"]:
    """Positions of a random share (0..1) of the neurons, at least one, ascending."""
    if not 0.0 < share < 1.0:
        raise ValueError(f"a share of {share} of the neurons; give a number between 0 and 1")
    return _leaving_some(rng.permutation(n_neurons)[: max(1, round(share * n_neurons))], n_neurons)


def with_uuids(unit_ids: Sequence[str] | ndarray, wanted: Sequence[str]) -> Int[ndarray, " n"]:
    """Positions of the neurons with these uuids, ascending; raises ValueError for a uuid that is not there."""
    place = {str(uuid): n for n, uuid in enumerate(unit_ids)}
    unknown = [uuid for uuid in wanted if uuid not in place]
    if unknown:
        raise ValueError(f"{len(unknown)} of {len(wanted)} uuids are no neurons of this session, first {unknown[0]!r}")
    return _leaving_some(np.array([place[uuid] for uuid in wanted], dtype=np.int64), len(place))


def read_uuids(path: str | Path) -> list[str]:
    """uuids from a text file, one a line; empty lines and what follows a # are skipped."""
    path = Path(path)
    if path.stat().st_size > LARGEST_LIST:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are no list of uuids; give one uuid a line")
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file; give one uuid a line") from error
    return [line for line in (each.split("#")[0].strip() for each in lines) if line]


def _leaving_some(positions: ndarray, n_neurons: int) -> Int[ndarray, " n"]:
    """Ascending and each once; refuses to hold out nobody or everybody."""
    positions = np.unique(positions)
    if not 0 < len(positions) < n_neurons:
        raise ValueError(f"{len(positions)} of {n_neurons} neurons held out; hold out some and leave some visible")
    return positions


def hold_out(shape: tuple[int, int, int], neurons: Int[ndarray, " n"]) -> Mask:
    """The neurons at these positions are hidden in all bins and scored; the prompt is that of neuron masking."""
    positions = _leaving_some(np.asarray(neurons), shape[2])
    if positions[0] < 0 or positions[-1] >= shape[2]:
        raise ValueError(f"neurons {positions[0]} to {positions[-1]} of {shape[2]}; count from 0")
    return free_mask(shape, neurons=positions.tolist(), scheme=Scheme.NEURON)
