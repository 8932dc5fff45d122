"""A Slurm cluster of one machine, for tests: unpacked, configured, started, torn down; nothing of it stays.

Slurm and munge come from Debian's packages, unpacked into the cluster's folder, so that no root is needed and nothing
is installed. The daemons run as the user who starts them: one controller, and one `slurmd` per node, all of one host.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from daisy.corpora import debian
from daisy.errors import DaisyError

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
CLIENTS = ("sbatch", "srun", "scancel", "scontrol", "squeue", "sinfo", "sacct")
GPU = "a100-sxm4"
"""A name with a hyphen, as sites have them."""
NODES = ("cpu1", "cpu2", "gpu1")
"""Of 16 cores and 64 GB as Slurm sees them, whatever the machine has; `gpu1` has two GPUs in name."""


class CannotInstall(Exception):
    """Slurm's packages are not to be had on this machine."""


class Broken(Exception):
    """The cluster does not do what it should."""


class Cluster:
    """A cluster in a folder of its own.

    Args:
        folder: Where all of it lies; short, because the sockets' paths are.

    Raises:
        CannotInstall: if Slurm's packages cannot be had.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = self._unpack()
        for name in ("bin", "sbin", "etc", "log", "run", "spool", "state"):
            (folder / name).mkdir()
        self._library = next(self._root.glob("usr/lib/*/slurm-wlm"))
        self.environment = {
            "SLURM_CONF": str(folder / "etc/slurm.conf"),
            "LD_LIBRARY_PATH": f"{self._library.parent}:{self._library}",
        }
        # The package calls its daemons otherwise, and they ask for their own name.
        for name in ("slurmctld", "slurmd", "slurmstepd"):
            (folder / "sbin" / name).symlink_to(self._root / "usr/sbin" / f"{name}-wlm")
        (folder / "sbin/munged").symlink_to(self._root / "usr/sbin/munged")
        # Inside a job, `srun` is called without SLURM_CONF: these programs know their cluster.
        for name in CLIENTS:
            exports = " ".join(f"{key}={value}" for key, value in self.environment.items())
            script = folder / "bin" / name
            script.write_text(f'#!/bin/sh\nexec env {exports} {self._root}/usr/bin/{name} "$@"\n')
            script.chmod(0o755)
        self._configure()

    def _unpack(self) -> Path:
        packages = self.folder / "packages"
        try:
            options = debian.apt_options(packages)
            debian.command(["apt-get", *options, "-qq", "update"])
            wanted = ["--no-install-recommends", "--print-uris", "install", *PACKAGES]
            listed = debian.command(["apt-get", *options, "-qq", *wanted])
            # One line per package that this machine lacks: address, file, size, checksum.
            missing = {line.split()[1].split("_")[0] for line in listed.splitlines() if line.startswith("'")}
            return debian.fetch(sorted({*missing, *PACKAGES, "slurm-wlm-basic-plugins"}), packages).resolve()
        except (DaisyError, OSError) as error:
            raise CannotInstall(f"Slurm's packages cannot be had here: {error}") from None

    def _configure(self) -> None:
        etc, run, log = (self.folder / name for name in ("etc", "run", "log"))
        key = etc / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller, *ports = _free_ports(1 + len(NODES))
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        nodes = "\n".join(
            f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=16 RealMemory=64000"
            + (f" Gres=gpu:{GPU}:2" if name.startswith("gpu") else "")
            for name, port in zip(NODES, ports, strict=True)
        )
        (etc / "slurm.conf").write_text(f"""\
ClusterName=throwaway
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={run}/munge.socket,cred_expire=30
PluginDir={self._library}
SlurmctldPort={controller}
SlurmctldPidFile={run}/slurmctld.pid
SlurmctldLogFile={log}/slurmctld.log
StateSaveLocation={self.folder}/state
SlurmdPidFile={run}/slurmd-%n.pid
SlurmdLogFile={log}/slurmd-%n.log
SlurmdSpoolDir={self.folder}/spool/%n
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
EnforcePartLimits=ALL
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=10
MinJobAge=600
CompleteWait=0
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PropagateResourceLimits=NONE
{nodes}
PartitionName=cpu Nodes=cpu[1-2] Default=YES DefMemPerCPU=500 MaxTime=INFINITE PriorityTier=1 State=UP
PartitionName=urgent Nodes=cpu[1-2] DefMemPerCPU=500 MaxTime=INFINITE PriorityTier=10 State=UP
PartitionName=gpu Nodes=gpu1 DefMemPerCPU=500 MaxTime=INFINITE PriorityTier=1 State=UP
""")
        files = ("/dev/null", "/dev/zero")
        gpus = "".join(f"NodeName=gpu1 Name=gpu Type={GPU} File={file}\n" for file in files)
        (etc / "gres.conf").write_text(gpus)
        (etc / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")

    def start(self) -> None:
        """Start every daemon, and wait until all nodes are idle.

        Raises:
            Broken: if one does not start; with the end of the logs.
        """
        run, etc = self.folder / "run", self.folder / "etc"
        self._daemon(
            "munged",
            f"--key-file={etc}/munge.key",
            f"--socket={run}/munge.socket",
            f"--pid-file={run}/munged.pid",
            f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={run}/munged.seed",
            "--force",
        )
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        self.wait(lambda: len(self.ask("sinfo", "-h", "-N", "-t", "idle", "-o", "%N %P").splitlines()) == 5, "idle")

    def start_controller(self) -> None:
        """Start the controller, with the state that the last one left."""
        self._daemon("slurmctld")

    def start_node(self, name: str) -> None:
        """Start a node."""
        self._daemon("slurmd", "-N", name, "-d", str(self.folder / "sbin/slurmstepd"))

    def _daemon(self, name: str, *options: str) -> None:
        outcome = subprocess.run(
            [str(self.folder / "sbin" / name), *options],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode != 0:
            raise Broken(f"{name} does not start: {outcome.stderr.strip()}\n{self._logs()}")

    def revive(self) -> None:
        """Start what does not run of the controller and the nodes."""
        if not self._running("slurmctld"):
            self.start_controller()
        for name in NODES:
            if not self._running(f"slurmd-{name}"):
                self.start_node(name)

    def _running(self, daemon: str) -> bool:
        file = self.folder / "run" / f"{daemon}.pid"
        return file.exists() and _alive(int(file.read_text()))

    def kill(self, daemon: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to `slurmctld` or, for instance, `slurmd-cpu1`, and wait until it is gone."""
        file = self.folder / "run" / f"{daemon}.pid"
        process = int(file.read_text())
        os.kill(process, number)
        self.wait(lambda: not _alive(process), f"{daemon} ended")
        file.unlink(missing_ok=True)

    def ask(self, *command: str) -> str:
        """What one of Slurm's programs says."""
        outcome = subprocess.run(command, env=self.path(os.environ), capture_output=True, text=True, check=False)
        return outcome.stdout

    def path(self, environment: Mapping[str, str]) -> dict[str, str]:
        """An environment in which Slurm's programs are found."""
        return {**environment, "PATH": f"{self.folder / 'bin'}:{environment['PATH']}"}

    def wait(self, done: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait until `done` says so.

        Raises:
            Broken: if it does not within `seconds`; with the end of the logs.
        """
        until = time.monotonic() + seconds
        while not done():
            if time.monotonic() > until:
                queue = self.ask("squeue") + self.ask("sinfo")
                raise Broken(f"not within {seconds:.0f} s: {what}\n{queue}{self._logs()}")
            time.sleep(0.1)

    def _logs(self) -> str:
        return "\n".join(_tail(path) for path in sorted((self.folder / "log").glob("*.log")))

    def stop(self) -> None:
        """End every job and daemon."""
        self.ask("scancel", "--user", str(os.getuid()))
        with contextlib.suppress(Broken):
            self.wait(lambda: not self.ask("squeue", "-h"), "the queue is empty", 15)
        self._signal_all(signal.SIGTERM)
        with contextlib.suppress(Broken):
            self.wait(lambda: not list(self._left()), "all ended", 15)
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        for process in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def _left(self) -> Iterator[int]:
        """Processes of the cluster: those whose program lies in its folder."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "exe").startswith(str(self._root)):
                    yield int(entry.name)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A running cluster in `folder`, which is gone in the end.

    Raises:
        CannotInstall: if there is none to be had; with the reason.
        Broken: if it does not start.
    """
    try:
        made = Cluster(folder)
        try:
            made.start()
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _tail(path: Path) -> str:
    return "\n".join([f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-15:]])
