"""The paper's graph on the cluster, as a dry run."""

from __future__ import annotations

import trees
import yaml


def dry_run(site, folder) -> str:
    """What Snakemake says of the paper's configuration, with published corpora of a few files each in `folder`."""
    paper = {
        "data": {"published": trees.all_of_them(folder)},
        "upstream": {"checkpoint": "daisy/models/hubert_tiny.safetensors"},
    }
    (site.folder / "paper.yaml").write_text(yaml.safe_dump(paper))
    with site.names(scale="paper"):
        return site.start("--dry-run", configs=("config/paper.yaml", "paper.yaml")).end()
