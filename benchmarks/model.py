"""The model that is measured, and the one place that touches how its passes are divided into parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.options import Options
from daisy.common.audio import SAMPLE_RATE
from daisy.common.compute import Precision
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.config import HubertConfig
from daisy.hubert.encoder import Hubert
from daisy.hubert.packing import Packing


def random_model(options: Options) -> Checkpoint:
    """A model with random weights and branches, by the options' shape, classes, seed and place."""
    shape = options.shape
    torch.manual_seed(options.seed)
    encoder = Hubert(shape).eval()
    for parameter in encoder.parameters():  # biases and norms start at 0 and 1, where a mix-up would not show
        if parameter.ndim == 1:
            parameter.data += 0.05 * torch.randn_like(parameter)
    branches = Branches(shape.layers, options.classes, shape.dim)
    branches.reset(torch.Generator().manual_seed(options.seed))
    for part in (encoder, branches):
        part.requires_grad_(False)
    return Checkpoint(encoder, None, branches, "after-norm", fairseq_config(shape)).to(options.place)


def fairseq_config(shape: HubertConfig) -> dict[str, dict[str, object]]:
    """fairseq's configuration of a shape: the reverse of `daisy.hubert.config.from_fairseq`."""
    model = {
        "conv_feature_layers": str(list(shape.conv_layers)),
        "conv_bias": shape.conv_bias,
        "extractor_mode": "layer_norm" if shape.layer_norm_front_end else "default",
        "encoder_embed_dim": shape.dim,
        "encoder_ffn_embed_dim": shape.ffn_dim,
        "encoder_attention_heads": shape.heads,
        "encoder_layers": shape.layers,
        "conv_pos": shape.pos_kernel,
        "conv_pos_groups": shape.pos_groups,
        "layer_norm_first": shape.pre_norm,
    }
    return {"model": model, "task": {"normalize": shape.normalize}}


def noise(seconds: float, options: Options) -> Tensor:
    """A recording of seeded noise."""
    generator = torch.Generator().manual_seed(options.seed)
    return (0.1 * torch.randn(round(seconds * SAMPLE_RATE), generator=generator)).to(options.place)


def mixed_recordings(count: int, options: Options, scale: float = 1.0) -> list[Tensor]:
    """Noise of mixed loudness and spectra, in part silent, so that entropies differ.

    Args:
        count: How many.
        options: Of whose `seconds` a recording has 0.2 to 1.6 times: 2 to 16 s.
        scale: A factor on that.
    """
    rng = np.random.default_rng(options.seed)
    lengths = rng.uniform(0.2, 1.6, count) * scale * options.seconds
    recordings = []
    for samples in (lengths * SAMPLE_RATE).round().astype(int).tolist():
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        frequency = np.linspace(1e-3, 1, len(spectrum))
        wave = np.fft.irfft(spectrum * frequency ** -rng.uniform(0, 2), samples)
        sounding = np.repeat(rng.random(8) < rng.uniform(0.2, 1), -(-samples // 8))[:samples]
        wave *= np.maximum(sounding, 1e-3) * 10 ** rng.uniform(-3, -0.5) / wave.std()
        recordings.append(torch.from_numpy(wave.astype(np.float32)).to(options.place))
    return recordings


# The model's parts


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What layer 1 is given.

    Attributes:
        x: (R, D), the frames of all recordings.
        packing: Whose they are.
    """

    x: Tensor
    packing: Packing


@torch.no_grad()
def before_layers(encoder: Hubert, waves: Sequence[Tensor]) -> Prepared:
    """Front end and positions."""
    frames = encoder.front_end(waves)
    return Prepared(encoder.before_layers(frames), frames.packing)


@torch.no_grad()
def run_layers(encoder: Hubert, given: Prepared, last: int) -> Tensor:
    """Layers 1 to `last` alone."""
    x = given.x
    for k in range(1, last + 1):
        x, _ = encoder.layer(k, x, given.packing)
    return x


@torch.no_grad()
def outputs(encoder: Hubert, waves: Sequence[Tensor], last: int) -> list[Tensor]:
    """(T, D) of each recording: the output of layer `last`."""
    return list(encoder.output(waves, last).split())


def in_precision(options: Options, precision: Precision, work: Callable[[], object]) -> Callable[[], object]:
    """`work` in the context that the project's stages run in; outside it, float32 is float32."""
    compute = options.compute(precision)

    def run() -> object:
        compute.place()
        try:
            with torch.no_grad(), compute.autocast():
                return work()
        finally:
            options.compute("float32").place()

    return run
