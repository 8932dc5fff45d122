"""The masked prediction of `daisy.pretraining` against fairseq's: mask, loss, gradients, a few steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from daisy.corpora.utterances import Manifest
from daisy.pretraining.data import Batch, Data
from daisy.pretraining.masked import Pretrainer, span_mask
from daisy.pretraining.settings import ModelSettings, TrainSettings
from daisy.pretraining.train import Training

SHAPE = ModelSettings(layers=3, dim=48, ffn_dim=96, heads=4, channels=32, final_dim=24)
SPECIAL = 4
"""Symbols that fairseq puts before the classes."""

CLASSES = 20
SETTINGS = TrainSettings(
    5,
    2,
    0.002,
    CLASSES + SPECIAL,
    unmasked_weight=0.5,
    dropout=0.0,
    attention_dropout=0.0,
    layerdrop=0.0,
    clip=0.5,
    log_every=100,
)


class FairseqTask:
    """As much of a task as the criterion asks for."""

    def __init__(self) -> None:
        from fairseq.data import Dictionary

        self.target_dictionary = Dictionary()
        for number in range(CLASSES):
            self.target_dictionary.add_symbol(str(number))


def fairseq_model(settings: TrainSettings, task: FairseqTask):
    from fairseq.models.hubert import HubertConfig, HubertModel
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig

    channels = SHAPE.channels
    config = HubertConfig(
        label_rate=50,
        conv_feature_layers=f"[({channels},10,5)] + [({channels},3,2)] * 4 + [({channels},2,2)] * 2",
        encoder_layers=SHAPE.layers,
        encoder_embed_dim=SHAPE.dim,
        encoder_ffn_embed_dim=SHAPE.ffn_dim,
        encoder_attention_heads=SHAPE.heads,
        final_dim=SHAPE.final_dim,
        untie_final_proj=True,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        encoder_layerdrop=0.0,
        dropout_input=0.0,
        dropout_features=0.0,
        feature_grad_mult=settings.front_end,
        mask_prob=settings.mask_prob,
        skip_nomask=False,
    )
    task_config = HubertPretrainingConfig(data="unused", labels=["km"], label_rate=50)
    return HubertModel(config, task_config, [task.target_dictionary]).train()


def batch(seed: int) -> Batch:
    chance = np.random.default_rng(seed)
    waves = torch.from_numpy(0.1 * chance.standard_normal((3, 16_000)).astype(np.float32))
    labels = torch.from_numpy(chance.integers(CLASSES, size=(3, 49))) + SPECIAL
    return Batch(waves.double(), labels, torch.from_numpy(span_mask(3, 49, SETTINGS, chance)))


def fairseq_loss(model, criterion, given: Batch, monkeypatch) -> torch.Tensor:
    """Its loss of a batch, per frame that counts, under a mask that is given."""
    from fairseq.models.hubert import hubert

    monkeypatch.setattr(hubert, "compute_mask_indices", lambda *_, **__: given.mask.numpy())
    source = {"source": given.inputs, "padding_mask": torch.zeros_like(given.inputs, dtype=torch.bool)}
    sample = {"id": torch.arange(len(given.inputs)), "net_input": source, "target_list": [given.labels]}
    loss, size, _ = criterion(model, sample)
    return loss / size


@pytest.mark.parametrize("front_end", [1.0, 0.1, 0.0])
def test_losses_gradients_and_steps(front_end, monkeypatch):
    from fairseq.criterions.hubert_criterion import HubertCriterion
    from fairseq.optim.adam import Adam

    torch.manual_seed(9)
    settings = dataclasses.replace(SETTINGS, front_end=front_end)
    task = FairseqTask()
    theirs = fairseq_model(settings, task)
    criterion = HubertCriterion(task, settings.masked_weight, settings.unmasked_weight, [settings.penalty])
    ours = Pretrainer(SHAPE, settings)
    ours.load_weights(dict(theirs.state_dict()))
    (
        theirs.double(),
        ours.double(),
    )  # so that what differs is no rounding; both compute the loss itself in single precision
    nothing = Data(Manifest(Path(), ()), [], settings)
    training = Training(ours.train(), nothing, nothing)
    optimizer = Adam(
        theirs.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=1e-6,
        weight_decay=settings.weight_decay,
    )
    names = dict(zip(ours.weights(), dict(ours.named_parameters()), strict=True))
    for step in range(1, 5):
        given = batch(step)
        loss = fairseq_loss(theirs, criterion, given, monkeypatch)
        optimizer.zero_grad()
        loss.backward()
        assert loss.item() == pytest.approx(ours(given.inputs, given.labels, given.mask)[0].item(), rel=2e-6)
        gradients = {name: value.grad.clone() for name, value in theirs.named_parameters() if value.grad is not None}
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), settings.clip)
        training.optimizer.zero_grad()
        ours(given.inputs, given.labels, given.mask)[0].backward()
        own = dict(ours.named_parameters())
        for name, gradient in gradients.items():
            scale = gradient.abs().max().item()
            found = own[names[name]].grad
            assert found is not None and (found - gradient).abs().max().item() <= 1e-4 * scale + 1e-9, name
        training.update(step, given)
        for group in optimizer.param_groups:
            group["lr"] = training.optimizer.param_groups[0]["lr"]
        optimizer.step()
    weights = ours.weights()
    assert all((weights[name] - value).abs().max() < 1e-4 for name, value in theirs.state_dict().items())


def test_masks_are_the_same_draws(monkeypatch):
    from fairseq.data.data_utils import compute_mask_indices

    padding, spans = torch.zeros(4, 200, dtype=torch.bool), (SETTINGS.mask_prob, SETTINGS.mask_length)
    for seed in range(20):
        for frames in (30, 49, 200):
            stream = np.random.default_rng(seed)
            with monkeypatch.context() as patch:  # fairseq draws each recording's from a generator without a seed
                patch.setattr(np.random, "default_rng", lambda *_, stream=stream: stream)
                theirs = compute_mask_indices((4, frames), padding[:, :frames], *spans, "static", 0.0, min_masks=2)
            assert np.array_equal(span_mask(4, frames, SETTINGS, np.random.default_rng(seed)), theirs)
