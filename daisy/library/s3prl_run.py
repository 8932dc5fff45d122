"""s3prl's `run_downstream.py` with DAISY among its upstreams, and with DAISY's weights of their states.

python -m daisy.library.s3prl_run -m train -u daisy_local -k daisy.safetensors -g stopping.yaml ...

s3prl is installed by whoever uses this; its files stay as they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch
import yaml
from torch import Tensor, nn

from daisy.common.numbers import read_yaml
from daisy.common.stage import build
from daisy.common.torchaudio_shim import torchaudio  # before s3prl, which imports torchaudio too
from daisy.errors import DaisyError
from daisy.library.s3prl import DaisyFeaturizer, DaisyUpstream, UpstreamSettings


def daisy_local(
    ckpt: str, model_config: str | None = None, refresh: bool = False, **options: float | str | None
) -> DaisyUpstream:
    """The upstream by s3prl's convention for models in local files: an entry of its hub, or of a `hubconf.py`.

    s3prl's runner, if it is loaded, is made to use `DaisyFeaturizer` for upstreams of DAISY.

    Args:
        ckpt: Any checkpoint that `daisy.load` reads (``-k``).
        model_config: A YAML file with the keys of `UpstreamSettings` (``-g``); without it, nothing stops early.
        refresh: Of no use to a local file.
        options: The same keys, which win: newer s3prl passes those of ``upstream_expert`` in its own config.

    Raises:
        DaisyError: if the file cannot be read, a key or value is none, or the checkpoint does not allow it.
    """
    values = {**(_read(model_config) if model_config else {}), **options}
    settings = build(UpstreamSettings, values, model_config or "upstream_expert")
    upstream = DaisyUpstream(ckpt, **dataclasses.asdict(settings))
    if runner := sys.modules.get("s3prl.downstream.runner"):
        use_featurizer(runner)
    return upstream


def _read(path: str) -> dict[str, Any]:
    """The keys and values of a YAML file."""
    try:
        values = read_yaml(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DaisyError(f"it cannot be read ({reason})", fix="Pass a YAML file with -g", file=path) from None
    if not isinstance(values, dict):
        raise DaisyError("it holds no keys", fix="Write one `key: value` per line, such as `layer: 6`", file=path)
    return values


def use_featurizer(runner: Any) -> None:
    """Let `runner`, s3prl's module of that name, make the featurizer that fits its upstream."""
    if not isinstance(runner.Featurizer, functools.partial):
        runner.Featurizer = functools.partial(make_featurizer, other=runner.Featurizer)


def make_featurizer(
    upstream: nn.Module,
    *,
    other: type[nn.Module],
    feature_selection: str = "hidden_states",
    layer_selection: int | None = None,
    **others: Any,
) -> nn.Module:
    """What s3prl's runner gets where it asks for its `Featurizer`.

    Args:
        upstream: DAISY's, or one of s3prl's own.
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
    return DaisyFeaturizer(upstream)


def complete(module: Any) -> None:
    """Give torchaudio what s3prl 0.4 imports and calls of it, where this version has it no longer.

    Without torchcodec the present `torchaudio.load` reads nothing: soundfile then does. sox's effects, which few
    downstream tasks use, can be imported and fail when called.

    Args:
        module: torchaudio.
    """
    if not hasattr(module, "set_audio_backend"):
        module.set_audio_backend = lambda backend: None
    name = "torchaudio.sox_effects"
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        effects: Any = types.ModuleType(name)
        effects.apply_effects_file = effects.apply_effects_tensor = _no_effects
        sys.modules[name] = module.sox_effects = effects
    if importlib.util.find_spec("torchcodec") is None:
        module.load = read


def read(path: str | Path) -> tuple[Tensor, int]:
    """A recording as (channels, N) float32 and its rate, as `torchaudio.load` gives it."""
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(wave.T.copy()), rate


def _no_effects(*_arguments: Any, **_keywords: Any) -> None:
    raise RuntimeError("this torchaudio has no sox_effects, which the downstream task calls")


def main(argv: Sequence[str] | None = None) -> None:
    """Run s3prl's own `run_downstream.py` with the arguments `argv`.

    Raises:
        DaisyError: if s3prl is not installed, or it is asked for what DAISY has not.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "daisy_local" in arguments and {"-f", "--upstream_trainable"} & set(arguments):
        raise DaisyError("-f asks to fine-tune DAISY, which is frozen", fix="Leave -f out")
    complete(torchaudio)
    try:
        from s3prl import hub, run_downstream
    except ImportError as error:
        raise DaisyError(
            f"s3prl cannot be imported ({error})", fix="Install s3prl beside daisy, as envs/s3prl.txt has it"
        ) from None
    hub.daisy_local = daisy_local
    sys.argv = ["run_downstream.py", *arguments]
    # s3prl keeps its arguments in its checkpoints, and reads them when it resumes or evaluates.
    with torch.serialization.safe_globals([argparse.Namespace]):
        run_downstream.main()


if __name__ == "__main__":
    try:
        main()
    except DaisyError as error:
        sys.exit(f"error: {error}")
