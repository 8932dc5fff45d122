"""Hidden states as s3prl gives them to a downstream model: from fairseq by the hooks that s3prl sets."""

from __future__ import annotations

import pytest
import torch
from fairseq_files import dataset, initial, normalised
from test_peers import transformers_model
from torch import Tensor

from daisy.hubert.checkpoint import load
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import every_layer

TOLERANCE = 1e-4


def ours(encoder: Hubert, waves: list[Tensor]) -> list[Tensor]:
    """(K + 1, T, D) for each recording of a batch."""
    return [item.states for item in every_layer(encoder, waves, "s3prl")]


@torch.no_grad()
def hooked(model, wave: Tensor) -> tuple[Tensor, list[int]]:
    """What s3prl collects: the input of every layer, then the encoder's output, all cut to the shortest.

    Returns:
        (K + 1, T, D), and the frames of each before the cut.
    """
    found: list[Tensor] = []
    handles = [
        layer.register_forward_hook(lambda _, given, __: found.append(given[0].transpose(0, 1)[0]))
        for layer in model.encoder.layers
    ]
    handles.append(model.encoder.register_forward_hook(lambda _, __, made: found.append(made[0][0])))
    model.extract_features(wave[None], padding_mask=torch.zeros(1, len(wave), dtype=torch.bool), mask=None)
    for handle in handles:
        handle.remove()
    lengths = [len(state) for state in found]
    return torch.stack([state[: min(lengths)] for state in found]), lengths


@pytest.mark.parametrize("shape", ["base", "large"])
def test_fairseq_by_hooks(shape, tmp_path):
    waves = dataset(tmp_path)
    model = initial(shape, tmp_path, tmp_path / "hubert.pt", waves)
    encoder = load(tmp_path / "hubert.pt").encoder
    padded = 0
    for wave, states in zip(waves, ours(encoder, waves), strict=True):
        theirs, lengths = hooked(model, normalised(wave, shape))
        frames, width = encoder.config.frames(len(wave)), encoder.config.dim
        assert states.shape == theirs.shape == (encoder.config.layers + 1, frames, width)
        assert (states - theirs).abs().max() < TOLERANCE
        padded += lengths[0] > lengths[-1]
    assert 0 < padded < len(waves)  # fairseq pads an odd number of frames by one between the layers


@pytest.mark.parametrize("shape", ["base", "large"])
def test_transformers_by_hidden_states(shape, tmp_path):
    """Equal up to state K - 1; state K is the encoder's output, whose final norm not every version gives it."""
    waves = dataset(tmp_path)[:3]
    model = transformers_model(shape, tmp_path / "folder")
    for wave, states in zip(waves, ours(load(tmp_path / "folder").encoder, waves), strict=True):
        with torch.no_grad():
            found = model(normalised(wave, shape)[None], output_hidden_states=True)
        theirs = torch.cat([*found.hidden_states[:-1], found.last_hidden_state])
        assert (states - theirs).abs().max() < TOLERANCE
