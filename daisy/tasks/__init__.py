"""Downstream tasks: each is one module that implements `daisy.tasks.base.Task`, listed in the registry."""
