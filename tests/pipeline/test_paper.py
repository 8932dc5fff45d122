"""The paper in miniature: config/paper.yaml from real-layout trees of its corpora to the report."""

from __future__ import annotations

import csv
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import trees
import yaml
from models import header_of
from project import ROOT, Project, laid_over

from daisy.hubert.config import HubertConfig, parse_conv_layers
from daisy.hubert.encoder import Hubert
from daisy.workflow.disk import FLAC

LAYERS = 3
PARTS = ("train", "dev", "test")
CONFIG = "config/paper.yaml"
FRONT_END = "[(64,10,5)] + [(64,3,2)] * 4 + [(64,2,2)] * 2"
"""Base's but for its 512 channels, which take most of the time that a short recording takes."""

PUBLISHED_JOBS = {"published_corpus": 6, "manifests": 5, "links": 1, "kmeans": 1, "branches": 1}


def base_shaped(path: Path) -> Path:
    """A file as fairseq writes it, of few layers of HuBERT Base's widths behind a narrow front end; random weights."""
    torch.manual_seed(7)
    shape = HubertConfig(layers=LAYERS, conv_layers=parse_conv_layers(FRONT_END))
    encoder = Hubert(shape)
    state = dict(encoder.state_dict())
    model = {
        "_name": "hubert",
        "conv_feature_layers": FRONT_END,
        "extractor_mode": "default",
        "encoder_embed_dim": shape.dim,
        "encoder_ffn_embed_dim": shape.ffn_dim,
        "encoder_attention_heads": shape.heads,
        "encoder_layers": LAYERS,
        "conv_pos": shape.pos_kernel,
        "conv_pos_groups": shape.pos_groups,
        "final_dim": 256,
    }
    kernel = state.pop("encoder.pos_conv.0.weight")
    norm = kernel.norm(dim=(0, 1), keepdim=True)
    state |= {"encoder.pos_conv.0.weight_v": kernel, "encoder.pos_conv.0.weight_g": norm}
    state |= {"mask_emb": torch.rand(768), "label_embs_concat": torch.rand(504, 256)}
    state |= {"final_proj.weight": torch.randn(256, 768) / 28, "final_proj.bias": torch.zeros(256)}
    cfg = {"model": model, "task": {"_name": "hubert_pretraining", "normalize": False, "sample_rate": 16_000}}
    torch.save({"args": None, "cfg": cfg, "model": state, "extra_state": {}}, path)
    return path


@pytest.fixture(scope="module")
def paper(tmp_path_factory) -> Project:
    """A project of its own, so that it can run beside the nano run."""
    return Project(tmp_path_factory.mktemp("paper") / "daisy")


@pytest.fixture(scope="module")
def overlay(tmp_path_factory) -> dict[str, Any]:
    """What a user with these corpora writes: where they and the checkpoint lie."""
    folder = tmp_path_factory.mktemp("corpora")
    published = trees.all_of_them(folder) | {"faults": "leave-out", "threads": 2}
    checkpoint = base_shaped(folder / "hubert_base_ls960.pt")
    return {"data": {"published": published}, "upstream": {"checkpoint": str(checkpoint)}}


SMALL = {
    "results": "results",
    "upstream": {"batch_seconds": 20},
    "targets": {"layer": 2, "clusters": 8, "utterances": 1.0, "share": 0.5, "shards": 2},
    "branches": {"steps": 4, "save_every": 2, "batch_seconds": 10.0},
    "thresholds": {"rho": [1.0]},
    "downstream": {"methods": ["daisy", "full", "layer1"], "save_every": 2},
    "tasks": {
        "sid": {"steps": 4, "batch_size": 4, "dev_every": 2, "options": {"projection": 8}},
        "asr": {"steps": 2, "batch_size": 4, "dev_every": 2, "options": {"projection": 8, "hidden": 8, "layers": 2}},
        "se": {"steps": 2, "batch_size": 2, "dev_every": 2, "options": {"hidden": 8, "layers": 2}},
        "ss": {"steps": 2, "batch_size": 2, "dev_every": 2, "options": {"hidden": 8, "layers": 2}},
    },
    "evaluation": {"timed_recordings": 2, "timing_rounds": 1, "bootstrap_draws": 20},
    "ablation": {"layers": [1, 2], "clusters": [8]},
    "noise": {"recordings": 2, "snr_db": [10], "floors": [1]},
    "report": {"examples": {"count": 1}},
}
"""Sizes alone; every rule and every corpus is the paper's."""


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def planned(project: Project, overlay: dict[str, Any]) -> dict[str, float]:
    """GB of disk by rule."""
    (project.folder / "base.yaml").write_text(yaml.safe_dump(overlay))
    outcome = project.daisy("plan", "--configfile", CONFIG, "base.yaml", "--json")
    # A plan says too where the disk of this machine is too small for all of it.
    assert outcome.returncode == 0 or outcome.stderr.count("error:") == outcome.stderr.count("GB free"), outcome.stderr
    sizes: dict[str, float] = {}
    for job in json.loads(outcome.stdout):
        sizes[job["rule"]] = sizes.get(job["rule"], 0) + job["disk_mb"] / 1000
    return sizes


def test_the_whole_graph_is_built_from_what_lies_there(paper, overlay):
    deep = {"upstream": {"checkpoint": "daisy/models/hubert_tiny.safetensors"}}
    started = time.monotonic()
    jobs = paper.would_run("--cores", "32", config=CONFIG, overlay=laid_over(overlay, deep))
    assert time.monotonic() - started < 60
    assert jobs.items() >= PUBLISHED_JOBS.items()
    assert jobs["downstream"] == jobs["evaluation"] == 4 * (3 + 2)
    # States of both kinds, of the parts that are kept.
    assert (
        jobs["states"] == 2 * 8 and jobs["entropies"] == 12 and "download" not in jobs and "embedded_speech" not in jobs
    )


def test_the_whole_paper_fits_on_a_disk_of_150_gb(paper, overlay, tmp_path):
    """By the plan: HuBERT Base, 960 hours, four tasks and the noise study."""
    path = header_of(HubertConfig(), tmp_path / "hubert_base.safetensors")
    base = laid_over(overlay, {"run": "base", "upstream": {"checkpoint": str(path)}})
    published = base["data"]["published"]
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text())["data"]["published"]
    for corpus, split in itertools.product(("voicebank-demand", "libri2mix"), ("train", "dev")):
        published[corpus][split] = defaults[corpus][split]
    sizes = planned(paper, base)
    # The trees' LibriSpeech is train-clean-100 alone, and what follows from its length is a tenth of the paper's.
    for rule in ("dump_features", "labels", "targets"):
        sizes[rule] *= 281_241 / 28_539
    # 10 h of 13 states of 768 half-precision numbers, 50 times a second, are 36 GB, and 1,400 mixtures 21 GB, all
    # of it twice, since baselines read states of their own; 1% of 960 h at one layer are 5.3 GB. Mixtures
    # and their sources, of 1,400, 1,000 and 3,000, are 4 GB.
    assert 2 * 57 < sizes["states"] < 2 * 70 and 5 < sizes["dump_features"] < 6 and 4 < sizes["published_corpus"] < 5
    assert sum(sizes.values()) < 150
    text = paper.daisy("plan", "--configfile", CONFIG, "base.yaml").stdout
    assert "GB of disk" in text and "since nothing like it was measured" in text
    # All of the mixtures are 12,500 more of 15 s, and three signals each.
    published["libri2mix"]["train"] = 0
    more = planned(paper, base)["published_corpus"] - sizes["published_corpus"]
    assert more == pytest.approx(12_500 * 15 * 3 * FLAC / 1e9, rel=0.01)


PILOT = yaml.safe_load((ROOT / "config/pilot.yaml").read_text())


def test_the_pilot_is_the_paper_on_a_tenth(paper, overlay, tmp_path):
    """By its graph and its plan; what it computes differs from the paper's in sizes alone."""
    base = {"upstream": {"checkpoint": str(header_of(HubertConfig(), tmp_path / "hubert_base.safetensors"))}}
    sizes = planned(paper, laid_over(overlay, PILOT, base))
    # 1 h of ASR in half precision, twice (3.6 GB each), SE and SS being drawn from the trees as they are; as many
    # frames for k-means as in the paper.
    assert 2 * 3.6 < sizes["states"] < 2 * 4.5 and 5 < sizes["dump_features"] < 6 and sum(sizes.values()) < 30
    jobs = paper.would_run("--cores", "32", config=CONFIG, overlay=laid_over(overlay, PILOT, base))
    assert jobs.items() >= PUBLISHED_JOBS.items() and jobs["downstream"] == jobs["evaluation"] == 4 * (3 + 2)


def test_another_encoder_takes_its_file_alone(paper, overlay, tmp_path):
    """WavLM Large's shape: the paper's graph, by config/wavlm_large.yaml over the paper's."""
    wavlm = yaml.safe_load((ROOT / "config/wavlm_large.yaml").read_text())
    sizes = {"dim": 1024, "ffn_dim": 4096, "heads": 16, "layers": 24}
    norms = {"layer_norm_front_end": True, "pre_norm": True, "normalize": True}
    file = header_of(HubertConfig(**sizes, **norms, buckets=320), tmp_path / "WavLM-Large.safetensors")
    here = laid_over(overlay, wavlm, {"upstream": {"checkpoint": str(file)}})
    jobs = paper.would_run("--cores", "32", config=CONFIG, overlay=here)
    assert jobs.items() >= PUBLISHED_JOBS.items() and jobs["downstream"] == jobs["evaluation"] == 4 * (3 + 2)


def test_downloads_are_jobs_when_asked_for(paper, overlay):
    asked = laid_over(overlay, {"data": {"published": {"download": True}, "corpora": {"noise": "musan"}}})
    asked["upstream"] = {"checkpoint": "daisy/models/hubert_tiny.safetensors"}
    jobs = paper.would_run("--cores", "32", config=CONFIG, overlay=asked)
    # Three subsets of LibriSpeech here, one archive of Libri-light and of MUSAN, three of VoxCeleb1 and Libri2Mix.
    assert jobs["download"] == 3 + 1 + 3 + 4 + 3 + 1


def test_a_corpus_that_is_not_whole_stops_the_run(paper, overlay):
    strict = laid_over(laid_over(overlay, SMALL), {"run": "strict", "data": {"published": {"faults": "stop"}}})
    outcome = paper.run(config=CONFIG, overlay=strict, check=False)
    assert outcome.returncode != 0
    assert "- librispeech: 6 faults, the first of them" in outcome.stdout + outcome.stderr
    assert not list((paper.folder / ".cache/store").glob("librispeech-*/recordings.csv"))


def test_every_rule_of_the_paper_runs(paper, overlay):
    small = laid_over(overlay, SMALL)
    paper.run(config=CONFIG, overlay=small)
    results = paper.folder / "results/paper"
    grid = table(results / "tables/grid.csv")
    methods = {(row["task"], row["method"]) for row in grid if row["method"] != "input"}
    every = {(task, method) for task in ("asr", "se", "sid", "ss") for method in ("daisy", "full", "layer1")}
    assert methods == every | {("asr", "oracle"), ("sid", "oracle")}
    assert {row["task"]: row["n_utterances"] for row in grid} == {"asr": "12", "se": "8", "sid": "6", "ss": "6"}
    noises = {row["kind"] for row in table(results / "tables/noise.csv")}
    assert noises == {"clean", "music", "speech", "noise"}
    branches = torch.load(results / "branches/daisy.pt", weights_only=True)
    assert branches["model_cfg"]["cls_pred_position"] == "before-norm"
    assert branches["model_weight"][f"final_proj.{LAYERS - 1}.weight"].shape == (8, 768)
    kept, baselines = (
        {path.parts[-3:-1] for path in (results / name).glob("*/*/states.npy")} for name in ("states", "states-s3prl")
    )
    assert kept == baselines == {("asr", "train"), ("ss", "train"), *itertools.product(("sid", "se"), PARTS)}
    report = (results / "report.html").read_text()
    assert "are published" in report and "recordings were left out" in report
    outcome = paper.run(config=CONFIG, overlay=small)
    assert "Nothing to be done" in outcome.stdout + outcome.stderr


def test_the_pilot_draws_its_tasks_from_the_corpora_that_the_paper_has_read(paper, overlay):
    """After the paper in miniature, whose corpora it shares; alone it reads them first."""
    small = laid_over(overlay, SMALL, {"run": "pilot", "data": {"splits": PILOT["data"]["splits"]}})
    small["data"]["published"]["librispeech"] = small["data"]["published"]["librispeech"] | {
        "train": ["train-clean-100"]
    }
    paper.run("--until", "manifests", "links", config=CONFIG, overlay=small)
    counts = {
        task: [int(row["recordings"]) for row in table(paper.folder / f"results/pilot/manifests/{task}/summary.csv")]
        for task in ("speech", "asr", "sid", "se", "ss")
    }
    # A tenth of 28, 12 and 12; two speakers of three, with 4, 2 and 2 recordings; at least one of each mixture.
    assert counts == {"speech": [18, 12, 12], "asr": [3, 1, 1], "sid": [8, 4, 4], "se": [1, 1, 1], "ss": [1, 1, 1]}
