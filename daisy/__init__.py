"""DAISY: data-adaptive self-supervised early exit for speech models (Lin, Lee, Tang; Interspeech 2024)."""

__version__ = "0.1.0"
