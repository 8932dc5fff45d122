"""s3prl's `run_downstream.py` with DAISY among its upstreams, and with DAISY's weights of their states.

python -m daisy.library.s3prl_run -m train -u daisy_local -k daisy.safetensors -g stopping.yaml ...

s3prl is installed by whoever uses this.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
import yaml
from torch import nn

from daisy.common.stage import build
from daisy.common.torchaudio_shim import torchaudio  # before s3prl, which imports torchaudio too
from daisy.downstream.settings import Fusion
from daisy.errors import DaisyError
from daisy.library.s3prl import DaisyFeaturizer, DaisyUpstream
from daisy.library.settings import StoppingSettings


def daisy_local(
    ckpt: str, model_config: str | None = None, refresh: bool = False, **stopping: float | str | None
) -> DaisyUpstream:
    """The upstream by s3prl's convention for models in local files.

    Args:
        ckpt: Any checkpoint that `daisy.load` reads (``-k``).
        model_config: A YAML file with the keys of `StoppingSettings` (``-g``); without it, nothing stops early.
        refresh: Of no use to a local file.
        stopping: The same keys, which win: s3prl passes those of ``upstream_expert`` in its own config.

    Raises:
        DaisyError: if the file cannot be read, a key or value is none, or the checkpoint does not allow it.
    """
    values = {**(_read(model_config) if model_config else {}), **stopping}
    settings = build(StoppingSettings, values, model_config or "upstream_expert")
    return DaisyUpstream(ckpt, **dataclasses.asdict(settings))


def _read(path: str) -> dict[str, Any]:
    """The keys and values of a YAML file."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DaisyError(f"it cannot be read ({error})", fix="Pass a YAML file with -g", file=path) from None
    if not isinstance(values, dict):
        raise DaisyError("it holds no keys", fix="Write one `key: value` per line, such as `layer: 6`", file=path)
    return values


def make_featurizer(
    upstream: nn.Module,
    *,
    kind: Fusion,
    other: type[nn.Module],
    feature_selection: str = "hidden_states",
    layer_selection: int | None = None,
    **others: Any,
) -> nn.Module:
    """What s3prl's runner gets where it asks for its `Featurizer`.

    Args:
        upstream: DAISY's, or one of s3prl's own.
        kind: Whether all exits share their scalars.
        other: s3prl's class, for its own upstreams.
        feature_selection: ``-s``.
        layer_selection: ``-l``.
        others: What only s3prl's class reads. DAISY's states are always layer-normalised.

    Raises:
        DaisyError: if of DAISY's states a part is selected.
    """
    if not isinstance(upstream, DaisyUpstream):
        return other(upstream, feature_selection=feature_selection, layer_selection=layer_selection, **others)
    if feature_selection != "hidden_states" or layer_selection is not None:
        raise DaisyError("-s or -l selects a part of DAISY's states", fix="Leave both out: all states are weighed")
    return DaisyFeaturizer(upstream, kind)


def arguments(argv: Sequence[str]) -> tuple[Fusion, list[str]]:
    """The kind of fusion, and the arguments that are s3prl's.

    Raises:
        DaisyError: if DAISY is to be fine-tuned.
    """
    # No abbreviations and no help: they are s3prl's.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--fusion", choices=get_args(Fusion), default="dynamic")
    ours, rest = parser.parse_known_args(argv)
    if "daisy_local" in rest and {"-f", "--upstream_trainable"} & set(rest):
        raise DaisyError("-f asks to fine-tune DAISY, which is frozen", fix="Leave -f out")
    return ours.fusion, rest


def main(argv: Sequence[str] | None = None) -> None:
    """Run s3prl's own `run_downstream.py` with the arguments `argv`, and ``--fusion dynamic-s`` if wanted.

    Raises:
        DaisyError: if s3prl is not installed, or it is asked for what DAISY has not.
    """
    kind, rest = arguments(sys.argv[1:] if argv is None else argv)
    if not hasattr(torchaudio, "set_audio_backend"):  # gone from torchaudio, and s3prl calls it first of all
        torchaudio.set_audio_backend = lambda backend: None
    try:
        from s3prl import hub, run_downstream
        from s3prl.downstream import runner
    except ImportError as error:
        raise DaisyError(f"s3prl cannot be imported ({error})", fix="Install s3prl beside daisy") from None
    hub.daisy_local = daisy_local
    runner.Featurizer = functools.partial(make_featurizer, kind=kind, other=runner.Featurizer)
    sys.argv = ["run_downstream.py", *rest]
    # s3prl keeps its arguments in its checkpoints, and reads them when it resumes or evaluates.
    with torch.serialization.safe_globals([argparse.Namespace]):
        run_downstream.main()


if __name__ == "__main__":
    try:
        main()
    except DaisyError as error:
        sys.exit(f"error: {error}")
