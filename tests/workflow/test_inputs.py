"""What a run needs is looked at before the first job, all at once."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from project import ROOT, Project, laid_over

from daisy.errors import DaisyError
from daisy.workflow import inputs
from daisy.workflow.inputs import Needs
from daisy.workflow.several import Several, together
from daisy.workflow.workflow import Workflow

HEADLESS = str(ROOT / "tests/golden/daisy_tiny_after_norm.pt")


def flow(tmp_path: Path, overlay: dict[str, Any]) -> Workflow:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    folders = {"results": str(tmp_path / "results"), "cache": str(tmp_path / "cache")}
    return Workflow(laid_over(config, folders, overlay), ROOT)


def lacking(tmp_path: Path) -> dict[str, Any]:
    """A config whose two published corpora are not there, nor is its GPU."""
    roots = {"librispeech": {"root": str(tmp_path / "none")}, "musan": {"root": str(tmp_path / "nowhere")}}
    corpora = {"speech": "librispeech", "noise": "musan"}
    return {"compute": {"device": "cuda"}, "data": {"corpora": corpora, "published": roots}}


@pytest.fixture
def bare(monkeypatch):
    """A machine without a GPU and without Slurm."""
    monkeypatch.setattr(inputs, "visible", dict)
    monkeypatch.setattr(inputs.shutil, "which", lambda name: None)


def test_all_faults_are_listed_at_once_each_with_its_fix(tmp_path, monkeypatch, bare):
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    context = flow(tmp_path, lacking(tmp_path)).context
    store = tmp_path / "cache/store/own-0123456789ab"
    (store / "audio").mkdir(parents=True)
    (store / "audio/own").symlink_to(tmp_path / "moved")
    wanted = Needs(("librispeech", "musan"), (str(store),), gpu=True, disk_mb=5000)
    faults = inputs.inputs(context, wanted, submits=False)
    told = "\n".join(map(str, faults))
    for part in ("librispeech", "musan", "moved is gone", "compute.device is cuda", "5.0 GB"):
        assert part in told
    assert len(faults) == 5 and all(fault.fatal and fault.fix for fault in faults)
    assert not inputs.inputs(context, Needs(), submits=False), "what no job needs is no fault"
    (only,) = inputs.inputs(context, Needs(gpu=True), submits=True)
    assert not only.fatal and "slurm" in only.fix, "the machine that submits jobs needs no GPU"


def test_downloads_need_room_where_they_are_unpacked(tmp_path, monkeypatch, bare):
    """On one disk with the cache or on another; an archive lies beside what it holds for a while."""
    corpora = {"musan": {"root": str(tmp_path / "noise")}, "voxceleb1": {"root": str(tmp_path / "voices")}}
    overlay = {"data": {"published": {"download": True} | corpora}}
    workflow = flow(tmp_path, laid_over(overlay, {"data": {"corpora": {"noise": "musan", "sid": "voxceleb1"}}}))
    assert workflow.sizes.downloaded("musan", "musan") > 10_000
    wanted = Needs(disk_mb=1000, downloads=(("musan", 2000), ("voxceleb1", 3000), ("voxceleb1", 500)))

    def faults(free: float) -> list[str]:
        monkeypatch.setattr(inputs.shutil, "disk_usage", lambda path: SimpleNamespace(free=free * 1e9))
        return [str(fault) for fault in inputs._disk(workflow.context, wanted)]

    assert not faults(9.5)
    (told,) = faults(9.4)
    assert "write about 9.5 GB to " in told and told.count(str(tmp_path)) == 3 and "keep_states" in told
    (tmp_path / "voices").mkdir()
    devices = {str(tmp_path / "voices"): SimpleNamespace(stat=lambda: SimpleNamespace(st_dev=-1))}
    monkeypatch.setattr(inputs, "_standing", lambda path: devices.get(path, tmp_path))
    assert not faults(6.5)
    (told,) = faults(5.5)
    assert "write about 6.5 GB to " in told and told.count(str(tmp_path)) == 1 and "keep_states" not in told
    (tmp_path / "noise/musan/speech").mkdir(parents=True)
    assert workflow.sizes.downloaded("musan", "musan") == 1, "it is there"


def test_what_the_config_names_wrongly_is_told_with_all_else_that_is_lacking(tmp_path, bare):
    own = {"asr": str(tmp_path / "mine"), "sid": str(tmp_path / "theirs")}
    overlay = {"targets": {"kind": "head"}, "upstream": {"checkpoint": HEADLESS}, "data": {"corpora": own}}
    overlay |= {"downstream": {"methods": ["daisy"]}}
    with pytest.raises(Several) as caught:
        flow(tmp_path, laid_over(lacking(tmp_path), overlay))
    told = str(caught.value).splitlines()
    assert len(told) == 8 and told[0] == "7 things are wrong:"
    for part, line in zip(
        (
            "lacks full",
            "no pre-training head",
            "data.corpora.asr",
            "data.corpora.sid",
            "librispeech",
            "musan",
            "is cuda",
        ),
        told[1:],
        strict=True,
    ):
        assert part in line
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_folder_that_cannot_be_written_is_told_with_its_key(tmp_path, monkeypatch, bare):
    (tmp_path / "cache").touch()
    monkeypatch.setattr(inputs.os, "access", lambda path, mode: False)
    with pytest.raises(Several) as caught:
        flow(tmp_path, {"downstream": {"methods": ["daisy"]}})
    told = [error.problem for error in caught.value.errors]
    assert told[1:] == [f"results: {tmp_path} cannot be written", f"cache: {tmp_path / 'cache'} is no folder"]
    assert "lacks full" in told[0]


def test_one_problem_is_told_as_it_is():
    error = DaisyError("it is wrong", fix="Mend it")
    assert together([error]) is error


@pytest.mark.parametrize(
    ("device", "workers", "version", "found"),
    [
        ("auto", 2, "2.11.0", []),
        ("auto", 3, "2.11.0", [("workers is 3, a GPU each, and 2 can be seen here", True)]),
        ("auto", 1, "2.11.0+cpu", [("torch is built without CUDA (2.11.0+cpu)", False)]),
        ("cuda", 3, "2.11.0+cpu", [("workers is 3", True), ("torch is built without CUDA", True)]),
        ("cpu", 3, "2.11.0+cpu", []),
    ],
)
def test_gpus_that_cannot_be_used_are_told_before_the_first_job(monkeypatch, device, workers, version, found):
    monkeypatch.setattr(inputs, "visible", lambda: {"0": "GPU-1", "1": "GPU-2"})
    monkeypatch.setattr(inputs.importlib.metadata, "version", lambda name: version)
    context = SimpleNamespace(config=SimpleNamespace(workers=workers, compute=SimpleNamespace(device=device)))
    faults = inputs._gpu(context, submits=False)
    assert len(faults) == len(found)
    for fault, (problem, fatal) in zip(faults, found, strict=True):
        assert problem in fault.problem and fault.fatal == fatal
    assert inputs._gpu(context, submits=True) == [], "the nodes have GPUs of their own"


def job(rule: str, makes: str, reads: tuple[str, ...] = (), **resources: int) -> SimpleNamespace:
    name = makes.partition("-")[0]
    named = SimpleNamespace(name=rule)
    return SimpleNamespace(
        rule=named, wildcards=SimpleNamespace(published=name), input=reads, output=[makes], resources=resources
    )


def test_what_other_jobs_make_is_not_needed(tmp_path):
    (tmp_path / "there").touch()
    jobs = [
        job("download", "musan.json", disk_mb=32),
        job("published_corpus", "musan-1/recordings.csv", ("musan.json",), disk_mb=1),
        job("published_corpus", "voxceleb1-1/recordings.csv", disk_mb=2),
        job("states", "states.npy", ("musan-1/recordings.csv", "own-2/recordings.csv"), disk_mb=4, gpu=1),
        job("states", str(tmp_path / "there"), disk_mb=8),
        job("calibration", "calibration.json", disk_mb=16),
    ]
    workflow = SimpleNamespace(dag=SimpleNamespace(jobs=jobs, needrun=lambda job: True))
    asked = Needs(("voxceleb1",), ("own-2",), gpu=True, disk_mb=7, downloads=(("musan.json", 32),))
    assert inputs.needs(workflow) == asked
    assert not inputs.needs(workflow, here=False).gpu, "a cluster has its own"


def test_rules_that_say_how_much_they_write_are_known():
    text = "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    bodies = re.findall(r"^rule (\w+):\n((?: .*\n|\n)+)", text, re.M)
    assert {name for name, body in bodies if "disk_mb=" in body} == {*inputs.WRITING, "download"}


def test_a_run_begins_with_them_and_ends_there(tmp_path, monkeypatch):
    """One clear error, no job, no lock left behind; what starts no job does not look."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    project = Project(tmp_path / "daisy")
    overlay = laid_over(lacking(tmp_path), {"data": {"published": {"faults": "leave-out"}}})  # whatever the disk holds
    stopped = project.run(overlay=overlay, check=False)
    said = stopped.stdout + stopped.stderr
    told = said[said.index("error: ") :].splitlines()
    assert stopped.returncode == 1 and len(told) == 4 and "Traceback" not in said, said
    for part, line in zip(("3 things", "librispeech", "musan", "hides every GPU"), told, strict=True):
        assert part in line
    assert not (project.folder / "results").exists() and not list(project.folder.glob(".snakemake/locks/*"))
    assert project.would_run(overlay=overlay)
