"""Debian packages as a source of data: downloaded and unpacked into a folder, without root.

`apt-get download` and `dpkg-deb -x` need no privileges; package lists are kept in the same folder, so
that nothing on the machine is changed.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from daisy.errors import DaisyError

_FIX = "Check the network and that this machine's package sources reach Debian or Ubuntu, then run again"


def fetch(packages: Sequence[str], folder: Path) -> Path:
    """Download `packages` and unpack them under ``folder/root``.

    A package that is already unpacked is left alone.

    Args:
        packages: Debian package names.
        folder: The cache; it is made if it does not exist.

    Returns:
        The folder that stands for the file system's root.

    Raises:
        DaisyError: if apt is missing or a package cannot be had.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DaisyError(
                f"{tool} is not on this machine, and the embedded speech comes from Debian packages",
                fix=f"Run on Debian or Ubuntu, or unpack the packages {', '.join(packages)} under {folder / 'root'} "
                f"and write their names to files in {folder / 'unpacked'}",
            )
    done = folder / "unpacked"
    done.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        # Corpora are prepared at the same time, and share this folder.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fetch_missing([name for name in packages if not (done / name).exists()], folder)
    return folder / "root"


def _fetch_missing(missing: Sequence[str], folder: Path) -> None:
    if missing:
        options = apt_options(folder)
        command(["apt-get", *options, "-qq", "update"])
        downloads = folder / "packages"
        downloads.mkdir(exist_ok=True)
        command(["apt-get", *options, "-qq", "download", *missing], cwd=downloads)
        for name in missing:
            (file,) = sorted(downloads.glob(f"{name}_*.deb"))[-1:]
            command(["dpkg-deb", "-x", str(file.resolve()), str((folder / "root").resolve())])
            (folder / "unpacked" / name).write_text(file.name + "\n", encoding="utf-8")


def versions(packages: Sequence[str], folder: Path) -> dict[str, str]:
    """The unpacked version of each package, by name."""
    return {name: (folder / "unpacked" / name).read_text(encoding="utf-8").split("_")[1] for name in packages}


def apt_options(folder: Path) -> list[str]:
    """Options of `apt-get` that keep all of its state in `folder`."""
    state = (folder / "apt").resolve()
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    return [
        f"-oDir::State::Lists={state / 'lists'}",
        f"-oDir::Cache={state}",
        "-oDebug::NoLocking=1",
        "-oAPT::Sandbox::User=",
    ]


def command(words: list[str], cwd: Path | None = None) -> str:
    """Run a command and return what it says.

    Raises:
        DaisyError: with the first line of its own error.
    """
    outcome = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        lines = [line for line in outcome.stderr.splitlines() if line.startswith("E:")] or [outcome.stderr.strip()]
        raise DaisyError(f"{' '.join(words[:1] + words[-1:])} failed: {lines[0]}", fix=_FIX)
    return outcome.stdout
