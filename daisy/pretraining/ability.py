"""What this machine computes quickly."""

from __future__ import annotations

import dataclasses

import torch

from daisy.common.compute import Compute


def able(compute: Compute) -> Compute:
    """The same, in float32 on a CPU without products in bfloat16, where those take ten times as long."""
    lacking = compute.place().type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dataclasses.replace(compute, precision="float32") if lacking else compute
