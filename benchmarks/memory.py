"""How much memory a training step of the branches takes, from what it holds at its fullest.

Two moments can be that. In the front end, the first convolution's output is the largest tensor, and what goes into its
norm, what comes out and what the activation makes of it lie side by side. At the loss, all layers' states are there (as
layers, and stacked), and of the logits the product's own, those in float32, their log-softmax and its gradient.

A bound for the first moment: where the front end is products, its norm is in the first one's weights and its activation
in place. Not counted are copies of weights that such products read, 0.3 GB in HuBERT Base, most of it for positions.
"""

from __future__ import annotations

from daisy.common.audio import SAMPLE_RATE
from daisy.hubert.config import HubertConfig

FRONT_END, LOGITS, STATES = 3, 3, 2
"""How many tensors of the size of the first convolution's output, of the logits in float32, and of all states are held
at once."""

CONTEXT = 10**9
"""What CUDA and its libraries take for themselves, before and beside torch's own memory, in bytes; a round guess."""


def parameters(shape: HubertConfig) -> int:
    """Numbers in the frozen model."""
    total, channels = 0, 1
    for width, kernel, _ in shape.conv_layers:
        total += width * channels * kernel + (width if shape.conv_bias else 0)
        channels = width
    total += (channels + 1) * shape.dim + (shape.dim // shape.pos_groups) * shape.pos_kernel * shape.dim
    layer = 4 * (shape.dim + 1) * shape.dim + 2 * shape.dim * shape.ffn_dim + shape.ffn_dim + 5 * shape.dim
    return total + shape.layers * layer


def step_bytes(shape: HubertConfig, classes: int, seconds: float, half: bool = False) -> dict[str, int]:
    """Bytes of a training step of all branches, by what takes them, and at the fullest moment.

    Args:
        shape: The frozen model's.
        classes: C.
        seconds: R, audio in one pass: a batch, divided by `accumulate` and by the workers.
        half: Whether products are in bfloat16. Weights then lie there twice.

    Returns:
        ``weights``, ``branches`` (with gradient and Adam's two moments), ``front end``, ``loss``, and ``peak``: the
        first two, the larger of the next two, and `CONTEXT`.
    """
    samples, kind = round(seconds * SAMPLE_RATE), 2 if half else 4
    frames = shape.frames(samples)
    width, kernel, stride = shape.conv_layers[0]
    first = ((samples - kernel) // stride + 1) * width * 4  # its norm is in float32
    states = shape.layers * frames * shape.dim * kind
    logits = shape.layers * frames * classes
    found = {
        "weights": parameters(shape) * (4 + (2 if half else 0)),
        "branches": shape.layers * classes * (shape.dim + 1) * 4 * 4,
        "front end": FRONT_END * first,
        "loss": STATES * states + logits * (4 * LOGITS + 2 * kind),
    }
    found["peak"] = found["weights"] + found["branches"] + max(found["front end"], found["loss"]) + CONTEXT
    return found


def gigabytes(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB"
