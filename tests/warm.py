"""Python whose slow imports are done: a program started by it is a fork of a process that has imported them.

A stage imports torch for longer than most tests let it compute, and Snakemake takes longer to import than a dry run of
it. So tests start programs of this package, and `snakemake`, by a stand-in for `python`: it hands its arguments,
folder, environment and open files to a server, which forks; the fork becomes the program, and the stand-in passes on
signals and ends as the program does. The servers import no module of this package, since tests edit them. Any other
program is run by Python itself, and so is each stage once in a run that says so (`FIRST`). What is measured by the
process, such as its memory, or ended by SIGKILL, needs `sys.executable`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import marshal
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

IMPORTED = {
    "snakemake": (
        *("snakemake.cli", "snakemake.report.html_reporter", "snakemake_executor_plugin_slurm", "smart_open"),
        *("jsonschema", "yaml", "multiprocessing.connection", "soundfile", "difflib"),
    ),
    "stages": (
        # The first optimizer that a process makes imports torch._dynamo, which takes as long as torch.
        *("torch", "torch._dynamo", "torch.utils.tensorboard", "torch.distributed.run", "safetensors.torch"),
        *("soundfile", "av", "pesq", "pystoi", "scipy.signal", "sklearn.cluster", "jinja2", "jsonschema", "yaml"),
        *("matplotlib.figure", "matplotlib.style"),
        *("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    ),
}
"""What each server has imported. The Snakefile's has no torch, which it must do without."""

FIRST = "DAISY_FIRST_BY_PYTHON"
"""A variable that names a folder: Python itself runs every stage that has not left its name there, and notes it."""

STAND_IN = """\
#!{python} -ISs
import marshal, os, signal, sys
from socket import AF_UNIX, SOL_SOCKET, SCM_RIGHTS, socket

words = sys.argv[1:]
module = words[1] if words[:1] == ["-m"] and len(words) > 1 else ""
kind = "snakemake" if module in ("snakemake", "daisy.cli.main") else "stages" if module.startswith("daisy.") else ""
first = os.environ.get({first!r})
if kind == "stages" and first and not os.path.exists(first + "/" + module):
    open(first + "/" + module, "w").close()
    kind = ""
if not kind:
    os.execv({python!r}, [{python!r}, *words])
server = socket(AF_UNIX)
server.connect({folder!r} + "/" + kind)
program = sys.argv[0] if kind == "snakemake" else {python!r}
asked = marshal.dumps([words[1:], os.getcwd(), dict(os.environ), program])
files = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
server.sendmsg([len(asked).to_bytes(8, "little")], [(SOL_SOCKET, SCM_RIGHTS, files)])
server.sendall(asked)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
said = server.recv(4)
status = os.waitstatus_to_exitcode(int.from_bytes(said, "little")) if said else 1
if status < 0:
    if status != -signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""
"""The program that stands for `python`; it is small, because it is started as often."""

_wanted = False


def use() -> None:
    """From here on, start programs by the stand-in. What needs a GPU is tested without it."""
    global _wanted
    _wanted = hasattr(os, "fork")


@functools.cache
def _python() -> str:
    """The path of the stand-in; its servers, which live as long as this process, are started by the first call."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for kind in IMPORTED:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/{kind}")
            listener.listen(64)
            command = [sys.executable, __file__, kind, str(listener.fileno())]
            # The end of its input, which comes with this process's own, ends it.
            server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
            atexit.register(server.wait)
            atexit.register(server.stdin.close)
    program = folder / "python"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(folder), first=FIRST))
    program.chmod(0o755)
    return str(program)


def warmed(command: Sequence[Any]) -> list[Any]:
    """A command that this process's Python runs, by the stand-in where it is in use; others as they are."""
    return [_python(), *command[1:]] if _wanted and command[0] == sys.executable else list(command)


def _serve(kind: str, listener: socket.socket) -> str:
    """Fork for everyone who asks. Returns in the forks alone, as the program: the module that it is to run."""
    for name in IMPORTED[kind]:
        importlib.import_module(name)
    if kind == "snakemake":
        # Its plugins are found here, once, among all that is installed.
        sys.modules["snakemake.cli"].get_argument_parser()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        asking, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _fork(asking)
        asking.close()


def _fork(asking: socket.socket) -> str:
    """Start the program, see to its signals and tell its end; returns as the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(asking, 8, 3)
    with asking.makefile("rb") as stream:
        (module, *words), folder, environment, program = marshal.loads(stream.read(int.from_bytes(size, "little")))
    process = os.fork()
    if process == 0:
        asking.close()
        os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        _become(folder, environment, program)
        sys.argv[1:] = words
        return module
    for file in (*files, 0, 1, 2):
        os.close(file)
    threading.Thread(target=_pass_on, args=(asking, process), daemon=True).start()
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(OSError):
        asking.sendall(status.to_bytes(4, "little"))
    os._exit(0)


def _pass_on(asking: socket.socket, process: int) -> None:
    """Hand on what the stand-in is sent; if it is gone, the program goes too."""
    while number := asking.recv(1):
        os.kill(process, number[0])
    os.killpg(process, signal.SIGKILL)


def _become(folder: str, environment: dict[str, str], program: str) -> None:
    """What is a new process's own: folder, environment, path and threads."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = program
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path_importer_cache.clear()
    if "torch" in sys.modules and "OMP_NUM_THREADS" in environment:
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
        threadpool_limits(int(environment["OMP_NUM_THREADS"]))


def _run(module: str) -> None:
    """Run the program to its end, but spare it the taking apart of all that was imported."""
    status: Any = 0
    interrupted = False
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status, interrupted = 1, isinstance(error, KeyboardInterrupt)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


if __name__ == "__main__":
    sys.path.pop(0)
    _run(_serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))))
