"""The targets of exit branches: drawn frames, clusters, and a label per frame."""
