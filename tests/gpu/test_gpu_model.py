"""The model on a GPU: the authors' numbers, one recording and a batch, a CPU and a GPU, and what precisions change."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from pieces import CLOSE, GOLDEN, MODEL, ROOT, branched
from runners import finished
from torch import Tensor

from daisy.common import audio
from daisy.common.compute import Compute
from daisy.common.progress import Progress
from daisy.corpora.utterances import Utterance, read_manifest, write_manifest
from daisy.corpora.walk import walk
from daisy.errors import DaisyError
from daisy.exits.rule import all_candidates
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.targets.layer_frames import frames_of

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(scope="module")
def waves() -> list[Tensor]:
    """Speech of 1 to 17 s: the golden recordings, and some of them one behind the other."""
    short = [audio.read(path) for path in sorted(GOLDEN.glob("*.wav"))]
    return [*short, torch.cat(short), torch.cat(short[::-1] + short[:3])]


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    """The embedded model, with branches that are sure of some frames and not of others."""
    return branched()


def states_of(model: Checkpoint, waves: Sequence[Tensor]) -> list[Tensor]:
    """(K + 1, T, D) of every recording, on the CPU."""
    upstream = EarlyExitHubert(model)
    place = upstream.encoder.layer_norm.weight.device
    return [item.states.cpu() for item in upstream.all_layers([wave.to(place) for wave in waves])]


def apart(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The largest difference of a state, as a share of the largest value of its layer."""
    worst = 0.0
    for one, other in zip(ones, others, strict=True):
        difference = (one.float() - other.float()).abs().amax((1, 2))
        worst = max(worst, float((difference / one.float().abs().amax((1, 2))).max()))
    return worst


@pytest.mark.parametrize("position", ["after_norm", "before_norm"])
def test_golden_numbers(device: str, position: str) -> None:
    name = f"daisy_tiny_{position}"
    numbers = json.loads((GOLDEN / f"{name}.json").read_text())
    upstream = EarlyExitHubert(load(GOLDEN / f"{name}.pt").to(torch.device(device)))
    waves = [audio.read(GOLDEN / file).to(device) for file in numbers["recordings"]]
    expected = np.load(GOLDEN / f"{name}.npz")
    (item,) = upstream.all_layers(waves[:1])
    for k in range(upstream.layers + 1):
        wanted = expected[f"hidden_{k}"]
        assert np.abs(item.states[k].cpu().numpy() - wanted).max() < CLOSE * np.abs(wanted).max(), k
    entropies = [upstream.all_layers([wave])[0].entropies for wave in waves]
    np.testing.assert_allclose(entropies, numbers["entropies_single"], rtol=1e-4)
    for case in numbers["cases"]:
        every = all_candidates(1, upstream.layers)
        candidates = every if case["mode"] == "train" else numbers["candidate_layers"][case["strategy"]]
        items = upstream.run(
            [waves[index] for index in case["utterances"]],
            candidates=candidates,
            tau=case.get("rho", 1.0) * numbers["threshold"],
            granularity="batch",
            padding="published",
        )
        assert {found.layer for found in items} == {case["exit_layer"]}, case


def test_a_batch_gives_what_each_gives_alone(
    device: str, model: Checkpoint, waves, tell: Callable[[str], None]
) -> None:
    placed = copy.deepcopy(model).to(torch.device(device))
    alone = [states_of(placed, [wave])[0] for wave in waves]
    found = apart(alone, states_of(placed, waves))
    tell(f"batch against alone, float32: {found:.1e} of the largest value")
    assert found < CLOSE
    upstream = EarlyExitHubert(placed)
    there = [wave.to(device) for wave in waves]
    entropies = [upstream.all_layers([wave])[0].entropies for wave in there]
    tau = float(np.median(entropies))
    every = all_candidates(1, upstream.layers)
    own = [upstream.run([wave], candidates=every, tau=tau)[0].layer for wave in there]
    assert [item.layer for item in upstream.run(there, candidates=every, tau=tau)] == own and len(set(own)) > 1


@pytest.mark.only_gpu
def test_a_gpu_gives_what_a_cpu_gives(model: Checkpoint, waves, tell: Callable[[str], None]) -> None:
    there = copy.deepcopy(model).to(torch.device("cuda"))
    found = apart(states_of(model, waves), states_of(there, waves))
    tell(f"CPU against GPU, float32: {found:.1e} of the largest value")
    assert found < CLOSE


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_other_precisions_give_nearly_the_same(device: str, model, waves, precision: str, tell) -> None:
    placed = copy.deepcopy(model).to(torch.device(device))
    exact = states_of(placed, waves)
    compute = Compute(device, precision)  # type: ignore[arg-type]
    compute.place()
    with compute.autocast():
        rough = states_of(placed, waves)
    means = [float((one - other.float()).norm() / one.norm()) for one, other in zip(exact, rough, strict=True)]
    tell(f"{precision} against float32: {max(means):.1e} of the states' norm")
    assert max(means) < 0.03
    if precision == "bfloat16" or device == "cuda":
        assert max(means) > 0


@pytest.mark.only_gpu
def test_float32_is_not_tf32() -> None:
    """Products, convolutions and LSTMs of whole numbers that TF32 cannot hold, in float32 and in TF32."""
    one = torch.full((64, 64), 2049.0, device="cuda")  # 12 bits, of which TF32 keeps 11
    unit, kernel = torch.eye(64, device="cuda"), torch.zeros(64, 64, 3, device="cuda")
    kernel[range(64), range(64), 1] = 1.0
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(64, 64).cuda()
    sequence = torch.randn(50, 8, 64, device="cuda")

    def works() -> list[Tensor]:
        with torch.no_grad():
            convolved = torch.nn.functional.conv1d(one[None], kernel, padding=1)
            return [one @ unit, convolved, lstm(sequence)[0]]

    Compute("cuda", "float32").place()
    product, convolved, exact = works()
    assert torch.equal(product, one) and (convolved[0] - one).abs().max() < 0.5  # TF32 would give 2048
    with torch.no_grad():
        reference = lstm.cpu()(sequence.cpu())[0]
    lstm.cuda()
    assert (exact.cpu() - reference).abs().max() < 1e-5
    Compute("cuda", "tf32").place()
    rounded = works()
    assert not torch.equal(rounded[0], one), "TF32 was asked for, and products were not rounded"


@pytest.mark.only_gpu
def test_too_little_memory_names_the_setting(tmp_path) -> None:
    wave = 0.1 * np.random.default_rng(0).standard_normal(600 * audio.SAMPLE_RATE).astype(np.float32)
    audio.write(tmp_path / "long.flac", wave.clip(-1, 1))
    write_manifest(tmp_path / "long.tsv", tmp_path, [Utterance("long", "long.flac", len(wave))])
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 100 * 2**20) / total)
    try:
        with pytest.raises(DaisyError, match=r"out of memory at long .* Lower upstream.batch_seconds"):
            compute = Compute("cuda")
            progress = Progress("features", 600, "s of audio")
            run = frames_of(12, MODEL, compute)
            walk(read_manifest(tmp_path / "long.tsv"), 600.0, compute.place(), progress, run, lambda *_: None)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.only_gpu
def test_a_job_sees_the_gpu_that_it_holds_and_no_other() -> None:
    """Of what `nvidia-smi` lists and CUDA_VISIBLE_DEVICES leaves; a second job would have to wait for it."""
    code = (
        "import os, torch; from daisy.common.compute import Compute; place = Compute('cuda').place();"
        "print(torch.empty(1, device=place).device, torch.cuda.device_count(), os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    given = finished([sys.executable, "-c", code], ROOT, {"DAISY_GPUS": ""}).stdout.split()
    assert given[:2] == ["cuda:0", "1"] and "," not in given[2]
