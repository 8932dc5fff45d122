"""Phoneme recognition: phones for characters, by a linear head."""

from __future__ import annotations

import pytest
import torch
from runners import arguments
from torch.nn import functional as F

from daisy.corpora import phones
from daisy.corpora.grammar import sentences, vocabulary
from daisy.corpora.lexicon import first_pronunciations, phones_of
from daisy.corpora.table import Recording, read_table, write_table
from daisy.corpora.utterances import Manifest, Utterance
from daisy.errors import DaisyError
from daisy.tasks.loading import restore
from daisy.tasks.pr import PhonemeRecognition

TEXT = "ih1 t s s"


def test_phones_are_symbols(tmp_path):
    said = Manifest(tmp_path, (Utterance("u", "a.wav", 16_000, "", TEXT), Utterance("v", "b.wav", 9, "", "t")))
    task = PhonemeRecognition({"projection": 4}, PhonemeRecognition.learn_vocabulary(said))
    assert task.vocabulary == ["ih1", "s", "t"] and task.examples(said) == [TEXT, "t"]
    # Two equal phones need a blank between them.
    assert task.unlearnable(said, [4, 1]) == ["u (5 for 4)"] and task.unlearnable(said, [5, 1]) == []
    torch.manual_seed(0)
    head, features, lengths = task.head(6), torch.randn(2, 7, 6), torch.tensor([7, 4])
    output = head(features, lengths)
    hidden = features @ head.projection.weight.T + head.projection.bias
    expected = hidden @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(output, expected.log_softmax(-1))
    assert head.macs(7) == 7 * (6 * 4 + 4 * 4) and task.exit_head(6).macs(7) == 7 * 6 * 4
    assert task.augment(features, lengths) is features
    targets = torch.tensor([1, 3, 2, 2, 3])
    by_torch = F.ctc_loss(output.transpose(0, 1), targets, lengths, torch.tensor([4, 1]))
    torch.testing.assert_close(task.loss(output, lengths, task.examples(said)), by_torch)
    assert restore(task.metadata()).head(6).classifier.out_features == 4


def test_what_is_heard_and_its_errors():
    task = PhonemeRecognition({"projection": 4}, ["ih1", "s", "t"])
    places = torch.tensor([[1, 1, 3, 0, 2, 2, 0, 2, 1], [0, 0, 0, 0, 0, 0, 0, 0, 1]])
    heard = task.predict(F.one_hot(places, 4).float(), torch.tensor([8, 8]))
    assert heard == [TEXT, ""]
    assert task.score(heard[0], TEXT) == {"per": (0.0, 4.0)} and task.score(heard[1], TEXT) == {"per": (4.0, 4.0)}
    # A phone that training has not heard is an error.
    assert task.score("ih1 s s", "ih1 zh s") == {"per": (1.0, 3.0)}


def test_the_commands_are_spelt(tmp_path):
    lexicon = first_pronunciations(phones.PRONUNCIATIONS.splitlines())
    assert set(lexicon) == vocabulary(sentences())
    (tmp_path / "commands").mkdir()
    write_table(
        tmp_path / "commands/recordings.csv", [Recording("slt/test-1", 9_000, "slt", "call anna", "test", "flite")]
    )
    table = tmp_path / "phones/recordings.csv"
    phones.main(arguments({}, corpus=tmp_path / "commands/recordings.csv", table=table))
    (item,) = read_table(table)
    assert (item.text, item.split, item.speaker) == ("k ao1 l ae1 n ah0", "test", "slt")
    (tmp_path / "commands/audio/slt").mkdir(parents=True)
    (tmp_path / "commands/audio/slt/test-1.flac").write_bytes(b"x")
    assert (tmp_path / "phones/audio" / item.path).read_bytes() == b"x"
    with pytest.raises(DaisyError, match="no pronunciation of 'shut', 'it'"):
        phones_of("shut it shut", lexicon)
