"""HuBERT and its exit branches: the encoder, checkpoints, and the decision to stop."""
