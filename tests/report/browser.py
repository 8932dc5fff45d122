"""A headless Chromium, driven by its own protocol through a pipe: a page is looked at as its readers see it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

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
        if not (cache / "unpacked" / PACKAGE).exists():
            options = debian.apt_options(cache)
            debian.command(["apt-get", *options, "-qq", "update"])
            wanted = ["-qq", "--no-install-recommends", "--print-uris", "install", PACKAGE]
            listed = debian.command(["apt-get", *options, *wanted])
            # One line per package that this machine lacks: address, file, size, checksum. The browser itself comes
            # last, so that it is there only if all the others are.
            missing = {line.split()[1].split("_")[0] for line in listed.splitlines() if line.startswith("'")}
            debian.fetch([*sorted(missing - {PACKAGE}), PACKAGE], cache)
    except (DaisyError, OSError, IndexError) as error:
        raise CannotBrowse(f"no Chromium on this machine, and Debian's cannot be had: {error}") from None
    root = (cache / "root").resolve()
    libraries = [path for path in root.glob("usr/lib/*-linux-gnu*") if path.is_dir()]
    libraries += [path / "pulseaudio" for path in libraries]
    environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}
    if not Path("/etc/fonts/fonts.conf").exists():
        environment["FONTCONFIG_SYSROOT"] = str(root)
    return root / "usr/lib/chromium" / PACKAGE, environment


class Browser:
    """One page of a running Chromium.

    Args:
        cache: Where Debian's package lies, or is unpacked.
        profile: An empty folder for what the browser writes.

    Attributes:
        complaints: What the console and the log were told, errors and warnings alone.
    """

    def __init__(self, cache: Path, profile: Path) -> None:
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
            [str(file), *options, f"--user-data-dir={profile}", "about:blank"],
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
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
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
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])

    def open(self, file: Path, width: int, height: int = 844) -> None:
        """Show a file in a window of `width` pixels, and wait until it is there whole."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=file.resolve().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, code: str) -> Any:
        """What an expression of JavaScript gives; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")
