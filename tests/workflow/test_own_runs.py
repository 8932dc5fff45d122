"""Own corpora in a run: what cannot work is said before the first job, and the check is the first job."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from project import ROOT, laid_over

from daisy.cli.main import main
from daisy.common import stage
from daisy.corpora.settings import PreparedSettings
from daisy.errors import DaisyError
from daisy.workflow.workflow import Workflow

HEADER = "id,speaker,text,split\n"


def corpus(folder: Path, rows: str, rate: int = 16000) -> Path:
    """A corpus with these rows, all of one sound."""
    (folder / "audio").mkdir(parents=True)
    (folder / "recordings.csv").write_text(HEADER + rows)
    for row in rows.splitlines():
        soundfile.write(folder / "audio" / f"{row.partition(',')[0]}.flac", np.zeros(800), rate)
    return folder


def rows(count: int = 10, text: str = "hi", split: str = "", speakers: tuple[str, ...] = ("ann", "bob")) -> str:
    return "".join(f"{who}{number},{who},{text},{split}\n" for who in speakers for number in range(count))


def overlay(tmp_path: Path, **corpora: object) -> dict:
    shares = {"dev": 0.2, "test": 0.2, "sid_min_recordings": 5}
    here = {"results": str(tmp_path / "results"), "cache": str(tmp_path / "cache")}
    return {**here, "data": {"corpora": {name: str(path) for name, path in corpora.items()}, "splits": shares}}


def flow(tmp_path: Path, **corpora: object) -> Workflow:
    layers = [yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "test")]
    return Workflow(laid_over(*layers, overlay(tmp_path, **corpora)), ROOT)


def test_a_corpus_is_checked_by_a_stage_of_its_own(tmp_path):
    mine = corpus(tmp_path / "mine", rows())
    run = flow(tmp_path, asr=mine / "recordings.csv", speech=mine)  # named by itself or by its table
    stored = run.context.store.at(run.corpora.folders["asr"])
    assert run.corpora.folders["asr"] == run.corpora.folders["speech"] == run.corpora.folders["sid"]
    assert stored.inputs == {"corpus": str(mine / "recordings.csv")}
    assert stage.settings(PreparedSettings, stored.settings) == PreparedSettings()
    assert run.corpora.links["corpora/asr"] == stored.folder
    assert run.context.store.at(run.corpora.manifests["asr"]).inputs["corpus"] == stored.folder


def test_another_table_is_another_corpus(tmp_path):
    mine = corpus(tmp_path / "mine", rows())
    before = flow(tmp_path, asr=mine).corpora.folders["asr"]
    (mine / "recordings.csv").write_text(HEADER + rows(9))
    assert flow(tmp_path, asr=mine).corpora.folders["asr"] != before


WRONG = {
    "a rate": ("asr", {"rate": 44100}, "44100 Hz, not 16000 Hz and one channel (and 19 more: ann1, "),
    "no texts": ("asr", {"rows": rows(text="")}, "no recording with a text is left for train (asr)"),
    "one split": ("asr", {"rows": rows(split="train")}, "is left for dev, whose splits are train (asr)"),
    "few recordings": ("sid", {"rows": rows(3)}, "0 speakers have at least 5 recordings"),
    "few for SID of speech": ("speech", {"rows": rows(3)}, "0 speakers have at least 5 recordings"),
    "no mixtures": ("se", {}, "20 recordings have no references for se: ann0, ann1, ann2 and 17 more"),
    "no noise": ("noise", {}, "noise.kinds names 'music', but the column speaker of recordings for tests has ann, bob"),
}


@pytest.mark.parametrize(("use", "made", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_work_is_said_before_the_first_job(tmp_path, use, made, told):
    mine = corpus(tmp_path / "mine", made.get("rows", rows()), made.get("rate", 16000))
    with pytest.raises(DaisyError) as caught:
        flow(tmp_path, **{use: mine})
    line = str(caught.value)
    assert told in line and line.startswith(f"data.corpora.{use}: {mine}/recordings.csv: ") and "\n" not in line


def test_a_checked_corpus_is_not_looked_at_again(tmp_path):
    mine = corpus(tmp_path / "mine", rows())
    folder = Path(flow(tmp_path, asr=mine).corpora.folders["asr"])
    (mine / "audio/ann0.flac").unlink()
    with pytest.raises(DaisyError, match=r"audio/ann0.flac of ann0 is not there"):
        flow(tmp_path, asr=mine)
    folder.mkdir(parents=True)
    (folder / "recordings.csv").write_text("made by the stage")
    flow(tmp_path, asr=mine)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("librispech", "data.corpora.asr: librispech holds no recordings.csv. Did you mean 'librispeech'?"),
        ("raw", "holds no recordings.csv. Correct the path, let `daisy data import` make a corpus of the folder, or "),
    ],
)
def test_a_folder_that_is_no_corpus(tmp_path, name, told):
    (tmp_path / "raw").mkdir()
    with pytest.raises(DaisyError) as caught:
        flow(tmp_path, asr=tmp_path / "raw" if name == "raw" else name)
    assert told in str(caught.value)


def test_data_check_tells_by_the_config(tmp_path, capsys):
    mine, texts = corpus(tmp_path / "mine", rows(3)), corpus(tmp_path / "texts", rows(9, "HI"))
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(overlay(tmp_path, speech=mine, asr=texts)))
    command = ["data", "check", "--config-folder", str(ROOT / "config"), "--configfile", str(tmp_path / "my.yaml")]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert f"speech ({mine}): whole, 6 recordings, 2 speakers" in said
    assert "  - 0 speakers have at least 5 recordings. Lower data.splits.sid_min_recordings" in said
    assert f"asr ({texts}): whole, 18 recordings" in said and "taken in lower case: 18" in said
