"""What a file is that was taken for something else: pointers, pages and archives, told by their first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Disguise(NamedTuple):
    """What a file really is.

    Attributes:
        what: In words, with an article.
        fix: What to do about it, as an imperative sentence.
    """

    what: str
    fix: str


UNPACK = "Unpack it first"
_DECODE = "Convert it to FLAC or WAV first"
_AGAIN = "Download the file itself; what comes in its place is often a login or an error"

BEGINNINGS: tuple[tuple[bytes, Disguise], ...] = (
    (b"version https://git-lfs", Disguise("a Git-LFS pointer, not the file itself", "Fetch it with `git lfs pull`")),
    (b"../../.git/annex/", Disguise("a git-annex pointer, not the file itself", "Fetch it with `git annex get`")),
    (b"/annex/objects/", Disguise("a git-annex pointer, not the file itself", "Fetch it with `git annex get`")),
    (b"<!doctype html", Disguise("a web page (HTML)", _AGAIN)),
    *((begins, Disguise("a web page (HTML)", _AGAIN)) for begins in (b"<html", b"<head", b"<!--")),
    (b"<?xml", Disguise("XML", _AGAIN)),
    (b'{"', Disguise("JSON", _AGAIN)),
    (b"\x1f\x8b", Disguise("a gzip archive", UNPACK)),
    (b"bzh", Disguise("a bzip2 archive", UNPACK)),
    (b"\xfd7zxz", Disguise("an xz archive", UNPACK)),
    (b"\x28\xb5\x2f\xfd", Disguise("a zstd archive", UNPACK)),
    (b"7z\xbc\xaf", Disguise("a 7z archive", UNPACK)),
    (b"rar!", Disguise("a RAR archive", UNPACK)),
    (b"pk\x03\x04", Disguise("a zip archive (torch's files are some, too)", UNPACK)),
    (b"\x00\x05\x16\x07", Disguise("what macOS keeps beside a file (its name begins with ._)", "Leave it out")),
    (b"\x93numpy", Disguise("a NumPy array", "Give the recording that it was made from")),
    (b"\x1aE\xdf\xa3".lower(), Disguise("Matroska or WebM", _DECODE)),
    (b"#!amr", Disguise("AMR", _DECODE)),
    (b"\x30\x26\xb2\x75", Disguise("Windows Media", _DECODE)),
    (b"%pdf", Disguise("a PDF", "Give the file that was meant")),
    (b"\x89png", Disguise("a picture", "Give the file that was meant")),
)
"""In lower case: how such files begin, spaces left out."""


def disguise(path: Path) -> Disguise | None:
    """What the file is by its first bytes, if that is one of the things that are taken for others; else None."""
    with open(path, "rb") as file:
        return told_by(file.read(512))


def told_by(start: bytes) -> Disguise | None:
    """The same by the first 512 bytes."""
    if not start:
        return Disguise("an empty file, of not one byte", "Restore it, or leave it out")
    if not any(start):
        return Disguise("nothing but zeros", "It was never written, or is damaged: restore it, or leave it out")
    if start[4:8] == b"ftyp":
        return Disguise("MP4, such as M4A", _DECODE)
    if start[257:262] == b"ustar":
        return Disguise("a tar archive", UNPACK)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((found for begins, found in BEGINNINGS if text.startswith(begins)), None)
