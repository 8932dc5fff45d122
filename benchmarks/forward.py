"""One full forward pass: ours, other implementations with the same weights, and the physical limit.

Table `forward`: a row per system and yardstick (`daisy float32`, `daisy bfloat16`). Columns:

- `batch`: recordings in the pass, all of one length.
- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `precision`: of the products; `int8` is weights and activations in 8 bits, convolutions in float32.
- `how`: what bfloat16 means: `weights` in that format, or `autocast`; of a peer's two ways the faster one is shown.
- `difference`: of the last layer from `daisy float32`, relative (norm of the difference over the norm).
- `compile_s`: seconds that compiling took, outside the other columns. `daisy ... compiled`, on a GPU, is a call of the
  library after `model.compile()`, with all states; what compiles is its first call.

A system named `limit` is no run: the operations of the pass at the rate of a plain matrix product in the same round.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.clock import SPREAD, Taken, row
from benchmarks.limit import add_limit, products
from benchmarks.model import in_precision, noise, outputs, random_model
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.common.compute import Precision
from daisy.common.speed import take_turns
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.library.model import Daisy

COLUMNS = ("batch", *SPREAD, "precision", "how", "difference", "compile_s")
OURS = ("daisy float32", "daisy bfloat16")
"""The yardsticks."""

ONNX = ("onnx", "onnxscript", "onnxruntime")
"""What measuring ONNX Runtime needs."""

TOLERANCE = 1e-3
"""How far a system in float32 may be from ours."""


@dataclasses.dataclass(frozen=True)
class System:
    """One way through the whole model.

    Attributes:
        name: In the table.
        precision: Of its products.
        work: The pass; it returns the last layer's output of the first recording.
        how: The kind of bfloat16.
        compile_s: Seconds that compiling took.
    """

    name: str
    precision: str
    work: Callable[[], object]
    how: str = ""
    compile_s: float | None = None


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    model = random_model(options)
    with tempfile.TemporaryDirectory() as folder:
        exported = exports(model, options, Path(folder))
        built = {name: peers.BUILD[name](model) for name in peers.present()}
        for batch in options.batches:
            waves = [noise(options.seconds, options)] * batch
            systems = ours(model, waves, options) + theirs(built, waves, options)
            systems += exported(waves[0]) if batch == 1 else []
            yield from compared(systems, waves, model, options)


def ours(model: Checkpoint, waves: list[Tensor], options: Options) -> list[System]:
    """The project's own passes."""
    last = model.encoder.config.layers
    upstream = EarlyExitHubert(model)

    def states() -> Tensor:
        return upstream.run(waves, candidates=[last])[0].states[-1]

    found = []
    for precision in options.precisions:
        work = in_precision(options, precision, functools.partial(last_output, model, waves))
        found.append(System(f"daisy {precision}", precision, work, "autocast" if precision == "bfloat16" else ""))
    found.append(System("daisy float32, all states kept", "float32", states))
    if len(waves) == 1 and options.device == "cuda":
        found += [recorded(model, waves[0], precision, options) for precision in options.precisions]
    return found


def recorded(model: Checkpoint, wave: Tensor, precision: Precision, options: Options) -> System:
    """The library's call with one recording after `model.compile()`; on a CPU that changes nothing."""
    library = Daisy(model).compile()
    work = in_precision(options, precision, lambda: library([wave]).features[0][-1])
    begin = time.perf_counter()
    work()
    how = "autocast" if precision == "bfloat16" else ""
    return System(f"daisy {precision} compiled", precision, work, how, time.perf_counter() - begin)


def last_output(model: Checkpoint, waves: list[Tensor]) -> Tensor:
    """The last layer's output of the first recording."""
    return outputs(model.encoder, waves, model.encoder.config.layers)[0]


def theirs(built: dict[str, torch.nn.Module], waves: list[Tensor], options: Options) -> list[System]:
    """The peers' passes in float32, in bfloat16 in two ways, and compiled if that is wanted."""
    stacked = torch.stack(waves)
    found = []
    for name, module in built.items():
        forward = peers.forward_of(name, module)
        for precision in options.precisions[:-1]:
            work = in_precision(options, precision, run(forward, stacked))
            found.append(System(f"{name} {precision}", precision, work))
        if name == "fairseq":
            continue
        half = copy.deepcopy(module).to(torch.bfloat16)
        ways = {
            "autocast": run(peers.in_bfloat16(forward, options.place), stacked),
            "weights": run(peers.forward_of(name, half), stacked.to(torch.bfloat16)),
        }
        found += [System(f"{name} bfloat16", "bfloat16", work, how) for how, work in ways.items()]
    if options.compile and "transformers" in built and shutil.which("c++"):
        found.append(compiled(built["transformers"], stacked))
    return found


def run(forward: peers.Forward, stacked: Tensor) -> Callable[[], Tensor]:
    """A peer's pass without gradients."""

    def work() -> Tensor:
        with torch.no_grad():
            return forward(stacked)[0]

    return work


def compiled(module: torch.nn.Module, stacked: Tensor) -> System:
    """transformers by torch's compiler."""
    work = run(peers.forward_of("transformers", torch.compile(module)), stacked)  # type: ignore[arg-type]
    begin = time.perf_counter()
    work()
    return System("transformers compiled float32", "float32", work, compile_s=time.perf_counter() - begin)


def exports(model: Checkpoint, options: Options, folder: Path) -> Callable[[Tensor], list[System]]:
    """Write the model as ONNX, in float32 and int8; a function from a recording to their passes."""
    if options.device != "cpu" or len(peers.present(ONNX)) < len(ONNX):
        return lambda wave: []
    from daisy.library.onnx_export import export, quantise
    from daisy.library.onnx_runtime import OnnxDaisy

    export(dataclasses.replace(model, branches=None), folder / "float32")
    shutil.copytree(folder / "float32", folder / "int8")
    for file in (folder / "int8").glob("layer-*.onnx"):
        quantise(file)
    runners = {precision: OnnxDaisy(folder / precision, options.threads) for precision in ("float32", "int8")}

    def last(runner: OnnxDaisy, wave: Tensor) -> Tensor:
        return torch.from_numpy(runner(wave.numpy()).features[-1])

    return lambda wave: [
        System(f"daisy ONNX Runtime {precision}", precision, functools.partial(last, runner, wave))
        for precision, runner in runners.items()
    ]


def compared(systems: list[System], waves: list[Tensor], model: Checkpoint, options: Options) -> Iterator[Row]:
    """Check what the systems give, let them take turns, and compare."""
    works = {key(system): system.work for system in systems}
    differences = differences_of(systems)
    taken = take_turns({**works, **products(options)}, options.repeat)
    config = model.encoder.config
    macs = sum(config.macs(len(wave), config.layers) for wave in waves)
    for precision in options.precisions:
        limit = System(f"limit {precision}", precision, lambda: None)
        add_limit(taken, key(limit), precision, macs, options)
        systems = [*systems, limit]
    by_name = {system.name: system for system in faster(systems, taken)}
    for against in OURS:
        for name, system in by_name.items():
            if name != against:
                times = {name: taken[key(system)], against: taken[key(by_name[against])]}
                more = {"precision": system.precision, "how": system.how, "compile_s": system.compile_s}
                yield row(times, name, against, batch=len(waves), difference=differences.get(key(system)), **more)


def key(system: System) -> str:
    """The name of a system's work."""
    return f"{system.name}, {system.how}" if system.how else system.name


def differences_of(systems: list[System]) -> dict[str, float]:
    """How far each system's output is from ours.

    Raises:
        RuntimeError: if one in float32 is too far: then it is another model, and its time says nothing.
    """
    own = systems[0].work()
    assert isinstance(own, Tensor)
    found = {}
    for system in systems:
        other = system.work()
        assert isinstance(other, Tensor)
        found[key(system)] = float((other.float() - own).norm() / own.norm())
        if system.precision == "float32" and found[key(system)] > TOLERANCE:
            raise RuntimeError(f"{system.name} differs by {found[key(system)]:.2g} from {systems[0].name}")
    return found


def faster(systems: list[System], taken: Taken) -> list[System]:
    """Of systems with the same name the one with the smaller median time."""
    best: dict[str, System] = {}
    for system in systems:
        known = best.get(system.name)
        if known is None or statistics.median(taken[key(system)]) < statistics.median(taken[key(known)]):
            best[system.name] = system
    return list(best.values())
