"""The config: what is refused and in which words, and that pages, schema and shipped files are in step."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import safetensors.torch
import yaml
from models import header_of
from project import ROOT, laid_over
from runners import finished

from daisy.common import stage
from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.hubert.formats.tensors import read_tensors
from daisy.workflow.config import SCHEMA, check_layers, resolve
from daisy.workflow.own import manifest_settings
from daisy.workflow.sections import Config
from daisy.workflow.workflow import Workflow

MODEL = ROOT / "daisy/models/hubert_tiny.safetensors"
CASES = ROOT / "tests/cases/checkpoints"


def merged(*overlays: dict) -> dict:
    """config/config.yaml with overlays, merged as Snakemake merges them."""
    return laid_over(yaml.safe_load((ROOT / "config/config.yaml").read_text()), *overlays)


@pytest.mark.parametrize(
    ("run", "files"),
    [
        *[("nano", ["test"]), ("paper", ["paper"]), ("authors", ["paper", "authors"]), ("pilot", ["paper", "pilot"])],
        *[("superb", ["superb"]), ("paper_superb", ["paper", "paper_superb"])],
    ],
)
def test_shipped_configs_are_valid(run, files):
    config = resolve(shipped(*files))
    check_layers(config, 12)
    assert config["run"] == run


def shipped(*files: str) -> dict:
    """Files of config/ over the first one."""
    return merged(*(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in files))


def test_of_own_corpora_nobody_is_cut():
    splits = {"max_per_speaker": 7}
    corpora = {"speech": "mine", "se": "mixed"}
    given = [merged({"data": {"splits": splits, "corpora": named}}) for named in ({}, corpora)]
    embedded, own = (stage.build(Config, resolve(config), "config") for config in given)
    most = {name: manifest_settings(own, name).splits.max_per_speaker for name in ("speech", *own.tasks)}
    assert most == {"speech": 0, "sid": 0, "asr": 7, "se": 0, "ss": 7}, "SID has the speech of the branches"
    assert all(manifest_settings(embedded, name).splits.max_per_speaker == 7 for name in most)


LARGE = {"dim": 1024, "ffn_dim": 4096, "heads": 16, "layers": 24, "layer_norm_front_end": True}
STABLE = {**LARGE, "pre_norm": True, "normalize": True}
ENCODERS = {
    "wav2vec2_base": {},
    "wav2vec2_large": {**STABLE, "conv_bias": True},
    "wavlm_base": {"buckets": 320},
    "wavlm_base_plus": {"buckets": 320},
    "wavlm_large": {**STABLE, "buckets": 320},
    "data2vec_base": {"layer_norm_front_end": True, "normalize": True, "pos_depth": 5, "pos_kernel": 19},
}


@pytest.mark.parametrize("name", ENCODERS)
def test_configs_of_other_encoders(tmp_path, name):
    """Their checkpoints are of the published shapes, and have no head."""
    config = shipped("paper", name)
    assert Path(config["upstream"]["checkpoint"]).parent == Path("checkpoints") and config["run"] == name.replace(
        "_", "-"
    )
    file = header_of(HubertConfig(**ENCODERS[name]), tmp_path / "model.safetensors")
    here = {"results": str(tmp_path), "upstream": {"checkpoint": str(file)}}
    context = Workflow(laid_over(config, here), ROOT).context
    assert context.shape.layers == (24 if "large" in name else 12)
    deepest = max(method.layer or 0 for method in context.methods.values())
    assert 2 * deepest == context.shape.layers and context.config.targets.layer < context.shape.layers
    with pytest.raises(DaisyError, match="no pre-training head.*or targets.kind: kmeans"):
        Workflow(laid_over(config, here, {"targets": {"kind": "head"}}), ROOT)


def test_every_field_is_described_and_typed():
    def walk(part, place):
        assert part.get("description"), place
        assert "type" in part or "enum" in part, place
        if "properties" in part:
            assert part["additionalProperties"] is False, place
            for name, item in part["properties"].items():
                walk(item, f"{place}.{name}")
        if "items" in part:
            walk(part["items"], f"{place}[]")

    schema = yaml.safe_load(SCHEMA.read_text())
    walk(schema, "config")
    published = json.loads((ROOT / "config/schema.json").read_text())
    steps = published["properties"]["tasks"]["properties"]["asr"]["properties"]["steps"]
    assert steps["default"] == merged()["tasks"]["asr"]["steps"]


def test_generated_pages_are_in_step():
    finished([sys.executable, ROOT / "docs/generate.py", "--check"])


def test_a_task_set_to_null_is_left_out():
    overlay = {"tasks": {"se": None, "ss": None}}
    assert set(resolve(merged(overlay))["tasks"]) == {"asr", "sid"}


def test_an_ablation_does_without_the_tasks_that_are_left_out():
    """Nobody may have asked for one: leaving out a task says enough."""
    for left_out, kept in ((["asr"], ["sid"]), (["asr", "sid"], [])):
        config = resolve(merged({"tasks": dict.fromkeys(left_out), "noise": {"tasks": []}}))
        assert config["ablation"]["tasks"] == kept
    assert set(resolve(merged())["ablation"]["tasks"]) == {"asr", "sid"}


def test_an_oracle_of_a_task_that_is_left_out():
    """It does not matter, so that leaving out a task is one line."""
    overlay = {"tasks": {"asr": None}, "noise": {"tasks": []}, "ablation": {"tasks": ["sid"]}}
    assert resolve(merged(overlay))["evaluation"]["oracle"] == ["sid", "asr"]


def test_exits_of_a_task_need_a_training():
    config = merged()
    del config["tasks"]["asr"]["task_exits"]
    with pytest.raises(DaisyError, match=r"task-ee, but tasks\.asr does not say .* Add tasks\.asr\.task_exits"):
        resolve(config)
    config["downstream"]["methods"].remove("task-ee")
    resolve(config)


CROSS_CHECKS = [
    ({"data": {"splits": {"dev": 0.5, "test": 0.5}}}, ["data.splits", "leave nothing to train on"]),
    ({"targets": {"layr": 3}}, ["'layr'", "targets", "Did you mean 'layer'"]),
    ({"taks": {}}, ["'taks'", "the top level", "Did you mean 'tasks'"]),
    ({"tasks": {"asr": {"steps": "many"}}}, ["tasks.asr.steps", "'many'", "integer"]),
    ({"tasks": {"asr": {"q": 1.5}}}, ["tasks.asr.q", "1.5", "0 to 1"]),
    ({"tasks": {"asr": {"optimizer": "sgd"}}}, ["tasks.asr.optimizer", "'sgd'", "adamw"]),
    ({"thresholds": {"rho": [-1]}}, ["thresholds.rho.0", "-1"]),
    ({"thresholds": {"rho": []}}, ["thresholds.rho"]),
    ({"thresholds": {"rho": [1.0, 1.0]}}, ["thresholds.rho"]),
    ({"thresholds": {"rule": "absolute"}}, ["absolute", "asr", "thresholds.absolute.asr"]),
    (
        {
            "thresholds": {
                "rule": "absolute",
                "absolute": dict.fromkeys(("asr", "se", "sid", "ss"), {0.7: 1.0, 1.0: 2.0}),
            }
        },
        ["thresholds.absolute.asr", "rho 0.76"],
    ),
    ({"thresholds": {"absolute": {"foo": 1.0}}}, ["thresholds.absolute.foo", "no such task", "asr"]),
    ({"seeds": [1e30]}, ["seeds", "4294967295"]),
    ({"thresholds": {"absolute": {"asr": "low"}}}, ["thresholds.absolute.asr", "'low'"]),
    ({"thresholds": {"floor": 13}}, ["thresholds.floor", "13", "1 to 12"]),
    ({"downstream": {"methods": ["daisy"]}}, ["full"]),
    ({"downstream": {"methods": ["daisy", "full", "layer14"]}}, ["downstream.methods", "14", "1 to 12"]),
    ({"targets": {"layer": 13}}, ["targets.layer", "13", "hubert_tiny.safetensors", "1 to 12"]),
    ({"data": {"splits": {"dev": 0.6, "test": 0.6}}}, ["data.splits", "0.6"]),
    ({"data": {"mixtures": {"enhancement": {"speakers": ["june"]}}}}, ["data.mixtures.enhancement", "june"]),
    ({"evaluation": {"strategies": ["best"]}}, ["evaluation.strategies.0", "'best'"]),
    ({"noise": {"tasks": ["sid"]}}, ["noise.tasks", "asr"]),
    ({"noise": {"snr_db": [100]}}, ["noise.snr_db.0", "100"]),
    ({"tasks": {"asr": None}}, ["noise.tasks", "'asr'", "`noise: {tasks: []}`"]),
    ({"ablation": {"tasks": ["asd"]}}, ["ablation.tasks", "'asd'"]),
    ({"thresholds": {"absolute": {"asr": -0.5}}}, ["thresholds.absolute.asr", "-0.5"]),
    ({"thresholds": {"absolute": {"asr": {1.0: -1}}}}, ["thresholds.absolute.asr", "-1"]),
    ({"thresholds": {"absolute": {"asr": {1: 2.0, "1.0": 3.0}}}}, ["thresholds.absolute.asr", "twice: 1, '1.0'"]),
    ({"tasks": {"sid": {"task_exits": {"steps": 0}}}}, ["tasks.sid.task_exits.steps", "0"]),
    ({"tasks": {"se": {"task_exits": {"steps": 4}}}}, ["'task_exits'", "tasks.se"]),
    ({"evaluation": {"oracle": ["asd"]}}, ["evaluation.oracle", "'asd'", "Use sid, asr, ks, pr, se, ss"]),
]
"""What is laid over the config, and what the error names."""


@pytest.mark.parametrize(("overlay", "parts"), CROSS_CHECKS, ids=lambda value: json.dumps(value)[:60])
def test_faults_are_named(overlay, parts):
    with pytest.raises(DaisyError) as caught:
        check_layers(resolve(merged(overlay)), 12)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_all_that_the_schema_refuses_is_told_at_once():
    with pytest.raises(DaisyError) as caught:
        resolve(merged({"seed": "x", "targets": {"layr": 3}, "compute": {"device": "tpu"}}))
    told = str(caught.value).splitlines()
    assert len(told) == 4 and all(any(key in line for line in told) for key in ("seed", "layr", "tpu"))


def test_all_parts_that_do_not_fit_are_told_at_once():
    overlay = {"downstream": {"methods": ["daisy", "layer14"]}, "noise": {"tasks": ["asd", "asr"]}}
    with pytest.raises(DaisyError) as caught:
        resolve(merged(overlay, {"data": {"splits": {"dev": 0.5, "test": 0.5}}}))
    assert len(caught.value.errors) == 3 and all(key in str(caught.value) for key in ("full", "'asd'", "data.splits"))
    with pytest.raises(DaisyError, match=r"targets.layer(.|\n)*downstream.methods"):
        check_layers(merged(overlay, {"targets": {"layer": 13}}), 12)


def test_two_unknown_keys_of_one_place_and_the_first_sentence_of_the_description():
    with pytest.raises(DaisyError) as caught:
        resolve(merged({"compute": {"precision": "fp16", "devise": 1, "sped": 2}}))
    told = str(caught.value)
    assert "'devise'" in told and "'sped'" in told and "'fp16'" in told and "TF32" not in told


@pytest.mark.parametrize(
    ("overlay", "parts"),
    [
        ({"targets": {"layr": 3}}, ["'layr'", "'layer'"]),
        ({"targets": {"layer": 13}}, ["targets.layer", "13", "1 to 12"]),
        ({"upstream": {"checkpoint": "nowhere.pt"}}, ["upstream.checkpoint", "nowhere.pt", "Correct the path"]),
        ({"data": {"corpora": {"asr": "nowhere"}}}, ["data.corpora.asr", "nowhere", "recordings.csv"]),
        ({"noise": {"kinds": ["babble"]}}, ["babble", "data.noise.kinds"]),
        ({"run": "old"}, ["results/old", "older version", "another name"]),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_a_user_sees(project, overlay, parts):
    """At most five lines, without a traceback, and a plan says the same."""
    (project.folder / "results/old/branches").mkdir(parents=True, exist_ok=True)
    outcome = project.run("--dry-run", overlay=overlay, check=False)
    said = (outcome.stdout + outcome.stderr).splitlines()
    lines = [line for line in said if line and not line.startswith("Config file")]
    text = "\n".join(lines)
    assert outcome.returncode != 0 and len(lines) <= 5 and "Traceback" not in text, text
    assert all(part in text for part in parts), text
    planned = project.daisy("plan", "--configfile", "config/test.yaml", "overlay.yaml")
    assert planned.returncode == 1 and all(part in planned.stderr for part in parts), planned.stderr
    assert len(planned.stderr.splitlines()) <= 5


def test_checkpoints_that_cannot_be_loaded_are_refused_while_parsing(tmp_path):
    overlay = {"run": "refused", "results": str(tmp_path), "upstream": {"checkpoint": str(CASES / "fs_conformer.pt")}}
    with pytest.raises(DaisyError, match="fs_conformer.pt: it is a conformer"):
        Workflow(merged(overlay), ROOT)
    weights, header = read_tensors(MODEL)
    del weights["encoder.layers.3.fc1.weight"]
    safetensors.torch.save_file(weights, tmp_path / "missing.safetensors", header)
    overlay["upstream"]["checkpoint"] = str(tmp_path / "missing.safetensors")
    with pytest.raises(DaisyError, match=r"encoder\.layers\.3\.fc1\.weight' is missing"):
        Workflow(merged(overlay), ROOT)
    weights, header = read_tensors(MODEL)
    headless = {name: value for name, value in weights.items() if name != "label_embs_concat"}
    safetensors.torch.save_file(headless, tmp_path / "headless.safetensors", header)
    overlay |= {"upstream": {"checkpoint": str(tmp_path / "headless.safetensors")}, "targets": {"kind": "head"}}
    with pytest.raises(DaisyError, match="no pre-training head"):
        Workflow(merged(overlay), ROOT)


def test_a_checkpoint_is_checked_without_torch():
    program = "import sys; from pathlib import Path; from daisy.hubert.shape import shape_of; "
    program += f"print(*shape_of(Path({str(CASES / 'fs_omega20.pt')!r})), 'torch' in sys.modules)"
    assert finished([sys.executable, "-c", program]).stdout.split() == ["2", "48", "320", "False"]
