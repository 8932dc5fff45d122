"""Recordings: each corpus becomes FLAC files and a table of them, and tables become the manifests of tasks."""
