"""Evaluation: every trained method on its test set, with speed against the full model."""
