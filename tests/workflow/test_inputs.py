"""What a run needs is looked at before the first job, all at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from project import ROOT, laid_over

from daisy.workflow import inputs
from daisy.workflow.workflow import Workflow


def flow(tmp_path: Path, overlay: dict[str, Any]) -> Workflow:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    folders = {"results": str(tmp_path / "results"), "cache": str(tmp_path / "cache")}
    return Workflow(laid_over(config, folders, overlay), ROOT)


def test_all_faults_are_listed_at_once_each_with_its_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "gpu_here", lambda: None)
    monkeypatch.setattr(inputs.shutil, "which", lambda name: None)
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    roots = {"librispeech": {"root": str(tmp_path / "none")}, "musan": {"root": str(tmp_path / "nowhere")}}
    corpora = {"speech": "librispeech", "noise": "musan"}
    run = flow(tmp_path, {"compute": {"device": "cuda"}, "data": {"corpora": corpora, "published": roots}})
    faults = inputs.inputs(run, {"published_corpus", "states"}, 5000)
    told = "\n".join(map(str, faults))
    for part in ("librispeech", "musan", "compute.device is cuda", "5.0 GB"):
        assert part in told
    assert len(faults) == 4 and all(fault.fatal and fault.fix for fault in faults)
    assert len(inputs.inputs(run, {"figures"}, 0)) == 0, "what no job needs is no fault"
    monkeypatch.setattr(inputs.shutil, "which", lambda name: "sbatch")
    (only,) = inputs.inputs(run, {"states"}, 0)
    assert not only.fatal and "slurm" in only.fix, "the machine that submits jobs needs no GPU"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_is_hidden_is_none(monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert inputs.gpu_here() is None


def test_a_gpu_is_known_by_its_name(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA H200\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert inputs.gpu_here() == "NVIDIA H200"
