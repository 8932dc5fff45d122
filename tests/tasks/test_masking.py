"""SE and SS: the spectrum and its inverse, masks that ignore padding, permutation-invariant training, and metrics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from pesq import pesq
from pystoi import stoi
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from daisy.common import audio
from daisy.corpora.utterances import Manifest, Utterance, read_manifest, write_manifest
from daisy.errors import DaisyError
from daisy.tasks import audio_metrics
from daisy.tasks.audio_metrics import (
    WORST_PESQ,
    best_order,
    pesq_wideband,
    short_time_intelligibility,
    si_sdr,
    si_sdr_improvement,
)
from daisy.tasks.base import set_metric
from daisy.tasks.loading import restore, task_class
from daisy.tasks.masking import Sources, permuted
from daisy.tasks.registry import TASKS

OPTIONS = {"hidden": 6, "layers": 2, "dropout": 0.3}
NAMES = [name for name, entry in TASKS.items() if entry.waves]


def task(name):
    torch.manual_seed(0)
    return task_class(name)(OPTIONS, [])


def noisy(wave, snr, seed=0):
    noise = torch.randn(wave.shape, generator=torch.Generator().manual_seed(seed))
    return wave + noise * wave.std() / noise.std() / 10 ** (snr / 20)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [400, 719, 720, 16000, 16159])
def test_a_mask_of_ones_gives_the_input_back(name, samples):
    it = task(name)
    wave = torch.randn(samples, generator=torch.Generator().manual_seed(1)) * 0.1
    frames = (samples - 400) // 320 + 1
    masks = torch.ones(1, it.pace.masks(frames), it.sources, it.stft.bins)
    (prediction,) = it.predict(masks, torch.tensor([frames]), [wave])
    assert prediction.shape == (it.sources, samples)
    torch.testing.assert_close(prediction, wave.expand_as(prediction), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("together", [False, True])
def test_padding_changes_no_mask_and_no_loss(name, together, waves):
    torch.manual_seed(0)
    it = task_class(name)({**OPTIONS, "together": together}, [])
    head = it.head(16).eval()
    lengths = torch.tensor([(len(wave) - 400) // 320 + 1 for wave in waves])
    features = [torch.randn(length, 16, generator=torch.Generator().manual_seed(n)) for n, length in enumerate(lengths)]
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True, padding_value=7.0)
    examples = [Sources(wave, torch.stack([0.3 * wave] * it.sources)) for wave in waves]
    together = head(padded, lengths)
    alone = [head(one[None], lengths[n : n + 1]) for n, one in enumerate(features)]
    for n, (length, mask) in enumerate(zip(it.pace.masks(lengths), alone, strict=True)):
        torch.testing.assert_close(together[n, :length], mask[0], rtol=1e-5, atol=1e-6)
    predictions = it.predict(together, lengths, waves)
    losses = []
    for n, mask in enumerate(alone):
        (prediction,) = it.predict(mask, lengths[n : n + 1], [waves[n]])
        torch.testing.assert_close(predictions[n], prediction, rtol=1e-4, atol=1e-5)
        losses.append(it.loss(mask, lengths[n : n + 1], [examples[n]]))
    torch.testing.assert_close(it.loss(together, lengths, examples), torch.stack(losses).mean())


def at_hop(name, hop):
    torch.manual_seed(0)
    return task_class(name)({**OPTIONS, "hop": hop}, [])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hop", [80, 160, 320, 480, 640, 1280])
def test_masks_follow_the_frames_of_the_model(name, hop):
    """Every spectral frame is masked by the frame of features in which it begins, whatever the model's rate."""
    it = at_hop(name, hop)
    assert it.stft.hop == min(it.spectrum.hop, hop)
    samples, frames = 32000, 32000 // hop
    numbers = torch.arange(frames, dtype=torch.float32).reshape(1, frames, 1).requires_grad_()
    spread = it.pace.spread(numbers)[0, :, 0]
    assert len(spread) == it.pace.masks(frames) == int(it.pace.masks(torch.tensor([frames])))
    expected = [float(place * it.stft.hop // hop) for place in range(len(spread))]
    assert spread.tolist() == expected
    # Only what lies behind the last frame takes the last mask once more.
    assert 0 <= it.stft.frames(samples) - len(spread) <= -(-hop // it.stft.hop)
    spread.sum().backward()
    assert numbers.grad.sum() == len(spread)


@pytest.mark.parametrize("hop", [80, 160, 320, 480, 640, 720])
def test_masks_of_one_step_come_in_order(hop):
    """Laid out, the masks of a step stand where the frame that they begin in would be spread to."""
    pace, frames = at_hop("se", hop).pace, 7
    numbers = torch.arange(frames)[None, :, None].float()
    groups = numbers.expand(1, frames, pace.most)[..., None] * 100 + torch.arange(pace.most)[:, None]
    laid = pace.laid_out(groups)[0, :, 0]
    assert len(laid) == pace.masks(frames)
    assert (laid // 100).tolist() == pace.spread(numbers)[0, :, 0].tolist()
    assert laid.tolist() == sorted(set(laid.tolist())), "every mask once, in order"
    assert (laid % 100).max() == pace.most - 1, "every place is used"


def test_masks_of_one_step_cost_less():
    each, together = (task_class("se")({**OPTIONS, "together": value}, []).head(16) for value in (False, True))
    assert together.macs(50) == each.macs(50) - each.lstm.macs(50), "half of the steps"
    features, lengths = torch.randn(2, 9, 16), torch.tensor([9, 5])
    assert together(features, lengths).shape == each(features, lengths).shape
    assert not task("se").head(16).together, "MiniSUPERB's way unless told"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hop", [160, 480, 640])
@pytest.mark.parametrize("together", [False, True])
def test_other_rates_are_heard_whole(name, hop, together):
    torch.manual_seed(0)
    it = task_class(name)({**OPTIONS, "hop": hop, "together": together}, [])
    samples = 16159
    frames = (samples - 400) // hop + 1
    wave = torch.randn(samples, generator=torch.Generator().manual_seed(1)) * 0.1
    head = it.head(16).eval()
    masks = head(torch.randn(1, frames, 16), torch.tensor([frames]))
    assert masks.shape[1] == it.pace.masks(frames) and head.macs(frames) > 0
    (prediction,) = it.predict(torch.ones_like(masks), torch.tensor([frames]), [wave])
    torch.testing.assert_close(prediction, wave.expand_as(prediction), rtol=0, atol=1e-5)
    example = Sources(wave, wave.expand(it.sources, -1))
    assert torch.isfinite(it.loss(masks, torch.tensor([frames]), [example]))
    assert restore(it.metadata()).pace == it.pace


def test_a_model_of_another_rate_is_refused():
    at_hop("se", 640).check_hop(640)
    task("ss").check_hop(320)
    with pytest.raises(DaisyError, match="a frame every 640 samples, but the task se was set up for 320"):
        task("se").check_hop(640)


def test_permuted_against_brute_force():
    pairwise = torch.rand(5, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = [
        min(sum(float(one[order[r], r]) for r in range(3)) / 3 for order in itertools.permutations(range(3)))
        for one in pairwise
    ]
    assert permuted(pairwise).tolist() == pytest.approx(expected)


def test_separation_does_not_care_which_source_is_first(waves):
    it = task("ss")
    samples = min(len(waves[0]), len(waves[1]))
    references = torch.stack([waves[0][:samples], waves[1][:samples]])
    frames = torch.tensor([(samples - 400) // 320 + 1])
    masks = torch.rand(1, int(frames), 2, it.stft.bins, generator=torch.Generator().manual_seed(0))
    losses = [it.loss(masks, frames, [Sources(references.sum(0), order)]) for order in (references, references.flip(0))]
    torch.testing.assert_close(*losses)
    (prediction,) = it.predict(masks, frames, [references.sum(0)])
    scores = [it.score(prediction, Sources(references.sum(0), order)) for order in (references, references.flip(0))]
    assert scores[0]["si_sdri"][0] == pytest.approx(scores[1]["si_sdri"][0])


def test_targets_of_separation_are_phase_sensitive():
    generator = torch.Generator().manual_seed(0)
    reference, mixture = (torch.randn(50, dtype=torch.complex64, generator=generator) for _ in range(2))
    expected = reference.abs() * torch.cos(reference.angle() - mixture.angle()).clamp(min=0)
    torch.testing.assert_close(task("ss").targets(reference, mixture), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_mask_has_no_loss_where_it_can_be_reached(name, waves):
    """References in phase with the mixture can be reached; the loss of their masks is nothing."""
    it = task(name)
    wave = waves[0]
    references = torch.stack([0.3 * wave] * it.sources)
    spectrum = it.stft(wave)
    mask = torch.log1p(it.stft(references).abs()) / torch.log1p(spectrum.abs()).clamp(min=1e-9)
    masks = mask.transpose(0, 1)[None]
    frames = torch.tensor([(len(wave) - 400) // 320 + 1])
    loss = it.loss(masks[:, : it.pace.masks(int(frames))], frames, [Sources(wave, references)])
    assert float(loss) < 1e-3


def test_metrics_equal_their_libraries(waves):
    for wave in waves[:3]:
        for snr in (0, 10):
            estimate = noisy(wave, snr)
            assert pesq_wideband(estimate, wave) == pytest.approx(pesq(16000, wave.numpy(), estimate.numpy(), "wb"))
            expected = stoi(wave.numpy(), estimate.numpy(), 16000, extended=False)
            assert short_time_intelligibility(estimate, wave) == pytest.approx(expected)
            library = scale_invariant_signal_distortion_ratio(estimate, wave, zero_mean=True)
            assert float(si_sdr(estimate, wave)) == pytest.approx(float(library), abs=1e-3)
            assert float(si_sdr(5 * estimate + 0.1, wave)) == pytest.approx(float(si_sdr(estimate, wave)), abs=1e-3)


def test_si_sdr_of_a_known_signal():
    """A sine and an orthogonal error of a tenth of its amplitude are 20 dB apart."""
    time = torch.arange(16000) / 16000
    sine, cosine = torch.sin(2 * np.pi * 100 * time), torch.cos(2 * np.pi * 100 * time)
    assert float(si_sdr(sine + 0.1 * cosine, sine)) == pytest.approx(20, abs=1e-3)


def test_improvement_takes_the_best_order(waves):
    samples = min(len(waves[0]), len(waves[1]))
    references = torch.stack([waves[0][:samples], waves[1][:samples]])
    mixture = references.sum(0)
    estimates = references.flip(0) + 0.1 * mixture
    values = [
        np.mean([float(si_sdr(estimates[order[r]], references[r]) - si_sdr(mixture, references[r])) for r in (0, 1)])
        for order in ((0, 1), (1, 0))
    ]
    assert si_sdr_improvement(estimates, references, mixture) == pytest.approx(max(values), abs=1e-4)
    assert si_sdr_improvement(mixture.expand(2, -1), references, mixture) == pytest.approx(0, abs=1e-6)
    assert best_order(torch.tensor([[0.0, 3.0], [2.0, 9.0]])) == (0, 1)
    assert best_order(torch.tensor([[0.0, 3.0], [7.0, 9.0]])) == (1, 0)


def test_what_cannot_be_judged_does_not_count(waves):
    it, speech = task("se"), waves[0]
    short = speech[:3000]
    score = it.score(short[None], Sources(short, short[None]))
    assert score == {"pesq": (0.0, 0.0), "stoi": (0.0, 0.0)}
    silent = it.score(torch.zeros(1, len(speech)), Sources(speech, speech[None]))
    assert silent["pesq"] == (WORST_PESQ, 1.0), "a silent estimate is the worst, it is not left out"
    whole = it.unprocessed(Sources(noisy(speech, 5), speech[None]))
    metric = it.metrics[0]
    assert set_metric([score, whole], metric) == pytest.approx(whole["pesq"][0])
    with pytest.raises(DaisyError, match="pesq cannot be computed"):
        set_metric([score], metric)


def test_recordings_of_a_few_samples_and_silent_references_do_not_count(waves):
    for samples in (1, 399, *range(400, 411)):
        wave = waves[0][2000 : 2000 + samples]
        assert short_time_intelligibility(wave, wave) is None and pesq_wideband(wave, wave) is None
    speech = waves[0][:16000]
    for silence in (torch.zeros(16000), torch.full((16000,), 0.25)):
        assert short_time_intelligibility(speech, silence) is None and pesq_wideband(speech, silence) is None
        assert short_time_intelligibility(silence, speech) is not None


def test_long_recordings_are_judged_piece_by_piece(waves, monkeypatch):
    """A word and a pause, again and again, of which the code of PESQ has room for 50 at once."""
    assert audio_metrics.PESQ_SECONDS <= 50 * 2 * 50 * 64 / 16000, "utterances and pauses of at least 50 frames of 64"
    monkeypatch.setattr(audio_metrics, "PESQ_SECONDS", 2.0)
    monkeypatch.setattr(audio_metrics, "STOI_SECONDS", 2.0)
    long = torch.cat([waves[0][2000:6000], torch.zeros(4000)]).repeat(8)
    estimate, halves = noisy(long, 30), (slice(32_000), slice(32_000, 64_000))
    pieces = [(estimate[half], long[half]) for half in halves]
    assert pesq_wideband(estimate, long) == pytest.approx(np.mean([pesq_wideband(*piece) for piece in pieces]))
    whole = stoi(long.numpy(), estimate.numpy(), 16000)
    assert short_time_intelligibility(estimate, long) == pytest.approx(whole, abs=0.02)
    # Pieces of silence are left out.
    quiet = torch.cat([torch.zeros(32_000), long[:32_000]])
    assert pesq_wideband(quiet + 0.01 * estimate, quiet) == pytest.approx(
        pesq_wideband((quiet + 0.01 * estimate)[32_000:], quiet[32_000:])
    )


def test_a_manifest_keeps_its_references(tmp_path, waves):
    for name, wave in zip(("mix", "s1", "s2"), (waves[0] * 0.5, waves[0] * 0.2, waves[0] * 0.3), strict=True):
        audio.write(tmp_path / f"{name}.flac", wave.numpy())
    item = Utterance("x", "mix.flac", len(waves[0]), "a+b", references=("s1.flac", "s2.flac"))
    write_manifest(tmp_path / "test.tsv", tmp_path, [item])
    manifest = read_manifest(tmp_path / "test.tsv")
    assert manifest.utterances == (item,)
    assert manifest.references(0).shape == (2, len(waves[0]))
    example = task("ss").examples(manifest)[0]
    torch.testing.assert_close(example.references.sum(0), example.mixture, rtol=0, atol=1e-4)
    with pytest.raises(DaisyError, match="2 reference files, the task se needs 1"):
        task("se").examples(manifest)


def test_a_table_without_references_still_reads(tmp_path):
    (tmp_path / "test.tsv").write_text("/audio\na.flac\t16000\n")
    (tmp_path / "test.csv").write_text("id,speaker,text\na,someone,\n")
    assert read_manifest(tmp_path / "test.tsv") == Manifest(
        (tmp_path / "/audio"), (Utterance("a", "a.flac", 16000, "someone"),)
    )
