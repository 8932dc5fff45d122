"""How the embedded HuBERT was made."""
