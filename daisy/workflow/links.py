"""Show in a run's folder, as links, which stages of the store it uses: their folders, or single files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.files import write_csv
from daisy.errors import DaisyError
from daisy.workflow.settings import LinksSettings

KEY = re.compile(r"-[0-9a-f]{12}$")
"""The end of the name of a store's folder."""


def link(run: Path, links: Mapping[str, str]) -> None:
    """Make `links` under the folder `run`, and remove those that are not among them.

    Raises:
        DaisyError: if something other than a link is in the way.
    """
    tops = {run / name.split("/")[0] for name in links}
    # What is deepest comes first, so that a folder is empty when its turn comes.
    for path in sorted((item for top in tops for item in (top, *top.rglob("*"))), reverse=True):
        if path.is_symlink():
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name, target in links.items():
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise DaisyError("this is not a link to the store", file=path, fix="Move it away: an older version made it")
        path.symlink_to(os.path.relpath(target, path.parent))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="output: the links and folders, as CSV")
    arguments = parser.parse_args(argv)
    links = stage.settings(LinksSettings, arguments.settings).links
    link(arguments.out.parent, links)
    folders = {name: target if KEY.search(target) else os.path.dirname(target) for name, target in links.items()}
    write_csv(arguments.out, ("link", "folder"), [{"link": key, "folder": value} for key, value in folders.items()])


if __name__ == "__main__":
    stage.run(main)
