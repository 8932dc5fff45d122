"""The typed workflow, asked without Snakemake: a config goes in, and stages come out."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from models import large_shaped
from project import ROOT, laid_over

from daisy.common import stage
from daisy.common.versions import installed
from daisy.downstream.settings import DownstreamSettings, TaskExitsSettings, TaskThresholdsSettings
from daisy.errors import DaisyError
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.method import FULL, STUDENT, TASK_EXITS, Method
from daisy.features.settings import CalibrationSettings, EntropiesSettings, StatesSettings
from daisy.hubert.checkpoint import save
from daisy.hubert.shape import Shape
from daisy.library.settings import BundleSettings
from daisy.noise.settings import StudySettings
from daisy.report.settings import AblationSettings, ExamplesSettings
from daisy.workflow import disk
from daisy.workflow.config import SCHEMA
from daisy.workflow.links import link
from daisy.workflow.sections import Config
from daisy.workflow.upgrades import outdated, summary
from daisy.workflow.workflow import Workflow


def config(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())


def flow(tmp_path: Path, **changes: Any) -> Workflow:
    """The workflow of the nano run, in a folder of its own."""
    here = {"results": str(tmp_path / "results"), "cache": str(tmp_path / "cache")}
    return Workflow(laid_over(config("config"), config("test"), here, changes), ROOT)


def settings_of(run: Workflow, folder: str) -> str:
    """The settings of the stage that makes a folder of the store."""
    return run.context.store.at(folder).settings


def runs(run: Workflow, method: Method) -> str:
    """The model that runs when a method is timed."""
    reads = run.context.store.at(run.models.evaluation("sid", method, 1)).inputs
    return reads.get("upstream") or reads["hubert"]


def test_jobs_follow_the_rate_of_the_model(tmp_path):
    """Heads that make signals, and the disk that states and labels take; other heads do not ask."""
    checkpoint = large_shaped()
    save(tmp_path / "model.safetensors", checkpoint, "safetensors")
    assert checkpoint.encoder.config.hop == 20
    small = {"targets": {"layer": 1}, "noise": {"floors": [1]}, "downstream": {"methods": ["daisy", "full"]}}
    few = {**small, "ablation": {"layers": [1]}, "upstream": {"checkpoint": str(tmp_path / "model.safetensors")}}
    for changes, hop in (({}, 320), (few, 20)):
        run = flow(tmp_path, **changes)
        for task in run.context.tasks:
            options = json.loads(settings_of(run, run.models.downstream(task, FULL, 1)))["options"]
            assert options.get("hop") == (hop if task in ("se", "ss") else None)
        assert run.context.shape.hop == hop
    hour = disk.Audio(600, 3600.0)
    slow, base = Shape(12, 768, 640), Shape(12, 768, 320)
    assert disk.states(hour, slow, "float16", pooled=False) == 3600 * 25 * 13 * 768 * 2
    assert disk.labels(hour, slow) == disk.labels(hour, base) / 2


def test_sections_have_the_keys_of_the_schema():
    def compare(kind: Any, part: dict[str, Any], place: str) -> None:
        if typing.get_origin(kind) is dict:
            inner = typing.get_args(kind)[1]
            for name, item in part["properties"].items() if dataclasses.is_dataclass(inner) else ():
                compare(inner, item, f"{place}.{name}")
        elif dataclasses.is_dataclass(kind):
            hints = typing.get_type_hints(kind)
            # What a section may lack is for some tasks alone.
            optional = {field.name for field in dataclasses.fields(kind) if field.default is None}
            assert set(hints) - optional <= set(part["properties"]) <= set(hints), place
            for name in part["properties"]:
                compare(hints[name], part["properties"][name], f"{place}.{name}")
        elif isinstance(kind, types.UnionType):
            for inner in typing.get_args(kind):
                compare(inner, part, place)

    compare(Config, yaml.safe_load(SCHEMA.read_text()), "config")


def test_it_needs_no_torch():
    code = "import sys, daisy.workflow.workflow, daisy.workflow.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_settings_are_what_their_stages_read(tmp_path):
    run = flow(tmp_path, thresholds={"floor": 3})
    daisy, six = run.methods["daisy-rho0.76"], run.methods["layer6"]
    assert (daisy.rho, six.layer) == (0.76, 6)
    trained = stage.settings(DownstreamSettings, settings_of(run, run.models.downstream("asr", daisy, 7)))
    assert (trained.method, trained.seed, trained.floor, trained.steps) == (daisy, 7, 3, 4)
    # A floor concerns exits by entropy alone: it trains no baseline again.
    assert stage.settings(DownstreamSettings, settings_of(run, run.models.downstream("asr", six, 7))).floor == 1
    judged = stage.settings(EvaluationSettings, settings_of(run, run.models.evaluation("sid", daisy, 7)))
    assert judged.strategies == {"avg": 0.15, "min-max": 0.15, "threshold": 0.15}
    assert stage.settings(EvaluationSettings, settings_of(run, run.models.evaluation("sid", FULL, 7))).strategies == {}
    study = stage.settings(StudySettings, settings_of(run, run.noise.evaluation("asr", daisy)))
    assert (study.floor, study.floors) == (3, (1, 6))
    heard = stage.settings(ExamplesSettings, run.examples("se").settings).systems
    assert [item.name for item in heard] == ["Full model", "DAISY ρ 1, avg"]
    kept = run.context.store.at(run.frozen.folders["after-norm", "sid", "test"])
    stored = stage.settings(StatesSettings, kept.settings)
    assert stored.view.pooled and stored.storage == "float32" and stored.compute.precision == "float32"
    measured = run.context.store.at(run.upstream.measured["sid", "test"])
    assert stage.settings(EntropiesSettings, measured.settings).compute.precision == "float32"
    # States depend on the frozen model alone, entropies on its branches.
    assert set(kept.inputs) == {"manifest", "hubert"} and set(measured.inputs) == {"manifest", "upstream"}


def test_on_a_cpu_determinism_and_tf32_are_no_settings(tmp_path):
    plain, other = (
        flow(tmp_path, compute={"device": "cpu", **more}) for more in ({}, {"precision": "tf32", "deterministic": True})
    )
    assert plain.upstream.file == other.upstream.file and plain.frozen.folders == other.frozen.folders
    gpu = flow(tmp_path, compute={"device": "cuda", "precision": "tf32", "deterministic": True})
    trained = stage.settings(DownstreamSettings, settings_of(gpu, gpu.models.downstream("asr", FULL, 7)))
    assert (trained.compute.precision, trained.compute.deterministic) == ("tf32", True)
    # Nothing that exits are read from is rounded; the same numbers every time are wanted there too.
    measured = gpu.context.store.at(gpu.upstream.measured["sid", "test"])
    judged = stage.settings(EvaluationSettings, settings_of(gpu, gpu.models.evaluation("sid", FULL, 7)))
    for exact in (stage.settings(EntropiesSettings, measured.settings), judged):
        assert (exact.compute.precision, exact.compute.deterministic) == ("float32", True)


def test_exits_of_a_task_are_trained_where_it_can_have_them(tmp_path):
    run = flow(tmp_path)
    names = {task: [method.name for method in run.context.methods_of(task)] for task in run.context.tasks}
    daisy = ["daisy-rho0.76", "daisy-rho1", "full", "layer6"]
    assert names == {"asr": [*daisy, "task-ee"], "sid": [*daisy, "task-ee"], "se": daisy, "ss": daisy}
    assert run.context.daisy == [Method("daisy", 0.76), Method("daisy", 1.0)]
    # The noise study is about the paper's methods.
    assert [method.name for method in run.noise.methods("asr")] == daisy
    trained = stage.settings(TaskExitsSettings, settings_of(run, run.models.downstream("asr", TASK_EXITS, 7)))
    assert (trained.steps, trained.learning_rate, trained.batch_size, trained.seed) == (4, 0.005, 8, 7)
    assert set(trained.options) == {"stride", "end_marks"} and trained.states == "after-norm"
    found = stage.settings(TaskThresholdsSettings, settings_of(run, run.models.exits("sid", TASK_EXITS, 7)))
    assert (found.rho, found.floor) == ((0.76, 1.0), 1)
    judged = stage.settings(EvaluationSettings, settings_of(run, run.models.evaluation("sid", TASK_EXITS, 7)))
    assert judged.strategies == {"avg": 0.15, "min-max": 0.15, "threshold": 0.15}
    # They ask no branch, so that the frozen model is enough, with the states that DAISY reads.
    baselines = flow(tmp_path, downstream={"baseline_states": "s3prl"})
    assert runs(baselines, TASK_EXITS) == baselines.context.checkpoint
    assert baselines.frozen.kind(TASK_EXITS) == "after-norm" and baselines.frozen.kind(FULL) == "s3prl"
    without = flow(tmp_path, downstream={"methods": ["daisy", "full"]})
    names = [(task, method.name) for task, method, _ in without.context.cells]
    assert names == [(task, name) for task in without.context.tasks for name in ("daisy-rho0.76", "daisy-rho1", "full")]


def test_two_tasks_more_leave_the_others_as_they_are(tmp_path):
    """Keyword spotting reads ASR's recordings, phoneme recognition the same with phones for words."""
    plain = flow(tmp_path)
    more = flow(tmp_path, tasks=config("superb")["tasks"], noise={"tasks": ["asr", "ks"]})
    folders = more.corpora.folders
    assert folders["ks"] == folders["asr"] and "pr" not in plain.corpora.folders
    assert more.context.store.at(folders["pr"]).inputs["corpus"] == folders["asr"]
    assert more.corpora.links.items() >= plain.corpora.links.items()
    assert more.models.evaluations.items() >= plain.models.evaluations.items()
    assert json.loads(settings_of(more, more.frozen.states("ks", "train", FULL)))["view"]["pooled"]
    own = json.loads(settings_of(more, more.models.downstream("ks", TASK_EXITS, 1337)))
    assert own["options"] == {"keywords": config("superb")["tasks"]["ks"]["options"]["keywords"]}
    assert json.loads(settings_of(more, more.models.downstream("ks", FULL, 1337)))["batches"] == "balanced"
    assert more.sizes.audio("pr", "train") == more.sizes.audio("ks", "train") == more.sizes.audio("asr", "train")
    assert more.noise.evaluations.keys() > plain.noise.evaluations.keys()


def test_a_student_is_a_model_of_its_own(tmp_path):
    methods = ["daisy", "full", "student"]
    plain, run = flow(tmp_path), flow(tmp_path, downstream={"methods": methods, "baseline_states": "s3prl"})
    assert plain.student is None and run.student is not None
    reads = run.context.store.at(run.student.folder).inputs
    assert reads == {"manifest": run.corpora.manifests["speech"], "hubert": run.context.checkpoint}
    for task in run.context.tasks:
        made = run.context.store.at(run.models.downstream(task, STUDENT, 1337))
        assert made.inputs["train_states"] == run.student.frozen.folders["after-norm", task, "train"]
        assert stage.settings(DownstreamSettings, made.settings).states == "after-norm"
        judged = run.context.store.at(run.models.evaluation(task, STUDENT, 1337)).inputs
        assert judged["student"] == run.student.folder and judged["hubert"] == run.context.checkpoint
        assert judged["topline"] == run.models.downstream(task, FULL, 1337)
    # All else is as it is without it: no other method reads its states, and the noise study does without it.
    assert run.frozen.kinds == ["after-norm", "s3prl"] and "student" not in {task[1] for task in run.noise.evaluations}
    alike = flow(tmp_path, downstream={"methods": methods})
    assert plain.frozen.folders == alike.frozen.folders
    shared = plain.models.evaluations.keys() & alike.models.evaluations.keys()
    assert len(shared) == 12 and alike.models.evaluations.keys() - shared == {
        (task, STUDENT, 1337) for task in run.context.tasks
    }
    assert all(plain.models.evaluations[cell] == alike.models.evaluations[cell] for cell in shared)
    key = run.student.frozen.folders["after-norm", "asr", "train"].rpartition("-")[2]
    own = run.frozen.folders["after-norm", "asr", "train"].rpartition("-")[2]
    assert run.sizes.states(key, "asr", "train") < run.sizes.states(own, "asr", "train")
    other = flow(tmp_path, downstream={"methods": methods}, student={"steps": 5})
    assert other.student.folder != alike.student.folder and other.frozen.folders == alike.frozen.folders
    assert other.student.frozen.folders.keys() == alike.student.frozen.folders.keys()
    with pytest.raises(DaisyError, match=r"student\.layers: there is no layer 13"):
        flow(tmp_path, downstream={"methods": methods}, student={"layers": 13})
    streamed = flow(tmp_path, downstream={"methods": methods}, tasks={"asr": {"keep_states": []}})
    reads = streamed.context.store.at(streamed.models.downstream("asr", STUDENT, 1337)).inputs
    assert reads["student"] == streamed.student.folder and "hubert" not in reads and "train_states" not in reads


def test_an_oracle_needs_the_evaluation_of_the_full_model(tmp_path):
    daisy = Method("daisy", 1.0)
    run = flow(tmp_path, evaluation={"oracle": ["asr"]}, ablation={"tasks": ["asr"]})
    models, variant = run.models, run.ablation.models["head"]
    full = models.evaluations["asr", FULL, 1337]
    assert run.context.store.at(models.evaluation("asr", daisy, 1337)).inputs["topline_evaluation"] == full
    for folder in (
        models.evaluation("sid", daisy, 1337),
        *(models.evaluation("asr", method, 1337) for method in (FULL, TASK_EXITS)),
        variant.evaluation("asr", daisy, 1337),
    ):
        assert "topline_evaluation" not in run.context.store.at(folder).inputs


def test_every_stage_knows_its_code(tmp_path):
    run = flow(tmp_path)
    trained = run.context.store.at(run.models.downstream("asr", FULL, 1))
    for job in (trained, run.page, run.bundle):
        assert json.loads(job.settings) is not None and len(job.code) > 3
    assert "daisy.tasks.asr" in trained.code and "daisy.tasks.se" not in trained.code


def test_thresholds_and_streams(tmp_path):
    run = flow(tmp_path, tasks={"asr": {"keep_states": ["train"]}})
    frozen, daisy, models = run.frozen, Method("daisy", 0.76), run.models
    assert not frozen.model("asr", "train") and not frozen.model("sid", "train", "dev")
    assert frozen.model("asr", "train", "dev") == {"hubert": run.context.checkpoint}
    reads = {
        (kind, method.name): run.context.store.at(folder).inputs
        for method in (daisy, FULL)
        for kind, folder in (
            ("downstream", models.downstream("asr", method, 1337)),
            ("noise", run.noise.evaluation("asr", method)),
        )
    }
    trained = {"manifest", "train_states", "hubert"}
    assert reads["downstream", "full"].keys() == trained
    assert reads["downstream", daisy.name].keys() == trained | {"train_entropies", "dev_entropies", "calibration"}
    assert reads["downstream", daisy.name]["calibration"] == models.calibrations["asr", 0.76]
    assert reads["noise", "full"].keys() == {"recordings", "exits", "downstream", "hubert"}
    assert reads["noise", "full"]["downstream"] == models.downstream("asr", FULL, 1337)
    assert reads["noise", daisy.name].keys() == reads["noise", "full"].keys() | {"entropies"}


def test_a_variant_has_branches_and_entropies_of_its_own(tmp_path):
    run = flow(tmp_path, ablation={"layers": [9, 12], "clusters": [16, 20], "head": True, "tasks": ["sid"], "rho": 0.9})
    assert list(run.ablation.models) == ["head", "layer12-c16", "layer12-c20", "layer9-c16"]
    same, other = run.ablation.models["layer12-c16"].upstream, run.ablation.models["layer9-c16"].upstream
    # The variant of the run's own targets is the run's own model.
    assert same.branches == run.upstream.branches != other.branches
    assert same.measured == {key: run.upstream.measured[key] for key in same.measured}
    assert not set(other.measured.values()) & set(run.upstream.measured.values())
    assert list(run.methods)[-1] == "daisy-rho0.9" and "daisy-rho0.9" not in run.context.methods
    table = stage.settings(AblationSettings, run.ablation.table.settings)
    assert (table.default, table.tasks, sorted(table.variants)) == ("layer12-c16", ("sid",), list(table.variants))
    cell = ("sid", Method("daisy", 0.9), 1337)
    each = [models.evaluations[cell] for models in run.ablation.models.values()]
    assert [f"{folder}/evaluation.json" for folder in each] == run.ablation.evaluation_files
    # What no branch touches is the run's own, and so is what the run would train itself.
    assert {run.context.store.at(folder).inputs["topline"] for folder in each} == {
        run.models.downstream("sid", FULL, 1337)
    }
    trained = [models.downstream(*cell) for models in run.ablation.models.values()]
    assert len(set(trained)) == 4 and trained[1] == run.models.downstream(*cell)


def test_runs_share_what_is_equal(tmp_path):
    """Whatever they are called and report; their folders link to the same."""
    one, other = flow(tmp_path), flow(tmp_path, run="other", report={"against_published": True})
    slower = flow(tmp_path, run="slower", tasks={"asr": {"learning_rate": 0.001}})
    assert one.stored == other.stored and one.stored.keys() == slower.stored.keys()
    named = {"calibration/asr/rho1.json", "evaluation/asr/seed1337/full.json", "downstream/asr/seed1337/full"}
    assert named | {"downstream/sid/seed1337/task-ee/exits.json", "noise/asr/full"} <= one.stored.keys()
    differ = {name for name, folder in one.stored.items() if slower.stored[name] != folder}
    heads = {f"downstream/asr/seed1337/{name}" for name in ("daisy-rho0.76", "daisy-rho1", "full", "layer6")}
    assert {name for name in differ if name.startswith("downstream")} == heads
    # All speed is measured against the full model.
    scores = {name.replace("downstream", "evaluation") + ".json" for name in heads}
    noise = {f"noise/asr/{name.rpartition('/')[2]}" for name in heads}
    assert differ == heads | scores | noise | {"evaluation/asr/seed1337/task-ee.json"}


@pytest.mark.parametrize(
    "made",
    ["evaluation/asr/seed1337/full.json", "downstream/asr/seed1337/full/exits.json", "ablation/head/calibration/x/y"],
)
def test_a_run_with_models_of_its_own_is_an_older_version_s(tmp_path, made):
    """Links to the same are not, be their stages made or yet to come."""
    run = flow(tmp_path)
    link(tmp_path / "results/nano", run.stored)
    link(tmp_path / "results/nano/ablation", run.ablation.links)
    flow(tmp_path)
    path = tmp_path / "results/nano" / made
    for link_in_the_way in (path, path.parent):
        if link_in_the_way.is_symlink():
            link_in_the_way.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with pytest.raises(DaisyError, match=rf"older version: .*{made} is no link to the store. Move the folder away"):
        flow(tmp_path)


def test_final_files(tmp_path):
    run = flow(tmp_path)
    assert {path.rpartition("/")[2] for path in run.outputs} >= {"report.html", "grid.csv", "noise.csv", "store.csv"}
    assert {path.rpartition("/")[2] for path in run.outputs} >= {"claims.csv", "method_at_work.svg"}
    assert Path(run.noise.shown_exits).parent.name.startswith("downstream-asr-daisy-rho1-seed1337-")
    quiet = flow(tmp_path, noise={"tasks": []}, downstream={"methods": ["full"]})
    names = {path.rpartition("/")[2] for path in quiet.outputs}
    assert not any("noise" in name or "at_work" in name for name in names) and quiet.bundled == []
    assert quiet.heard == [FULL] and len(stage.settings(ExamplesSettings, quiet.examples("se").settings).systems) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"corpora": {"asr": "nowhere"}}}, "data.corpora.asr: nowhere holds no recordings.csv"),
        ({"upstream": {"checkpoint": "nowhere.pt"}}, "upstream.checkpoint: nowhere.pt does not exist"),
        ({"downstream": {"methods": ["daisy", "full", "layer13"]}}, "downstream.methods: there is no layer 13"),
    ],
)
def test_what_a_config_names_must_be_there(tmp_path, changes, message):
    with pytest.raises(DaisyError, match=message):
        flow(tmp_path, **changes)


def test_outputs_of_other_versions_are_named(tmp_path):
    run = flow(tmp_path)
    logs, store = tmp_path / "results/nano/logs", tmp_path / "cache/store/logs"
    for folder in (logs, store):
        folder.mkdir(parents=True)
    made = tmp_path / "made"
    made.touch()
    now = installed(["numpy"])
    key = run.upstream.branches.rpartition("-")[2]

    def record(path: Path, versions: dict[str, str], output: Path = made) -> None:
        path.write_text(json.dumps({"outputs": [str(output)], "versions": versions}))

    record(logs / "same.log.json", now)
    record(logs / "gone.log.json", {"numpy": "0.1"}, tmp_path / "gone")
    record(logs / "tables.log.json", now | {"scipy": "0.2"})
    record(store / f"branches-{key}.log.json", {"numpy": "0.1", "nothing-of-the-kind": "1"})
    record(store / "branches-0123456789ab.log.json", {"numpy": "0.1"})
    (logs / "damaged.log.json").write_text("{")
    found = outdated(run.context)
    assert {item.job for item in found} == {"tables", f"branches-{key}"}
    assert found[-1].changes == {"numpy": ("0.1", now["numpy"]), "nothing-of-the-kind": ("1", "none")}
    assert str(found[-1]).startswith(f"branches-{key}: numpy 0.1 → {now['numpy']}")
    assert summary(found).startswith("2 jobs' outputs were made with other versions") and summary([]) == ""


def published(tmp_path: Path, *names: str, **changes: Any) -> Workflow:
    """The workflow of the configs at the paper's scale, on the embedded model."""
    here = {"results": str(tmp_path / "results"), "cache": str(tmp_path / "cache")}
    model = {"upstream": {"checkpoint": "daisy/models/hubert_tiny.safetensors"}}
    return Workflow(laid_over(config("config"), *map(config, names), here, model, changes), ROOT)


def test_the_authors_run_shares_the_states_of_the_frozen_model(tmp_path):
    paper, authors = published(tmp_path, "paper"), published(tmp_path, "paper", "authors")
    assert (paper.config.run, authors.config.run) == ("paper", "authors")
    assert paper.corpora.manifests == authors.corpora.manifests
    shared = {key: folder for key, folder in paper.frozen.folders.items() if key[1] != "sid"}
    assert shared and all(authors.frozen.folders[key] == folder for key, folder in shared.items())
    # SID's states are normalised before their mean in the one, and behind it in the other.
    assert paper.frozen.folders["s3prl", "sid", "test"] != authors.frozen.folders["s3prl", "sid", "test"]
    assert paper.upstream.targets != authors.upstream.targets and paper.upstream.branches != authors.upstream.branches
    labels = authors.context.store.at(authors.context.store.at(authors.upstream.targets).inputs["labels"])
    assert json.loads(labels.settings)["kind"] == "head" and "centroids" not in labels.inputs


def test_shipped_thresholds_stand_as_they_are(tmp_path):
    run = published(tmp_path, "paper", "authors")
    given = {
        (task, rho): stage.settings(CalibrationSettings, settings_of(run, run.models.calibration(task, rho)))
        for task in run.context.tasks
        for rho in (0.7, 0.76, 1.0)
    }
    shipped = {("asr", 0.7): 0.5145, ("sid", 0.7): 0.7595, ("se", 1.0): 1.655, ("ss", 1.0): 1.13}
    for (task, rho), settings in given.items():
        assert settings.rule == "absolute" and settings.absolute is not None
        scale = next(scale for name, scale in shipped if name == task)
        assert settings.absolute == pytest.approx(shipped[task, scale] / scale * rho, abs=1e-9)
    for key, tau in shipped.items():
        assert given[key].absolute == tau
    assert stage.settings(BundleSettings, run.bundle.settings).absolute["asr"]["0.7"] == 0.5145


def test_who_reads_which_states(tmp_path):
    run = published(tmp_path, "paper", "authors")
    daisy, six = run.methods["daisy-rho0.7"], run.methods["layer6"]
    assert run.frozen.kinds == ["before-norm", "s3prl"]
    for method, states, granularity in ((daisy, "before-norm", "batch"), (six, "s3prl", "utterance")):
        trained = stage.settings(DownstreamSettings, settings_of(run, run.models.downstream("sid", method, 1)))
        assert (trained.states, trained.granularity) == (states, granularity)
    assert trained.accumulate == 4 and trained.options["normalise"] == "frames"
    assert {"states/sid/train", "states-s3prl/sid/train"} <= run.frozen.links.keys()
    assert (runs(run, six), runs(run, daisy)) == (run.context.checkpoint, run.upstream.branches)


def test_another_run_stands_beside_as_soon_as_it_is_there(tmp_path):
    assert published(tmp_path, "paper", "authors").beside == []
    tables = tmp_path / "results/paper/tables"
    tables.mkdir(parents=True)
    (tables / "grid.csv").touch()
    run = published(tmp_path, "paper", "authors")
    assert run.beside == [str(tables)] and any(path.endswith("against_published.csv") for path in run.tables)
    assert not any(path.endswith("against_published.csv") for path in flow(tmp_path).tables)
