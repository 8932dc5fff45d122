"""Masks, loss, augmentation and the loop of the pre-training."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from daisy.common import stage
from daisy.common.compute import Compute
from daisy.common.files import read_csv
from daisy.corpora.mixing import power
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load
from daisy.hubert.every_layer import every_layer
from daisy.pretraining.augment import augment, room
from daisy.pretraining.data import read_data
from daisy.pretraining.front_end import keep
from daisy.pretraining.masked import Pretrainer, span_mask
from daisy.pretraining.settings import AugmentSettings, ModelSettings, TrainSettings
from daisy.pretraining.train import Training, able, main, rate_at, start, write_checkpoint

SHAPE = ModelSettings(layers=2, dim=32, ffn_dim=64, heads=2, channels=16, final_dim=16)
SETTINGS = TrainSettings(12, 3, 0.003, 10, batch_seconds=4, save_every=2, log_every=3, validate_every=6, ahead=2)
NOISY = AugmentSettings(noise=0.5, speech=0.5, reverberation=0.5)


def plain(**changes) -> TrainSettings:
    return dataclasses.replace(SETTINGS, dropout=0.0, attention_dropout=0.0, layerdrop=0.0, **changes)


def test_mask_covers_what_overlapping_spans_cover():
    settings, frames = TrainSettings(1, 1, 0.1, 2), 500
    masks = [span_mask(4, frames, settings, np.random.default_rng(seed)) for seed in range(50)]
    assert all(len(set(mask.sum(1).tolist())) == 1 for mask in masks), "as many in every recording"
    expected = 1 - (1 - settings.mask_length / frames) ** (settings.mask_prob * frames / settings.mask_length)
    assert np.mean(masks) == pytest.approx(expected, abs=0.03)
    assert np.array_equal(masks[3], span_mask(4, frames, settings, np.random.default_rng(3)))


def test_mask_of_a_recording_hardly_longer_than_a_span():
    assert span_mask(2, 12, TrainSettings(1, 1, 0.1, 2), np.random.default_rng(0)).any(1).all()


def test_loss_by_hand():
    """Cosine similarities over the temperature, a weight for hidden frames and one for others, and the penalty."""
    torch.manual_seed(0)
    settings = plain(unmasked_weight=0.5, masked_weight=1.0)
    model = Pretrainer(SHAPE, settings).eval()
    waves, mask = 0.1 * torch.randn(2, 4000), torch.zeros(2, 12, dtype=torch.bool)
    mask[:, 3:8] = True
    labels = torch.randint(5, (2, 12))
    loss, measures = model(waves, labels, mask)
    features = model.features(waves)
    x = model.final_proj(model.encode(features, mask))
    similarity = torch.cosine_similarity(x[:, :, None], model.label_embs_concat[None, None], dim=-1)
    losses = -(similarity / 0.1).log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    expected = (losses[mask].sum() + 0.5 * losses[~mask].sum()) / 24 + 10 * features.square().mean()
    assert torch.allclose(loss, expected, atol=1e-5)
    assert torch.allclose(measures[:2], torch.stack([losses[mask].mean(), losses[~mask].mean()]), atol=1e-5)
    hidden, _ = model(waves, torch.where(mask, labels, 0), mask)
    alone = Pretrainer(SHAPE, plain()).eval()
    alone.load_state_dict(model.state_dict())
    assert torch.equal(*(alone(waves, given, mask)[0] for given in (labels, torch.where(mask, labels, 0))))
    assert hidden != loss, "with a weight for other frames their labels count"


def test_states_are_those_of_the_encoder(waves, tmp_path):
    """A written checkpoint, loaded as any other is, computes what was trained, and can be started from."""
    torch.manual_seed(1)
    model = Pretrainer(SHAPE, plain()).eval()
    write_checkpoint(tmp_path / "model.pt", model, SHAPE, {})
    checkpoint = load(tmp_path / "model.pt")
    states = every_layer(checkpoint.encoder, waves[:1], "after-norm")[0].states
    with torch.no_grad():
        ours = model.encode(model.features(waves[0][None]), None)[0]
    assert torch.allclose(ours, states[-1], atol=1e-4)
    other = Pretrainer(SHAPE, plain())
    start(other, tmp_path / "model.pt")
    head = ("final_proj", "label_embs")
    for name, value in model.weights().items():
        assert torch.allclose(value, other.weights()[name], atol=1e-6) != name.startswith(head)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("activation_fn", "relu", "activation is relu, and gelu in"),
        ("layer_norm_eps", 1e-3, "norm_eps is 0.001, and 1e-05"),
    ],
)
def test_a_start_from_what_weights_are_used_otherwise_in(tmp_path, field, value, told):
    model = Pretrainer(SHAPE, plain())
    write_checkpoint(tmp_path / "model.pt", model, SHAPE, {})
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    content["cfg"]["model"][field] = value
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(DaisyError, match=f"model.pt: {told}"):
        start(model, tmp_path / "model.pt")


def test_front_end_learns_as_much_as_it_is_told():
    gradients = []
    for scale in (1.0, 0.1, 0.0):
        torch.manual_seed(2)
        model = Pretrainer(SHAPE, plain(front_end=scale))
        mask = torch.zeros(1, 12, dtype=torch.bool)
        mask[:, 2:9] = True
        model(0.1 * torch.randn(1, 4000), torch.zeros(1, 12, dtype=torch.long), mask)[0].backward()
        gradients.append(model.hubert.feature_extractor.conv_layers[3][0].weight.grad)
    assert torch.allclose(gradients[0] * 0.1, gradients[1], rtol=1e-4, atol=1e-9)
    assert gradients[2] is None


def test_rooms_and_noise_move_nothing_and_keep_what_is_clean(waves):
    clean = [wave.numpy().copy() for wave in waves]
    given = [wave.copy() for wave in clean]
    one = augment(given, NOISY, np.random.default_rng(4))
    assert all(np.array_equal(wave, other) for wave, other in zip(clean, given, strict=True))
    assert all(
        np.array_equal(wave, other)
        for wave, other in zip(one, augment(given, NOISY, np.random.default_rng(4)), strict=True)
    )
    assert 0 < sum(not np.array_equal(wave, other) for wave, other in zip(clean, one, strict=True)) < 7
    assert [len(wave) for wave in one] == [len(wave) for wave in clean]
    assert augment(given, AugmentSettings(), np.random.default_rng(4)) == given
    wet = room(clean[0], 0.3, 5.0, np.random.default_rng(0))
    assert power(wet) == pytest.approx(power(clean[0]), rel=1e-3)
    lag = np.argmax(np.correlate(wet, clean[0][2000:-2000], "valid"))
    assert lag == 2000, "the direct sound stays where it is"


def test_other_speech_is_heard_at_its_ratio_for_half_the_time():
    waves = [np.random.default_rng(seed).standard_normal(16_000).astype(np.float32) / 10 for seed in (0, 1)]
    settings = AugmentSettings(speech=1.0, speech_db=(3.0, 3.0))
    for seed in range(10):
        added = augment(waves, settings, np.random.default_rng(seed))[0] - waves[0]
        (heard,) = np.nonzero(added)
        assert len(heard) <= 8000
        assert 10 * np.log10(power(waves[0]) / power(added[heard])) == pytest.approx(3, abs=0.1)


def test_noise_comes_from_tracks_too():
    wave, track = np.ones(1000, np.float32) / 10, np.tile(np.array([1, -1], np.float32), 600)
    settings = AugmentSettings(noise=1.0, noise_db=(0.0, 0.0))
    new = [augment([wave], settings, np.random.default_rng(seed), lambda _: track)[0] for seed in range(20)]
    pure = [np.allclose(np.abs(item - wave), 0.1, atol=1e-5) for item in new]
    assert 3 < sum(pure) < 17


def test_rate_rises_and_falls():
    settings = dataclasses.replace(SETTINGS, steps=10, warmup=4, learning_rate=1.0)
    assert [rate_at(step, settings) for step in (2, 4, 7, 10)] == [0.5, 1.0, 0.5, 0.0]


def test_precision_of_a_processor_without_bfloat16(monkeypatch):
    """oneDNN imitates bfloat16 where the processor has AVX-512 alone, at half the speed of float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    assert able(Compute("cpu", "bfloat16")) == Compute("cpu", "float32")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert able(Compute("cpu", "bfloat16")) == Compute("cpu", "bfloat16")


def test_cuts_keep_labels_with_their_frames(speech):
    """Where a label says how far a frame is from the recording's beginning, a cut's labels and samples agree."""
    data = read_data(speech / "train.tsv", speech / "train.km", dataclasses.replace(SETTINGS, max_seconds=0.6))
    places = [np.arange(len(item)) for item in data.labels]
    data = dataclasses.replace(data, labels=places)
    for number, group in enumerate(data.groups(0)):
        batch = data.batch(group, False, number)
        for wave, labels, index in zip(batch.inputs, batch.labels, group, strict=True):
            begin = 320 * int(labels[0])
            assert torch.equal(wave, data.manifest.wave(index)[begin : begin + len(wave)])
            assert torch.equal(labels - labels[0], torch.arange(len(labels)))


def test_every_recording_is_in_every_epoch(speech):
    data = read_data(speech / "train.tsv", speech / "train.km", SETTINGS)
    orders = [data.groups(epoch) for epoch in range(6)]
    assert all(sorted(sum(order, [])) == list(range(6)) for order in orders)
    assert len({str(order) for order in orders}) > 1
    lengths = data.lengths
    assert all(len(group) == 1 or len(group) * min(lengths[group]) <= 4 * 16_000 for group in orders[0])
    assert all(max(lengths[group]) <= 1.25 * lengths[group[0]] for group in orders[0])


def train(folder: Path, name: str, settings: TrainSettings) -> Path:
    """Run the stage; the folder of what it writes."""
    out, corpus = folder / name, {"manifest": folder / "train.tsv", "labels": folder / "train.km"}
    files = {**corpus, "dev-manifest": folder / "train.tsv", "dev-labels": folder / "train.km", "state": out / "state"}
    files |= {"out": out / "model.pt", "history": out / "history.csv"}
    words = [word for option, value in files.items() for word in (f"--{option}", str(value))]
    main(["--settings", stage.text(settings), "--model", stage.text(SHAPE), *words])
    return out


def test_training_that_is_ended_twice_goes_on_to_the_bit(speech, monkeypatch):
    settings = dataclasses.replace(SETTINGS, steps=30, augment=NOISY)
    one = train(speech, "one", settings)
    update = Training.update
    for end in (9, 20):  # between saved states, and within a row of the history

        def failing(self, step, batch, end=end):
            if step == end:
                raise KeyboardInterrupt
            return update(self, step, batch)

        monkeypatch.setattr(Training, "update", failing)
        with pytest.raises(KeyboardInterrupt):
            train(speech, "two", settings)
        assert torch.load(speech / "two/state/state.pt", weights_only=True)["step"] == (end - 1) // 2 * 2
    monkeypatch.setattr(Training, "update", update)
    two = train(speech, "two", settings)
    weights = [torch.load(folder / "model.pt", weights_only=True)["model"] for folder in (one, two)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert (one / "history.csv").read_text() == (two / "history.csv").read_text()
    assert not (two / "state").exists()


def test_what_is_trained_on_is_learnt(speech):
    out = train(speech, "one", plain(steps=60, warmup=10))
    rows = read_csv(out / "history.csv")
    assert float(rows[-1]["masked_loss"]) < 0.85 * float(rows[0]["masked_loss"])
    assert [bool(row["valid_masked_accuracy"]) for row in rows[:4]] == [False, True, False, True]
    assert load(out / "model.pt").fairseq_config["training"]["results"]["step"] == 60


def test_labels_beyond_the_classes_are_refused(speech):
    with pytest.raises(DaisyError, match="of 4"):
        train(speech, "one", plain(classes=4))


@pytest.mark.parametrize("module", ["train", "speech"])
def test_a_bare_machine_is_enough(module):
    """Torch, numpy and soundfile are all that is imported where speech is made and a model trained from scratch."""
    known = ("safetensors", "yaml", "sklearn", "scipy", "torchaudio", "av", "snakemake", "threadpoolctl", "tensorboard")
    program = f"import sys; sys.modules.update(dict.fromkeys({known!r})); import daisy.pretraining.{module}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_front_end_that_stays_is_kept(speech, tmp_path):
    """What is kept is what the front end makes of whole recordings, cut where their labels are, copy by copy."""
    settings = plain(front_end=0.0, kept=2, max_seconds=0.6)
    data = read_data(speech / "train.tsv", speech / "train.km", settings)
    model = Pretrainer(SHAPE, settings)
    kept = keep(model, data, tmp_path, ["given"])
    counted = dataclasses.replace(kept, labels=[np.arange(len(item)) for item in data.labels])
    batch = counted.batch([0, 1], True, 5)
    for index, (features, begins) in enumerate(zip(batch.inputs, batch.labels[:, 0].tolist(), strict=True)):
        whole = model.hubert.feature_extractor(data.manifest.wave(index)[None])[0]
        assert torch.allclose(features, whole[begins:][: len(features)], rtol=2e-3, atol=1e-4)
    assert len(list(tmp_path.glob("front-*.npy"))) == 2
    noisy = dataclasses.replace(data, settings=dataclasses.replace(settings, augment=NOISY))
    first, second = keep(model, noisy, tmp_path, ["given"]).kept.copies
    assert first.shape == second.shape == kept.kept.copies[0].shape and not np.array_equal(first, second)
    with pytest.raises(DaisyError, match="cannot be kept"):
        keep(model, dataclasses.replace(data, settings=plain(kept=1)), tmp_path, [])


def test_training_on_what_is_kept_goes_on_to_the_bit(speech, monkeypatch):
    settings = plain(front_end=0.0, kept=2, augment=NOISY)
    one, update = train(speech, "one", settings), Training.update

    def failing(self, step, batch):
        if step == 7:
            raise KeyboardInterrupt
        return update(self, step, batch)

    monkeypatch.setattr(Training, "update", failing)
    with pytest.raises(KeyboardInterrupt):
        train(speech, "two", settings)
    assert len(list((speech / "two/state").glob("front-*.npy"))) == 2
    monkeypatch.setattr(Training, "update", update)
    two = train(speech, "two", settings)
    assert (one / "history.csv").read_text() == (two / "history.csv").read_text()
    assert not (two / "state").exists()
