"""Save the resolved config of a run; the config itself comes as `--settings`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from daisy.common import stage
from daisy.common.files import write_text
from daisy.workflow.config import check


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="output: the config as YAML")
    arguments = parser.parse_args(argv)
    config = json.loads(arguments.settings)  # YAML would take 1e-05 for a text
    check(config)
    write_text(arguments.out, yaml.safe_dump(config, sort_keys=False))


if __name__ == "__main__":
    stage.run(main)
