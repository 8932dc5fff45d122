"""The store: a folder's name changes with what decides its content, and with nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

import pytest

from daisy.common.contents import Contents, digest
from daisy.errors import DaisyError
from daisy.workflow import links
from daisy.workflow.plan import changes
from daisy.workflow.store import Store, unused


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


@dataclasses.dataclass(frozen=True)
class Drawn:
    seed: int


@dataclasses.dataclass(frozen=True)
class Clustered:
    clusters: int
    layer: int


def add(root, outside, module="daisy.targets.kmeans", **changes):
    store = Store(str(root))
    first = store.add("manifests", "daisy.corpora.manifests", settings=Drawn(changes.pop("seed", 1)))
    settings = Clustered(**({"clusters": 20, "layer": 9} | changes))
    return store, store.add("kmeans", module, settings=settings, manifest=first, hubert=str(outside), centroids="")


def test_equal_inputs_share_a_folder(tmp_path, outside):
    store, folder = add(tmp_path / "store", outside)
    assert folder == add(tmp_path / "store", outside)[1]
    assert folder.startswith(f"{tmp_path}/store/kmeans-")
    stage = store.at(folder)
    assert json.loads(stage.settings) == {"clusters": 20, "layer": 9}
    assert set(stage.inputs) == {"manifest", "hubert"} and "daisy.targets.kmeans" in stage.code


def test_whatever_decides_the_content_is_in_the_name(tmp_path, outside):
    folders = [
        add(tmp_path / "store", outside, **change)[1]
        for change in ({}, {"clusters": 9, "layer": 20}, {"seed": 2}, {"module": "daisy.targets.label"})
    ]
    outside.write_bytes(b"others!")
    folders.append(add(tmp_path / "store", outside)[1])
    assert len(set(folders)) == len(folders)


def test_a_touched_file_is_the_same(tmp_path, outside):
    before = add(tmp_path / "store", outside)[1]
    os.utime(outside, (1, 1))
    assert add(tmp_path / "store", outside)[1] == before


def test_contents_are_read_once(tmp_path, outside, monkeypatch):
    memory = tmp_path / "contents.json"
    first = Contents(memory).digest(outside)
    assert first == digest(outside)
    monkeypatch.setattr("daisy.common.contents.digest", lambda path: pytest.fail("read again"))
    assert Contents(memory).digest(outside) == first
    monkeypatch.undo()
    memory.write_text("damaged")
    assert Contents(memory).digest(outside) == first


def test_the_digest_of_a_folder_is_that_of_its_files_by_name(tmp_path):
    names = ["b", "j", "a", "h", "c", "f", "e", "d", "i", "g"]
    for name in names:
        (tmp_path / name).write_text(name)
    lines = [f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n" for name in sorted(names)]
    assert digest(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DaisyError, match="nowhere.pt: cannot be read"):
        add(tmp_path / "store", tmp_path / "nowhere.pt")


def test_an_unknown_key_says_what_happened(tmp_path, outside):
    with pytest.raises(DaisyError, match="changed while the workflow ran"):
        add(tmp_path / "store", outside)[0]["0123456789ab"]


def test_what_no_run_uses(tmp_path):
    with pytest.raises(DaisyError, match="no run"):
        unused(tmp_path / "store", tmp_path / "results")
    for name in ("a-1", "b-2", "c-3", "logs", "state/b-2", "state/a-1", "tensorboard/d-4"):
        (tmp_path / "store" / name).mkdir(parents=True)
    for run, folder in (("one", "a-1"), ("two/ablation", "c-3")):
        (tmp_path / "results" / run).mkdir(parents=True)
        (tmp_path / "results" / run / "store.csv").write_text(f"link,folder\nx,{tmp_path}/store/{folder}\n")
    found = [str(path.relative_to(tmp_path / "store")) for path in unused(tmp_path / "store", tmp_path / "results")]
    assert found == ["b-2", "state/b-2", "tensorboard/d-4"], "an unfinished training that nobody goes on with is unused"
    with pytest.raises(DaisyError, match="uses the store .*other, but .*store. .*--cache"):
        unused(tmp_path / "other", tmp_path / "results")


def test_links_to_folders_and_to_files(tmp_path):
    """They are made anew, what is no longer asked for goes with its folders, and the table names folders."""
    model, scores = (f"{tmp_path}/store/{name}-0123456789ab" for name in ("downstream-asr-full-seed1", "evaluation"))
    first = {"downstream/asr/full": model, "evaluation/asr/full.json": f"{scores}/evaluation.json"}
    for given in ({**first, "downstream/ss/full": model}, first):
        links.main(["--settings", json.dumps({"links": given}), "--out", str(tmp_path / "run/store.csv")])
    assert os.path.realpath(tmp_path / "run/evaluation/asr/full.json") == f"{scores}/evaluation.json"
    assert not (tmp_path / "run/downstream/ss").exists() and (tmp_path / "run/downstream/asr/full").is_symlink()
    rows = (tmp_path / "run/store.csv").read_text().splitlines()
    assert rows == ["link,folder", f"downstream/asr/full,{model}", f"evaluation/asr/full.json,{scores}"]


def test_changes_name_keys_values_and_files():
    code = {"daisy.errors": "1", "daisy.common.files": "1"}
    old = [repr('{"seed": 1, "options": {"rate": 0.1}}'), repr(code), repr("a/path")]
    new = [
        repr('{"seed": 1, "options": {"rate": 0.2}, "x": 3}'),
        repr(code | {"daisy.errors": "2"}),
        repr("b/path"),
    ]
    assert changes(old, new) == ["options.rate: 0.1 → 0.2", "x: none → 3", "code of daisy/errors.py"]
    assert changes(old, old) == []
    moved = [repr({"daisy.errors": "1", "daisy.train_branches": "1"})]
    assert changes(moved, new[1:2]) == ["an earlier version of daisy made it"]
