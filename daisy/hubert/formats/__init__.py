"""Checkpoint formats, a module each: how one is recognised, named, configured, read and written.

A new one is a module with a `Format` and its line in `daisy.hubert.formats.registry`.
"""
