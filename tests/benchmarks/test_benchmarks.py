"""The benchmark's parts on a tiny model, how ratios are formed, and the page; nothing here looks at speed."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import itertools
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from project import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks import agreement, figure, forward, graph, growth, hours, memory, mixed, page, peers, stages, table
from benchmarks.__main__ import PARTS, measure, parse
from benchmarks.clock import ratio, row, total
from benchmarks.model import fairseq_config, mixed_recordings, noise, outputs, random_model
from benchmarks.options import Options
from benchmarks.published import Published
from benchmarks.targets import judged
from daisy.common import audio
from daisy.common.speed import take_turns
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.downstream.model import Downstream, save_downstream
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration
from daisy.hubert.checkpoint import save
from daisy.hubert.config import HubertConfig, from_fairseq
from daisy.hubert.encoder import Hubert
from daisy.tasks.loading import task_class

SHAPE = HubertConfig(
    conv_layers=((32, 10, 5), *[(32, 3, 2)] * 4, *[(32, 2, 2)] * 2),
    dim=32,
    ffn_dim=64,
    heads=4,
    layers=3,
    pos_kernel=16,
    pos_groups=4,
)
TINY = Options(shape=SHAPE, classes=20, seconds=1.0, count=4, repeat=1, threads=1, units=(1, 2))


class Clock:
    """A clock that only works move on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: list[float]):
        """A work that takes these seconds, one after the other."""
        left = iter(seconds)

        def run() -> None:
            self.seen.append(name)
            self.now += next(left)

        return run


def test_works_take_turns_and_ratios_are_of_rounds():
    clock = Clock()
    works = {"one": clock.work("one", [99, 1, 2, 4]), "other": clock.work("other", [99, 2, 2, 2])}
    taken = take_turns(works, 3, tick=clock)
    assert taken == {"one": [1, 2, 4], "other": [2, 2, 2]}, "the first round warms up"
    assert clock.seen == ["one", "other", "other", "one"] * 2
    assert ratio(taken, "one", "other") == (1.0, 0.5, 2.0)
    total(taken, "both", ["one", "other"])
    assert row(taken, "one", "both", layer=3) == {
        "system": "one",
        "against": "both",
        "ratio": 0.5,
        "lowest": pytest.approx(1 / 3),
        "highest": pytest.approx(4 / 6),
        "ms": 2000,
        "layer": 3,
    }


def test_tables_come_back_as_they_were(tmp_path):
    rows = [{"a": 1, "b": 0.1234567, "c": "words", "d": None, "e": True}]
    table.write(tmp_path, "part", list(rows[0]), rows)
    assert table.read(tmp_path, "part") == [{**rows[0], "b": 0.123457}]
    assert table.read(tmp_path, "another") == []
    for part, threads in (("x", 1), ("y", 1), ("x", 2)):
        table.note_machine(tmp_path, part, {"threads": threads})
    assert table.read(tmp_path, table.MACHINES) == [{"part": "y", "threads": 1}, {"part": "x", "threads": 2}]


def test_command_line(tmp_path):
    options, parts, folder = parse(["--only", "exits", "--layers", "2", "--run", str(tmp_path), "--threads", "1"])
    assert (options.shape.layers, options.run, options.threads, parts) == (2, tmp_path, 1, ["exits"])
    assert folder == page.MEASURED / "cpu" and "stages" not in parse([])[1]
    _, parts, folder = parse(["--device", "cuda"])
    assert {"forward", "training", "downstream", "stages"} <= set(parts) and folder == page.MEASURED / "gpu"
    for wrong in (["--only", "all"], ["--only", "growth", "--device", "cuda"]):
        with pytest.raises(SystemExit):
            parse(wrong)


@pytest.mark.parametrize("part", ["forward", "exits", "batches", "dump", "training", "downstream", "grid"])
def test_part_writes_its_table(part, tmp_path, capsys):
    # One layer where each is exported to ONNX, which takes seconds; and speech enough for STOI.
    more = {"forward": {"shape": dataclasses.replace(SHAPE, layers=1)}, "grid": {"seconds": 3.0}}
    options = dataclasses.replace(TINY, **more.get(part, {}))
    measure(part, options, tmp_path)
    rows = table.read(tmp_path, part)
    module = importlib.import_module(PARTS[part])
    assert rows and list(rows[0]) == list(module.COLUMNS)
    assert all(row["lowest"] <= row["ratio"] <= row["highest"] for row in rows)
    (machine,) = table.read(tmp_path, table.MACHINES)
    assert machine["part"] == part and machine["threads"] == 1
    said = capsys.readouterr().out
    assert said.count(f"{part}: ") == len(rows) + 1
    lacking = [name for name in ("fairseq",) if name not in peers.present((name,))]
    assert part not in ("forward", "dump") or all(f"NOT MEASURED: {name}" in said for name in lacking)


def test_peers_have_our_weights():
    model = random_model(TINY)
    wave = noise(0.5, TINY)
    theirs = peers.forward_of("torchaudio", peers.torchaudio_model(model))(wave[None])[0]
    assert (theirs - outputs(model.encoder, [wave], SHAPE.layers)[0]).abs().max() < 1e-4


def test_a_call_after_compile_is_timed():
    """What a GPU does for a recording by itself; on a CPU it is the plain pass."""
    model, wave = random_model(TINY), noise(0.5, TINY)
    system = forward.recorded(model, wave, "float32", TINY)
    own = outputs(model.encoder, [wave], SHAPE.layers)[0]
    found = system.work()
    assert isinstance(found, torch.Tensor) and (found - own).abs().max() < 1e-5
    assert system.name == "daisy float32 compiled" and system.compile_s is not None


def test_fairseq_config_is_read_back():
    assert from_fairseq(fairseq_config(SHAPE)["model"], normalize=False) == SHAPE


def test_published_way_exits_once_by_the_mean_over_frames():
    model = random_model(TINY)
    published, waves = Published(model), mixed_recordings(3, TINY)
    alike = [waves[0], waves[0]]
    layer, entropies = published(alike, [1, 2, 3], -1.0)
    assert layer == 3 and len(entropies) == 3
    from daisy.hubert.early_exit import EarlyExitHubert

    (own,) = EarlyExitHubert(model).all_layers(waves[:1])
    np.testing.assert_allclose(entropies, own.entropies, atol=1e-4)
    assert published(alike, [1, 2, 3], max(entropies) + 1)[0] == 1
    assert published(alike, [2, 3], max(entropies) + 1)[0] == 2
    assert published(waves, [1, 2, 3], -1.0)[0] == 3


def test_common_exit_is_the_first_within_reach():
    means = [3.0, 2.0, 2.5, 1.0, 0.5]
    for mean_exit, layer in ((1.0, 1), (1.4, 2), (2.1, 4), (4.2, 5)):
        tau = mixed.common_exit(means, mean_exit)
        assert next((k for k, value in enumerate(means[:-1], 1) if value <= tau), len(means)) == layer


def test_branches_are_levelled_and_exits_spread():
    from daisy.hubert.early_exit import EarlyExitHubert

    model = random_model(TINY)
    upstream, waves = EarlyExitHubert(model), mixed_recordings(6, TINY)
    mixed.level(model.branches, [item.states[1:] for item in upstream.all_layers(waves)], frames=20)
    entropies = np.array([item.entropies for item in upstream.all_layers(waves)])
    wanted = np.linspace(*mixed.SLOPE, SHAPE.layers) * math.log(TINY.classes)
    assert np.abs(entropies.mean(0) - wanted).max() < 0.3
    exits = {item.layer for item in upstream.run(waves, candidates=[1, 2, 3], tau=mixed.spreading(entropies))}
    assert len(exits) > 1


def test_growth(monkeypatch, tmp_path):
    def in_process(arguments):
        """The stage without a process of its own; a second, and one more per recording."""
        importlib.import_module(arguments[2]).main(arguments[3:])
        manifest = Path(arguments[arguments.index("--manifest") + 1])
        return float(len(manifest.read_text().splitlines())), 100.0

    monkeypatch.setattr(growth, "process", in_process)
    measure("growth", dataclasses.replace(TINY, seconds=0.3), tmp_path)
    rows = table.read(tmp_path, "growth")
    assert [(row["stage"], row["units"]) for row in rows] == list(itertools.product(("labels", "branches"), (1, 2)))
    assert [row["per_unit"] for row in rows] == [1, pytest.approx(81 / 41 / 2)] * 2
    assert [row["added"] for row in rows] == [None, 1] * 2


def test_growth_by_hand():
    rounds = {1: [(4.0, 50.0), (4.0, 51.0)], 2: [(5.0, 51.0), (5.0, 51.0)], 4: [(8.0, 51.0), (6.0, 60.0)]}
    one, two, four = growth.rows("labels", rounds)
    assert (one["added"], two["added"], four["added"]) == (None, 1, 1)
    assert (four["per_unit"], four["lowest"], four["highest"]) == (7 / 16, 6 / 16, 8 / 16)
    assert four["memory"] == 60 / 51


def test_memory_of_a_process_is_its_own():
    ballast = bytearray(400 * 2**20)
    seconds, megabytes = growth.process(
        [sys.executable, "-S", "-c", "import time; x = b'x' * (50 << 20); time.sleep(0.1)"]
    )
    assert seconds > 0.1 and 50 < megabytes < 300 and ballast is not None
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        growth.process([sys.executable, "-c", "1 / 0"])


@pytest.fixture
def run(tmp_path, waves):
    """The parts of a finished run that are read: a calibrated model, test recordings, a downstream model."""
    model = random_model(TINY)
    counts = {1.0: (1, 1, 1), 0.5: (0, 0, 3)}
    model.calibrations = {"asr": Calibration("midrange", (2.9, 2.9, 2.9), None, 0.2, counts)}
    save(tmp_path / "model/daisy.safetensors", model, "safetensors")
    items = []
    for number, wave in enumerate(waves[:3]):
        audio.write(tmp_path / f"{number}.flac", wave.numpy())
        items.append(Utterance(f"{number}", f"{number}.flac", len(wave), "", "a b"))
    write_manifest(tmp_path / "manifests/asr/test.tsv", tmp_path, items)
    task = task_class("asr")({"projection": 8, "hidden": 8, "layers": 1, "dropout": 0.0, "stride": 1}, ["a", "b", " "])
    torch.manual_seed(0)
    downstream = Downstream(task, SHAPE.layers, SHAPE.dim, "dynamic")
    save_downstream(tmp_path / "downstream/asr/seed1/daisy-rho1/model.safetensors", downstream)
    return tmp_path


def test_agreement(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(agreement.peers, "present", lambda packages: [])  # ONNX is exported in another test
    measure("agreement", dataclasses.replace(TINY, run=run, recordings=2), tmp_path / "out")
    rows = table.read(tmp_path / "out", "agreement")
    assert {(row["system"], row["strategy"]) for row in rows} == set(
        itertools.product(("float32", "bfloat16"), ("avg", "min-max", "threshold"))
    )
    exact = [row for row in rows if row["system"] == "float32"]
    assert all(row["exits_equal"] == 1 and row["entropy_max"] == 0 and row["inside"] for row in exact)
    other = [row for row in rows if row["system"] == "bfloat16"]
    assert all(0 < row["entropy_mean"] <= row["entropy_max"] < 0.05 and row["recordings"] == 2 for row in other)
    measure("agreement", TINY, tmp_path / "nothing")
    assert "NOT MEASURED: agreement" in capsys.readouterr().out
    assert not (tmp_path / "nothing").exists()


def made_tables(folder, ratio_of_peer):
    times = {"lowest": 0.9, "highest": 2.0, "ms": 12.3, "batch": 1, "how": "", "difference": 1e-6, "compile_s": None}
    systems = [("torchaudio float32", "float32", ratio_of_peer), ("torchaudio bfloat16", "bfloat16", 0.7)]
    rows = [
        {**times, "system": name, "against": "daisy float32", "ratio": value, "precision": precision}
        for name, precision, value in [*systems, ("daisy bfloat16", "bfloat16", 0.6), ("limit float32", "float32", 0.8)]
    ]
    table.write(folder, "forward", importlib.import_module(PARTS["forward"]).COLUMNS, rows)
    exits = [{**times, "system": "exit", "against": "full", "ratio": 0.4 + k / 20, "layer": k} for k in (3, 6, 9)]
    exits += [{**times, "system": "front end", "against": "full", "ratio": 0.5, "layer": 0}]
    exits += [{**times, "system": "exit", "against": "parts", "ratio": 1 + k / 100, "layer": k} for k in (3, 6, 9)]
    table.write(folder, "exits", importlib.import_module(PARTS["exits"]).COLUMNS, exits)
    for part in ("forward", "exits"):
        table.note_machine(folder, part, {"processor": "a processor", "threads": 2})


def test_page_follows_from_the_tables(tmp_path):
    arguments = [
        "--tables",
        str(tmp_path / "t"),
        "--page",
        str(tmp_path / "page.md"),
        "--figure",
        str(tmp_path / "f.png"),
    ]
    made_tables(tmp_path / "t/cpu", 1.31)
    page.main(arguments)
    first, drawn = (tmp_path / "page.md").read_text(), (tmp_path / "f.png").read_bytes()
    assert "| at least 1.15× | 1.31× (0.90 to 2.00) (torchaudio float32) | met |" in first
    assert "| at most 1.07× | 1.09× (0.90 to 2.00), layer 9 | **missed** |" in first
    assert "| forward, exits | a processor | 2 |" in first and "side by side" not in first
    assert "Not installed, and so not measured: transformers, fairseq." in first
    assert "Not measured: batches, dump, training, downstream, stages, grid, growth, agreement, graph." in first
    assert "| 1 | exit | full | – | 0.55× (0.90 to 2.00) | 0.70× (0.90 to 2.00) | 0.85× (0.90 to 2.00) |" in first
    page.main(arguments)
    assert (tmp_path / "page.md").read_text() == first and (tmp_path / "f.png").read_bytes() == drawn
    made_tables(tmp_path / "t/cpu", 1.14)
    made_tables(tmp_path / "t/gpu", 3.0)
    page.main(arguments)
    second = (tmp_path / "page.md").read_text()
    assert "| at least 1.15× | 1.14× (0.90 to 2.00) (torchaudio float32) | **missed** |" in second
    assert "## On a GPU: one full forward pass" in second and "3.00×" in second
    assert "from before" not in second
    table.note_machine(tmp_path / "t/gpu", "exits", {"processor": "a card", "date": f"2026, {page.BEFORE}"})
    page.main(arguments)
    assert "These figures of exits are from before" in (tmp_path / "page.md").read_text()
    made_tables(tmp_path / "out", 2.0)
    (tmp_path / "out/exits.csv").unlink()
    machines = tmp_path / "out/machines.csv"
    machines.write_text("".join(row for row in machines.read_text().splitlines(True) if not row.startswith("exits")))
    page.main([*arguments, "--take", str(tmp_path / "out")])
    assert "| exit at layer 6 over the full pass | 0.70× (0.90 to 2.00) | 0.70× (0.90 to 2.00) |" in second
    assert "These figures of exits are from before" in (tmp_path / "page.md").read_text()
    assert table.read(tmp_path / "t/gpu", "forward")[0]["ratio"] == 2.0
    with pytest.raises(DaisyError, match="no machines.csv"):
        page.main([*arguments, "--take", str(tmp_path)])
    assert "| An exit at layer 6 over the full pass, batch 1 | at most 0.55× | 0.70× (0.90 to 2.00) |" in second


def test_the_page_follows_from_the_tables_that_are_kept():
    """So that another machine's run, of a GPU say, changes what it measured and nothing else."""
    assert page.page(ROOT / page.MEASURED, str(page.FIGURE)) == (ROOT / "BENCHMARKS.md").read_text()


def test_hours_of_the_paper():
    rows = [{"system": work.stage, "against": "real time", "ratio": 0.001} for work in hours.WORKS]
    lines = hours.table(rows)
    assert lines[3] == "| `labels`: 960 hours, bfloat16 | 960 | 0.96 | 0.11 |" and len(lines) == len(hours.WORKS) + 4
    total = sum(work.hours for work in hours.WORKS)
    assert lines[-1].startswith(f"| **all of these** | {total:,.0f} | {total / 1000:.1f} |")
    assert hours.table(rows[1:]) == []


def test_stages_cost_what_many_take_longer_than_few(tmp_path):
    data = stages.Data(tmp_path, {}, 20.0)
    taken = {"label float32, few": [1.0, 1.0], "label float32, many": [3.0, 5.0]}
    found = stages.rate(taken, "label float32", ("few", "many"), 400.0, data, "float32")
    assert (found["ratio"], found["lowest"], found["highest"]) == (0.0075, 0.005, 0.01)
    assert (found["ms"], found["minutes"]) == (150.0, 400 / 60)
    assert page.faster_than_sound(found) == "133×" and found["against"] == "real time"


def test_stages_from_files(tmp_path, monkeypatch):
    """Every stage runs as the benchmark starts it, and has its row."""
    options = dataclasses.replace(TINY, shape=dataclasses.replace(SHAPE, layers=1), count=2, seconds=0.5)

    def once(works, rounds):
        return {name: [float(place), work()][:1] for place, (name, work) in enumerate(works.items(), start=1)}

    monkeypatch.setattr(stages, "take_turns", once)
    measure("stages", options, tmp_path)
    rows = table.read(tmp_path, "stages")
    named = {row["system"] for row in rows}
    assert {"label bfloat16", "dump float32", "branches bfloat16, later", "extract all float32"} <= named
    assert {row["against"] for row in rows} == {"real time", "step in memory"}


def test_memory_of_a_step():
    """The paper's step, in 24 GB; and it follows what makes it large."""
    base = HubertConfig()
    with torch.device("meta"):
        weights = sum(value.numel() for value in Hubert(base).parameters())
    assert memory.parameters(base) == pytest.approx(weights, rel=1e-3)
    for half in (False, True):
        found = memory.step_bytes(base, 500, 160.0, half)
        assert found["peak"] < 24e9 / 2 and found["front end"] > found["loss"]
        twice = memory.step_bytes(base, 500, 320.0, half)
        assert twice["front end"] == pytest.approx(2 * found["front end"], rel=1e-3)
        assert twice["weights"] == found["weights"] and twice["loss"] == pytest.approx(2 * found["loss"], rel=1e-3)
    # By hand: 12 layers, 7,999 frames of 768; 500 classes; the first convolution makes 511,999 frames of 512.
    found = memory.step_bytes(base, 500, 160.0)
    assert found["loss"] == 2 * 12 * 7999 * 768 * 4 + 12 * 7999 * 500 * (3 * 4 + 2 * 4)
    assert found["front end"] == 3 * 511_999 * 512 * 4
    assert memory.gigabytes(found["peak"]) == "4.6 GB"


def test_figure_shows_what_was_measured(tmp_path):
    made_tables(tmp_path, 1.31)
    tables = page.read_all(tmp_path)
    shown = figure.bars(tables)
    assert [bar.name for bar in shown if bar.group == "DAISY, early exit"] == [f"layer {k}, float32" for k in (9, 6, 3)]
    assert figure.message(shown) == (
        "Beside DAISY's full forward in float32, the fastest other HuBERT takes 1.31 times as long"
        ", and stopping at layer 6 0.70 times"
    )
    assert not figure.draw({}, tmp_path / "none.png") and not (tmp_path / "none.png").exists()
    assert judged({}, "forward") == []


def test_where_the_cores_time_went(tmp_path):
    """Two cores: a job of 10 s on one, then one of 5 s on both; each starts within 2 s, and Snakemake takes 4 s."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name, end, taken, threads in (("a", 1010, 10, 1), ("b", 1016, 5, 2)):
        params = {"code": {"daisy.common.stage": "1"}}
        with open(folder / f"{name}.tsv", "w", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerows([["s", "threads", "params", "resources"], [taken, threads, params, {}]])
        os.utime(folder / f"{name}.tsv", (end, end))
    jobs = list(graph.jobs_of(tmp_path))
    rows = list(graph.shares(jobs, {("daisy.common.stage",): 2.0}, 4.0, cores=2))
    assert {row["what"]: row["seconds"] for row in rows} == {"work": 14, "starting": 6, "between": 12, "snakemake": 8}
    assert [row["share"] for row in rows] == [14 / 40, 6 / 40, 12 / 40, 8 / 40]
    ((_, found, met),) = judged({"graph": rows}, "graph")
    assert found == "65.0%, of which 30.0% between jobs" and not met
    assert graph.seconds([sys.executable, "-c", "pass"]) > 0
