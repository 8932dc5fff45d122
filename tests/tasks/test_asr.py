"""Speech recognition: marks that end a transcript, and time that is warped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from daisy.corpora.utterances import Manifest, Utterance
from daisy.downstream.split import Split, tell_unlearnable
from daisy.errors import DaisyError
from daisy.features.kept import Features
from daisy.tasks.asr import END, SpeechRecognition, as_product, interpolated, masked, warped

OPTIONS = {"projection": 4, "hidden": 4, "layers": 1, "dropout": 0.0, "stride": 1}
MASKS = {"time_masks": 0, "time_frames": 1, "time_share": 1.0, "feature_masks": 0, "feature_dims": 1}
CHARACTERS = sorted(" abc")


def task(*, marks: bool, vocabulary: list[str] = CHARACTERS) -> SpeechRecognition:
    return SpeechRecognition({**OPTIONS, "end_marks": marks, "specaugment": MASKS}, vocabulary)


def heard(it: SpeechRecognition, symbols: list[str]) -> torch.Tensor:
    """(1, T, classes) of a head that is sure: of a symbol per frame, a blank where it is empty."""
    places = [it.symbols.index(symbol) + 1 if symbol else 0 for symbol in symbols]
    return torch.log_softmax(20.0 * F.one_hot(torch.tensor([places]), len(it.symbols) + 1), -1)


def test_a_trained_end_is_no_error():
    it = task(marks=True)
    said = [*"ab", " ", *"ca", " ", END, ""]
    (text,) = it.predict(heard(it, said), torch.tensor([len(said)]))
    assert text == "ab ca"
    assert it.score(text, "ab ca")["wer"] == (0.0, 2.0)
    # Nor is one in the middle, where it parts no word, or a mark of words too many.
    said = [" ", "a", END, "b", " ", "", " ", "c"]
    (text,) = it.predict(heard(it, said), torch.tensor([len(said)]))
    assert it.score(text, "ab c")["wer"] == (0.0, 2.0)
    # Without its word mark at the end, the last word is whole all the same.
    assert it.score(it.predict(heard(it, [*"ab"]), torch.tensor([2]))[0], "ab")["wer"] == (0.0, 1.0)


def test_marks_are_learnt_as_characters_are():
    marked, plain = task(marks=True), task(marks=False)
    assert marked.symbols == [*CHARACTERS, END] and plain.symbols == CHARACTERS
    assert marked.head(6).classifier.out_features == plain.head(6).classifier.out_features + 1 == 6
    output = torch.randn(1, 9, 6, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    targets = torch.tensor([[marked.symbols.index(symbol) + 1 for symbol in ("a", "b", " ", END)]])
    expected = F.ctc_loss(output.transpose(0, 1), targets, torch.tensor([9]), torch.tensor([4]))
    torch.testing.assert_close(marked.loss(output, torch.tensor([9]), ["ab"]), expected)
    targets = targets[:, :2]
    expected = F.ctc_loss(output[..., :5].transpose(0, 1), targets, torch.tensor([9]), torch.tensor([2]))
    torch.testing.assert_close(plain.loss(output[..., :5], torch.tensor([9]), ["ab"]), expected)


@pytest.mark.parametrize("layers", [0, 1])
def test_a_head_without_lstm_layers_reads_each_step_alone(layers):
    torch.manual_seed(0)
    options = {**OPTIONS, "layers": layers, "end_marks": False, "specaugment": MASKS}
    head = SpeechRecognition(options, CHARACTERS).head(6)
    features = torch.randn(1, 5, 6)
    other = features.clone()
    other[:, 0] += 1
    alone = torch.equal(head(features, torch.tensor([5]))[:, 1:], head(other, torch.tensor([5]))[:, 1:])
    assert alone == (layers == 0)
    gates = 2 * 4 * 4 * (4 + 4) if layers else 0
    assert head.macs(5) == 5 * (6 * 4 + (2 * 4 if layers else 4) * 5 + gates)


def test_transcripts_of_single_words_have_a_word_mark_too():
    assert task(marks=True, vocabulary=["a"]).symbols == ["a", " ", END]


def test_a_model_from_before_the_choice_has_no_marks():
    assert SpeechRecognition(OPTIONS, CHARACTERS).symbols == CHARACTERS


def test_a_warp_moves_time_and_nothing_else():
    time = torch.arange(60.0)[:, None] * torch.tensor([1.0, -2.0])
    lengths = torch.tensor([60, 40, 10])
    farthest = []
    for seed in range(40):
        torch.manual_seed(seed)
        features = time.expand(3, 60, 2).clone().requires_grad_()
        found = warped(features, lengths, 5)
        # Too short an utterance, and what lies behind the valid frames, stays.
        assert torch.equal(found[2], features[2]) and torch.equal(found[1, 40:], features[1, 40:])
        for row, length in ((found[0], 60), (found[1], 40)):
            moved = (row[:length, 0] - torch.arange(length)).abs()
            farthest.append(moved.max().item())
            # The ends stay, but for the middle of up to six frames that become one.
            assert moved[[0, -1]].max() < 3
            # Dimensions keep apart.
            torch.testing.assert_close(row[:length, 1], -2 * row[:length, 0], rtol=1e-4, atol=1e-4)
        (gradient,) = torch.autograd.grad(found.sum(), features)
        torch.testing.assert_close(gradient.sum(), torch.tensor(float(gradient.numel())), rtol=1e-4, atol=0)
    # A point goes where it was in one case of ten.
    assert 4 < max(farthest) < 6 and min(farthest) == 0 and sum(value > 0 for value in farthest) > 60


@pytest.mark.parametrize("size", [23, 40, 57])
def test_a_warp_as_a_product_is_the_same(size):
    part, weights = torch.randn(40, 3, dtype=torch.float32, requires_grad=True), torch.randn(size, 3)
    one, other = interpolated(part, size), as_product(part, size)
    torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad((found * weights).sum(), part)[0] for found in (one, other)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(as_product(part, size), other)
        assert as_product(part.bfloat16(), size).dtype == torch.bfloat16


def test_ctc_goes_to_the_cpu_where_a_gpu_must_give_the_same_numbers(monkeypatch):
    it = task(marks=False)
    output = torch.randn(2, 30, len(CHARACTERS) + 1).log_softmax(-1).requires_grad_()
    lengths, texts = torch.tensor([30, 20]), [CHARACTERS[0], CHARACTERS[0] * 2]
    here = it.loss(output, lengths, texts)
    moved = []
    monkeypatch.setattr("daisy.tasks.asr.deterministic_gpu", lambda tensor: moved.append(tensor) or True)
    there = it.loss(output, lengths, texts)
    assert moved and torch.equal(here, there) and there.device.type == "cpu"
    (gradient,) = torch.autograd.grad(there, output)
    assert gradient.device == output.device and gradient.abs().sum() > 0


def test_only_training_warps():
    it = task(marks=False)
    features, lengths = torch.randn(1, 40, 3), torch.tensor([40])
    assert torch.equal(it.augment(features, lengths), features)
    it.options["specaugment"] = {**MASKS, "warp_frames": 5}
    torch.manual_seed(3)
    assert not torch.equal(it.augment(features, lengths), features)


def hidden(features: torch.Tensor) -> torch.Tensor:
    """Which frames are masked: (B, T)."""
    return (features == 0).all(-1)


def test_masks_lie_within_their_utterance():
    lengths, ones = torch.tensor([200, 50, 3]), torch.ones(3, 200, 4)
    shares = []
    for seed in range(60):
        torch.manual_seed(seed)
        found = hidden(masked(ones, lengths, 1, 2, 40, 0.2))
        assert not found[1, 50:].any() and not found[2].any(), "padding is not masked, nor is what is too short"
        assert (found.sum(1) <= torch.tensor([78, 18, 0])).all()
        shares.append(found.sum(1) / lengths)
    mean = torch.stack(shares).mean(0)
    assert 0.1 < mean[0] < 0.25 and 0.1 < mean[1] < 0.25
    # Any place can be masked, the first and the last too.
    torch.manual_seed(0)
    ever = hidden(masked(torch.ones(4000, 10, 1), torch.full((4000,), 10), 1, 1, 40, 0.5)).any(0)
    assert ever.all()


def test_masks_over_a_batch_are_those_of_s3prl():
    """Widths of 0 to under the bound, and where a mask may begin is where the batch's widest would end in it."""
    ones = torch.ones(64, 100, 1)
    widths, ends = set(), []
    for seed in range(40):
        torch.manual_seed(seed)
        found = hidden(masked(ones, None, 1, 1, 40))
        widths |= set(found.sum(1).tolist())
        ends.append(int(found.nonzero()[:, 1].max()))
    assert widths == set(range(40)) and max(ends) == 98
    # A batch that is shorter than the widest is hidden from its beginning.
    torch.manual_seed(0)
    assert hidden(masked(torch.ones(50, 5, 1), None, 1, 1, 40))[:, 0].sum() > 45


def test_the_config_says_where_masks_may_lie():
    it = task(marks=False)
    it.options["specaugment"] = {**MASKS, "time_masks": 1, "time_frames": 40}
    lengths, ones = torch.tensor([100, 4]), torch.ones(2, 100, 3)

    def of_short(over: str) -> int:
        it.options["specaugment"]["masks_over"] = over
        count = 0
        for seed in range(40):
            torch.manual_seed(seed)
            count += int(hidden(it.augment(ones, lengths))[1, 4:].any())
        return count

    assert of_short("utterance") == 0 and of_short("batch") > 20
    torch.manual_seed(0)
    it.options["specaugment"] = {**MASKS, "feature_masks": 1, "feature_dims": 3}
    assert (it.augment(ones, lengths) == 0).any()


def test_transcripts_that_do_not_fit_are_named(capsys):
    texts = {"fits": "abca", "long": "abcab", "double": "aabb", "short": "a"}
    items = tuple(Utterance(name, f"{name}.flac", 16000, text=text) for name, text in texts.items())
    manifest = Manifest(Path("/audio"), items)
    for marks, stride, expected in (
        (False, 1, ["long (5 for 4)", "double (6 for 4)"]),
        (False, 2, ["fits (4 for 2)", "long (5 for 2)", "double (6 for 2)"]),
        (True, 1, ["fits (6 for 4)", "long (7 for 4)", "double (8 for 4)"]),
    ):
        it = task(marks=marks)
        it.options["stride"] = stride
        assert it.unlearnable(manifest, [4] * 4) == expected
        for item in items:
            output = torch.zeros(1, -(-4 // stride), len(it.symbols) + 1).log_softmax(-1)
            named = any(item.id in line for line in expected)
            assert (float(it.loss(output, torch.tensor([4]), [item.text])) == 0) == named
    it = task(marks=False)

    def split(frames: int) -> Split:
        return Split(Features(np.zeros((4 * frames, 2, 3)), np.full(4, frames)), np.ones(4), texts)

    tell_unlearnable(it, manifest, split(9))
    assert capsys.readouterr().err == ""
    tell_unlearnable(it, manifest, split(4))
    assert "2 of 4 transcripts" in (text := capsys.readouterr().err) and "long (5 for 4), double" in text
    it.options["stride"] = 9
    with pytest.raises(DaisyError, match="3 of 3 transcripts"):
        tell_unlearnable(
            it,
            Manifest(Path("/audio"), items[:3]),
            split(4).__class__(Features(np.zeros((12, 2, 3)), np.full(3, 4)), np.ones(3), list(texts)[:3]),
        )
