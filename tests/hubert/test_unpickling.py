"""Nothing in a checkpoint is executed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from models import fairseq_file, large_shaped

import daisy
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load


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
