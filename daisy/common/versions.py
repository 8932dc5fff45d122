"""Versions of the libraries that compute, kept with what they made, so that an upgrade does not go unnoticed."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from daisy.common.files import write_json
from daisy.common.spent import told

LIBRARIES = {
    "torch": "torch",
    "torchaudio": "torchaudio",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "pesq": "pesq",
    "pystoi": "pystoi",
    "soundfile": "soundfile",
    "av": "av",
    "py_nanotts": "py-nanotts",
}
"""What can change a number, as modules and as packages."""


@functools.cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed; each is looked up once, however many outputs are compared."""
    return {name: version for name in packages if (version := _version(name)) is not None}


def record(path: Path, outputs: Iterable[str]) -> None:
    """Write which versions of the libraries that this process has loaded made `outputs`, and what drove its time.

    Of the processes of one training the first alone writes it.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    loaded = [package for module, package in LIBRARIES.items() if module in sys.modules]
    write_json(path, {"outputs": sorted(outputs), "versions": installed(loaded), "spent": told()})
