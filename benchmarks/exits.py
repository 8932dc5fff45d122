"""Early exit of one recording: what stopping at layer k costs, what the checks cost, and what can be won at most.

Table `exits`: a row per comparison and layer. Columns:

- `batch`: recordings in the pass, all of one length.
- `layer`: k, at which the pass stops.
- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.

Systems, each to layer k:

- `exit`: a fixed exit. `parts`: front end, and k layers, timed apart from it in the same rounds.
- `exit` against `full`: the fixed exit against the one at the last layer. `bound`: the same, from front end and layers
  timed apart. `limit`: the pass's operations at a plain product's rate, against the exit.
- `front end` against `full`: what remains however early a recording stops.
- `avg`: candidates k - 1 and k, neither sure enough. `min-max`: candidates 1 to k, none sure enough. Against `exit`
  they tell what the checks cost.
- On a GPU, at batch 1, each of ours as `compiled`: by `model.compile()`, which has layers run ahead of the decision.
- `published`: the published code's way, with the candidates of `min-max`, against ours with them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from benchmarks.clock import SPREAD, Taken, row, total
from benchmarks.limit import add_limit, products
from benchmarks.model import before_layers, noise, random_model, run_layers
from benchmarks.options import Options
from benchmarks.published import Published
from benchmarks.table import Row
from daisy.common.speed import take_turns
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.library.model import Daisy

COLUMNS = ("batch", "layer", *SPREAD)
NEVER = -1.0
"""A threshold that no entropy reaches."""


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    for batch in options.batches:
        taken = times(options, batch)
        yield row(taken, "front end", "full", batch=batch, layer=0)
        for k in exits(options.shape.layers):
            yield from (dict(found, batch=batch, layer=k) for found in compared(taken, k, options.shape.layers))


def exits(layers: int) -> list[int]:
    """The layers that are shown: every quarter of the depth."""
    return sorted({max(1, round(layers * quarter / 4)) for quarter in (1, 2, 3, 4)})


def times(options: Options, batch: int) -> Taken:
    """Seconds of all works, taking turns."""
    model = random_model(options)
    waves = [noise(options.seconds, options)] * batch
    upstream, published = EarlyExitHubert(model), Published(model)
    given = before_layers(model.encoder, waves)
    shown, last = exits(options.shape.layers), options.shape.layers
    works: dict[str, Callable[[], object]] = {"front end": lambda: before_layers(model.encoder, waves)}
    graphs = Daisy(model).compile().run if options.device == "cuda" and batch == 1 else None
    for k in shown:
        every = range(1, k + 1)
        works[f"layers {k}"] = functools.partial(run_layers, model.encoder, given, k)
        works[f"exit {k}"] = functools.partial(upstream.run, waves, candidates=[k])
        if k > 1:
            works[f"avg {k}"] = functools.partial(upstream.run, waves, candidates=[k - 1, k], tau=NEVER)
        works[f"min-max {k}"] = functools.partial(upstream.run, waves, candidates=every, tau=NEVER)
        if graphs is not None:
            works[f"compiled exit {k}"] = functools.partial(graphs, waves, [k], NEVER)
            works[f"compiled min-max {k}"] = functools.partial(graphs, waves, every, NEVER)
        works[f"published {k}"] = functools.partial(published, waves, every, NEVER)
    taken = take_turns({**works, **products(options, ("float32",))}, options.repeat)
    for k in shown:
        total(taken, f"parts {k}", ["front end", f"layers {k}"])
        macs = sum(options.shape.macs(len(wave), k) for wave in waves)
        add_limit(taken, f"limit {k}", "float32", macs, options)
    taken["full"] = taken[f"exit {last}"]
    return taken


def compared(taken: Taken, k: int, last: int) -> Iterator[Row]:
    """The comparisons of one layer."""
    named = {name.rpartition(" ")[0]: values for name, values in taken.items() if name.endswith(f" {k}")}
    named |= {"bound": named["parts"], "full": taken["full"], "full, in parts": taken[f"parts {last}"]}
    if f"compiled exit {last}" in taken:
        named["compiled full"] = taken[f"compiled exit {last}"]
    pairs = [("exit", "parts"), ("limit", "exit"), ("avg", "exit"), ("min-max", "exit"), ("published", "min-max")]
    pairs += [("compiled min-max", "compiled exit")]
    pairs += [("exit", "full"), ("compiled exit", "compiled full"), ("bound", "full, in parts")] if k < last else []
    for system, against in pairs:
        if system in named:
            yield row(named, system, against)
