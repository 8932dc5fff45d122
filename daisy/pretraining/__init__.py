"""How the embedded HuBERT was made: what fairseq trained becomes a file with a card."""
