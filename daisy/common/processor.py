"""What this machine's processor does in hardware."""

from __future__ import annotations

BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")
"""What torch calls the ways of x86 and ARM to multiply in bfloat16."""


def bfloat16_in_hardware() -> bool:
    """Whether products in bfloat16 are the processor's own; others are imitated, and slower than those in float32."""
    import torch

    return any(map(torch.cpu.get_capabilities().get, BFLOAT16))
