"""The time-delay network."""

from __future__ import annotations

import pytest
import torch

from daisy.tasks.asr import SpeechRecognition
from daisy.tasks.bilstm import BiLSTM
from daisy.tasks.tdnn import REACH, TDNN

DIM, HIDDEN = 6, 32


def drawn(layers: int) -> TDNN:
    torch.manual_seed(3)
    return TDNN(DIM, HIDDEN, layers, 0.0).eval()


def test_every_utterance_gets_what_it_gets_alone():
    network, lengths = drawn(3), [9, 1, 30]
    x = torch.randn(3, 30, DIM)
    together = network(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = network(x[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(together[row, :length], alone[0])


@pytest.mark.parametrize(("layers", "reach"), [(0, 0), (1, REACH), (2, 3 * REACH), (3, 7 * REACH)])
def test_a_frame_reaches_as_far_as_the_layers_do(layers, reach):
    network, x = drawn(layers), torch.randn(1, 61, DIM)
    changed = x.clone()
    changed[:, 30] = torch.randn(DIM)
    count = torch.tensor([61])
    other = (network(x, count) != network(changed, count)).any(-1)[0].nonzero().flatten().tolist()
    assert (min(other), max(other)) == (30 - reach, 30 + reach)


def test_operations():
    network = drawn(2)
    # Two products of every layer: of the spliced frames, and back.
    assert network.macs(7) == 7 * 2 * ((2 * REACH + 1) * DIM * HIDDEN + HIDDEN * DIM)


def test_recognition_has_either_network_and_reads_models_from_before_there_was_a_choice():
    options = {"projection": 8, "hidden": 4, "layers": 1, "dropout": 0.0, "stride": 2}
    vocabulary = list(" abc")
    before = SpeechRecognition(options, vocabulary).head(DIM)
    assert isinstance(before.network, BiLSTM) and "lstm.forwards.0.weight_ih_l0" in before.state_dict()
    named = SpeechRecognition({**options, "network": "lstm"}, vocabulary).head(DIM)
    named.load_state_dict(before.state_dict())
    head = SpeechRecognition({**options, "network": "tdnn"}, vocabulary).head(DIM)
    assert isinstance(head.network, TDNN)
    said = head(torch.randn(2, 9, DIM), torch.tensor([9, 4]))
    assert said.shape == (2, 5, len(vocabulary) + 1)
    torch.testing.assert_close(said.exp().sum(-1), torch.ones(2, 5))
    assert head.macs(9) == 5 * (2 * DIM * 8 + 8 * 5) + head.network.macs(5)
