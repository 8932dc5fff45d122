"""How fast the project is on this machine: `make bench`, one table per part, and the page BENCHMARKS.md.

Every figure is a ratio of runs that took turns in one process, on the same recordings and the same weights.
"""
