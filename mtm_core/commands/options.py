"""Options that several commands share. Imports nothing that is slow: `mtm --help` reads this."""

from __future__ import annotations

import argparse

# Names that the library would import torch for: evaluation.questions, training.presets, Scheme and NedsScheme.
TASKS = ("co_smoothing", "forward_prediction", "intra_region", "inter_region")
PRESETS = ("small", "paper", "large")
SCHEMES = ("neuron", "causal", "intra_region", "inter_region", "temporal", "random_token")
NEDS_SCHEMES = (
    "encoding",
    "encoding_from_one",
    "decoding",
    "within_spikes",
    "within_spikes_alone",
    "within_behavior",
    "within_behavior_alone",
    "cross_modality",
)
LEVELS = ("allen", "beryl", "cosmos")


def add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache-dir", metavar="DIR", help="ONE cache with recordings (default: $MTM_CACHE_DIR)")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a CUDA card if there is one)")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Recordings, and how trials are cut from them."""
    add_cache(parser)
    parser.add_argument("--event", default="stimOn_times", help="trials column to align to (default: %(default)s)")
    parser.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("START", "END"),
        help="s around the event (default: -0.5 1.5, or what exists)",
    )
    parser.add_argument("--bin-size", type=float, default=0.02, metavar="S", help="s (default: %(default)s)")
    parser.add_argument("--region-level", default="beryl", choices=LEVELS)


def add_model(parser: argparse.ArgumentParser) -> None:
    """What a new model is made of."""
    parser.add_argument("--preset", choices=PRESETS, default="small", help="settings by name (default: %(default)s)")
    parser.add_argument("--tokens", choices=("ndt1", "ndt2"), default="ndt1", help="ndt2: patches of 128 neurons")
    parser.add_argument(
        "--no-hidden-signal", action="store_true", help="no learned vector for a hidden neuron; better with few steps"
    )
    parser.add_argument("--width", type=int, help="channels of the model (default: the preset's)")
    parser.add_argument("--layers", type=int, help="transformer blocks (default: the preset's)")
