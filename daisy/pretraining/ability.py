"""What this machine computes quickly."""

from __future__ import annotations

import dataclasses

from daisy.common.compute import Compute
from daisy.common.processor import bfloat16_in_hardware


def able(compute: Compute) -> Compute:
    """The same, in float32 on a CPU without products in bfloat16, where those take two to ten times as long."""
    lacking = compute.place().type == "cpu" and not bfloat16_in_hardware()
    return dataclasses.replace(compute, precision="float32") if lacking else compute
