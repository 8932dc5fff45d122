"""The config: checked as one, with an error that names the key, the value and the fix."""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import jsonschema
import yaml

from daisy.errors import DaisyError
from daisy.exits.method import DAISY, FULL, STUDENT, TASK_EXITS, Method
from daisy.tasks.registry import TASKS
from daisy.workflow.beside import kept
from daisy.workflow.layers import read_layer
from daisy.workflow.several import together, tried
from daisy.workflow.values import NUMBER, meant

SCHEMA = Path(__file__).parent / "config_schema.yaml"


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a run, checked: tasks that an overlay sets to null are left out.

    Raises:
        DaisyError: that tells all faults of its form, or else all of what does not fit together.
    """
    resolved = formed(config)
    check_parts(resolved)
    return resolved


def formed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but that its parts may not fit one another.

    Raises:
        DaisyError: that tells all faults of its form.
    """
    resolved: dict[str, Any] = meant(config, _schema_file())
    tasks, thresholds = resolved.get("tasks"), resolved.get("thresholds")
    faults = []
    if isinstance(thresholds, Mapping) and isinstance(thresholds.get("absolute"), Mapping):
        try:
            absolute = _by_scale(thresholds["absolute"])
        except DaisyError as error:
            absolute, faults = {}, [error]
        resolved["thresholds"] = {**thresholds, "absolute": absolute}
    if isinstance(tasks, Mapping):
        resolved["tasks"] = {name: task for name, task in tasks.items() if task is not None}
        resolved |= _narrowed(config, {name for name in TASKS if name not in resolved["tasks"]})
    if faults := [*faults, *_form_faults(resolved)]:
        raise together(faults)
    return resolved


@functools.cache
def _schema_file() -> dict[str, Any]:
    text = SCHEMA.read_bytes()
    schema = kept(SCHEMA, text, __file__, lambda: yaml.safe_load(text))
    assert isinstance(schema, dict)
    return schema


def _narrowed(config: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
    """The ablation without the tasks that the run does without: nobody may have asked for it."""
    ablation = config.get("ablation")
    if not isinstance(ablation, Mapping) or not isinstance(ablation.get("tasks"), list):
        return {}
    return {"ablation": {**ablation, "tasks": [task for task in ablation["tasks"] if task not in left_out]}}


def _by_scale(absolute: Mapping[str, Any]) -> dict[str, Any]:
    """Thresholds per task, with scales as text: YAML reads them as numbers, and JSON knows no such keys.

    Raises:
        DaisyError: if one scale is there twice, such as 1 and "1.0".
    """
    by_scale: dict[str, Any] = {}
    for task, given in absolute.items():
        if task not in TASKS:
            raise DaisyError(
                f"thresholds.absolute.{task}: there is no such task", fix=f"Use {', '.join(TASKS)}", file="config"
            )
        by_scale[task] = {_scale(rho): tau for rho, tau in given.items()} if isinstance(given, Mapping) else given
        if isinstance(given, Mapping) and len(by_scale[task]) < len(given):
            scales = ", ".join(map(repr, given))
            raise DaisyError(
                f"thresholds.absolute.{task} has a scale twice: {scales}", fix="Write each once", file="config"
            )
    return by_scale


def read_layers(*paths: Path) -> dict[str, Any]:
    """The config of some files, each laid over those before it, as Snakemake does; checked.

    Raises:
        DaisyError: if a file is missing or is not YAML or has a key twice, or the config is wrong.
    """
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for layer in tried(*(functools.partial(read_layer, path) for path in paths)):
        update_config(config, layer)
    return resolve(config)


def check(config: Mapping[str, Any]) -> None:
    """Check a whole config against the schema, and its parts against each other.

    Raises:
        DaisyError: that tells all that the schema refuses, or else all parts that do not fit others.
    """
    if faults := _form_faults(config):
        raise together(faults)
    check_parts(config)


def _form_faults(config: Mapping[str, Any]) -> list[DaisyError]:
    """All that the schema refuses, or else all numbers that are none."""
    validator = jsonschema.Draft202012Validator(_schema_file())
    faults = sorted(validator.iter_errors(config), key=lambda item: (len(item.path), str(item.path)))
    return [error for fault in faults for error in _explained(fault)] or list(_infinite(config))


def check_parts(config: Mapping[str, Any]) -> None:
    """Check the parts of a config whose form is right against each other.

    Raises:
        DaisyError: that tells all that do not fit.
    """
    methods = _methods(config)
    faults = [*_data_faults(config["data"]), *_noise_faults(config), *_exit_faults(config, methods)]
    if DAISY in methods and config["thresholds"]["rule"] == "absolute":
        faults += _absolute_faults(config)
    if FULL not in methods:
        problem = "downstream.methods lacks full, which every speed-up is measured against"
        faults.append(DaisyError(problem, fix="Add full"))
    for task in sorted(set(config["ablation"]["tasks"]) - set(config["tasks"])):
        fix = "Leave it out, or add it to tasks"
        faults.append(DaisyError(f"ablation.tasks: the run has no task {task!r}", fix=fix))
    if config["targets"]["kind"] == "kmeans" and config["targets"]["layer"] < 1:
        faults.append(DaisyError(f"targets.layer is {config['targets']['layer']}", fix="Give a layer from 1"))
    if faults:
        raise together(faults)


def _data_faults(data: Mapping[str, Any]) -> Iterator[DaisyError]:
    splits, noisy = data["splits"], data["mixtures"]["enhancement"]
    if splits["dev"] + splits["test"] >= 1:
        yield DaisyError(
            f"data.splits: dev {splits['dev']} and test {splits['test']} leave nothing to train on",
            fix="Let them add up to less than 1",
        )
    for speaker in sorted(set(noisy["speakers"]) & set(noisy["test_speakers"])):
        yield DaisyError(
            f"data.mixtures.enhancement: {speaker} is among speakers and test_speakers",
            fix="Name every speaker in one of the two",
        )


def _scale(rho: Any) -> Any:
    """A scale as text, in the spelling that numbers have."""
    number = isinstance(rho, int | float) or (isinstance(rho, str) and NUMBER.fullmatch(rho.strip()))
    return f"{float(rho):g}" if number else rho


def _infinite(value: Any, place: str = "") -> Iterator[DaisyError]:
    """The numbers that are none: YAML knows ``.inf`` and ``.nan``, and no setting means them."""
    if isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _infinite(item, f"{place}.{key}".removeprefix("."))
    elif isinstance(value, float) and not math.isfinite(value):
        yield DaisyError(f"{place} is {value}", fix="Give a finite number", file="config")


def _absolute_faults(config: Mapping[str, Any]) -> Iterator[DaisyError]:
    """The tasks that lack a threshold at some scale."""
    given, scales = config["thresholds"]["absolute"], [f"{rho:g}" for rho in config["thresholds"]["rho"]]
    for task in sorted(config["tasks"]):
        if task not in given:
            yield DaisyError(
                f"thresholds.rule is absolute, but the task {task} has no threshold",
                fix=f"Add thresholds.absolute.{task}, in nats",
            )
            continue
        missing = [rho for rho in scales if isinstance(given[task], Mapping) and rho not in given[task]]
        if missing:
            yield DaisyError(
                f"thresholds.absolute.{task} has no threshold at rho {missing[0]}",
                fix=f"Add `{missing[0]}: ` and nats, or give one number for every rho",
            )


def check_layers(config: Mapping[str, Any], layers: int) -> None:
    """Check that every layer that the config names is one of the model's.

    Args:
        config: A checked config.
        layers: K, the model's layers.

    Raises:
        DaisyError: that tells all that are none.
    """
    named = [
        ("thresholds.floor", config["thresholds"]["floor"]),
        *(("noise.floors", layer) for layer in config["noise"]["floors"]),
        *(("ablation.layers", layer) for layer in config["ablation"]["layers"]),
        *(("downstream.methods", method.layer) for method in _methods(config) if method.layer),
    ]
    if config["targets"]["kind"] == "kmeans":
        named.insert(0, ("targets.layer", config["targets"]["layer"]))
    if STUDENT in _methods(config):
        named += [(f"student.{key}", config["student"][key]) for key in ("layers", "heads")]
    faults = [
        DaisyError(
            f"{key}: there is no layer {layer} in {config['upstream']['checkpoint']}",
            fix=f"Choose one from 1 to {layers}",
        )
        for key, layer in named
        if layer > layers
    ]
    if faults:
        raise together(faults)


def _methods(config: Mapping[str, Any]) -> list[Method]:
    """The methods of a config whose form is right."""
    return [Method.parse(name) for name in config["downstream"]["methods"]]


def _noise_faults(config: Mapping[str, Any]) -> Iterator[DaisyError]:
    study = config["noise"]
    for task in study["tasks"]:
        if task not in config["tasks"]:
            fix = "Add it to tasks, or do without the noise study: `noise: {tasks: []}`"
            yield DaisyError(f"noise.tasks names {task!r}, which is none of the run's tasks", fix=fix)
    if not study["tasks"]:
        return
    if "asr" not in study["tasks"]:
        yield DaisyError("noise.tasks lacks asr, whose word error rate the study measures", fix="Add asr, or use []")
    if DAISY not in _methods(config):
        yield DaisyError(
            "the noise study needs daisy among downstream.methods", fix="Add daisy, or set noise.tasks: []"
        )
    made = {"white", *config["data"]["noise"]["kinds"]}
    for kind in [] if config["data"]["corpora"].get("noise") else study["kinds"]:
        if kind not in made:
            yield DaisyError(
                f"noise.kinds names {kind!r}, which is not prepared",
                fix="Add it to data.noise.kinds, or name a corpus that has it in data.corpora.noise",
            )


def _exit_faults(config: Mapping[str, Any], methods: list[Method]) -> Iterator[DaisyError]:
    for task in config["evaluation"]["oracle"]:
        if task not in TASKS:
            yield DaisyError(f"evaluation.oracle: there is no task {task!r}", fix=f"Use {', '.join(TASKS)}")
    if TASK_EXITS not in methods:
        return
    for task in config["tasks"]:
        if TASKS[task].exits is not None and "task_exits" not in config["tasks"][task]:
            yield DaisyError(
                f"downstream.methods names task-ee, but tasks.{task} does not say how to train its exits",
                fix=f"Add tasks.{task}.task_exits with steps and learning_rate",
            )


def _explained(error: jsonschema.ValidationError) -> Iterator[DaisyError]:
    place = ".".join(str(part) for part in error.absolute_path) or "the top level"
    if error.validator != "additionalProperties":
        yield DaisyError(f"{place}: {error.message}", fix=_fix(error), file="config")
        return
    known = list(_schema(error).get("properties", {}))
    given = cast(Mapping[str, Any], error.instance)
    for unknown in (key for key in given if key not in known):
        near = difflib.get_close_matches(str(unknown), known, n=1)
        yield DaisyError(
            f"unknown key {unknown!r} in {place}",
            fix=f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}",
            file="config",
        )


def _schema(error: jsonschema.ValidationError) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], error.schema)


def _fix(error: jsonschema.ValidationError) -> str:
    description, value = _schema(error).get("description"), error.instance
    wanted = _schema(error).get("type") if error.validator == "type" else None
    if wanted == "string" and value is not None and not isinstance(value, Mapping | list):
        return f'Write it in quotes, as a text: "{value}"'
    if wanted in ("number", "integer") and isinstance(value, str) and re.fullmatch(r"\d+(,\d+)+", value.strip()):
        return "Write it with a point, and without separators of thousands"
    # The first sentence says what it is, and the page of the config the rest.
    return f"It is: {description.partition('. ')[0]}" if description else "See config/config.yaml"
