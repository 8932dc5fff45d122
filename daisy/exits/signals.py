"""The signals by which an utterance may stop, by name: free of torch, so that the Snakefile can read them.

Of every signal smaller is surer, so that the exit rule is one and the same (`daisy.exits.rule`). How each is measured
is in `daisy.hubert.signals`, under the same name.
"""

from __future__ import annotations

from collections.abc import Mapping

from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration

ENTROPY = "entropy"
"""The paper's signal."""


SIGNALS = (ENTROPY, "least-sure", "top", "margin", "agreement", "divergence")
"""All of them; what each is says `daisy.hubert.signals`."""


def check_signal(name: str) -> None:
    """Make sure that there is a signal.

    Raises:
        DaisyError: if there is none of this name.
    """
    if name not in SIGNALS:
        raise DaisyError(f"the signal {name!r} is unknown", fix=f"Use {', '.join(SIGNALS)}")


def signal_of(calibrations: Mapping[str, Calibration], task: str | None, asked: str | None) -> str:
    """The signal of a request: what is asked for, the one that a task's threshold was calibrated for, or entropy.

    Args:
        calibrations: By task.
        task: Whose threshold is used; None where there is none, or one that the caller gives.
        asked: What the caller names, if anything.

    Raises:
        DaisyError: if there is no such signal, or the task's threshold is one of another signal.
    """
    if asked is not None:
        check_signal(asked)
    calibrated = calibrations[task].signal if task is not None and task in calibrations else None
    if asked is not None and calibrated is not None and asked != calibrated:
        raise DaisyError(
            f"the threshold of {task} was calibrated for the signal {calibrated}, not for {asked}",
            fix=f"Use signal={calibrated!r}, or pass threshold= in the unit of {asked}",
        )
    return asked or calibrated or ENTROPY
