"""`daisy exits`: the entropy of every branch on one recording, clean and under noise, and where it would stop."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daisy.cli.stopping import add_stopping, stopping
from daisy.errors import DaisyError

if TYPE_CHECKING:
    from daisy.exits.calibration import Calibration
    from daisy.exits.rule import ExitRule
    from daisy.library.under_noise import Heard

SUMMARY = "Show the entropy per layer of one recording, clean and under noise, and the layer at which it stops."
EXAMPLES = (
    "daisy exits tiny --noise speech-shaped --png look.png",
    "daisy exits daisy.safetensors speech.wav --threshold 1.2",
    "daisy exits daisy.safetensors speech.wav --noise music.mp3 --snr 20 10 0 --rho 1.0 --strategy avg --task asr",
)
WIDTH = 48
RATIOS = (20.0, 10.0, 0.0)
"""Signal-to-noise ratios in dB, where none is given."""

LOUDEST = 100.0
"""In dB, either way: what lies beyond is the speech alone, or the noise alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument(
        "upstream", type=Path, help="DAISY checkpoint, a HuBERT with exit branches; or tiny, which ships"
    )
    parser.add_argument("file", type=Path, nargs="?", help="recording of any rate (default: a sentence that ships)")
    parser.add_argument(
        "--noise", metavar="NOISE", help="white, pink or speech-shaped, or a file with music, babble or what you like"
    )
    parser.add_argument("--snr", type=float, nargs="+", metavar="DB", help="of the noise (default: 20 10 0)")
    parser.add_argument("--seed", type=int, default=1337, help="of the noise (default: 1337)")
    parser.add_argument("--png", type=Path, metavar="OUT", help="draw a figure, too")
    add_stopping(parser)


def usual(calibrations: Mapping[str, Calibration]) -> dict[str, Any]:
    """Where a calibrated model stops if nobody says it: as in the report's figure of the method at work."""
    task = "asr" if "asr" in calibrations else next(iter(calibrations))
    return {"rho": max(calibrations[task].counts), "strategy": "min-max", "task": task}


def in_words(asked: Mapping[str, Any]) -> str:
    """Where it may stop, for people."""
    if asked.get("budget") is not None:
        return f"task {asked['task']}, a budget of {asked['budget']:.0%}"
    if asked.get("task"):
        return f"task {asked['task']}, rho {asked['rho']:g}, {asked['strategy']}"
    given = next((f"{name} {asked[name]:g}" for name in ("threshold", "layer") if asked.get(name) is not None), None)
    return given or "at the last layer"


def bars(entropies: Sequence[float], candidates: Sequence[int], tau: float | None, stop: int) -> str:
    """A bar per layer; ``|`` marks the threshold, ``*`` candidates, ``<`` the exit."""
    top = max([*entropies, tau or 0.0]) or 1.0
    lines = []
    for k, value in enumerate(entropies, start=1):
        row = list(("█" * round(WIDTH * value / top)).ljust(WIDTH + 1))
        if tau is not None:
            row[min(WIDTH, max(0, round(WIDTH * tau / top)))] = "|"
        mark = "*" if k in candidates else " "
        end = "  < stops here" if k == stop else ""
        lines.append(f"{k:3}{mark} {value:7.3f} {''.join(row)}{end}")
    return "\n".join(lines)


def explained(entropies: Sequence[float], candidates: Sequence[int], tau: float | None, stop: int, signal: str) -> str:
    """What the marks of `bars` mean, and why it stops where it does."""
    if tau is None:
        return f"It always stops at layer {stop}; no branch is asked."
    marks = "* a candidate, a layer at which it may stop; | the threshold.\n"
    if entropies[stop - 1] <= tau:
        return f"{marks}Layer {stop} is the first candidate whose {signal} is at most the threshold: it stops there."
    last = "the last of all layers" if stop == len(entropies) else "the last candidate"
    return (
        f"{marks}No candidate's {signal} is at most the threshold: it goes on to layer {stop}, {last}, and stops there."
    )


def table(found: Sequence[Heard], signal: str) -> str:
    """A line per condition."""
    lines = [f"{'condition':28} {'stops at layer':>14} {f'{signal} there':>16} {'arithmetic':>10}"]
    for item in found:
        name = item.kind if item.snr_db is None else f"{item.kind}, {item.snr_db:g} dB"
        lines.append(f"{name:28} {item.stop:14} {item.entropies[item.stop - 1]:16.3f} {item.share:10.0%}")
    return "\n".join(lines)


def heading(found: Sequence[Heard]) -> tuple[str, str]:
    """What the figure says, in two lines."""
    first, layers = found[0], len(found[0].entropies)
    never = "The faint layers never run"
    if len(found) == 1:
        return f"It stops at layer {first.stop} of {layers}", f"{never}: {first.share:.0%} of the arithmetic."
    last = found[-1]
    return (
        f"Clean, it stops at layer {first.stop} of {layers}; with noise at {last.snr_db:g} dB, at {last.stop}",
        f"{never}: {first.share:.0%} of the arithmetic when clean, {last.share:.0%} at {last.snr_db:g} dB.",
    )


def draw(path: Path, found: Sequence[Heard], rule: ExitRule, words: str, signal: str) -> None:
    """The same as a figure, by the hand that draws the report's."""
    from matplotlib import style

    from daisy.common.files import atomic
    from daisy.report.drawing import METADATA, STYLE
    from daisy.report.stopping import draw as drawn

    shown = [(item.snr_db, item.kind, item.entropies, item.stop) for item in found]
    with style.context(["default", STYLE]), atomic(path) as temporary:
        figure = drawn(shown, rule, words, heading(found), signal)
        figure.savefig(temporary, dpi=150, format="png", metadata=METADATA["png"])


def checked(arguments: argparse.Namespace) -> tuple[float, ...]:
    """The ratios that are asked for, once the options fit together.

    Raises:
        DaisyError: if they do not.
    """
    if arguments.png and arguments.png.suffix.lower() not in ("", ".png"):
        raise DaisyError("the figure is a PNG", file=arguments.png, fix="Give it a name that ends in .png")
    if arguments.snr and arguments.noise is None:
        raise DaisyError("--snr without --noise", fix="Say which noise, for example --noise white")
    bad = next((value for value in arguments.snr or () if not abs(value) <= LOUDEST or math.isnan(value)), None)
    if bad is not None:
        raise DaisyError(f"--snr {bad:g}", fix=f"Give ratios from -{LOUDEST:g} to {LOUDEST:g} dB, for example 20 10 0")
    return tuple(sorted(arguments.snr or RATIOS, reverse=True))


def run(arguments: argparse.Namespace) -> None:
    """Measure, decide, show."""
    snrs = checked(arguments)
    from daisy.exits.rule import ExitRule
    from daisy.exits.signals import ENTROPY, signal_of
    from daisy.library import shipped
    from daisy.library.model import load
    from daisy.library.under_noise import heard, recording

    model = load(arguments.upstream)
    if model.checkpoint.branches is None:
        raise DaisyError("the model has no exit branches", file=arguments.upstream, fix="Give a DAISY checkpoint")
    asked = stopping(arguments)
    if model.calibrations and all(value is None for value in asked.values()):
        asked = usual(model.calibrations)
    rule, signal = ExitRule(*model.exits(**asked)), signal_of(model.calibrations, asked.get("task"), None)
    file = arguments.file or shipped.SENTENCE
    speech, done = recording(file, model.config.receptive_field)
    found = heard(model, speech, rule, kind=arguments.noise, snrs=snrs, seed=arguments.seed, signal=signal)
    line = rule.tau if len(rule.candidates) > 1 else None
    threshold = f", threshold {line:.3f}" if line is not None else ""
    what = "mean entropy in nats" if signal == ENTROPY else f"{signal}, the signal of this calibration,"
    print(f"{file}: {what} per layer{threshold} ({in_words(asked)})")
    if done:
        print(done)
    if arguments.noise is None:
        entropies, stop = found[0].entropies.tolist(), found[0].stop
        print(bars(entropies, rule.candidates, line, stop))
        print(explained(entropies, rule.candidates, line, stop, signal))
    else:
        print(table(found, signal))
        print(f"Of {model.layers} layers. arithmetic: of what all of them take; branches that are asked are counted.")
    if arguments.png:
        draw(arguments.png, found, rule, f"{file.name}; {in_words(asked)}", signal)
        print(f"{arguments.png}: the same as a figure")
