"""Nothing in a checkpoint is executed."""

from __future__ import annotations

import os
import pickle
import random
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from models import fairseq_file, large_shaped

import daisy
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load
from daisy.hubert.formats.tensors import unpickle

CASES = Path(__file__).parent.parent / "cases/checkpoints"


class Malicious:
    """A pickle of it makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", ["extra_state", "cfg", "model"])
def test_malicious_pickle_is_refused(tmp_path, place):
    trap = tmp_path / "trap"
    path = fairseq_file(large_shaped(), tmp_path / "model.pt", **{place: {"x": Malicious(trap)}})
    with pytest.raises(DaisyError, match=r"refused: it wants to load \w+\.system"):
        daisy.load(path)
    assert not trap.exists()


def test_malicious_pickle_without_torch_is_refused(tmp_path):
    trap = tmp_path / "trap"
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Malicious(trap)))
    with pytest.raises(DaisyError):
        daisy.load(tmp_path / "model.pt")
    assert not trap.exists()


def test_convolutions_are_parsed_and_never_run(tmp_path):
    trap = tmp_path / "trap"
    checkpoint = large_shaped()
    model = {**checkpoint.fairseq_config["model"], "conv_feature_layers": f"__import__('os').mknod('{trap}')"}
    path = fairseq_file(checkpoint, tmp_path / "model.pt", cfg={"model": model, "task": {}})
    with pytest.raises(DaisyError, match="conv_feature_layers"):
        load(path)
    assert not trap.exists()


PIECES = (
    *(b"cposix\nsystem\n", b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"ctorch\nload\n"),
    *(b"ccollections\nOrderedDict\n", b"comegaconf.nodes\nAnyNode\n", b"ctorch._utils\n_rebuild_tensor_v2\n"),
    *(b")R", b"}b", b"\x81", b"(dR", b"(i", b"o", b"P0\n", b"\x82\x01", b"\x96" + b"\xff" * 7 + b"\x7f"),
    *(b"j\xff\xff\xff\x7f", b"r\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 7 + b"\x7f", b"J\xff\xff\xff\x7f"),
)
"""Calls, classes and lengths that a pickle of weights has no use for."""


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A pickle with a few bytes changed, left out, repeated or put in."""
    result = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(result))
        match rng.randrange(4):
            case 0:
                result[place] = rng.randrange(256)
            case 1:
                del result[place : place + rng.randrange(1, 40)]
            case 2:
                other = rng.randrange(len(result))
                result[place:place] = result[other : other + rng.randrange(1, 200)]
            case 3:
                result[place:place] = rng.choice(PIECES)
    return bytes(result)


def test_mutated_pickles_execute_nothing(tmp_path):
    source = CASES / "fs_omega20.pt"
    with zipfile.ZipFile(source) as file:
        entries = {info: file.read(info) for info in file.namelist()}
    name = next(entry for entry in entries if entry.endswith("data.pkl"))
    executed: list[str] = []
    watched = {"os.system", "os.exec", "os.posix_spawn", "os.remove", "subprocess.Popen", "socket.connect"}
    armed = True

    def note(event: str, _: object) -> None:
        if armed and event in watched:
            executed.append(event)

    sys.addaudithook(note)
    rng = random.Random(5)
    for number in range(100):
        path = tmp_path / f"{number}.pt"
        with zipfile.ZipFile(path, "w") as file:
            for entry, content in entries.items():
                file.writestr(entry, mutated(content, rng) if entry == name else content)
        try:
            load(path)
        except DaisyError as error:
            assert len(str(error).splitlines()) <= 5
    armed = False
    assert not executed


def test_few_bytes_that_stand_for_much_are_refused(tmp_path):
    doubled: object = "x"
    for _ in range(60):
        doubled = [doubled, doubled]
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    for number, value in enumerate((doubled, deep)):
        checkpoint = large_shaped()
        config = {"model": {**checkpoint.fairseq_config["model"], "latent_temp": value}, "task": {}}
        if value is deep:
            sys.setrecursionlimit(50_000)
        path = fairseq_file(checkpoint, tmp_path / f"{number}.pt", cfg=config)
        sys.setrecursionlimit(1000)
        with pytest.raises(DaisyError, match="nested too deep, or too large"):
            load(path)


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model/data.pkl", b"\x80\x02}.")
        file.writestr("model/data/0", bytes(1_000_000))
    with pytest.raises(DaisyError, match="unpacks to far more"):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["x" * 5000, "os\x1b[2J", "a\n".join("bcdefgh")])
def test_what_a_file_says_stays_on_one_printable_line(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "unsafe.pt", "w") as file:
        named = b"\x8c\x01o\x8c" + bytes([min(255, len(name))]) + name.encode()[:255]
        file.writestr("model/data.pkl", b"\x80\x04" + named + b"\x93.")
    torch.save({name: torch.zeros(1)}, tmp_path / "other.pt")
    for path in (tmp_path / "unsafe.pt", tmp_path / "other.pt"):
        with pytest.raises(DaisyError) as error:
            load(path)
        assert str(error.value).isprintable() and len(error.value.problem) <= 400


def test_names_in_an_archive_that_are_no_text(tmp_path):
    content = bytearray((CASES / "ta_wavlm.pt").read_bytes())
    place = content.rindex(b"data.pkl")
    content[place] = 0xD6
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(DaisyError):
        load(tmp_path / "model.pt")


def tensor_file(path: Path, size: int, stride: int, elements: int, there: int) -> Path:
    """A torch file of one tensor of float32, whose pickle is written by hand."""

    def number(value: int) -> bytes:
        return b"\x8a\x0c" + value.to_bytes(12, "little", signed=True)

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(elements) + b"tQ"
    arguments = storage + number(0) + number(size) + b"\x85" + number(stride) + b"\x85\x89ccollections\nOrderedDict\n)R"
    with zipfile.ZipFile(path, "w") as file:
        tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"
        file.writestr("model/data.pkl", b"\x80\x02}" + text("weight") + tensor + b"s.")
        file.writestr("model/version", "3\n")
        file.writestr("model/byteorder", "little")
        file.writestr("model/data/0", bytes(4 * there))
    return path


@pytest.mark.parametrize(
    ("size", "stride", "elements", "there"),
    [
        (9, 1, 4, 4),  # beyond its storage
        (4, 1, 4, 2),  # beyond the file
        (10**9, 0, 4, 4),  # one number repeated
        (2000, 0, 4, 4),
        (-4, 1, 4, 4),
        (4, 10**20, 4, 4),
        (4, 1, 10**15, 4),
    ],
)
def test_tensors_that_do_not_lie_in_the_file_are_refused(tmp_path, size, stride, elements, there):
    with pytest.raises(DaisyError, match="damaged or cut short"):
        load(tensor_file(tmp_path / "model.pt", size, stride, elements, there))


def test_a_tensor_written_by_hand_is_read(tmp_path):
    assert unpickle(tensor_file(tmp_path / "model.pt", 4, 1, 4, 4))["weight"].tolist() == [0.0] * 4
