"""`daisy data`: make a corpus from a folder of recordings, and check the corpora that a config uses."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError

SUMMARY = "Make a corpus from a folder of recordings, or say whether the corpora of a config are there and whole."
EXAMPLES = (
    "daisy data import recordings/ --out corpora/mine",
    "daisy data import cv/ --out corpora/cv --seed 1 --letters-only",
    "daisy data check corpora/mine",
    "daisy data check --configfile my.yaml",
    "daisy data check --configfile config/paper.yaml my.yaml --decode",
)
_SHOWN = 40
"""So many faults of an import are printed; --json has them all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="whether corpora are there and whole", allow_abbrev=False)
    check.add_argument("folders", type=Path, nargs="*", help="corpora of your own (default: those of the config)")
    check.set_defaults(files_are="folders")
    check.add_argument("--configfile", type=Path, nargs="+", default=[], help="files laid over config/config.yaml")
    check.add_argument("--config-folder", type=Path, default=Path("config"), help="(default: config)")
    check.add_argument("--decode", action="store_true", help="decode every sample, rather than read every header")
    check.add_argument("--json", action="store_true", help="for programs")
    bring = actions.add_parser("import", help="a corpus from recordings as they are", allow_abbrev=False)
    bring.add_argument("folder", type=Path, help="recordings of any rate and format, and what tells of them")
    bring.add_argument("--out", type=Path, required=True, metavar="CORPUS", help="the corpus: a new folder")
    bring.add_argument("--table", type=Path, nargs="+", default=[], help="tables to read (default: the folder's)")
    bring.add_argument(
        "--speaker",
        default="auto",
        metavar="HOW",
        help="auto (a table's column, or else folders), folder, one, or name:REGEX (default: auto)",
    )
    bring.add_argument("--seed", type=int, help="draw the splits that are missing (default: the pipeline draws all)")
    bring.add_argument("--dev", type=float, default=0.1, help="share of each speaker's recordings (default: 0.1)")
    bring.add_argument("--test", type=float, default=0.15, help="share of each speaker's recordings (default: 0.15)")
    bring.add_argument("--letters-only", action="store_true", help="no punctuation in texts but apostrophes")
    bring.add_argument("--skip-bad", action="store_true", help="leave out what is faulty, and list it in dropped.csv")
    bring.add_argument("--threads", type=int, default=4, help="recordings at once (default: 4)")
    bring.add_argument("--json", action="store_true", help="for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found or made; 1 if anything is missing or damaged."""
    return _import(arguments) if arguments.action == "import" else _check(arguments)


def _import(arguments: argparse.Namespace) -> int:
    from daisy.corpora.faults import shown
    from daisy.corpora.incoming.bring import Options, bring
    from daisy.corpora.settings import Splits

    if not (arguments.dev >= 0 and arguments.test >= 0 and arguments.dev + arguments.test < 1):
        problem = f"--dev {arguments.dev:g} and --test {arguments.test:g} leave nothing to train on"
        raise DaisyError(problem, fix="Let them be shares that add up to less than 1")
    splits = Splits(arguments.seed, arguments.dev, arguments.test) if arguments.seed is not None else None
    options = Options(
        tuple(arguments.table),
        arguments.speaker,
        splits,
        arguments.letters_only,
        arguments.skip_bad,
        max(1, arguments.threads),
    )
    made = bring(arguments.folder.expanduser(), arguments.out.expanduser(), options)
    if arguments.json:
        print(json.dumps({**dataclasses.asdict(made), "notes": made.notes.kinds}, indent=2, default=str))
        return 0 if made.written else 1
    print(f"{arguments.folder}: {made.layout}")
    print("\n".join(f"  {line}" for line in made.notes.lines()), end="\n" if made.notes.kinds else "")
    for fault in made.faults[:_SHOWN]:
        print(f"  - {shown(fault.problem)}. {fault.fix}.", file=sys.stderr)
    if len(made.faults) > _SHOWN:
        print(f"  - and {len(made.faults) - _SHOWN:,} more (--json lists all)", file=sys.stderr)
    if not made.written:
        faults = f"{len(made.faults):,} fault{'s' * (len(made.faults) != 1)}"
        raise DaisyError(
            f"{faults}, and {len(made.recordings):,} recordings are fine",
            file=arguments.folder,
            fix="Mend them and run this again, which keeps what is done, or leave them out with --skip-bad",
        )
    speakers = len({item.speaker for item in made.recordings})
    texts = sum(bool(item.text) for item in made.recordings)
    hours = sum(item.samples for item in made.recordings) / 16_000 / 3600
    told = f"{len(made.recordings):,} recordings, {speakers:,} speakers, {texts:,} with a text, {hours:.2f} h"
    counts = {part: sum(item.split == part for item in made.recordings) for part in ("train", "dev", "test")}
    drawn = ", ".join(f"{count:,} {part}" for part, count in counts.items()) if any(counts.values()) else ""
    print(f"{arguments.out}: {told}; {drawn or 'splits are drawn by the pipeline'}")
    if made.faults:
        print(f"{len(made.faults):,} faulty ones are left out: {arguments.out}/dropped.csv")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from daisy.workflow.config import read_layers

    if arguments.folders:
        config: dict[str, Any] = {}
        names, own = [], {str(folder): folder.expanduser() for folder in arguments.folders}
    else:
        from daisy.corpora.published.check import used_by
        from daisy.workflow.own import own_used_by

        if not (arguments.config_folder / "config.yaml").exists():
            raise DaisyError(
                f"{arguments.config_folder / 'config.yaml'} is not there",
                fix="Run this in the project's folder, or say where its config is with --config-folder; "
                "or name the folder of a corpus of your own",
            )
        config = read_layers(arguments.config_folder / "config.yaml", *arguments.configfile)
        names, own = used_by(config), own_used_by(config, arguments.config_folder.absolute().parent)
    if not names and not own:
        raise DaisyError(
            "the config uses neither a published corpus nor one of your own",
            fix="Name a config file that does with --configfile, such as config/paper.yaml, or a corpus's folder",
        )
    found, missing = _published(names, config, arguments.decode)
    checked = _own(own, config, arguments, missing)
    faulty = any(item.faults for item in found) or any(item["faults"] or item["unfit"] for item in checked)
    if arguments.json:
        everything = {"found": [dataclasses.asdict(item) for item in found], "missing": missing, "own": checked}
        print(json.dumps(everything, indent=2))
    else:
        from daisy.corpora.published.check import render

        print("\n".join([*([render(found)] if found else []), *map(_rendered, checked), *missing]))
    return 1 if missing or faulty else 0


def _rendered(item: dict[str, Any]) -> str:
    """What was found of a corpus of the user's own, for people."""
    faults = [f"{fault['problem']}. {fault['fix']}." for fault in item["faults"]]
    state = f"{len(faults):,} fault{'s' * (len(faults) != 1)}" if faults else "whole"
    name = item["folder"] if item["name"] == item["folder"] else f"{item['name']} ({item['folder']})"
    lines = [f"{name}: {state}, {item['summary']}", *(f"  {note}" for note in item["notes"])]
    lines += [f"  - {fault}" for fault in [*faults[:_SHOWN], *([item["unfit"]] if item["unfit"] else [])]]
    return "\n".join(lines + [f"  - and {len(faults) - _SHOWN:,} more (--json lists all)"] * (len(faults) > _SHOWN))


def _published(names: list[str], config: dict[str, Any], decode: bool) -> tuple[list[Any], list[str]]:
    """What was found of published corpora, and which are not there."""
    from daisy.corpora.published.check import check

    checked: list[Any] = []
    missing: list[str] = []
    for name in names:
        try:
            checked.append(check(name, config["data"]["published"], decode=decode))
        except DaisyError as error:
            missing.append(f"{name}: {error}")
    return checked, missing


def _own(
    folders: dict[str, Path], config: dict[str, Any], arguments: argparse.Namespace, missing: list[str]
) -> list[dict[str, Any]]:
    """What was found of corpora of the user's own, by what they are used for; those that are not there are missing."""
    from daisy.common import stage
    from daisy.corpora.own import check, summary
    from daisy.workflow.own import unfit
    from daisy.workflow.sections import Config

    typed = stage.build(Config, config, "config") if config else None
    checked = []
    for name, folder in folders.items():
        try:
            found = check(folder, decode=arguments.decode, threads=typed.data.published["threads"] if typed else 8)
        except DaisyError as error:
            missing.append(str(error) if name == str(folder) else f"{name}: {error}")
            continue
        problem = unfit(name, typed, found.recordings) if typed and not found.faults else None
        faults = [dataclasses.asdict(fault) for fault in found.faults]
        item = {"name": name, "folder": str(folder), "summary": summary(found), "notes": found.notes.lines()}
        checked.append({**item, "faults": faults, "unfit": str(problem) if problem else ""})
    return checked
