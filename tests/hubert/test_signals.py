"""Signals: each by hand, and a forward pass that stops by them as one that measures every layer says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule
from daisy.exits.signals import SIGNALS
from daisy.hubert.branches import Branches
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.packing import Packing
from daisy.hubert.signals import MEASURES, SignalJudge, every_signal

SURE, TORN, UNSURE = [0.9, 0.05, 0.05], [0.45, 0.45, 0.1], [1 / 3, 1 / 3, 1 / 3]
CPU = torch.device("cpu")


def logits(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).log()


def measured(signal: str, now: torch.Tensor, before: torch.Tensor | None, *lengths: int) -> list[float]:
    judge = SignalJudge(Branches(2, 3, 1), signal)
    return judge.measured(now, before, Packing(lengths, CPU)).tolist()


def entropy(*probabilities: float) -> float:
    return -sum(p * math.log(p) for p in probabilities)


def test_every_name_has_a_measure():
    assert tuple(MEASURES) == SIGNALS


@pytest.mark.parametrize(
    ("signal", "sure", "torn", "unsure"),
    [
        ("entropy", entropy(*SURE), entropy(*TORN), math.log(3)),
        ("top", 0.1, 0.55, 2 / 3),
        ("margin", 0.15, 1.0, 1.0),
    ],
)
def test_signals_of_one_layer_by_hand(signal, sure, torn, unsure):
    assert measured(signal, logits(SURE, TORN, UNSURE), None, 1, 1, 1) == pytest.approx([sure, torn, unsure], abs=1e-6)
    assert measured(signal, logits(SURE, SURE, TORN), None, 3) == pytest.approx([(2 * sure + torn) / 3], abs=1e-6)


def test_the_less_sure_half_speaks_for_an_utterance():
    found = measured("least-sure", logits(SURE, UNSURE, SURE, TORN, SURE, SURE, SURE), None, 4, 3)
    assert found == pytest.approx([(math.log(3) + entropy(*TORN)) / 2, entropy(*SURE)], abs=1e-6)
    assert measured("least-sure", logits(SURE, UNSURE, TORN), None, 3) == pytest.approx(
        [(math.log(3) + entropy(*TORN)) / 2], abs=1e-6
    ), "of three frames two"


def test_agreement_counts_the_frames_at_which_two_layers_say_another_class():
    other = [0.05, 0.9, 0.05]
    assert measured("agreement", logits(SURE, other, SURE, SURE), logits(SURE, SURE, other, SURE), 4) == [0.5]
    assert measured("agreement", logits(SURE, SURE), None, 1, 1) == [1.0, 1.0], "at the first layer nothing agrees"


def test_divergence_is_none_of_the_same_and_all_of_what_shares_nothing():
    assert measured("divergence", logits(SURE), logits(SURE), 1) == pytest.approx([0.0], abs=1e-6)
    apart = measured("divergence", torch.tensor([[99.0, 0.0, 0.0]]), torch.tensor([[0.0, 99.0, 0.0]]), 1)
    assert apart == pytest.approx([math.log(2)])
    assert measured("divergence", logits(SURE), None, 1) == pytest.approx([math.log(2)]), "as if it shared nothing"
    middle = [(a + b) / 2 for a, b in zip(SURE, UNSURE, strict=True)]
    by_hand = entropy(*middle) - (entropy(*SURE) + entropy(*UNSURE)) / 2
    assert measured("divergence", logits(SURE), logits(UNSURE), 1) == pytest.approx([by_hand], abs=1e-6)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_pass_stops_where_all_layers_say(checkpoint, waves, signal):
    """In one batch, from which utterances leave, and with candidates that leave layers out."""
    waves = waves[:4]
    (every,) = every_signal(checkpoint.encoder, waves, checkpoint.branches, checkpoint.position, [signal])
    ordered = np.unique(every.numpy().round(6))
    upstream, stopped = EarlyExitHubert(checkpoint, signal), set()
    for place in (2, len(ordered) // 3, 2 * len(ordered) // 3):
        tau = float(ordered[place - 1 : place + 1].mean())  # between two values, where rounding decides nothing
        for candidates in (tuple(range(1, 7)), (2, 4, 5, 6)):
            rule = ExitRule(candidates, tau)
            items = upstream.run(waves, candidates=candidates, tau=tau)
            layers = rule.layers(every.numpy()).tolist()
            assert [item.layer for item in items] == layers
            stopped |= set(layers)
            for item, row in zip(items, every.numpy(), strict=True):
                asked = [k for k in range(1, item.layer + 1) if rule.asks(k)]
                assert [k for k in range(1, 7) if not math.isnan(item.entropies[k - 1])] == asked
                np.testing.assert_allclose(
                    [item.entropies[k - 1] for k in asked], row[[k - 1 for k in asked]], atol=1e-5
                )
    assert len(stopped) > 1, "the test must see exits at different layers"


def test_an_unknown_signal_is_refused(checkpoint):
    with pytest.raises(DaisyError, match="patience"):
        EarlyExitHubert(checkpoint, "patience")


def test_a_signal_that_looks_back_hears_the_layer_before_a_candidate(checkpoint):
    rule = ExitRule((3, 5, 6), 1.0)
    heard = {
        signal: [k for k in range(1, 7) if EarlyExitHubert(checkpoint, signal).runs_branch(rule, k)]
        for signal in ("margin", "agreement")
    }
    assert heard == {"margin": [3, 5], "agreement": [2, 3, 4, 5]}
