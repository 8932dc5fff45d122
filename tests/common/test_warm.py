"""The stand-in for Python that other tests start programs by: it does what Python does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runners import Outcome, ended
from warm import FIRST, warmed

PROBE = [sys.executable, "-m", "daisy.probe"]
WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print(os.getpid(), flush=True)
time.sleep(60)
"""


def probe(folder: Path, program: str) -> Path:
    """A folder whose package has the program as its module `probe`."""
    (folder / "daisy").mkdir()
    (folder / "daisy/__init__.py").write_text("")
    (folder / "daisy/probe.py").write_text(program)
    return folder


@pytest.mark.parametrize(
    "program",
    [
        "import os, sys; print(sys.argv[1:], os.getcwd(), __file__, __name__, sys.executable, os.environ['PROBE'])",
        "import sys; sys.path[:] = sys.path[:2]; import daisy.probe; print(daisy.probe.__file__)",
        "import os; print(sorted(os.environ), sorted(os.listdir('/proc/self/fd')))",
        "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)",
        "import sys; sys.exit('words')",
        "import sys; sys.exit(None)",
        "print('before'); 1 / 0",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
        "import atexit; atexit.register(print, 'after'); print('before')",
        "import threading; threading.Timer(0.1, print, ['late']).start(); print('early')",
        "import subprocess; print(subprocess.run(['sh', '-c', 'echo inner; exit 4'], check=False).returncode)",
    ],
)
def test_it_does_what_python_does(tmp_path, program):
    folder = probe(tmp_path, program)

    def outcome(warm: bool) -> Outcome:
        return ended([*PROBE, "one", "two words"], folder, {"PROBE": "set"}, warm=warm)

    by_python, by_it = outcome(False), outcome(True)
    assert by_it.returncode == by_python.returncode and by_it.stdout == by_python.stdout
    # A traceback begins elsewhere, and ends the same.
    assert by_it.stderr.splitlines()[-1:] == by_python.stderr.splitlines()[-1:]


def test_the_input_is_the_program_s(tmp_path):
    folder = probe(tmp_path, "import sys; print(sys.stdin.read().upper())")
    outcome = subprocess.run(warmed(PROBE), cwd=folder, input="said", capture_output=True, text=True, check=True)
    assert outcome.stdout == "SAID\n"


def test_threads_are_as_many_as_the_environment_says(tmp_path):
    folder = probe(tmp_path, "import torch; print(torch.get_num_threads())")
    for warm in (False, True):
        assert ended(PROBE, folder, {"OMP_NUM_THREADS": "1"}, warm=warm).stdout == "1\n"


def test_a_run_may_have_every_stage_once_from_python_itself(tmp_path):
    folder = probe(tmp_path, "import sys; print('torch' in sys.modules)")
    (noted := tmp_path / "noted").mkdir()
    assert [ended(PROBE, folder, {FIRST: str(noted)}).stdout for _ in range(2)] == ["False\n", "True\n"]


def test_a_signal_is_passed_on(tmp_path):
    with subprocess.Popen(warmed(PROBE), cwd=probe(tmp_path, WAITS), stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None and started.stdout.readline()
        started.send_signal(signal.SIGTERM)
        assert started.wait() == 75


def test_its_program_ends_with_it(tmp_path):
    with subprocess.Popen(warmed(PROBE), cwd=probe(tmp_path, WAITS), stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        program = int(started.stdout.readline())
        started.kill()
        assert started.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while Path(f"/proc/{program}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(program, 0)


def test_what_is_not_of_this_package_is_python_s_own():
    for command in (["-c", "import sys; print('torch' in sys.modules)"], ["-m", "json.tool", "--help"]):
        by_python, by_it = (ended([sys.executable, *command], warm=warm) for warm in (False, True))
        assert by_it.stdout == by_python.stdout and re.search("False|usage", by_it.stdout)
