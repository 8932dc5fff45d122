"""A headless Chromium, driven by its own protocol through a pipe: a page is looked at as its readers see it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from project import ROOT

from daisy.corpora import debian
from daisy.errors import DaisyError

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGE = "chromium-headless-shell"
PATIENCE = 60.0
"""Seconds for an answer; a machine may be busy."""


class CannotBrowse(Exception):
    """There is no Chromium, and none can be had."""


def program(cache: Path) -> tuple[Path, dict[str, str]]:
    """Chromium and the environment that it needs: the machine's, or Debian's package, unpacked into `cache`.

    Raises:
        CannotBrowse: if there is neither.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found), dict(os.environ)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / ".browser", "w") as lock:
            # Tests side by side want it at the same time.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _unpack(cache)
    except (DaisyError, OSError, IndexError) as error:
        raise CannotBrowse(f"no Chromium on this machine, and Debian's cannot be had: {error}") from None
    root = (cache / "root").resolve()
    libraries = [path for path in root.glob("usr/lib/*-linux-gnu*") if path.is_dir()]
    libraries += [path / "pulseaudio" for path in libraries]
    environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}
    if not Path("/etc/fonts/fonts.conf").exists():
        environment["FONTCONFIG_SYSROOT"] = str(root)
    return root / "usr/lib/chromium" / PACKAGE, environment


def _unpack(cache: Path) -> None:
    if (cache / "unpacked" / PACKAGE).exists():
        return
    options = debian.apt_options(cache)
    debian.command(["apt-get", *options, "-qq", "update"])
    wanted = ["-qq", "--no-install-recommends", "--print-uris", "install", PACKAGE]
    listed = debian.command(["apt-get", *options, *wanted])
    # One line per package that this machine lacks: address, file, size, checksum. The browser itself comes last, so
    # that it is there only if all the others are.
    missing = {line.split()[1].split("_")[0] for line in listed.splitlines() if line.startswith("'")}
    debian.fetch([*sorted(missing - {PACKAGE}), PACKAGE], cache)


def started(profile: Path, *switches: str) -> Browser:
    """This machine's Chromium, or Debian's, unpacked once into the project's cache; a test without is skipped."""
    try:
        return Browser(ROOT / ".cache/chromium", profile, *switches)
    except CannotBrowse as error:
        warnings.warn(f"Nothing was looked at in a browser: {error}", stacklevel=1)
        pytest.skip(str(error))


class Browser:
    """One page of a running Chromium.

    Args:
        cache: Where Debian's package lies, or is unpacked.
        profile: An empty folder for what the browser writes.
        switches: Further ones of the command line.

    Attributes:
        complaints: What the console and the log were told, errors and warnings alone.
        asked: The addresses of all that was asked for.
    """

    def __init__(self, cache: Path, profile: Path, *switches: str) -> None:
        file, environment = program(cache)
        there, self._write = os.pipe()
        self._read, back = os.pipe()

        def connect() -> None:
            # Chromium reads from 3 and writes to 4; whichever of these the pipes had, neither is lost.
            spare = [os.dup(os.dup(os.dup(end))) for end in (there, back)]
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        options = ["--headless", "--no-sandbox", "--disable-gpu", "--mute-audio", "--hide-scrollbars", "--no-first-run"]
        options += ["--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            [str(file), *options, *switches, f"--user-data-dir={profile}", "about:blank"],
            env=environment,
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(back)
        os.set_blocking(self._read, False)
        self._buffer, self._number, self._session = b"", 0, ""
        self.complaints: list[str] = []
        self.asked: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for what it returns."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        """The next message; complaints are noted."""
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            assert time.monotonic() < until and self._process.poll() is None, "Chromium does not answer"
            try:
                self._buffer += os.read(self._read, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return dict(message)

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])

    def open(self, place: Path | str, width: int, height: int = 844) -> None:
        """Show a file or an address in a window of `width` pixels, and wait until it is there whole."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=place if isinstance(place, str) else place.resolve().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, code: str) -> Any:
        """What an expression of JavaScript gives; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, code: str, patience: float = PATIENCE) -> Any:
        """What an expression gives once it gives something."""
        end = time.monotonic() + patience
        while not (value := self.evaluate(code)):
            assert time.monotonic() < end, f"waited {patience} s for {code}; complaints: {self.complaints}"
            time.sleep(0.02)
        return value

    def press(self, *keys: str) -> None:
        """Press keys of the keyboard, by their names."""
        for key in keys:
            for kind in ("rawKeyDown", "keyUp"):
                code = {"Tab": 9, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13}[key]
                self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in an input of the page."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def picture(self) -> bytes:
        """The whole page as PNG, in a window of its present width."""
        width, height = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
