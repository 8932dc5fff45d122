"""Settings of the links from a run's folder into the store."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class LinksSettings:
    """Config of `daisy.workflow.links`.

    Attributes:
        links: A folder of the store, or a file in one, by the name that it has in the run's folder.
    """

    links: dict[str, str]
