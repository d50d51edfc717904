"""MtM on Neuropixels recordings: hide part of the spikes and predict them from the rest.

Axes, in every name and docstring: K trials, B batch, T bins, N neurons, S tokens, D width.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
_HOMES = {
    "open_session": "data.catalogue",
    "list_sessions": "data.catalogue",
    "load_checkpoint": "checkpoint",
    "open_model": "installed",
    "bits_per_spike": "evaluation.metrics",
    "Session": "session",
    "Trials": "session",
}
__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from .checkpoint import load_checkpoint as load_checkpoint
    from .data.catalogue import list_sessions as list_sessions
    from .data.catalogue import open_session as open_session
    from .evaluation.metrics import bits_per_spike as bits_per_spike
    from .installed import open_model as open_model
    from .session import Session as Session
    from .session import Trials as Trials


def __getattr__(name: str) -> Any:
    """Public names are looked up when first used, so that `mtm --help` need not wait two seconds for torch."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
