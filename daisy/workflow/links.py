"""Show in a run's folder, as links, which stages of the store it uses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.files import write_csv
from daisy.errors import DaisyError
from daisy.workflow.settings import LinksSettings


def link(run: Path, links: Mapping[str, str]) -> None:
    """Make `links` under the folder `run`, and remove those to the store that are not among them.

    Raises:
        DaisyError: if something other than a link is in the way.
    """
    tops = {run / name.split("/")[0] for name in links}
    for path in [item for top in tops for item in (top, *top.rglob("*"))]:
        if path.is_symlink():
            path.unlink()
    for name, folder in links.items():
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise DaisyError("this is not a link to the store", file=path, fix="Move it away: an older version made it")
        path.symlink_to(os.path.relpath(folder, path.parent), target_is_directory=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="output: the links and folders, as CSV")
    arguments = parser.parse_args(argv)
    links = stage.settings(LinksSettings, arguments.settings).links
    link(arguments.out.parent, links)
    write_csv(arguments.out, ("link", "folder"), [{"link": key, "folder": value} for key, value in links.items()])


if __name__ == "__main__":
    stage.run(main)
