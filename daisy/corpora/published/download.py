"""Download one archive of a published corpus, check it, and unpack it; what is there already is left alone.

A download that breaks off goes on where it stopped. Nothing is unpacked before its checksum is right, and no file
of an archive can land outside the folder that it is unpacked in.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from daisy.common import stage
from daisy.common.files import NO_SPACE, atomic, disk_full, write_json
from daisy.common.progress import Progress
from daisy.corpora.published.archives import ARCHIVES, Archive, there
from daisy.corpora.published.catalogue import CORPORA
from daisy.corpora.published.settings import DownloadSettings
from daisy.errors import DaisyError, WriteError

TRIES = 4
"""So often a broken connection is taken up again, each time after twice the pause."""

PAUSE = 2.0
"""Seconds before the second try."""

TIMEOUT = 60.0
"""Seconds without an answer after which a connection counts as broken."""

CHUNK = 1 << 20


def fetch(url: str, checksum: str, file: Path, *, pause: float = PAUSE) -> None:
    """Download `url` to `file`, going on with what an earlier try left, and check it.

    Args:
        url: The address.
        checksum: MD5 or SHA-256 in hexadecimal digits, by length; empty for no check.
        file: Where to; nothing is there under this name before it is whole and right.
        pause: Seconds before the second try.

    Raises:
        DaisyError: if it cannot be had, or is not what it should be.
    """
    if file.exists():
        return  # it got its name after its check
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    problem = ""
    for number in range(TRIES):
        if number:
            time.sleep(pause * 2 ** (number - 1))
        try:
            _append(url, part)
            break
        except urllib.error.HTTPError as error:
            problem = f"the server answers {error.code} ({error.reason})"
            if 400 <= error.code < 500 and error.code not in (408, 429):
                raise DaisyError(problem, file=url, fix="See whether the address has changed") from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            problem = f"the connection broke ({getattr(error, 'reason', error)})"
        except OSError as error:
            raise _unwritable(part, error) from None
    else:
        raise DaisyError(
            f"{problem}, {TRIES} times", file=url, fix="Run again: what was downloaded is kept, or download it yourself"
        )
    if checksum and (actual := digest_of(part, checksum)) != checksum:
        part.unlink()
        raise DaisyError(
            f"its checksum is {actual}, not {checksum}",
            file=url,
            fix="Run again; if it stays, the file behind the address has changed, and is not to be trusted",
        )
    part.replace(file)


def _append(url: str, part: Path) -> None:
    """Download what `part` lacks of `url`."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if done and error.code == 416:
            return  # nothing is left to download
        raise
    with answer:
        resumed = answer.status == 206
        left = answer.headers.get("Content-Length")
        progress = Progress(part.name.removesuffix(".part"), (done * resumed + int(left or 0)) / 1e6, "MB")
        progress.resume_at(done * resumed / 1e6)
        received = 0
        with open(part, "ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                received += len(chunk)
                progress.add(len(chunk) / 1e6)
        if left is not None and received < int(left):
            raise ConnectionError(f"{received} of {left} bytes came")


def digest_of(file: Path, like: str) -> str:
    """The digest of a file, of the kind that `like` is by its length."""
    kind = "md5" if len(like) == 32 else "sha256"
    with open(file, "rb") as content:
        return hashlib.file_digest(content, kind).hexdigest()


def _unwritable(path: Path, error: OSError) -> WriteError:
    if error.errno in NO_SPACE:
        return disk_full(path)
    return WriteError(f"it cannot be written ({error.strerror})", file=path, fix="Correct data.published")


def unpack(file: Path, target: Path) -> None:
    """Unpack a tar or zip archive into `target`; folders that are there already are added to.

    Raises:
        DaisyError: if it is no archive, or holds a path out of its folder, a link or a device.
    """
    fresh = target / f".{file.name}.unpacking"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        for name, content in _members(file):
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as out:
                shutil.copyfileobj(content, out, CHUNK)
        _merge(fresh, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DaisyError(f"it cannot be unpacked ({error})", file=file, fix="Delete it and run again") from None
    except OSError as error:
        raise _unwritable(target, error) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _members(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Every regular file of an archive, each found to have a path inside it."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for item in archive.infolist():
                if not item.is_dir():
                    kind = item.external_attr >> 28
                    with archive.open(item) as content:
                        yield _inside(file, item.filename, kind in (0, 8)), content
        return
    with tarfile.open(file) as archive:
        for member in archive:
            if not member.isdir():
                name = _inside(file, member.name, member.isreg())
                data = archive.extractfile(member)
                assert data is not None
                yield name, data


def _inside(file: Path, name: str, regular: bool) -> str:
    path = PurePosixPath(name)
    if not regular or path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or "\0" in name:
        raise DaisyError(
            f"it holds {name!r}, which is no file inside it", file=file, fix="Do not use it: get it from its makers"
        )
    return str(path)


def _merge(source: Path, target: Path) -> None:
    """Move everything below `source` to `target`: whole folders where they are new."""
    for path in sorted(source.iterdir()):
        place = target / path.name
        if path.is_dir() and place.is_dir():
            _merge(path, place)
        else:
            path.replace(place)


def join(parts: Sequence[Path], whole: Path) -> None:
    """Write one file of several parts, and remove them."""
    with atomic(whole) as temporary, open(temporary, "wb") as out:
        for part in parts:
            with open(part, "rb") as content:
                shutil.copyfileobj(content, out, CHUNK)
    for part in parts:
        part.unlink()


def obtain(root: Path, archive: Archive) -> Path:
    """Download and unpack an archive below `root`.

    Returns:
        The folder or file that it holds.
    """
    names = [url.split("?")[0].rsplit("/", 1)[-1] for url in archive.urls]
    downloads = root / ".downloads"
    if len(names) == 1 and names[0] == archive.holds:
        # A plain file, wanted as it is.
        fetch(archive.urls[0], "".join(archive.checksums), downloads / names[0])
        (downloads / names[0]).replace(root / archive.holds)
        return root / archive.holds
    whole = downloads / (names[0] if len(names) == 1 else f"{names[0]}-and-{len(names) - 1}-more")
    if not whole.exists():
        for url, checksum, name in zip(archive.urls, archive.checksums, names, strict=True):
            fetch(url, checksum, downloads / name)
        if len(names) > 1:
            join([downloads / name for name in names], whole)
    unpack(whole, root / archive.inside)
    whole.unlink()
    if not (root / archive.holds).exists():
        raise DaisyError(f"it does not hold {archive.holds}", file=archive.urls[0], fix="See whether it has changed")
    return root / archive.holds


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="output: what was downloaded, as JSON")
    arguments = parser.parse_args(argv)
    settings = stage.settings(DownloadSettings, arguments.settings)
    archive = ARCHIVES[settings.corpus][settings.archive]
    before = there(arguments.root, archive)
    try:
        place = before or obtain(arguments.root, archive)
    except DaisyError as error:
        problem = f"{CORPORA[settings.corpus].title}, {settings.archive}: {error.problem}"
        raise DaisyError(problem, file=error.file, fix=f"{error.fix}. {CORPORA[settings.corpus].obtain}") from None
    write_json(
        arguments.out,
        {"urls": archive.urls, "checksums": archive.checksums, "found": os.fspath(place), "downloaded": not before},
    )
    print(f"{settings.archive}: {'was there already' if before else 'downloaded'}, {place}")


if __name__ == "__main__":
    stage.run(main)
