"""Where and how precisely to compute."""

from __future__ import annotations

import torch


def pick_device(name: str | None = None) -> torch.device:
    """`name` ("cpu", "cuda", "cuda:1"), or the first CUDA card, if any, for None; raises ValueError if it is absent."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name} was asked for but no CUDA card is usable here; leave --device out or give cpu")
    return device


def describe(device: torch.device) -> str:
    """The device in words, for a status line."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware; without it bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA raises its own error; the CPU allocator a RuntimeError with these words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
