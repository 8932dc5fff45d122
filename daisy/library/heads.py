"""Trained heads as ONNX: what turns the states of a recording that stopped somewhere into words, or a speaker.

A head's file takes the states 0 to k and gives the output of a task's downstream model: states are normalised, summed
by the weights of exit k, and go through the head. The graph is written node by node, since tracing takes seconds, and
an LSTM and a division by a stride are plain operators there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from daisy.downstream.model import Downstream, load_downstream
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint
from daisy.library.onnx_export import OPSET, require
from daisy.tasks.asr import END, CharacterHead, SpeechRecognition
from daisy.tasks.bilstm import BiLSTM
from daisy.tasks.sid import SpeakerHead
from daisy.tasks.tdnn import REACH, TDNN

IR_VERSION = 10
"""Of ONNX files: that of `OPSET`; browsers' runtimes are behind."""

EPSILON = 1e-5
"""That of torch's layer norm."""

_LSTM = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def of_run(run: Path) -> dict[str, Path]:
    """The models of a finished run that its exported model can hear with, by task; none where there is no run.

    They are DAISY's at the largest scale, which stops the earliest, and of several seeds the first's.
    """
    try:
        seed = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["seeds"][0]
    except (OSError, yaml.YAMLError, KeyError, TypeError, IndexError):
        return {}
    found = {}
    for task in HEADS:
        models = (run / f"downstream/{task}/seed{seed}").glob("daisy-rho*/model.safetensors")
        if scales := {float(path.parent.name.removeprefix("daisy-rho")): path for path in models}:
            found[task] = scales[max(scales)]
    return found


def read(files: Sequence[Path], checkpoint: Checkpoint) -> dict[str, Downstream]:
    """Trained models by task, each found to be one that can be exported for `checkpoint`.

    Args:
        files: What training wrote, one per task.
        checkpoint: The upstream whose states they are to read.

    Raises:
        DaisyError: if one cannot be read, is of a task that has no such export, reads other states, or is a second
            one of its task.
    """
    models: dict[str, Downstream] = {}
    for file in files:
        model = load_downstream(file)
        name, config = model.task.name, checkpoint.encoder.config
        if name not in HEADS:
            fix = f"Give models of {', '.join(HEADS)} alone"
            raise DaisyError(f"a head of {name} cannot be exported: its output is no text", file=file, fix=fix)
        if name in models:
            raise DaisyError(f"a second model of {name}", file=file, fix="Give one per task")
        wanted, given = (
            f"{layers} layers of width {dim}, {states}"
            for layers, dim, states in (
                (model.layers, model.dim, model.states),
                (config.layers, config.dim, checkpoint.position),
            )
        )
        if wanted != given:
            problem = f"it reads the states of {wanted}, and the checkpoint has {given}"
            raise DaisyError(problem, file=file, fix="Give a model of the same run as the bundle")
        models[name] = model
    return models


def description(model: Downstream) -> dict[str, Any]:
    """What makes a text of the head's output.

    ``labels``, one per class, of which the best is taken. With ``ctc``, that is done per step, then repeats are left
    out, and with ``trimmed`` spaces at either end.
    """
    task = model.task
    if isinstance(task, SpeechRecognition):
        labels = ["", *("" if symbol == END else symbol for symbol in task.symbols)]
        return {"labels": labels, "ctc": True, "trimmed": bool(task.ending)}
    return {"labels": list(task.vocabulary), "ctc": False, "trimmed": False}


def export_head(model: Downstream, file: Path) -> None:
    """Write a trained model as ONNX: ``states`` (n, T, D) of a recording that stopped at layer n - 1 to ``output``.

    The output is that of the model for this recording alone: logits (1, classes), or log-probabilities per step.

    Raises:
        DaisyError: if the package onnx is missing.
    """
    require("onnx")
    import onnx

    graph = _Graph()
    graph.result(HEADS[model.task.name](graph, model.head, _features(graph, model)))
    onnx.save(graph.model(model.dim), str(file))


class _Graph:
    """An ONNX graph that grows node by node; a value is known by its name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, value: Tensor | Sequence[int]) -> str:
        """The name of a constant: weights as float32, numbers of places as int64."""
        import onnx

        array = value.detach().numpy() if isinstance(value, Tensor) else np.array(value, np.int64)
        name = f"constant-{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The name of what an operator makes of its inputs."""
        import onnx

        name = f"value-{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def linear(self, layer: nn.Linear, x: str) -> str:
        """(N, in) to (N, out)."""
        return self.add("Gemm", x, self.constant(layer.weight), self.constant(layer.bias), transB=1)

    def normalised(self, x: str, scale: Tensor, *shift: Tensor) -> str:
        """Layer norm along the last axis."""
        given = [self.constant(weight) for weight in (scale, *shift)]
        return self.add("LayerNormalization", x, *given, axis=-1, epsilon=EPSILON)

    def result(self, value: str) -> None:
        """Name the graph's output."""
        import onnx

        self.nodes.append(onnx.helper.make_node("Identity", [value], ["output"]))

    def model(self, dim: int) -> Any:
        """The whole, for states of width `dim`."""
        from onnx import TensorProto, helper

        given = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["exits", "length", dim])
        made = helper.make_tensor_value_info("output", TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "head", [given], [made], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _features(graph: _Graph, model: Downstream) -> str:
    """(n, T, D) states to (T, D) features, or (1, D) if states are pooled; see `seen` and `LayerSum`."""

    def normalised(states: str) -> str:
        return graph.normalised(states, torch.ones(model.dim))

    def pooled(states: str) -> str:
        return graph.add("ReduceMean", states, graph.constant([1]), keepdims=1)

    states = "states"
    if not model.view.pooled:
        states = normalised(states)
    else:
        states = pooled(normalised(states)) if model.view.normalise == "frames" else normalised(pooled(states))
    # Row k - 1 holds the weights of exit k; behind its k + 1 there are zeros.
    table = graph.constant(model.fusion.weights(torch.arange(1, model.layers + 1)))
    count = graph.add("Shape", "states", start=0, end=1)
    row = graph.add("Gather", table, graph.add("Sub", count, graph.constant([2])), axis=0)
    weights = graph.add("Slice", row, graph.constant([0]), count, graph.constant([1]))
    flat = graph.add("Reshape", states, graph.constant([0, -1]))
    return graph.add("Reshape", graph.add("MatMul", weights, flat), graph.constant([-1, model.dim]))


def _speaker(graph: _Graph, head: SpeakerHead, features: str) -> str:
    """(1, D), the mean over time, to logits (1, speakers)."""
    return graph.linear(head.classifier, graph.linear(head.projection, features))


def _characters(graph: _Graph, head: CharacterHead, features: str) -> str:
    """(T, D) to log-probabilities (1, steps, characters + 1)."""
    x = graph.linear(head.projection, _side_by_side(graph, head, features))
    network = head.network
    x = _lstm(graph, network, x) if isinstance(network, BiLSTM) else _tdnn(graph, network, x)
    x = graph.linear(head.classifier, x)
    return graph.add("Unsqueeze", graph.add("LogSoftmax", x, axis=-1), graph.constant([0]))


def _side_by_side(graph: _Graph, head: CharacterHead, features: str) -> str:
    """(T, D) to (steps, stride * D): the last step is filled up with zeros."""
    stride = head.stride
    if stride == 1:
        return features
    width = head.projection.in_features
    filled = graph.add("Concat", features, graph.constant(torch.zeros(stride - 1, width // stride)), axis=0)
    size = graph.add("Shape", filled, start=0, end=1)
    left = graph.add("Mod", size, graph.constant([stride]))
    whole = graph.add("Slice", filled, graph.constant([0]), graph.add("Sub", size, left), graph.constant([0]))
    return graph.add("Reshape", whole, graph.constant([-1, width]))


def _lstm(graph: _Graph, lstm: BiLSTM, x: str) -> str:
    """(steps, in) to (steps, out)."""
    for both in zip(lstm.forwards, lstm.backwards, strict=True):
        weights = [[_gates(getattr(layer, name)) for layer in both] for name in _LSTM]
        given, recurrent = (graph.constant(torch.stack(pair)) for pair in weights[:2])
        biases = graph.constant(torch.cat([torch.stack(pair) for pair in weights[2:]], 1))
        hidden = len(weights[0][0]) // 4
        row = graph.add("Unsqueeze", x, graph.constant([1]))
        out = graph.add("LSTM", row, given, recurrent, biases, direction="bidirectional", hidden_size=hidden)
        # (steps, directions, 1, hidden): one direction beside the other, as in the library.
        x = graph.add("Reshape", out, graph.constant([-1, 2 * hidden]))
    return x


def _tdnn(graph: _Graph, tdnn: TDNN, x: str) -> str:
    """(steps, width) to the same; splicing and a product are a convolution."""
    for apart, norm, spliced, back in tdnn.stacked():
        kernel = spliced.weight.unflatten(1, (2 * REACH + 1, tdnn.width)).transpose(1, 2)
        given = graph.normalised(x, norm.weight, norm.bias)
        row = graph.add("Unsqueeze", graph.add("Transpose", given), graph.constant([0]))
        wide = {"pads": [REACH * apart] * 2, "dilations": [apart]}
        made = graph.add("Conv", row, graph.constant(kernel), graph.constant(spliced.bias), **wide)
        made = graph.add("Transpose", graph.add("Squeeze", graph.add("Relu", made), graph.constant([0])))
        x = graph.add("Add", x, graph.linear(back, made))
    return graph.normalised(x, tdnn.norm.weight, tdnn.norm.bias)


def _gates(weight: Tensor) -> Tensor:
    """Rows for the gates input, forget, cell, output in ONNX's order: input, output, forget, cell."""
    taken, forgotten, cell, given = weight.detach().chunk(4)
    return torch.cat([taken, given, forgotten, cell])


HEADS: Mapping[str, Callable[[_Graph, Any, str], str]] = {"asr": _characters, "sid": _speaker}
"""How the head of a task is written, by the task's name."""
