"""Probes find the layer that knows something, and only that."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from daisy.common.columns import write_table
from daisy.common.compute import Compute
from daisy.corpora.utterances import read_manifest
from daisy.errors import DaisyError
from daisy.pretraining.probe import drawn, normalised, probe, probe_speakers, probe_text, word_errors
from daisy.pretraining.probe_table import Row, read, shown
from daisy.pretraining.settings import ProbeSettings

WORDS = ("ab", "ba", "cab", "abc")
CODES = {"a": (1.0, 1.0), "b": (-1.0, -1.0), "c": (1.0, -1.0), " ": (-1.0, 1.0)}


def letters(count: int, seed: int) -> tuple[list[torch.Tensor], list[str]]:
    """Texts, and states of three layers: noise; letters as a product of two numbers' signs; letters by a line.

    Layer 1 holds, of each frame, two random signs and their products with the code's: no line tells the letters there.
    """
    generator = torch.Generator().manual_seed(seed)
    states, texts = [], []
    for _ in range(count):
        picked = torch.randint(len(WORDS), (3,), generator=generator)
        texts.append(" ".join(WORDS[index] for index in picked))
        code = torch.tensor([CODES[letter] for letter in texts[-1] for _ in range(6)])
        silence = torch.tensor([place % 6 < 2 for place in range(len(code))])
        code[silence] = 0
        signs = 2.0 * torch.randint(2, code.shape, generator=generator) - 1
        noise = torch.randn(len(code), 4, generator=generator)
        hidden, plain = torch.cat([signs, signs * code], 1), torch.cat([code, torch.zeros_like(code)], 1)
        states.append(torch.stack([noise, hidden, plain + 0.1 * noise]))
    return states, texts


def test_a_linear_ctc_reads_only_the_layer_where_a_line_tells_the_letters():
    train, test = letters(60, 0), letters(20, 1)
    first, second = normalised(train[0], test[0])
    settings = ProbeSettings(steps=250, batch_size=8, learning_rate=0.03)
    losses, errors = probe_text((first, train[1]), (second, test[1]), settings, torch.device("cpu"))
    assert errors[2] < 5 and min(errors[:2]) > 60
    assert losses[2] < 0.3 * min(losses[:2])
    assert probe_text((first, train[1]), (second, test[1]), settings, torch.device("cpu")) == (losses, errors)


def test_speakers_are_told_where_their_mean_differs():
    generator = torch.Generator().manual_seed(0)

    def heard(count: int) -> tuple[list[torch.Tensor], list[str]]:
        names = [("ann", "bob")[index % 2] for index in range(count)]
        states = [torch.randn(2, 20, 4, generator=generator) for _ in range(count)]
        for item, name in zip(states, names, strict=True):
            item[1, :, 0] += 1 if name == "ann" else -1
        return states, names

    train, test = heard(40), heard(40)
    without, known = probe_speakers(train, test, 0)
    assert known == 100 and without < 80
    strangers = test[0], ["zoe"] * len(test[0])
    assert probe_speakers(train, strangers, 0) == [0, 0]


@pytest.mark.parametrize(("reference", "heard", "errors"), [("a b c", "a c", 1), ("a b", "x a b y", 2), ("a b", "", 2)])
def test_word_errors(reference, heard, errors):
    assert word_errors(reference.split(), heard.split()) == errors


def test_a_row_for_every_layer(spoken, tmp_path):
    manifest = read_manifest(spoken / "train.tsv")
    rows = probe(spoken / "daisy.pt", manifest, manifest, ProbeSettings(steps=2, recordings=0), Compute())
    assert [row.layer for row in rows] == list(range(7))
    assert all(row.wer is not None and row.speaker_accuracy is not None for row in rows)
    write_table(Row, tmp_path / "probe.csv", rows)
    assert read(tmp_path / "probe.csv") == rows
    assert shown([Row(0, 1.25, 50.0, None)]).splitlines()[-1] == "| 0 | 1.25 | 50.00 |  |"


def test_recordings_without_texts_or_speakers_are_no_use(spoken):
    manifest = read_manifest(spoken / "train.tsv")
    unknown = tuple(dataclasses.replace(item, text="", speaker="") for item in manifest.utterances)
    manifest = dataclasses.replace(manifest, utterances=unknown)
    with pytest.raises(DaisyError, match="neither texts nor speakers"):
        probe(spoken / "daisy.pt", manifest, manifest, ProbeSettings(steps=1), Compute())


def test_a_draw_is_the_same_each_time(spoken):
    manifest = read_manifest(spoken / "train.tsv")
    assert drawn(manifest, 3, 5) == drawn(manifest, 3, 5) and len(drawn(manifest, 3, 5)) == 3
    assert drawn(manifest, 0, 5) == manifest
