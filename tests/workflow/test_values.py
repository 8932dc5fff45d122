"""What people write in a config is read as what it spells, by every way into the config."""

from __future__ import annotations

import json

import pytest
import yaml
from project import ROOT, laid_over
from snakemake.cli import parse_config
from snakemake.common.configfile import load_configfile

from daisy.common.numbers import read_yaml
from daisy.errors import DaisyError
from daisy.pretraining.recipe import read_settings
from daisy.workflow import save_config
from daisy.workflow.config import read_layers, resolve

DEFAULTS = yaml.safe_load((ROOT / "config/config.yaml").read_text())

GIVEN = "tasks: {asr: {learning_rate: 1e-3, steps: 1e4, q: .25}, sid: {learning_rate: 2E-5}}"
MEANT = (0.001, 10_000, 0.25, 2e-5)


def values(config: dict) -> tuple:
    asr = config["tasks"]["asr"]
    return asr["learning_rate"], asr["steps"], asr["q"], config["tasks"]["sid"]["learning_rate"]


def test_all_ways_into_a_config_agree(tmp_path):
    """A file that Snakemake reads, one that `daisy` reads, JSON, and the command line, where all that nests is text."""
    path = tmp_path / "my.yaml"
    path.write_text(GIVEN)
    key, _, rest = GIVEN.partition(": ")
    inline = parse_config([f"{key}={rest}"])
    given = yaml.safe_load(GIVEN)["tasks"]
    assert inline["tasks"]["asr"]["steps"] == "1e4" == given["asr"]["steps"], "or this test shows nothing"
    for layer in (load_configfile(path), inline, {"tasks": given}):
        config = resolve(laid_over(DEFAULTS, layer))
        assert values(config) == MEANT and type(config["tasks"]["asr"]["steps"]) is int
    assert values(read_layers(ROOT / "config/config.yaml", path)) == MEANT


def test_the_command_line_gives_truth_and_nothing_as_texts():
    layers = parse_config(["data={published: {download: true}}", "tasks={ss: null}", "seeds=[1, 2]", "workers=2"])
    config = resolve(laid_over(DEFAULTS, layers))
    assert config["data"]["published"]["download"] is True and "ss" not in config["tasks"]
    assert config["seeds"] == [1, 2] and config["workers"] == 2
    rho = resolve(laid_over(DEFAULTS, parse_config(["thresholds={absolute: {asr: {0.70: 1e-1, 1.0: 2}}}"])))
    assert rho["thresholds"]["absolute"] == {"asr": {"0.7": 0.1, "1": 2}}


def test_the_defaults_stay_as_they_are():
    assert resolve(DEFAULTS) == DEFAULTS
    assert json.dumps(resolve(DEFAULTS)) == json.dumps(DEFAULTS), "types too"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("branches: {learning_rate: '0,01'}", "Write it with a point"),
        ("data: {commands: {train: '2,240'}}", "Write it with a point, and without separators of thousands"),
        ("branches: {learning_rate: .inf}", "branches.learning_rate is inf. Give a finite number"),
        ("branches: {learning_rate: 1e999}", "'1e999' is not of type 'number'"),
        ("tasks: {asr: {steps: 1.5}}", "1.5 is not of type 'integer'"),
        ("tasks: {asr: {steps: 15e-1}}", "'15e-1' is not of type 'integer'"),
        ("tasks: {asr: {learning_rate: nan}}", "'nan' is not of type 'number'"),
        ("run: 2024", 'Write it in quotes, as a text: "2024"'),
        ("run: on", "Write it in quotes"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path, text, told):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(DaisyError) as caught:
        read_layers(ROOT / "config/config.yaml", tmp_path / "my.yaml")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_config_in_another_encoding_is_named(tmp_path):
    (tmp_path / "my.yaml").write_bytes("run: é".encode("latin-1"))
    with pytest.raises(DaisyError, match=r"my.yaml: it is not UTF-8"):
        read_layers(ROOT / "config/config.yaml", tmp_path / "my.yaml")
    (tmp_path / "my.yaml").write_bytes(b"\xef\xbb\xbfseed: 5\n")
    assert read_layers(ROOT / "config/config.yaml", tmp_path / "my.yaml")["seed"] == 5


def test_a_key_that_stands_twice_is_named_with_its_file_and_line(tmp_path):
    file, broken = tmp_path / "my.yaml", tmp_path / "broken.yaml"
    file.write_text("run: x\ntasks:\n  asr: {steps: 1}\n  asr: {steps: 2}\nrun: y\n")
    broken.write_text("run: x\nseed: [1\n")
    with pytest.raises(DaisyError) as caught:
        read_layers(ROOT / "config/config.yaml", file, broken)
    told = str(caught.value)
    for part in (
        "my.yaml:5: the key run stands twice, first in line 1",
        "my.yaml:4: the key asr",
        "broken.yaml:3: not",
    ):
        assert part in told, told


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    overlay = {
        "results": "~/results",
        "upstream": {"checkpoint": "~/hubert.pt"},
        "data": {"corpora": {"asr": "~/mine"}, "published": {"librispeech": {"root": "~/LibriSpeech"}}},
    }
    config = resolve(laid_over(DEFAULTS, overlay))
    assert config["results"] == "/home/ann/results" and config["upstream"]["checkpoint"] == "/home/ann/hubert.pt"
    assert config["data"]["corpora"]["asr"] == "/home/ann/mine"
    assert config["data"]["published"]["librispeech"]["root"] == "/home/ann/LibriSpeech"


def test_small_numbers_are_kept_with_the_run(tmp_path):
    config = resolve(laid_over(DEFAULTS, {"branches": {"learning_rate": 1e-5}}))
    save_config.main(["--settings", json.dumps(config), "--out", str(tmp_path / "config.yaml")])
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["branches"]["learning_rate"] == 1e-5


def test_recipes_know_the_same_numbers():
    assert read_yaml("{a: 1e-3, b: -2E5, c: .5e1, d: 1.0e-3, e: 12, f: 1e}") == {
        "a": 1e-3, "b": -2e5, "c": 5.0, "d": 1e-3, "e": 12, "f": "1e"
    }  # fmt: skip
    path = ROOT / "config/pretrain/phones.yaml"
    assert read_settings(path, ["speech.commands=1e-2"]).speech["commands"] == 1e-2


@pytest.mark.parametrize("text", ["", "# all as it is\n", "- a\n", "word\n"])
def test_a_file_without_a_mapping_is_named(tmp_path, text):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(DaisyError, match=r"my\.yaml: it holds no mapping.*or \{\} for none"):
        read_layers(ROOT / "config/config.yaml", tmp_path / "my.yaml")
    (tmp_path / "my.yaml").write_text("{}")
    assert read_layers(ROOT / "config/config.yaml", tmp_path / "my.yaml")
