"""stub"""

from pathlib import Path

TABLES = Path("results/bench")
GPU = "gpu"


def main(argv): ...
