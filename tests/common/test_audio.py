"""One reader of recordings: what it refuses, and why; what pipes and other writers leave behind."""

from __future__ import annotations

import gzip
import io
import struct
import wave as wave_module

import numpy as np
import pytest
import soundfile
from project import ROOT

from daisy.common import audio
from daisy.errors import DaisyError

CASES = ROOT / "tests/cases/wav"


def both(path) -> str:
    """The error of the reader, and of the header if that is enough; they say the same."""
    with pytest.raises(DaisyError) as whole:
        audio.read(path)
    try:
        audio.header(path)
    except DaisyError as error:
        assert "cannot be decoded" in str(error) or str(error) == str(whole.value)
    text = str(whole.value)
    assert path.name in text and "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut.wav", "cut short: its header says 32000 bytes, the file has 8956"),
        ("cut.flac", "cannot be read (flac decoder lost sync)"),
        ("head_only.wav", "cut short: its header says 32000 bytes, the file has 0"),
        ("nan_float.wav", "1 of 16000 samples are NaN or infinite"),
        ("inf_float.wav", "1 of 16000 samples are NaN or infinite"),
        ("loud_float.wav", "its samples reach 10452.3, far beyond 1"),
        ("lfs.flac", "a Git-LFS pointer, not the file itself. Fetch it with `git lfs pull`"),
    ],
)
def test_what_cannot_be_used_is_named(name, message):
    assert message in both(CASES / name)


@pytest.mark.parametrize("name", ["pipe.wav", "zero_sizes.wav"])
def test_what_a_pipe_wrote_is_read_to_its_end(name):
    assert audio.header(CASES / name) == audio.Header(16000, 16000, 1, "PCM_16")
    found = audio.read(CASES / name, samples=16000)
    expected = np.frombuffer((CASES / name).read_bytes()[44:], "<i2") / 32768
    assert np.array_equal(found.numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("name", ["399.wav", "400.wav"])
def test_short_is_whole(name):
    assert audio.header(CASES / name).samples == len(audio.read(CASES / name)) == int(name[:3])


def test_headers_that_were_never_finished(tmp_path):
    whole = (CASES / "400.wav").read_bytes()

    def written(riff: int, data: int, end: bytes = b"") -> int:
        content = bytearray(whole) + end
        struct.pack_into("<I", content, 4, riff)
        struct.pack_into("<I", content, 40, data)
        (tmp_path / "x.wav").write_bytes(content)
        return audio.header(tmp_path / "x.wav").samples

    # As Python's wave, SoX and ffmpeg leave them on a pipe, and with half a sample at the end.
    assert [written(36, 0), written(0x7FFFF024, 0x7FFFF000), written(0, 2**32 - 1)] == 3 * [400]
    assert written(0, 0, b"\1") == 400
    # No samples, and a chunk that follows them: nothing was left unfinished.
    file = io.BytesIO()
    with wave_module.open(file, "wb") as writer:
        writer.setparams((1, 2, 16000, 0, "NONE", ""))
    content = bytearray(file.getvalue()) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    struct.pack_into("<I", content, 4, len(content) - 8)
    (tmp_path / "x.wav").write_bytes(content)
    assert audio.header(tmp_path / "x.wav").samples == 0 and "is empty" in both(tmp_path / "x.wav")


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "AIFF", "AU", "W64", "RF64", "CAF", "NIST", "FLAC", "OGG", "MP3"])
def test_no_cut_recording_is_read(tmp_path, kind):
    path = tmp_path / "x"
    samples = 0.1 * np.random.default_rng(0).standard_normal(16000)
    soundfile.write(path, samples, 16000, format=kind)
    assert len(audio.read(path)) == 16000
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    text = both(path)
    assert "cut short" in text or "cannot be read" in text
    if kind != "OGG":  # whose length is nowhere told
        with pytest.raises(DaisyError):
            audio.header(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not one byte"),
        (bytes(5000), "nothing but zeros"),
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page"),
        (gzip.compress(b"RIFF", mtime=0), "a gzip archive. Unpack it first"),
        (b"PK\3\4rest", "zip"),
        (b"\0\0\0\x20ftypM4A rest", "MP4"),
        (b"\0\5\26\7rest", "macOS"),
        (b"../../.git/annex/objects/ab/x.wav", "git annex get"),
        (b"not at all", "cannot be read"),
    ],
)
def test_what_is_no_recording_is_told_by_its_content(tmp_path, content, message):
    (tmp_path / "x.wav").write_bytes(content)
    assert message in both(tmp_path / "x.wav")


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "link.wav").symlink_to(tmp_path / "gone.wav")
    assert "a link to" in both(tmp_path / "link.wav")
    assert "does not exist" in both(tmp_path / "no.wav")
    (tmp_path / "folder.wav").mkdir()
    assert "a folder" in both(tmp_path / "folder.wav")


def test_a_little_over_one_is_no_fault(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.full(1000, 3.5, np.float32), 16000, subtype="FLOAT")
    assert float(audio.read(tmp_path / "x.wav").max()) == 3.5
