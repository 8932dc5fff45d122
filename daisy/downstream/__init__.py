"""Downstream models: their training, and the whole system at work."""
