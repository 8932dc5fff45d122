"""Write a model as ONNX: a front end and one segment per layer, so that a forward pass can really stop.

A folder holds ``front_end.onnx``, ``layer-01.onnx`` and so on, ``branch-01.onnx`` and so on, and
``daisy.json``. `daisy.library.onnx_runtime` runs it; that needs neither torch nor the rest of this project's
heavier dependencies.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daisy.common.files import write_json
from daisy.common.progress import Progress
from daisy.errors import DaisyError
from daisy.exits.signals import ENTROPY
from daisy.hubert.branches import Branches, frame_entropy
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.encoder import Hubert
from daisy.hubert.signals import MEASURES, Measure

OPSET = 20
"""The first with GELU as one operator."""

_WORTH_HALVING = 1024
"""Numbers; biases and norms weigh nothing, and keep their precision."""


class _FrontEnd(nn.Module):
    """(1, N) samples to state 0 and the input of layer 1, each (1, T, D)."""

    def __init__(self, encoder: Hubert) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        encoder = self.encoder
        if encoder.config.normalize:
            centred = wave - wave.mean(-1, keepdim=True)
            wave = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + 1e-5)
        states = encoder.post_extract_proj(encoder.layer_norm(encoder.feature_extractor(wave)))
        x = states + encoder.encoder.pos_conv.padded(states)
        return states, x if encoder.config.pre_norm else encoder.encoder.layer_norm(x)


class _Layer(nn.Module):
    """(1, T, D) to the layer's output and h_k."""

    def __init__(self, encoder: Hubert, k: int, after_norm: bool) -> None:
        super().__init__()
        self.layer, self.after_norm = encoder.encoder.layers[k - 1], after_norm
        self.positions = encoder.encoder.positions  # the same numbers in every segment that needs them

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x, inner = self.layer(x[0], None, self.positions)
        # The same tensor twice would become one output.
        return x[None], torch.clone(x)[None] if self.after_norm else inner[None]


class _Branch(nn.Module):
    """h_k (1, T, D) to E_k (1,)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        # Transposed here: the exporter would do it, and give the result a name of its own.
        self.weight, self.bias = nn.Parameter(weight.t().contiguous(), False), nn.Parameter(bias.clone(), False)

    def logits(self, h: Tensor) -> Tensor:
        """(1, T, D) to (1, T, C)."""
        return h @ self.weight + self.bias

    def forward(self, h: Tensor) -> Tensor:
        return frame_entropy(self.logits(h)).mean(1)


class _Signal(nn.Module):
    """h_k (1, T, D) to another signal than entropy (1,); also takes h_{k-1}, if the layer before is looked at."""

    def __init__(self, own: _Branch, before: _Branch | None, measure: Measure) -> None:
        super().__init__()
        self.own, self.before, self.measure = own, before, measure

    def forward(self, h: Tensor, earlier: Tensor | None = None) -> Tensor:
        before = None if self.before is None or earlier is None else self.before.logits(earlier)[0]
        return self.measure.pooled(self.measure.frames(self.own.logits(h)[0], before))[None]


def _branch(branches: Branches, k: int, signal: str) -> tuple[nn.Module, list[str]]:
    """What measures the signal at layer k, and the names of what it reads."""
    own, measure = _Branch(branches.weight[k - 1], branches.bias[k - 1]), MEASURES[signal]
    if signal == ENTROPY:
        return own, ["h"]
    if not measure.looks_back or k == 1:
        return _Signal(own, None, measure), ["h"]
    return _Signal(own, _Branch(branches.weight[k - 2], branches.bias[k - 2]), measure), ["h", "before"]


def signal_in(checkpoint: Checkpoint) -> str:
    """The signal that a checkpoint's thresholds are about; entropy without any.

    Raises:
        DaisyError: if they are about several, since a folder of segments measures one.
    """
    found = sorted({item.signal for item in checkpoint.calibrations.values()}) or [ENTROPY]
    if len(found) > 1:
        raise DaisyError(f"thresholds of several signals: {', '.join(found)}", fix="Bundle tasks of one signal")
    return found[0]


def export(checkpoint: Checkpoint, out: str | Path, *, int8: bool = False) -> None:
    """Write `checkpoint` as a folder of ONNX segments.

    Args:
        checkpoint: A HuBERT, with or without branches, as float32. Branches measure the signal that its thresholds are
            about.
        out: The folder; must be new or empty.
        int8: Whether the weights of linear layers are quantised to 8 bits; activations are quantised as
            they come, and convolutions stay as they are.

    Raises:
        DaisyError: if `out` is not empty, a package is missing, or the thresholds are about several signals.
    """
    require("onnx", "onnxscript", *(["onnxruntime"] if int8 else []))
    with fresh(Path(out)) as folder:
        _write(checkpoint, folder, int8)


@contextlib.contextmanager
def fresh(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` once all is written.

    Raises:
        DaisyError: if `out` is there, and not an empty folder.
    """
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise DaisyError("it is there already", file=out, fix="Choose a new folder, or delete this one")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        yield temporary
        temporary.chmod(0o755)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def require(*packages: str) -> None:
    """Make sure that optional packages are there.

    Raises:
        DaisyError: if one is not.
    """
    lacking = [name for name in packages if importlib.util.find_spec(name) is None]
    if lacking:
        raise DaisyError(
            f"the Python package {lacking[0]} is missing", fix="Install daisy with its extra: daisy-ssl[onnx]"
        )


def _write(checkpoint: Checkpoint, folder: Path, int8: bool) -> None:
    encoder, branches, signal = checkpoint.encoder, checkpoint.branches, signal_in(checkpoint)
    config = encoder.config
    example = torch.zeros(1, 20, config.dim)
    count = 1 + config.layers * (1 if branches is None else 2)
    progress = Progress("ONNX", count, "segments")
    front = _FrontEnd(encoder)
    _segment(front, torch.randn(1, 16_000), folder / "front_end.onnx", ["wave"], ["states", "x"])
    progress.add()
    layers, asked = _Alike(example, ["next", "h"]), _Alike(example, ["entropy"])
    for k in range(1, config.layers + 1):
        layer = _Layer(encoder, k, checkpoint.position == "after-norm")
        layers.write(layer, folder / f"layer-{k:02d}.onnx", ["x"], int8)
        progress.add()
        if branches is not None:
            branch, given = _branch(branches, k, signal)
            asked.write(branch, folder / f"branch-{k:02d}.onnx", given, int8)
            progress.add()
    description: dict[str, Any] = {
        "layers": config.layers,
        "dim": config.dim,
        "branches": branches is not None,
        "int8": int8,
        "receptive_field": config.receptive_field,
        "calibrations": {task: item.plain() for task, item in checkpoint.calibrations.items()},
        **({} if signal == ENTROPY else {"signal": signal}),
    }
    write_json(folder / "daisy.json", description)


class _Alike:
    """Segments of one shape: the first is traced, which takes seconds, the others are it with their own weights."""

    def __init__(self, example: Tensor, results: Sequence[str]) -> None:
        self.example, self.results = example, results
        self.first: Any = None

    def write(self, module: nn.Module, file: Path, given: Sequence[str], int8: bool) -> None:
        import onnx

        weights = module.state_dict()
        places = {} if self.first is None else {place.name: place for place in self.first.graph.initializer}
        if weights.keys() <= places.keys():
            for name, weight in weights.items():
                places[name].CopyFrom(onnx.numpy_helper.from_array(weight.contiguous().numpy(), name))
            onnx.save(self.first, str(file))
        else:  # the first, or one whose weights the exporter turned into constants without their names
            _segment(module, self.example, file, given, self.results)
            self.first = onnx.load(str(file))
        if int8:
            quantise(file)


def _segment(module: nn.Module, example: Tensor, file: Path, given: Sequence[str], results: Sequence[str]) -> None:
    length = torch.export.Dim("length", min=2)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            # Apart, since one tensor given twice would become one input.
            tuple(example.clone() for _ in given),
            file,
            input_names=list(given),
            output_names=list(results),
            dynamic_shapes=({1: length},) * len(given),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def quantise(file: Path) -> None:
    """Turn a segment's matrix products into ones with 8-bit weights, in place."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = file.with_suffix(".float.onnx")
    file.rename(whole)
    logging.disable(logging.WARNING)  # it recommends a preparation that these small graphs do not need
    try:
        quantize_dynamic(
            whole, file, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"], reduce_range=True
        )
    finally:
        logging.disable(logging.NOTSET)
    whole.unlink()


def halve(file: Path) -> None:
    """Store a segment's weights as float16, in place; once it is loaded they are float32 again, as arithmetic is."""
    import onnx

    model = onnx.load(str(file))
    graph = model.graph
    for weight in graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and math.prod(weight.dims) >= _WORTH_HALVING:
            name, stored = weight.name, f"{weight.name}.half"
            value = onnx.numpy_helper.to_array(weight).astype("float16")
            weight.CopyFrom(onnx.numpy_helper.from_array(value, stored))
            graph.node.insert(0, onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    onnx.save(model, str(file))
