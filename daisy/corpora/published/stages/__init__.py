"""The stages that read published corpora: a command line for every reader."""
