"""Which GPU a job computes on: one that it may see and that no other job of this machine holds.

A job holds its GPU until its process ends, however that happens, and one that finds none free waits. So jobs that start
at once do not meet on the first GPU, and a time that is measured has no neighbour in it. What holds is a socket that
bears the GPU's name: a name is given once on a machine, whoever asks, the kernel takes it back with the process,
and no file is left over.

Only what CUDA_VISIBLE_DEVICES leaves visible is chosen from, numbers and UUIDs alike; in a Slurm job, that is what
Slurm gave to it, and only jobs within it ask one another.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from daisy.errors import DaisyError

VISIBLE = "CUDA_VISIBLE_DEVICES"

HELD = "DAISY_GPUS"
"""The variable in which a process names the GPUs that it holds to those that it starts."""

SHARED = "shared"
"""Its value where jobs may meet on a GPU: none is held, and none is chosen."""

DEVICES = Path("/dev")
"""Where a card is a file, if nothing tells UUIDs."""

PAUSE = 0.5
"""Seconds, at least, between two looks at whether a GPU is free."""

_holding: list[socket.socket] = []


def cards() -> list[list[str]]:
    """For every card of the machine, in the driver's order, its UUID, or those of its parts if it is divided (MIG).

    Where nothing tells UUIDs, a card is its number.
    """
    told = _told()
    if told is None:
        return [[str(number)] for number in range(len(list(DEVICES.glob("nvidia[0-9]*"))))]
    result: list[list[str]] = []
    for uuid, _ in told:
        if uuid.startswith("GPU-"):
            result.append([uuid])
        elif result:
            result[-1] = [item for item in result[-1] if item.startswith("MIG-")] + [uuid]
    return result


def first_name() -> str | None:
    """What torch calls the first GPU that this process may use; empty if nobody tells it, None if there is none.

    A part of a card is called by the card and its share: ``NVIDIA H200 MIG 1g.18gb``.
    """
    uuid = next(iter(visible().values()), None)
    return None if uuid is None else dict(_told() or ()).get(uuid, "")


def _told() -> list[tuple[str, str]] | None:
    """UUID and name of every card and every part of one, as the driver lists them; None if nothing tells."""
    try:
        asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    result, card = [], ""
    for line in asked.stdout.splitlines():
        if found := re.match(r"\s*(GPU \d+:|MIG) *(.*?) *(?:Device +\d+: *)?\(UUID: ((?:GPU|MIG)-[^)]+)\)", line):
            kind, name, uuid = found.groups()
            card = card if kind == "MIG" else name
            result.append((uuid, f"{card} MIG {name}" if kind == "MIG" else name))
    return result


def visible() -> dict[str, str]:
    """The GPUs that this process may use, in their order: how CUDA_VISIBLE_DEVICES names each, and its one UUID.

    With a card's number the order of CUDA is taken for the driver's; it may differ where cards of several kinds are in
    one machine.
    """
    there = cards()
    given = os.environ.get(VISIBLE)
    if given is None or not there:
        return {uuid: uuid for card in there for uuid in card}
    result = {}
    for name in map(str.strip, given.split(",")):
        uuid = _full(name, there)
        if uuid is None:
            break  # CUDA too leaves out whatever comes behind a name that it does not know
        result[name] = uuid
    return result


def _full(name: str, there: list[list[str]]) -> str | None:
    """The UUID of a GPU by its number, or by the beginning of its UUID; None for what is none."""
    if name.isdecimal():
        return there[int(name)][0] if int(name) < len(there) else None
    if not name.startswith(("GPU-", "MIG-")):
        return None
    known = [uuid for card in there for uuid in card]
    if all(map(str.isdecimal, known)):
        return name
    return next((uuid for uuid in known if uuid.startswith(name)), None)


def take(count: int = 1) -> None:
    """Hold GPUs for this process and those that it starts, and hide all others from them; where there is none, nothing.

    It must come before CUDA is asked for anything. What holds its GPUs already, or was started by such a process, keeps
    those.

    Raises:
        DaisyError: if fewer are visible.
    """
    if os.environ.get(HELD):
        return
    known = visible()
    if not known:
        return
    if count > len(known):
        raise DaisyError(
            f"{count} processes are to train on a GPU each, but {len(known)} can be seen ({VISIBLE} is "
            f"{os.environ.get(VISIBLE, 'not set')})",
            fix=f"Set workers to {len(known)}, or let more be seen",
        )
    told = False
    while not (names := _held(known.items(), count)):
        if not told:
            _tell(
                f"waiting for {count} of {len(known)}, since other jobs hold them; with `--resources gpu={len(known)}` "
                "Snakemake starts no more at once than there are"
            )
            told = True
        time.sleep(PAUSE + os.getpid() % 50 / 100)  # so that those who wait for several do not look in step
    if told or len(known) > 1:
        _tell(f"on {', '.join(known[name] for name in names)}, of {len(known)}")
    os.environ[VISIBLE] = os.environ[HELD] = ",".join(names)


def part(place: int) -> None:
    """Of the GPUs that were taken for several processes, keep the one at `place` for this one and hide the others.

    Several processes that nobody took GPUs for divide what is visible. It must come before CUDA is asked for anything.
    """
    held = os.environ.get(HELD)
    names = held.split(",") if held and held != SHARED else list(visible())
    if names:
        os.environ[VISIBLE] = os.environ[HELD] = names[place % len(names)]


def _held(known: Iterable[tuple[str, str]], count: int) -> list[str]:
    """The names of `count` free GPUs, which are held from now on; none where fewer are free, and none is held then."""
    names = []
    for name, uuid in known:
        one = socket.socket(socket.AF_UNIX)
        try:
            # A name that begins with a zero byte is no file's (Linux; man 7 unix).
            one.bind(f"\0daisy-gpu {os.environ.get('SLURM_JOB_ID', '')} {uuid}")
        except OSError:
            one.close()
            continue
        _holding.append(one)
        names.append(name)
        if len(names) == count:
            return names
    while _holding:
        _holding.pop().close()
    return []


def _tell(what: str) -> None:
    print(f"GPU: {what}", file=sys.stderr, flush=True)
