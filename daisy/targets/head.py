"""A checkpoint whose pre-training head names the classes of frames."""

from __future__ import annotations

from pathlib import Path

from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint, PretrainingHead, load


def load_with_head(path: Path | None) -> tuple[Checkpoint, PretrainingHead]:
    """Read a checkpoint that has a pre-training head of one set of classes, and that head.

    Args:
        path: The checkpoint.

    Raises:
        DaisyError: if there is none, if it has no such head, or if the head tells several sets of classes apart.
    """
    if path is None:
        raise DaisyError("labels by the pre-training head need a checkpoint", fix="Pass --checkpoint")
    checkpoint = load(path)
    fix = "Use targets.kind: kmeans instead"
    names = checkpoint.fairseq_config["task"].get("labels")
    if isinstance(names, (list, tuple)) and len(names) > 1:
        problem = f"the pre-training head predicts {len(names)} sets of labels ({', '.join(map(str, names))})"
        raise DaisyError(f"{problem}, and branches learn one", file=path, fix=fix)
    if checkpoint.head is None:
        raise DaisyError("the checkpoint has no pre-training head", file=path, fix=fix)
    return checkpoint, checkpoint.head
