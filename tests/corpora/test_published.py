"""The published corpora, from small trees in their makers' layout: what is read, and what is told if not whole."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trees
import yaml
from project import ROOT
from runners import Outcome, ended, stage

from daisy.common import audio
from daisy.common import stage as stages
from daisy.common.contents import digest
from daisy.corpora.partition import Splits, partition
from daisy.corpora.published import check as checking
from daisy.corpora.published import libri2mix, librispeech
from daisy.corpora.published.archives import ARCHIVES, archives_of
from daisy.corpora.published.catalogue import CORPORA, module_of, settings_of
from daisy.corpora.published.draw import drawn
from daisy.corpora.published.settings import Libri2MixSettings
from daisy.corpora.published.stages import voicebank_demand
from daisy.corpora.table import read_table
from daisy.errors import DaisyError, WriteError
from daisy.workflow.config import read_layers


@pytest.fixture
def corpora(tmp_path):
    """All trees, and a config's `data.published` for them."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())["data"]["published"]
    for name, values in trees.all_of_them(tmp_path).items():
        config[name] |= values
    return config | {"faults": "leave-out", "threads": 2}


def run(name: str, config: dict, out: Path) -> Outcome:
    module = module_of(name).removeprefix("daisy.")
    return ended(stage(module, settings_of(name, config), table=out / "recordings.csv", threads=2))


def prepared(name: str, config: dict, out: Path) -> list:
    outcome = run(name, config, out)
    assert outcome.returncode == 0, outcome.stderr
    return read_table(out / "recordings.csv")


def dropped(out: Path) -> dict[str, str]:
    with open(out / "dropped.csv", newline="") as file:
        return {row["id"]: row["reason"] for row in csv.DictReader(file)}


def subsampled(ids: list[str], count: int, seed: int) -> list[str]:
    """MiniSUPERB's subsample.py, which runs once per split: seeds, shuffles the sorted ids, takes the first, sorts."""
    ids = sorted(ids)
    random.seed(seed)
    random.shuffle(ids)
    return sorted(ids[:count])


EXPECTED = {
    "librispeech": (18, 12, 12),
    "librispeech-10h": (28, 12, 12),
    "voxceleb1": (12, 6, 6),
    "voicebank-demand": (6, 5, 8),
    "libri2mix": (5, 4, 6),
    "musan": (0, 0, 9),
    # Nine words, and of ten seconds of either noise nine; then one.
    "speech-commands": (27, 5, 4),
    "librispeech-100h": (18, 12, 12),
}


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_is_read_where_it_lies(name, corpora, tmp_path):
    out = tmp_path / "out"
    rows = prepared(name, corpora, out)
    parts = partition(rows, Splits(0, 0.1, 0.1))
    assert tuple(len(parts[part]) for part in ("train", "dev", "test")) == EXPECTED[name]
    for row in rows:
        assert len(audio.read(out / "audio" / row.path, samples=row.samples)) == row.samples
        for reference in filter(None, row.references.split(";")):
            audio.read(out / "audio" / reference, samples=row.samples)
        assert row.text == row.text.lower() and row.source == name
    assert all(row.text for row in rows) == name.startswith(("librispeech", "speech-commands"))
    assert all(bool(row.references) == (name in ("voicebank-demand", "libri2mix")) for row in rows)
    # All that is published and not in so small a tree is told.
    assert all("published" in reason for reason in dropped(out).values())


def test_speech_is_not_copied(corpora, tmp_path):
    prepared("librispeech-10h", corpora, tmp_path / "out")
    assert all(path.is_symlink() for path in (tmp_path / "out/audio").iterdir())


def test_what_is_not_whole_stops_the_run(corpora, tmp_path):
    outcome = run("musan", corpora | {"faults": "stop"}, tmp_path / "out")
    assert outcome.returncode == 1 and not (tmp_path / "out/recordings.csv").exists()
    (error,) = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert "MUSAN is not whole: 3 faults, music (3 recordings, but 660 are published)" in error
    assert "daisy data check" in error and "leave-out" in error


def test_faults_of_librispeech(corpora, tmp_path):
    root = Path(corpora["librispeech"]["root"])
    cut = root / "train-clean-100/103/1240/103-1240-0001.flac"
    cut.write_bytes(cut.read_bytes()[:9000])
    (root / "train-clean-100/103/1240/103-1240-0002.flac").write_bytes(b"fLaC")
    (root / "train-clean-100/1034/1240/1034-1240-0000.flac").unlink()
    text = root / "train-clean-100/1034/1241/1034-1241.trans.txt"
    text.write_text(
        text.read_text().replace("THE CALL", "THÉ CALL").replace("1034-1241-0002 PLEASE HOLD THE LINE\n", "")
    )
    for path in sorted((root / "train-clean-100/1040").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    rows = prepared("librispeech", corpora, tmp_path / "out")
    there = "LibriSpeech/train-clean-100"
    told = dropped(tmp_path / "out")
    assert "103-1240-0001.flac" in told[f"{there}/103/1240/103-1240-0001"]
    assert "cannot be read" in told[f"{there}/103/1240/103-1240-0002"]
    assert "lists it, but it is not there" in told[f"{there}/1034/1240/1034-1240-0000"]
    assert "character 'é'" in told[f"{there}/1034/1241/1034-1241-0001"]
    assert told[f"{there}/1034/1241/1034-1241-0002"] == "it has no transcript"
    assert told[f"{there}/1040"] == "the speaker has no recording"
    assert not {row.id for row in rows} & set(told)
    assert sum(row.split == "train" for row in rows) == 18 - 5 - 6
    outcome = run("librispeech", corpora | {"faults": "stop"}, tmp_path / "stopped")
    assert outcome.returncode == 1 and "103-1240-0001" in outcome.stderr


def test_a_whole_disk_is_no_fault_of_the_corpus(corpora, tmp_path, monkeypatch):
    def full(*_, **__):
        raise soundfile.LibsndfileError(28, "no space left")

    monkeypatch.setattr(soundfile, "write", full)
    settings = stages.text(settings_of("voicebank-demand", corpora))
    with pytest.raises(WriteError, match=r"trainset_28spk/p2.*cannot be written.*Free some space"):
        voicebank_demand.main(["--settings", settings, "--table", str(tmp_path / "out/recordings.csv")])
    assert not (tmp_path / "out/recordings.csv").exists()


def test_a_subset_that_is_not_there(corpora, tmp_path):
    corpora["librispeech"]["train"] = ["train-clean-360"]
    outcome = run("librispeech", corpora, tmp_path / "out")
    assert outcome.returncode == 1
    assert "train-clean-360 is not there" in outcome.stderr and "data.published.librispeech.root" in outcome.stderr


def test_all_parts_that_are_not_there_are_told_at_once(tmp_path):
    config = read_layers(*(ROOT / f"config/{name}.yaml" for name in ("config", "paper")))["data"]["published"]
    wanted = {
        "librispeech": "train-clean-100, train-clean-360, train-other-500, dev-clean, test-clean are",
        "musan": "music, speech, noise are",
        "voicebank-demand": "noisy_trainset_28spk_wav, clean_trainset_28spk_wav, noisy_testset_wav, clean_testset_wav",
        "libri2mix": "libri2mix_train-clean-100.csv, libri2mix_dev-clean.csv, libri2mix_test-clean.csv are",
    }
    for name, told in wanted.items():
        config[name]["root"] = str(tmp_path)
        with pytest.raises(DaisyError, match=f"{told}.*data.published.{name}.root"):
            checking.check(name, config, decode=False)


def test_the_folder_above_is_found_too(corpora, tmp_path):
    corpora["librispeech"]["root"] = str(tmp_path)
    assert len(prepared("librispeech", corpora, tmp_path / "out")) == 18 + 12 + 12


def test_the_list_of_voxceleb1(corpora, tmp_path):
    listed = Path(corpora["voxceleb1"]["list"])
    other = corpora | {"voxceleb1": corpora["voxceleb1"] | {"list_sha256": "0" * 64}}
    outcome = run("voxceleb1", other, tmp_path / "out")
    assert outcome.returncode == 1 and "SHA-256" in outcome.stderr and listed.name in outcome.stderr
    listed.write_text(listed.read_text() + "1 id10003/x/00001.wav\n")
    corpora["voxceleb1"]["list_sha256"] = ""
    prepared("voxceleb1", corpora, tmp_path / "out")
    assert "the list names it" in dropped(tmp_path / "out")["VoxCeleb1/id10003/x/00001.wav"]
    listed.write_text("train id10003/x/00001.wav\n")
    outcome = run("voxceleb1", corpora, tmp_path / "again")
    assert outcome.returncode == 1 and "line 1 is 'train id10003/x/00001.wav'" in outcome.stderr


def test_speech_commands_are_divided_by_their_lists(corpora, tmp_path):
    root = Path(corpora["speech-commands"]["root"])
    words = root / "speech_commands_v0.01"
    rows = {row.id: row for row in prepared("speech-commands", corpora, tmp_path / "out")}
    heard = {name.removeprefix("speech_commands_v0.01/"): row.split for name, row in rows.items()}
    assert heard["yes/00176480_nohash_1"] == "train" and heard["bed/0a7c2a8d_nohash_0"] == "dev"
    assert "yes/1b4c9b89_nohash_0" not in heard
    assert rows["speech_commands_v0.01/bed/3bb68054_nohash_0"].speaker == "3bb68054"
    assert rows["speech_commands_test_set_v0.01/_unknown_/1b4c9b89_nohash_0"].text == "_unknown_"
    seconds = [row for row in rows.values() if row.text == "_silence_" and row.split != "test"]
    assert [row.split for row in seconds if row.speaker == "running_tap"] == ["train"] * 9 + ["dev"]
    whole = audio.read(words / "_background_noise_/white_noise.wav")
    piece = audio.read(tmp_path / "out/audio/_silence_/white_noise-003.flac", samples=16_000)
    assert (piece == whole[48_000:64_000]).all()


def test_faults_of_speech_commands(corpora, tmp_path):
    words = Path(corpora["speech-commands"]["root"]) / "speech_commands_v0.01"
    (words / "yes/0a7c2a8d_nohash_0.wav").unlink()
    noise = words / "_background_noise_/running_tap.wav"
    noise.write_bytes(noise.read_bytes()[:999])
    prepared("speech-commands", corpora, tmp_path / "out")
    told = dropped(tmp_path / "out")
    assert "a list names it, but it is not there" in told["speech_commands_v0.01/yes/0a7c2a8d_nohash_0.wav"]
    assert "bytes, the file has" in told["speech_commands_v0.01/_background_noise_/running_tap.wav"]
    assert told["train"] == "9 recordings, but 51,088 are published"
    (words / "testing_list.txt").write_text("bed/1b4c9b89_nohash_0.wav\n1 no/x.wav\n")
    outcome = run("speech-commands", corpora, tmp_path / "damaged")
    assert outcome.returncode == 1 and "testing_list.txt: line 2 is '1 no/x.wav'" in outcome.stderr
    (words / "validation_list.txt").unlink()
    outcome = run("speech-commands", corpora, tmp_path / "no")
    assert outcome.returncode == 1 and "validation_list.txt: the list of recordings is not there" in outcome.stderr


def test_words_are_spelt_by_their_first_pronunciation(corpora, tmp_path):
    """As s3prl spells them, written out; and what the lexicons lack is told."""
    rows = prepared("librispeech-100h", corpora, tmp_path / "out")
    found = {row.id.rpartition("-")[2]: row.text for row in rows}
    assert found["0000"] == "ih1 t s ao1 l y uw1 n iy1 d"
    assert found["0001"] == "dh ah0 k ao1 l ih1 z w ey1 t ih0 ng"
    corpora["librispeech-100h"] |= {"lexicon": ["librispeech-lexicon.txt"]}
    rows = prepared("librispeech-100h", corpora, tmp_path / "fewer")
    told = dropped(tmp_path / "fewer")
    assert told["LibriSpeech/dev-clean/84/1240/84-1240-0001"] == "no pronunciation of 'waiting'" and len(rows) == 28
    outcome = run("librispeech-100h", corpora | {"faults": "stop"}, tmp_path / "stopped")
    assert outcome.returncode == 1 and "no pronunciation of 'waiting'" in outcome.stderr
    path = Path(corpora["librispeech-100h"]["root"]) / "librispeech-lexicon.txt"
    path.write_text("A\tAH0\nALL\n")
    outcome = run("librispeech-100h", corpora, tmp_path / "damaged")
    assert outcome.returncode == 1 and f"{path}: line 2, 'all', has no phones" in outcome.stderr
    path.unlink()
    outcome = run("librispeech-100h", corpora, tmp_path / "no")
    assert outcome.returncode == 1 and f"{path}: the lexicon is not there" in outcome.stderr


def test_voicebank_at_16_khz_and_its_draw(corpora, tmp_path):
    rows = prepared("voicebank-demand", corpora, tmp_path / "from48")
    for split, speakers, count in (("train", ("p236", "p243"), 6), ("dev", ("p226", "p287"), 5)):
        ids = subsampled([f"{who}_{number:03d}" for who in speakers for number in range(1, 5)], count, 8830)
        assert [row.id for row in rows if row.split == split] == [f"trainset_28spk/{name}" for name in ids]
    other = tmp_path / "prepared"
    corpora["voicebank-demand"]["root"] = str(trees.voicebank_demand(other, 16_000))
    again = prepared("voicebank-demand", corpora, tmp_path / "from16")
    assert [row.id for row in again] == [row.id for row in rows]
    for row, same in zip(rows, again, strict=True):
        assert abs(row.samples - same.samples) <= 1
        one, two = (
            audio.read(tmp_path / name / "audio" / item.references).numpy()[: row.samples - 1]
            for name, item in (("from48", row), ("from16", same))
        )
        # Resampling takes a little off the top of the band, and here it happened twice.
        assert np.sqrt(np.mean((one - two) ** 2)) < 0.05 * np.sqrt(np.mean(two**2))


def test_a_pair_that_does_not_match(corpora, tmp_path):
    root = Path(corpora["voicebank-demand"]["root"])
    (root / "clean_testset_wav/p232_001.wav").unlink()
    soundfile.write(root / "clean_testset_wav/p232_002.wav", np.zeros(4800), 48_000)
    prepared("voicebank-demand", corpora, tmp_path / "out")
    told = dropped(tmp_path / "out")
    assert told["testset/p232_001"] == "its clean recording is not there"
    assert "1600 in" in told["testset/p232_002"]


def test_libri2mix_is_mixed_as_its_makers_do(corpora, tmp_path):
    """Against the steps of their create_librimix_from_metadata.py (16k, min, mix_clean)."""
    prepared("libri2mix", corpora, tmp_path / "out")
    root = Path(corpora["librispeech"]["root"])
    table = Path(corpora["libri2mix"]["root"]) / "libri2mix_test-clean.csv"
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        waves = [soundfile.read(root / row[f"source_{place}_path"], dtype="float32")[0] for place in (1, 2)]
        scaled = [wave * float(row[f"source_{place}_gain"]) for place, wave in zip((1, 2), waves, strict=True)]
        shortest = min(map(len, scaled))
        scaled = [wave[:shortest] for wave in scaled]
        mixture = np.zeros_like(scaled[0])
        for wave in scaled:
            mixture += wave
        for folder, wanted in (("mix_clean", mixture), ("s1", scaled[0]), ("s2", scaled[1])):
            soundfile.write(tmp_path / "x.wav", wanted, 16_000)
            theirs, _ = soundfile.read(tmp_path / "x.wav", dtype="int16")
            ours, _ = soundfile.read(
                tmp_path / f"out/audio/test-clean/{folder}/{row['mixture_ID']}.flac", dtype="int16"
            )
            assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_the_mixtures_are_miniSUPERBs(corpora, tmp_path):
    rows = prepared("libri2mix", corpora, tmp_path / "out")
    roots = corpora["libri2mix"]["root"], corpora["librispeech"]["root"]
    every = libri2mix.read(Libri2MixSettings(*roots, train=0, dev=0, seed=7, faults="leave-out")).listed
    for split, count in (("train", 5), ("dev", 4)):
        ids = subsampled([item.id for item in every if item.split == split], count, 7)
        assert [row.id for row in rows if row.split == split] == ids
    assert sum(item.split == "train" for item in every) == sum(item.split == "dev" for item in every) == 6


def test_a_draw_by_another_seed_is_another_one(corpora):
    settings = settings_of("voicebank-demand", corpora)
    draws = [
        [item.id for item in checking.READERS["voicebank-demand"].read(chosen).listed]
        for chosen in (settings, settings, dataclasses.replace(settings, seed=1))
    ]
    assert draws[0] == draws[1] != draws[2] and len(draws[0]) == len(draws[2]) == 6 + 5 + 8


def test_drawn_takes_all_for_nought():
    assert drawn(["b", "a"], 0, 1) == {"a", "b"} and len(drawn([str(number) for number in range(9)], 4, 1)) == 4
    assert drawn(["b", "a"], 3, 1) == {"a", "b"}


def test_a_draw_is_the_same_in_any_order():
    order = list("abcdefghi")
    random.Random(3).shuffle(order)
    assert drawn("abcdefghi", 4, 3) == drawn("ihgfedcba", 4, 3) == set(order[:4]) != drawn("abcdefghi", 4, 4)


def test_data_check(corpora, tmp_path):
    uses = ("speech", "asr", "sid", "se", "ss", "noise", "ks", "pr")
    overlay = {"data": {"corpora": dict(zip(uses, CORPORA, strict=True))}}
    overlay["data"]["published"] = {name: corpora[name] for name in CORPORA}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(overlay))
    command = [sys.executable, "-m", "daisy.cli.main", "data", "check"]
    command += ["--configfile", "config/superb.yaml", str(tmp_path / "my.yaml")]
    outcome = ended([*command, "--json"], ROOT)
    assert outcome.returncode == 1, outcome.stderr
    found = {item["corpus"]: item for item in json.loads(outcome.stdout)["found"]}
    assert set(found) == set(CORPORA)
    assert found["librispeech"]["census"]["dev-clean"] == {"files": 12, "hours": 0.01, "speakers": 2}
    assert found["voicebank-demand"]["census"]["trainset_28spk"]["files"] == 16
    assert all("published" in fault["reason"] for item in found.values() for fault in item["faults"])
    file = Path(corpora["musan"]["root"]) / "noise/free-sound/noise-free-sound-0001.wav"
    file.write_bytes(file.read_bytes()[:500])
    texts = [ended([*command, *more], ROOT).stdout for more in ([], ["--decode"])]
    assert "MUSAN (CC BY 4.0 and public domain, by recording)" in texts[0] and "3 of 660 recordings" in texts[0]
    assert "noise-free-sound-0001" in texts[1]


def test_data_check_says_what_is_not_there_at_all():
    config = read_layers(*(ROOT / f"config/{name}.yaml" for name in ("config", "paper", "paper_superb")))
    names = checking.used_by(config)
    assert set(names) == set(CORPORA)
    for name in names:
        with pytest.raises(DaisyError, match="(is|are) not there"):
            checking.check(name, config["data"]["published"], decode=False)


def test_every_subset_in_use_has_an_archive():
    config = read_layers(ROOT / "config/config.yaml", ROOT / "config/paper.yaml")["data"]["published"]
    for name in CORPORA:
        for corpus, archive in archives_of(name, config):
            item = ARCHIVES[corpus][archive]
            assert not item.checksums or len(item.checksums) == len(item.urls)
            assert all(len(checksum) in (32, 64) for checksum in item.checksums)
    assert ("librispeech", "train-other-500") in archives_of("librispeech", config)
    assert ("librispeech", "train-other-500") not in archives_of("libri2mix", config)
    assert ARCHIVES["voxceleb1"]["mini_veri_test_class.txt"].checksums == (config["voxceleb1"]["list_sha256"],)


def test_corpora_have_no_say_in_each_others_keys(corpora):
    before = settings_of("musan", corpora)
    corpora["librispeech"]["root"] = "elsewhere"
    assert settings_of("musan", corpora) == before
    assert digest(Path(corpora["voxceleb1"]["list"])) == corpora["voxceleb1"]["list_sha256"]
    assert librispeech.fault_of("") == "its transcript is empty"
