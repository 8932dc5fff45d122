"""Settings of the links from a run's folder into the store."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class LinksSettings:
    """Config of `daisy.workflow.links`.

    Attributes:
        links: The store's folder by the name that it has in the run's.
    """

    links: dict[str, str]
