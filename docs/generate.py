"""Write the pages that follow from code: the config reference, its JSON schema, the table of reruns, the rule graph.

`make docs` runs it; with `--check` it writes nothing and fails if a page is out of step.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from daisy.report.gate_list import GATES  # noqa: E402
from daisy.report.gates import in_words  # noqa: E402
from daisy.report.known_results import KNOWN, NOISY_INPUT  # noqa: E402
from daisy.workflow.config import SCHEMA  # noqa: E402
from docs.reruns import A_TASK_MORE, EDITS  # noqa: E402

BEGIN, END = "<!-- generated: {} -->", "<!-- end -->"


def schema_with_defaults() -> dict[str, Any]:
    """The schema, every field with the default that config/config.yaml gives it."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    schema = json.loads(json.dumps(schema))  # anchors become copies
    _add_defaults(schema, defaults)
    return schema


def _add_defaults(schema: dict[str, Any], value: Any) -> None:
    properties = schema.get("properties")
    if properties is None:
        schema["default"] = copy.deepcopy(value)
        return
    for name, part in properties.items():
        if isinstance(value, Mapping) and name in value:
            _add_defaults(part, value[name])


def kind(part: Mapping[str, Any]) -> str:
    """Type and range of a field, in words."""
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    name = part.get("type", "any")
    if isinstance(name, list):
        return " or ".join(kind({**part, "type": item}) for item in name)
    if name == "array":
        return f"list of {kind(part['items'])}"
    if name == "object":
        return f"names, each {kind(part['additionalProperties'])}" if part.get("additionalProperties") else "mapping"
    low, above = part.get("minimum"), part.get("exclusiveMinimum")
    high, below = part.get("maximum"), part.get("exclusiveMaximum")
    bounds = [f"≥ {low}"] * (low is not None) + [f"> {above}"] * (above is not None)
    bounds += [f"≤ {high}"] * (high is not None) + [f"< {below}"] * (below is not None)
    word = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}[name]
    return " ".join([word, ", ".join(bounds)]).strip()


def fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every field below `schema` that holds a value, with its key."""
    for name, part in schema["properties"].items():
        if "properties" in part:
            yield from fields(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def config_page() -> str:
    """docs/config.md."""
    schema = schema_with_defaults()
    lines = [
        "# The config",
        "",
        "A run is `config/config.yaml` with further files laid over it (`snakemake --configfile my.yaml`; of several",
        "files the last one wins, its `run:` too). A file holds what differs, and a `run:` name of its own; one that",
        "says where things lie, and is laid over others, leaves `run:` to them. All of it is checked before anything",
        "runs; the resolved config is kept in `results/<run>/config.yaml`. A task set to `null` is left out.",
        "",
        "`config/paper.yaml` is the paper's scale, `config/test.yaml` the small run of the tests. Editors that know",
        "JSON schema complete keys with `config/schema.json`.",
        "",
    ]
    top = {name: part for name, part in schema["properties"].items() if "properties" not in part}
    run = {"properties": top, "description": "The run, and where it is kept."}
    for name, part in {"run": run, **{k: v for k, v in schema["properties"].items() if k not in top}}.items():
        rows = list(fields(part, "" if part is run else f"{name}."))
        lines += [
            f"## {name.capitalize()}",
            "",
            part["description"],
            "",
            "| key | values | default | what |",
            "|---|---|---|---|",
        ]
        for key, field in rows:
            default = f"`{json.dumps(field['default'], ensure_ascii=False)}`" if "default" in field else "–"
            lines.append(f"| `{key}` | {kind(field)} | {default} | {field['description']} |")
        lines.append("")
    return "\n".join(lines)


def reruns_table() -> str:
    """The table of docs/reruns.md."""
    lines = ["| change | runs again |", "|---|---|"]
    for edit in (*EDITS, A_TASK_MORE):
        lines.append(f"| {edit.what} | {', '.join(f'`{rule}`' for rule in sorted(edit.rules)) or 'nothing'} |")
    return "\n".join(lines)


def gates_table() -> str:
    """The gates of docs/runbook.md."""
    lines = ["| after | number | passes | doubtful | bounds from |", "|---|---|---|---|---|"]
    for gate in GATES:
        passes, doubtful = (
            "; ".join(
                f"{kind}: {in_words(getattr(limits, name))}".removeprefix(": ") for kind, limits in gate.limits.items()
            )
            for name in ("passes", "doubtful")
        )
        lines.append(f"| `{gate.stage}` | {gate.what} | {passes} | {doubtful} | {gate.source} |")
    return "\n".join(lines)


def known_table() -> str:
    """The known results of docs/runbook.md."""
    lines = ["| task | metric | HuBERT Base | with | source |", "|---|---|---|---|---|"]
    for item in KNOWN:
        lines.append(f"| {item.task} | {item.metric} | {item.value:g} | {item.what} | {item.source} |")
    item = NOISY_INPUT
    lines.append(f"| {item.task} | {item.metric} | {item.value:g}, no model | {item.what} | {item.source} |")
    return "\n".join(lines)


def rule_graph() -> str:
    """The graph of docs/stages.md, as Snakemake draws it, without its colours."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js", "--quiet", "all", "--cores", "1"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment).stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", text))
    edges = {(names[one], names[other]) for one, other in re.findall(r"(id\d+) --> (id\d+)", text)}
    kept = sorted(edge for edge in edges if edge[1] != "all" and not _goes_round(edge, edges))
    lines = [f"    {one} --> {other}" for one, other in kept]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def _goes_round(edge: tuple[str, str], edges: set[tuple[str, str]]) -> bool:
    """Whether a longer way leads where `edge` does: then the graph is clearer without it."""
    start, end = edge
    waiting = [other for one, other in edges if one == start and other != end]
    seen: set[str] = set()
    while waiting:
        place = waiting.pop()
        if place == end:
            return True
        if place not in seen:
            seen.add(place)
            waiting += [other for one, other in edges if one == place]
    return False


def filled(path: Path, parts: Mapping[str, str]) -> str:
    """A page with its generated parts, by name."""
    page = path.read_text(encoding="utf-8")
    for name, text in parts.items():
        head, begin, rest = page.partition(BEGIN.format(name))
        _, end, tail = rest.partition(END)
        if not begin or not end:
            raise SystemExit(f"{path}: no part for {name}")
        page = f"{head}{begin}\n{text}\n{end}{tail}"
    return page


def pages() -> dict[Path, str]:
    """Every generated file and its content."""
    docs = ROOT / "docs"
    schema = json.dumps(schema_with_defaults(), indent=2, ensure_ascii=False) + "\n"
    return {
        docs / "config.md": config_page(),
        ROOT / "config/schema.json": schema,
        docs / "reruns.md": filled(docs / "reruns.md", {"reruns": reruns_table()}),
        docs / "runbook.md": filled(docs / "runbook.md", {"gates": gates_table(), "known": known_table()}),
        docs / "stages.md": filled(docs / "stages.md", {"rules": rule_graph()}),
    }


def main() -> None:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of step")
    check = parser.parse_args().check
    for path, text in pages().items():
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            sys.exit(f"{path.relative_to(ROOT)} is out of step. Run make docs.")
        if not check:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
