"""The launcher of s3prl's `run_downstream.py`, with a stand-in for s3prl; `make test-s3prl` has the real one."""

from __future__ import annotations

import argparse
import sys
import types

import pytest
import torch
from project import GOLDEN
from torch import nn

from daisy.common.torchaudio_shim import torchaudio
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import save
from daisy.library import s3prl_run
from daisy.library.s3prl import DaisyFeaturizer

CALLED_AS = {"feature_selection": "hidden_states", "layer_selection": None, "upstream_device": "cpu"}


class Featurizer(nn.Module):
    """s3prl's, as far as the launcher goes: it takes the runner's keywords."""

    def __init__(self, upstream, feature_selection, upstream_device, layer_selection, normalize):
        super().__init__()
        self.seen = (upstream, feature_selection, upstream_device, layer_selection, normalize)


@pytest.fixture(autouse=True)
def torchaudio_as_it_was(monkeypatch):
    """What the launcher adds to it is gone after a test."""
    monkeypatch.setattr(torchaudio, "load", torchaudio.load)
    monkeypatch.setattr(torchaudio, "set_audio_backend", None, raising=False)
    monkeypatch.setattr(torchaudio, "sox_effects", None, raising=False)
    monkeypatch.delattr(torchaudio, "set_audio_backend")
    monkeypatch.setitem(sys.modules, "torchaudio.sox_effects", None)
    del sys.modules["torchaudio.sox_effects"]


@pytest.fixture
def path(checkpoint, tmp_path):
    save(tmp_path / "daisy.safetensors", checkpoint, "safetensors")
    return str(tmp_path / "daisy.safetensors")


@pytest.fixture
def s3prl(monkeypatch, tmp_path):
    """The stand-in. Its main resumes, then makes an upstream and a featurizer; `made` is what it got."""
    names = ("s3prl", "s3prl.hub", "s3prl.downstream", "s3prl.downstream.runner", "s3prl.run_downstream")
    modules = {name: types.ModuleType(name) for name in names}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    root, runner = modules["s3prl"], modules["s3prl.downstream.runner"]
    runner.Featurizer = Featurizer
    monkeypatch.setattr(sys, "argv", ["before"])
    torch.save({"Args": argparse.Namespace(seed=3)}, tmp_path / "states-1.ckpt")

    def main():
        parser = argparse.ArgumentParser()
        for flag in ("-u", "-k", "-g"):
            parser.add_argument(flag)
        given = parser.parse_args()
        torchaudio.set_audio_backend("sox_io")
        assert torch.load(tmp_path / "states-1.ckpt", map_location="cpu")["Args"].seed == 3
        upstream = getattr(root.hub, given.u)(ckpt=given.k, model_config=given.g, refresh=False).to("cpu")
        root.made = upstream, runner.Featurizer(upstream=upstream, normalize=False, **CALLED_AS).to("cpu")

    root.run_downstream.main = main
    return root


@pytest.mark.parametrize("kind", ["dynamic", "dynamic-s"])
def test_launcher(s3prl, path, waves, tmp_path, kind):
    (tmp_path / "stopping.yaml").write_text(f"layer: 2\nfusion: {kind}\n")
    s3prl_run.main(["-u", "daisy_local", "-k", path, "-g", str(tmp_path / "stopping.yaml")])
    upstream, featurizer = s3prl.made
    assert isinstance(featurizer, DaisyFeaturizer) and featurizer.fusion.kind == kind
    result = upstream(waves)
    assert result["exit_layer"] == [2] * len(waves)
    assert [len(features) for features in featurizer(waves, result)] == [
        upstream.model.config.frames(len(wave)) for wave in waves
    ]


def test_s3prls_own_upstreams_keep_their_featurizer(s3prl, path):
    s3prl.hub.hubert = lambda **_: nn.Linear(1, 1)
    s3prl_run.main(["-u", "hubert"])
    upstream, featurizer = s3prl.made
    assert featurizer.seen == (upstream, "hidden_states", "cpu", None, False)


def test_keys_of_s3prls_config_win(path, tmp_path):
    (tmp_path / "stopping.yaml").write_text("layer: 2\n")
    upstream = s3prl_run.daisy_local(path, str(tmp_path / "stopping.yaml"), refresh=True, layer=4)
    assert upstream.stopping["layer"] == 4
    assert set(s3prl_run.daisy_local(path).stopping.values()) == {None}


def test_how_exits_are_shared_is_said_with_stopping(path, tmp_path):
    (tmp_path / "stopping.yaml").write_text("layer: 2\ngranularity: batch\nfusion: dynamic-s\n")
    upstream = s3prl_run.daisy_local(path, str(tmp_path / "stopping.yaml"))
    assert (upstream.granularity, DaisyFeaturizer(upstream).fusion.kind) == ("batch", "dynamic-s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers: 2\n", r"stopping\.yaml has the unknown key 'layers'"),
        ("layer: 1e-1\n", r"stopping\.yaml\.layer is 0\.1"),
        ("layer: two\n", r"stopping\.yaml\.layer is 'two'"),
        ("layer: 2\nthreshold: 1.0\n", "several ways"),
        ("- 2\n", r"stopping\.yaml: it holds no keys"),
        ("layer: [\n", r"stopping\.yaml: it cannot be read"),
    ],
)
def test_bad_stopping(path, tmp_path, text, message):
    (tmp_path / "stopping.yaml").write_text(text)
    with pytest.raises(DaisyError, match=message):
        s3prl_run.daisy_local(path, str(tmp_path / "stopping.yaml"))


@pytest.mark.parametrize("changed", [{"layer_selection": 3}, {"feature_selection": "last_hidden_state"}])
def test_no_part_of_the_states(path, changed):
    upstream = s3prl_run.daisy_local(path)
    with pytest.raises(DaisyError, match="-s or -l selects a part"):
        s3prl_run.make_featurizer(upstream, other=Featurizer, **{**CALLED_AS, **changed})


def test_the_entry_alone_brings_the_featurizer(s3prl, path):
    """As when s3prl itself finds it in a `hubconf.py`."""
    runner = sys.modules["s3prl.downstream.runner"]
    upstream = s3prl_run.daisy_local(path)
    once = runner.Featurizer
    assert s3prl_run.daisy_local(path) and runner.Featurizer is once
    assert isinstance(once(upstream=upstream, normalize=False, **CALLED_AS), DaisyFeaturizer)
    assert isinstance(once(upstream=nn.Linear(1, 1), normalize=False, **CALLED_AS), Featurizer)


def test_what_torchaudio_lacks(waves):
    for _ in range(2):
        s3prl_run.complete(torchaudio)
    torchaudio.set_audio_backend("sox_io")
    from torchaudio.sox_effects import apply_effects_file

    with pytest.raises(RuntimeError, match="no sox_effects"):
        apply_effects_file("a.wav", [["norm"]])
    wave, rate = torchaudio.load(sorted(GOLDEN.glob("*.wav"))[0])
    assert rate == 16_000 and wave.shape == (1, len(waves[0])) and torch.equal(wave[0], waves[0])


def test_no_fine_tuning():
    with pytest.raises(DaisyError, match="frozen"):
        s3prl_run.main(["-m", "train", "-u", "daisy_local", "-f"])


def test_others_may_be_fine_tuned(s3prl, monkeypatch):
    monkeypatch.setattr(s3prl.run_downstream, "main", lambda: None)
    s3prl_run.main(["-u", "hubert", "-f"])
    assert sys.argv == ["run_downstream.py", "-u", "hubert", "-f"]


def test_without_s3prl(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3prl", None)
    with pytest.raises(DaisyError, match="Install s3prl"):
        s3prl_run.main(["-u", "daisy_local"])
